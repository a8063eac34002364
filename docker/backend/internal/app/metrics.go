package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// poolCollector shows the connections of this process.
type poolCollector struct {
	store  *store.Store
	cache  *cache.Cache
	client *redis.Client // nil without a cache
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	databaseUp          = desc("database_up", "1 while the database can be used.")
	databaseConnections = desc("database_pool_connections", "Connections to the database by state (in_use, idle).", "state")
	databaseMax         = desc("database_pool_max_connections", "Connections to the database that this process may have.")
	databaseAcquires    = desc("database_pool_acquires_total", "Connections handed out.")
	databaseEmpty       = desc("database_pool_empty_acquires_total", "Connections that had to be waited for.")
	databaseWait        = desc("database_pool_acquire_wait_seconds_total", "Time spent waiting for a connection.")
	cacheUp             = desc("cache_up", "1 while the cache answers, as far as the last command knows.")
	cacheConnections    = desc("cache_pool_connections", "Connections to the cache by state (in_use, idle).", "state")
	cacheMax            = desc("cache_pool_max_connections", "Connections to the cache that this process may have.")
	cacheTimeouts       = desc("cache_pool_timeouts_total", "Times that no connection to the cache was free in time.")
)

func (p *poolCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{databaseUp, databaseConnections, databaseMax, databaseAcquires, databaseEmpty, databaseWait} {
		out <- d
	}
	if p.client != nil {
		for _, d := range []*prometheus.Desc{cacheUp, cacheConnections, cacheMax, cacheTimeouts} {
			out <- d
		}
	}
}

func (p *poolCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	s := p.store.Pool()
	gauge(databaseUp, truth(p.store.Lost() == ""))
	gauge(databaseConnections, float64(s.AcquiredConns()), "in_use")
	gauge(databaseConnections, float64(s.IdleConns()), "idle")
	gauge(databaseMax, float64(s.MaxConns()))
	counter(databaseAcquires, float64(s.AcquireCount()))
	counter(databaseEmpty, float64(s.EmptyAcquireCount()))
	counter(databaseWait, s.EmptyAcquireWaitTime().Seconds())
	if p.client == nil {
		return
	}
	c := p.client.PoolStats()
	gauge(cacheUp, truth(!p.cache.Broken()))
	gauge(cacheConnections, float64(c.TotalConns-c.IdleConns), "in_use")
	gauge(cacheConnections, float64(c.IdleConns), "idle")
	gauge(cacheMax, float64(p.client.Options().PoolSize))
	counter(cacheTimeouts, float64(c.Timeouts))
}
