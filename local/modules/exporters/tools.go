//go:build tools

// Package tools pins what the images of the small Prometheus exporters are
// built from.
package tools

import (
	_ "github.com/nginx/nginx-prometheus-exporter"
	_ "github.com/oliver006/redis_exporter"
	_ "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter"
	_ "github.com/prometheus/statsd_exporter"
)
