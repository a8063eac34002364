package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/rules"
)

func infrastructure(w rules.Watched) *dashboard.DashboardBuilder {
	b := board("AlphaPulse Infrastructure", "alphapulse-infrastructure", "Database, cache, edge, volumes, workloads and monitoring itself.")
	if w.Database != "" {
		b.WithRow(row("Database"))
		b.WithPanel(series("Connections", "short", 3,
			query{of(`sum by (datname) (pg_stat_database_numbackends{job=%q}) > 0`, w.Database), "{{datname}}"},
			query{of(`max(pg_settings_max_connections{job=%q})`, w.Database), "maximum"}))
		b.WithPanel(series("Transactions per second", "ops", 3,
			query{of(`sum(rate(pg_stat_database_xact_commit{job=%q}[$__rate_interval]))`, w.Database), "committed"},
			query{of(`sum(rate(pg_stat_database_xact_rollback{job=%q}[$__rate_interval]))`, w.Database), "rolled back"}))
		b.WithPanel(series("Reads served from memory", "percentunit", 3, query{
			`sum(rate(pg_stat_database_blks_hit` + of(`{job=%q}`, w.Database) + `[$__rate_interval])) / (sum(rate(pg_stat_database_blks_hit` + of(`{job=%q}`, w.Database) +
				`[$__rate_interval])) + sum(rate(pg_stat_database_blks_read` + of(`{job=%q}`, w.Database) + `[$__rate_interval])))`, "hit ratio"}).Max(1))
		b.WithPanel(series("Size", "bytes", 3,
			query{of(`pg_database_size_bytes{job=%q}`, w.Database), "{{datname}}"},
			query{of(`pg_wal_size_bytes{job=%q}`, w.Database), "write-ahead log"}))
		b.WithPanel(series("Rows per second", "ops", 3,
			query{of(`sum(rate(pg_stat_database_tup_inserted{job=%q}[$__rate_interval]))`, w.Database), "inserted"},
			query{of(`sum(rate(pg_stat_database_tup_updated{job=%q}[$__rate_interval]))`, w.Database), "updated"},
			query{of(`sum(rate(pg_stat_database_tup_deleted{job=%q}[$__rate_interval]))`, w.Database), "deleted"}))
		b.WithPanel(series("Deadlocks and temporary files", "short", 3,
			query{of(`sum(increase(pg_stat_database_deadlocks{job=%q}[$__rate_interval]))`, w.Database), "deadlocks"},
			query{of(`sum(increase(pg_stat_database_temp_files{job=%q}[$__rate_interval]))`, w.Database), "temporary files"}))
	}
	if w.Cache != "" {
		b.WithRow(row("Cache"))
		b.WithPanel(series("Memory", "bytes", 3,
			query{of(`redis_memory_used_bytes{job=%q}`, w.Cache), "used"},
			query{of(`redis_memory_max_bytes{job=%q}`, w.Cache), "maximum"},
			query{of(`redis_memory_used_rss_bytes{job=%q}`, w.Cache), "resident"}))
		b.WithPanel(series("Hit ratio", "percentunit", 3, query{
			`rate(redis_keyspace_hits_total` + of(`{job=%q}`, w.Cache) + `[$__rate_interval]) / (rate(redis_keyspace_hits_total` + of(`{job=%q}`, w.Cache) +
				`[$__rate_interval]) + rate(redis_keyspace_misses_total` + of(`{job=%q}`, w.Cache) + `[$__rate_interval]))`, "hit ratio"}).Max(1))
		b.WithPanel(series("Entries dropped", "ops", 3,
			query{of(`rate(redis_evicted_keys_total{job=%q}[$__rate_interval])`, w.Cache), "memory full"},
			query{of(`rate(redis_expired_keys_total{job=%q}[$__rate_interval])`, w.Cache), "expired"}))
		b.WithPanel(series("Commands per second", "ops", 2, query{of(`sum by (cmd) (rate(redis_commands_total{job=%q}[$__rate_interval])) > 0`, w.Cache), "{{cmd}}"}))
		b.WithPanel(series("Clients", "short", 2, query{of(`redis_connected_clients{job=%q}`, w.Cache), "connected"}))
	}
	if w.Edge != "" {
		b.WithRow(row("Edge"))
		b.WithPanel(series("Requests", "reqps", 3, query{of(`sum by (pod) (rate(nginx_http_requests_total{job=%q}[$__rate_interval]))`, w.Edge), "{{pod}}"}))
		b.WithPanel(series("Connections", "short", 3,
			query{of(`sum(nginx_connections_active{job=%q})`, w.Edge), "active"},
			query{of(`sum(nginx_connections_reading{job=%q})`, w.Edge), "reading"},
			query{of(`sum(nginx_connections_writing{job=%q})`, w.Edge), "writing"},
			query{of(`sum(nginx_connections_waiting{job=%q})`, w.Edge), "waiting"}))
		b.WithPanel(series("Connections not handled", "cps", 3, query{
			`sum(rate(nginx_connections_accepted` + of(`{job=%q}`, w.Edge) + `[$__rate_interval])) - sum(rate(nginx_connections_handled` + of(`{job=%q}`, w.Edge) + `[$__rate_interval]))`, "dropped"}))
	}
	b.WithRow(row("Workloads"))
	if w.KubeStateMetrics != "" {
		b.WithPanel(line(series("Volumes", "percentunit", 3, query{rules.VolumeUsed, "{{persistentvolumeclaim}}"}).
			Description("What each program knows of its own files, against the size of its claim.").Max(1), rules.VolumeHigh))
		b.WithPanel(series("Container restarts", "short", 3, query{`sum by (pod) (increase(kube_pod_container_status_restarts_total[$__rate_interval])) > 0`, "{{pod}}"}))
		b.WithPanel(series("Quota used", "percentunit", 3, query{
			`kube_resourcequota{type="used"} / ignoring(type) (kube_resourcequota{type="hard"} > 0)`, "{{resource}}"}).Max(1))
	}
	b.WithPanel(series("Memory of processes", "bytes", 2, query{`sum by (job) (process_resident_memory_bytes)`, "{{job}}"}).
		Description("Processes that serve metrics about themselves; for database, cache and edge that is the exporter."))
	b.WithPanel(series("CPU of processes", "short", 2, query{`sum by (job) (rate(process_cpu_seconds_total[$__rate_interval]))`, "{{job}}"}).
		Description("In cores. Processes that serve metrics about themselves; for database, cache and edge that is the exporter."))

	b.WithRow(row("Monitoring"))
	b.WithPanel(series("Targets", "short", 3, query{`count by (job) (up == 1)`, "{{job}} up"}, query{`count by (job) (up == 0)`, "{{job}} down"}))
	b.WithPanel(series("Series in memory", "short", 3, query{of(`prometheus_tsdb_head_series{job=%q}`, w.Prometheus), "series"}))
	b.WithPanel(series("Slowest rule groups", "s", 3, query{of(`topk(5, prometheus_rule_group_last_duration_seconds{job=%q})`, w.Prometheus), "{{rule_group}}"}))
	return b
}
