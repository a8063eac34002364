package rules_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
)

// served lists what each job serves of what is queried, under the names that the
// programs' own sources give them.
var served = map[string][]string{
	// docker/backend, mode api
	watched.backend.API: {
		"http_requests_total", "http_request_duration_seconds_bucket", "http_request_duration_seconds_count",
		"cache_requests_total", "websocket_clients", "websocket_connections_total",
	},
	// docker/backend, mode engine
	watched.backend.Engine: {
		"alphapulse_engine_leader", "alphapulse_engine_heartbeat_timestamp_seconds", "market_ticks_ingested_total",
		"trading_signals_total", "trading_signals_active", "signal_accuracy_total",
		"portfolio_pnl_realized", "portfolio_pnl_unrealized", "portfolio_equity", "portfolio_exposure",
		"portfolio_open_positions", "portfolio_risk_ratio", "portfolio_risk_limit_ratio",
		"trading_positions_opened_total", "trading_positions_closed_total", "trading_orders_refused_total", "alphapulse_engine_cycles_total",
	},
	// postgres_exporter 0.19: collectors database, replication, replication_slot, settings, stat_database,
	// stat_bgwriter, stat_user_tables and wal, and the queries pg_stat_activity and
	// pg_stat_archiver, which are on by default, and those of database.Collectors
	watched.database.Job: {
		"pg_up", "pg_replication_is_replica", "pg_replication_lag_seconds", "pg_replication_slot_slot_is_active", "pg_database_size_bytes", "pg_settings_max_connections", "pg_wal_size_bytes",
		"pg_stat_database_numbackends", "pg_stat_database_xact_commit", "pg_stat_database_xact_rollback",
		"pg_stat_database_blks_hit", "pg_stat_database_blks_read", "pg_stat_database_tup_inserted",
		"pg_stat_database_tup_updated", "pg_stat_database_tup_deleted", "pg_stat_database_deadlocks",
		"pg_stat_database_temp_files", "pg_stat_database_temp_bytes",
		"pg_scrape_collector_success", "pg_exporter_last_scrape_error", "pg_stat_activity_max_tx_duration",
		"pg_stat_user_tables_n_dead_tup", "pg_stat_user_tables_n_live_tup",
		"pg_stat_bgwriter_checkpoints_req_total", "pg_stat_bgwriter_checkpoints_timed_total",
		"pg_stat_checkpointer_num_requested_total", "pg_stat_checkpointer_num_timed_total",
		"pg_database_wraparound_age_datfrozenxid_seconds", "pg_database_wraparound_age_datminmxid_seconds",
		"pg_stat_archiver_archived_count", "pg_stat_archiver_failed_count", "pg_stat_archiver_last_archive_age",
		// docker/agent, beside a member
		"pg_timeline_id", "timescaledb_job_interval_seconds", "timescaledb_job_failures_total", "timescaledb_job_failed", "timescaledb_job_stuck",
		"timescaledb_job_without_success_since_timestamp_seconds", "timescaledb_hypertable_chunks", "timescaledb_hypertable_size_bytes",
		"timescaledb_hypertable_compressed_chunks", "timescaledb_hypertable_before_compression_bytes", "timescaledb_hypertable_after_compression_bytes",
	},
	// docker/agent, beside PgBouncer
	watched.database.Pooler: {
		"pgbouncer_pools_client_active_connections", "pgbouncer_pools_client_waiting_connections", "pgbouncer_pools_server_active_connections",
		"pgbouncer_pools_server_idle_connections", "pgbouncer_pools_server_used_connections", "pgbouncer_pools_client_maxwait_seconds",
		"pgbouncer_databases_pool_size", "pgbouncer_stats_queries_pooled_total", "pgbouncer_stats_sql_transactions_pooled_total",
		"pgbouncer_stats_queries_duration_seconds_total", "pgbouncer_stats_client_wait_seconds_total",
	},
	// redis_exporter 1.88
	watched.cache.Job: {
		"redis_up", "redis_memory_used_bytes", "redis_memory_max_bytes", "redis_memory_used_rss_bytes",
		"redis_evicted_keys_total", "redis_expired_keys_total", "redis_keyspace_hits_total", "redis_keyspace_misses_total",
		"redis_commands_total", "redis_connected_clients", "redis_aof_current_size_bytes", "redis_aof_last_write_status",
		"redis_aof_last_bgrewrite_status", "redis_rdb_last_bgsave_status", "redis_errors_total", "redis_rejected_connections_total",
		"redis_max_clients", "redis_aof_base_size_bytes",
	},
	// nginx-prometheus-exporter 1.5 on stub_status
	watched.edge.Job: {
		"nginx_up", "nginx_http_requests_total", "nginx_connections_active", "nginx_connections_reading",
		"nginx_connections_writing", "nginx_connections_waiting", "nginx_connections_accepted", "nginx_connections_handled",
		// blackbox_exporter 0.28, prober tcp with TLS
		"probe_success", "probe_ssl_earliest_cert_expiry",
		// statsd_exporter 0.31, as ingress maps what nginx counts
		"edge_requests_total", "edge_tls_failures_total", "edge_request_duration_seconds_bucket", "edge_request_duration_seconds_count", "edge_upstream_duration_seconds_bucket",
	},
	// OpenTelemetry Collector 0.165, with what its spans, and the edge's forwarders, tell
	watched.telemetry.Collector: {
		"otelcol_receiver_accepted_log_records", "otelcol_receiver_accepted_spans", "otelcol_receiver_refused_log_records", "otelcol_receiver_refused_spans",
		"otelcol_exporter_sent_log_records", "otelcol_exporter_sent_spans", "otelcol_exporter_send_failed_log_records", "otelcol_exporter_send_failed_spans",
		"otelcol_exporter_enqueue_failed_spans", "otelcol_process_uptime_seconds_total",
		"otelcol_exporter_queue_size", "otelcol_exporter_queue_capacity",
		"otelcol_exporter_send_failed_log_records_total", "otelcol_exporter_enqueue_failed_log_records_total",
		"span_calls_total", "span_duration_seconds_bucket",
		"otelcol_processor_tail_sampling_global_count_traces_sampled", "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early",
	},
	// VictoriaLogs 1.52
	watched.telemetry.LogStore: {"vl_storage_is_read_only", "vl_storage_rows", "vl_data_size_bytes", "vl_free_disk_space_bytes"},
	// Jaeger 2.13, which is a Collector
	watched.telemetry.TraceStore: {"jaeger_storage_badger_size_bytes_lsm", "jaeger_storage_badger_size_bytes_vlog", "otelcol_exporter_sent_spans", "otelcol_exporter_send_failed_spans",
		"jaeger_storage_bulk_index_attempts", "jaeger_storage_bulk_index_errors", "jaeger_storage_bulk_index_latency_err_count"},
	// Prometheus 3.16
	watched.monitoring.Prometheus: {
		"prometheus_config_last_reload_successful", "prometheus_rule_evaluation_failures_total",
		"prometheus_rule_group_last_duration_seconds", "prometheus_tsdb_head_series", "prometheus_tsdb_storage_blocks_bytes",
		"prometheus_tsdb_wal_storage_size_bytes", "prometheus_tsdb_head_chunks_storage_size_bytes",
		"prometheus_rule_group_iterations_missed_total", "prometheus_target_scrapes_exceeded_sample_limit_total",
		"prometheus_tsdb_compactions_failed_total", "prometheus_tsdb_head_truncations_failed_total", "prometheus_tsdb_wal_corruptions_total",
		"prometheus_remote_storage_samples_failed_total", "prometheus_remote_storage_samples_retried_total",
		"prometheus_notifications_dropped_total", "prometheus_sd_dns_lookups_total", "prometheus_sd_dns_lookup_failures_total",
	},
	// Alertmanager 0.34
	watched.monitoring.Alertmanager: {
		"alertmanager_notifications_failed_total", "alertmanager_nflog_snapshot_size_bytes", "alertmanager_silences_snapshot_size_bytes",
		"alertmanager_config_last_reload_successful",
	},
	// cAdvisor 0.60 in the kubelet
	config.KubeletJob: config.ContainerMetrics,
	// kube-state-metrics 2.20, of the resources in config.Observed
	watched.monitoring.KubeStateMetrics: {
		"kube_pod_status_ready", "kube_pod_status_phase", "kube_pod_container_status_restarts_total",
		"kube_pod_container_status_waiting_reason", "kube_pod_init_container_status_waiting_reason",
		"kube_pod_container_status_last_terminated_reason",
		"kube_deployment_spec_replicas", "kube_deployment_status_replicas_available", "kube_deployment_status_replicas", "kube_deployment_status_replicas_updated",
		"kube_deployment_metadata_generation", "kube_statefulset_metadata_generation",
		"kube_statefulset_replicas", "kube_statefulset_status_replicas_ready",
		"kube_horizontalpodautoscaler_status_current_replicas", "kube_horizontalpodautoscaler_spec_max_replicas",
		"kube_horizontalpodautoscaler_spec_min_replicas", "kube_horizontalpodautoscaler_status_condition",
		"kube_persistentvolumeclaim_resource_requests_storage_bytes", "kube_resourcequota",
		"kube_pod_info", "kube_pod_container_status_ready", "kube_pod_deletion_timestamp", "kube_pod_status_unschedulable",
		"kube_deployment_status_condition", "kube_statefulset_status_replicas_updated", "kube_horizontalpodautoscaler_status_desired_replicas",
		"kube_persistentvolumeclaim_status_phase", "kube_job_failed",
		"kube_deployment_status_observed_generation", "kube_statefulset_status_observed_generation",
		"kube_horizontalpodautoscaler_status_target_metric", "kube_horizontalpodautoscaler_spec_target_metric", "kube_pod_container_resource_limits",
		"kube_cronjob_created", "kube_cronjob_status_last_successful_time", "kube_job_status_start_time", "kube_job_status_completion_time",
	},
}

