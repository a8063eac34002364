package stream

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the WebSockets.
type Metrics struct {
	clients     prometheus.Gauge
	connections *prometheus.CounterVec
	dropped     prometheus.Counter
	messages    prometheus.Counter
	source      *prometheus.GaugeVec
	newest      prometheus.Gauge
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer, maxClients int) *Metrics {
	m := &Metrics{
		clients: prometheus.NewGauge(prometheus.GaugeOpts{Name: "websocket_clients", Help: "Open WebSockets."}),
		connections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "websocket_connections_total", Help: "WebSockets asked for, by result (accepted, refused).",
		}, []string{"result"}),
		dropped:  prometheus.NewCounter(prometheus.CounterOpts{Name: "websocket_dropped_total", Help: "Clients dropped because they read too slowly."}),
		messages: prometheus.NewCounter(prometheus.CounterOpts{Name: "websocket_messages_total", Help: "Frames sent."}),
		source: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stream_source", Help: "1 for where live data comes from now (redis, database).",
		}, []string{"source"}),
	}
	m.newest = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "market_data_timestamp_seconds", Help: "Unix time of the newest prices that this process knows; 0 before the first.",
	})
	most := prometheus.NewGauge(prometheus.GaugeOpts{Name: "websocket_clients_max", Help: "WebSockets that may be open at once."})
	most.Set(float64(maxClients))
	r.MustRegister(m.clients, m.connections, m.dropped, m.messages, m.source, m.newest, most)
	m.connections.WithLabelValues("accepted")
	m.connections.WithLabelValues("refused")
	return m
}
