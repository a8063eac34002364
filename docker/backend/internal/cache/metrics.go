package cache

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the cache.
type Metrics struct {
	requests *prometheus.CounterVec
	errors   prometheus.Counter
	loads    *prometheus.HistogramVec
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cache_requests_total", Help: "Reads through the cache by kind of answer and result (hit, stale, miss, bypass).",
		}, []string{"kind", "result"}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cache_errors_total", Help: "Commands that the cache did not answer.",
		}),
		loads: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cache_load_duration_seconds", Help: "Time to load an answer from the database, by kind of answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"kind"}),
	}
	r.MustRegister(m.requests, m.errors, m.loads)
	return m
}