// everywhere lists series that Prometheus makes itself, and those that most
// programs serve about their process.
var everywhere = []string{"up", "ALERTS", "process_resident_memory_bytes", "process_cpu_seconds_total"}

// query is an expression and where it stands.
type query struct{ where, expr string }

// queries lists every expression of the rules and of the dashboards.
func queries(t *testing.T) []query {
	t.Helper()
	var all []query
	for _, c := range []composition{watched, spansInElasticsearch} {
		all = append(all, c.queries(t)...)
	}
	return all
}

func (c composition) queries(t *testing.T) (all []query) {
	t.Helper()
	for _, g := range c.groups() {
		for _, r := range g.Rules {
			if r.Expr != "" { // a constant asks for nothing
				all = append(all, query{"rule " + r.Alert + r.Record, r.Expr})
			}
		}
	}
	for file, d := range loadDashboards(t, c) {
		for _, p := range d.allPanels() {
			for _, target := range p.Targets {
				if *target.Datasource != ofSeries {
					continue // VictoriaLogs reads it
				}
				all = append(all, query{file + ", panel " + p.Title, target.Expr})
			}
		}
		for _, m := range d.Annotations.List {
			all = append(all, query{file + ", mark " + m.Name, m.Expr})
		}
	}
	return all
}

func parse(t *testing.T, q query) parser.Expr {
	t.Helper()
	// Grafana fills in the interval.
	expr, err := promql.ParseExpr(strings.ReplaceAll(q.expr, "$__rate_interval", "1m"))
	if err != nil {
		t.Fatalf("%s: %v\n%s", q.where, err, q.expr)
	}
	return expr
}

