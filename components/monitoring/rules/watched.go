// Package rules holds what Prometheus computes and alerts on. Plain Go without
// Pulumi types: the tests feed the rendered rules to promtool.
package rules

import (
	"errors"
	"fmt"
)

// Watched says what there is to monitor. A job is the app.kubernetes.io/name label
// of the pods that serve the metrics; an empty one is not scraped, and its alerts
// and panels are left out instead of staying red or empty for ever.
type Watched struct {
	// API serves http_requests_total, with the label status, and the histogram
	// http_request_duration_seconds, with a bucket at LatencyThreshold.
	API string
	// Engine is the singleton that trades. It may serve alphapulse_engine_leader, 1 in
	// the pod that works, and alphapulse_engine_heartbeat_timestamp_seconds.
	Engine string
	// Database runs postgres_exporter beside it, Cache redis_exporter, Edge
	// nginx-prometheus-exporter.
	Database, Cache, Edge string
	// DatabaseClaim and CacheClaim are the names of their claims.
	DatabaseClaim, CacheClaim string
	// The monitoring workloads themselves. Without KubeStateMetrics, on a Docker host,
	// nothing tells how pods and claims are: what follows from that is left out.
	Prometheus, Alertmanager, Grafana, KubeStateMetrics string
	// PrometheusClaim and AlertmanagerClaim are the names of their claims.
	PrometheusClaim, AlertmanagerClaim string
}

// Validate reports what the rules cannot do without.
func (w Watched) Validate() error {
	var problems []error
	if w.Database != "" && w.DatabaseClaim == "" {
		problems = append(problems, fmt.Errorf("DatabaseClaim is missing: name the claim of the database %q", w.Database))
	}
	if w.Cache != "" && w.CacheClaim == "" {
		problems = append(problems, fmt.Errorf("CacheClaim is missing: name the claim of the cache %q", w.Cache))
	}
	return errors.Join(problems...)
}
