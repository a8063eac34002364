package store

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the store.
type Metrics struct {
	reads     *prometheus.CounterVec
	fallbacks *prometheus.CounterVec
	retries   *prometheus.CounterVec
}

// NewMetrics registers the metrics; with nil they are counted but shown nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "database_reads_total", Help: "Queries that read, by the server that answered (primary, standby).",
		}, []string{"server"}),
		fallbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "database_standby_fallbacks_total", Help: "Reads that the primary had to answer, by what was wrong with the standby (behind, away).",
		}, []string{"reason"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "database_retries_total", Help: "Attempts that met a failover and were made again, by query.",
		}, []string{"query"}),
	}
	for _, server := range []string{"primary", "standby"} {
		m.reads.WithLabelValues(server)
	}
	for _, reason := range []string{"behind", "away"} {
		m.fallbacks.WithLabelValues(reason)
	}
	if r != nil {
		r.MustRegister(m.reads, m.fallbacks, m.retries)
	}
	return m
}