// selectors lists each series selector of an expression.
func selectors(t *testing.T, q query) []*parser.VectorSelector {
	t.Helper()
	var all []*parser.VectorSelector
	parser.Inspect(parse(t, q), func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			all = append(all, s)
		}
		return nil
	})
	return all
}

// A misspelt metric is no error for Prometheus: the alert just never fires.
func TestEachQueriedMetricIsServedByAScrapedJob(t *testing.T) {
	jobsOf := map[string][]string{}
	for job, metrics := range served {
		for _, m := range metrics {
			jobsOf[m] = append(jobsOf[m], job)
		}
	}
	recorded := map[string]bool{}
	for _, g := range watched.groups() {
		for _, r := range g.Rules {
			if r.Record != "" {
				recorded[r.Record] = true
			}
		}
	}
	queried := map[[2]string]bool{}
	for _, q := range queries(t) {
		for _, s := range selectors(t, q) {
			selected := ""
			for _, m := range s.LabelMatchers {
				if m.Name == "job" && m.Type == labels.MatchEqual {
					selected = m.Value
				}
			}
			jobs := jobsOf[s.Name]
			for _, job := range jobs {
				if selected == "" || selected == job {
					queried[[2]string{s.Name, job}] = true
				}
			}
			switch {
			case recorded[s.Name], slices.Contains(everywhere, s.Name):
				if _, scraped := served[selected]; selected != "" && !scraped {
					t.Errorf("%s: %s of the job %q, which nothing scrapes", q.where, s.Name, selected)
				}
			case len(jobs) == 0:
				t.Errorf("%s: no scraped job serves %s", q.where, s.Name)
			case !slices.Contains(jobs, selected) && (selected != "" || !slices.Contains(jobs, watched.monitoring.KubeStateMetrics)):
				// Only one job serves series of the cluster's state; names such as
				// http_requests_total are anybody's.
				t.Errorf("%s: %s is served by the jobs %q, the query selects %q", q.where, s.Name, jobs, selected)
			}
		}
	}
	for m, jobs := range jobsOf {
		for _, job := range jobs {
			if !queried[[2]string{m, job}] {
				t.Errorf("%s of %s is listed, but nothing queries it", m, job)
			}
		}
	}
}

// kube-state-metrics may read what is queried, and nothing else.
func TestObservedResourcesAreQueried(t *testing.T) {
	used := map[string]bool{}
	for _, m := range served[watched.monitoring.KubeStateMetrics] {
		found := false
		for resource := range config.Observed {
			if strings.HasPrefix(m, "kube_"+strings.TrimSuffix(resource, "s")+"_") || m == "kube_"+strings.TrimSuffix(resource, "s") {
				used[resource], found = true, true
			}
		}
		if !found {
			t.Errorf("%s: kube-state-metrics may not read the resource that it describes", m)
		}
	}
	for _, resource := range slices.Sorted(maps.Keys(config.Observed)) {
		if !used[resource] {
			t.Errorf("kube-state-metrics may read %s, and nothing queries it", resource)
		}
	}
}

// Ratios of a counter without rate, and the like, give numbers that mean nothing.
func TestCountersAreRated(t *testing.T) {
	for _, q := range queries(t) {
		parser.Inspect(parse(t, q), func(n parser.Node, path []parser.Node) error {
			s, ok := n.(*parser.VectorSelector)
			if !ok || !strings.HasSuffix(s.Name, "_total") && !strings.HasSuffix(s.Name, "_bucket") {
				return nil
			}
			for _, parent := range path {
				// That it is there, or goes on, asks for no number.
				if call, ok := parent.(*parser.Call); ok && slices.Contains([]string{"rate", "increase", "changes", "present_over_time"}, call.Func.Name) {
					return nil
				}
				// What a counter was some time ago taken from what it is now: for one that is
				// not there before it counts, which has no rate then.
				if d, ok := parent.(*parser.BinaryExpr); ok && d.Op == parser.SUB && strings.Contains(d.RHS.String(), s.Name+"{") && strings.Contains(d.RHS.String(), " offset ") {
					return nil
				}
			}
			t.Errorf("%s: the counter %s is used without rate or increase", q.where, s.Name)
			return nil
		})
	}
}
