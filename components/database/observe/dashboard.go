package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// Panels show the database. What a target does not have, it has no panels of.
func Panels(w Watched) []board.Contribution {
	w = w.withDefaults()
	return []board.Contribution{
		{Dashboard: board.Data, Row: "Members", Panels: w.memberPanels()},
		{Dashboard: board.Data, Row: "Database", Panels: w.workPanels()},
		{Dashboard: board.Data, Row: "Pooler", Panels: w.poolerPanels()},
		{Dashboard: board.Data, Row: "TimescaleDB", Panels: w.timescalePanels()},
	}
}

func (w Watched) memberPanels() []board.Panel {
	if len(w.Members) == 0 {
		return nil
	}
	q := board.On(w.Job)
	panels := []board.Panel{
		board.Series("Who takes writes", "short", 4, q(`max by (pod) (pg_replication_is_replica{$job} == bool 0)`, "{{pod}}")).Min(0).Max(1).
			Description("1 is the primary."),
		board.Series("Timeline", "short", 4, q(`max by (pod) (pg_timeline_id{$job})`, "{{pod}}")).
			Description("The history of the database that a member is on, as of its last checkpoint: a failover begins another."),
	}
	if len(w.Members) < 2 {
		return panels
	}
	return append(panels,
		board.Line(board.Series("Behind the primary", "s", 4, q(`max by (pod) (pg_replication_lag_seconds{$job})`, "{{pod}}")), float64(w.Limits.LagSeconds)),
		board.Series("Standbys that stream", "short", 4, q(`sum(pg_replication_slot_slot_is_active{$job,slot_type="physical"})`, "standbys")))
}

func (w Watched) workPanels() []board.Panel {
	q := board.On(w.Job)
	return []board.Panel{
		board.Series("Connections", "short", 3,
			q(`sum by (datname) (pg_stat_database_numbackends{$job}) > 0`, "{{datname}}"),
			q(`max(pg_settings_max_connections{$job})`, "maximum"),
			q(fmt.Sprintf(`max(pg_settings_max_connections{$job}) * %g`, w.Limits.Connections), board.LookFrom)),
		board.Series("Transactions per second", "ops", 3,
			q(`sum(rate(pg_stat_database_xact_commit{$job}[$__rate_interval]))`, "committed"),
			q(`sum(rate(pg_stat_database_xact_rollback{$job}[$__rate_interval]))`, "rolled back")),
		board.Floor(board.Series("Reads served from memory", "percentunit", 3, q(
			`sum(rate(pg_stat_database_blks_hit{$job}[$__rate_interval])) / (sum(rate(pg_stat_database_blks_hit{$job}[$__rate_interval])) + sum(rate(pg_stat_database_blks_read{$job}[$__rate_interval])))`,
			"hit ratio")).Max(1), readsFromMemory),
		board.Series("Size", "bytes", 3,
			q(`pg_database_size_bytes{$job}`, "{{datname}}"),
			q(`pg_wal_size_bytes{$job}`, "write-ahead log")),
		board.Series("Rows per second", "ops", 3,
			q(`sum(rate(pg_stat_database_tup_inserted{$job}[$__rate_interval]))`, "inserted"),
			q(`sum(rate(pg_stat_database_tup_updated{$job}[$__rate_interval]))`, "updated"),
			q(`sum(rate(pg_stat_database_tup_deleted{$job}[$__rate_interval]))`, "deleted")),
		board.Series("Deadlocks and temporary files", "short", 3,
			q(`sum(increase(pg_stat_database_deadlocks{$job}[$__rate_interval]))`, "deadlocks"),
			q(`sum(increase(pg_stat_database_temp_files{$job}[$__rate_interval]))`, "temporary files")),
	}
}

func (w Watched) poolerPanels() []board.Panel {
	if w.Pooler == "" {
		return nil
	}
	q := board.On(w.Pooler)
	return []board.Panel{
		board.Series("Clients", "short", 3,
			q(`sum by (database) (pgbouncer_pools_client_active_connections{$job})`, "{{database}} served"),
			q(`sum by (database) (pgbouncer_pools_client_waiting_connections{$job})`, "{{database}} waiting")),
		board.Series("Server connections", "short", 3,
			q(`sum by (database) (pgbouncer_pools_server_active_connections{$job})`, "{{database}} in use"),
			q(`sum by (database) (pgbouncer_pools_server_idle_connections{$job} + pgbouncer_pools_server_used_connections{$job})`, "{{database}} idle"),
			q(`sum by (name) (pgbouncer_databases_pool_size{$job})`, "{{name}} at most")).
			Description("Of all poolers together. A database's clients of one login may have as many as its pool."),
		board.Line(board.Series("Longest wait", "s", 3, q(`max by (pod, database) (pgbouncer_pools_client_maxwait_seconds{$job})`, "{{pod}} {{database}}")), float64(w.Limits.PoolerWaitSeconds)),
		board.Series("Queries per second", "ops", 3,
			q(`sum by (database) (rate(pgbouncer_stats_queries_pooled_total{$job}[$__rate_interval]))`, "{{database}} queries"),
			q(`sum by (database) (rate(pgbouncer_stats_sql_transactions_pooled_total{$job}[$__rate_interval]))`, "{{database}} transactions")),
		board.Series("Queries at once", "short", 3, q(`sum by (database) (rate(pgbouncer_stats_queries_duration_seconds_total{$job}[$__rate_interval]))`, "{{database}}")).
			Description("Seconds of queries per second."),
		board.Series("Clients that wait, on average", "short", 3, q(`sum by (database) (rate(pgbouncer_stats_client_wait_seconds_total{$job}[$__rate_interval]))`, "{{database}}")).
			Description("Seconds of waiting per second."),
	}
}

func (w Watched) timescalePanels() []board.Panel {
	if len(w.Members) == 0 {
		return nil
	}
	q := board.On(w.Job)
	// While the primary moves, two may tell of the same.
	table := func(metric, legend string) board.Query {
		return q(`max by (schema, hypertable) (timescaledb_hypertable_`+metric+`{$job})`, "{{hypertable}}"+legend)
	}
	job := func(expr string) board.Query { return q(expr, "{{procedure}} {{hypertable}} ({{job_id}})") }
	return []board.Panel{
		board.Series("Chunks", "short", 3, table("chunks", ""), table("compressed_chunks", ", compressed")),
		board.Series("Size of hypertables", "bytes", 3, table("size_bytes", "")),
		board.Series("Size of compressed chunks", "bytes", 3, table("before_compression_bytes", " before"), table("after_compression_bytes", " after")),
		board.Series("Jobs that fail or never start", "short", 3,
			job(`clamp_max(max by (procedure, hypertable, job_id) (timescaledb_job_failed{$job} + timescaledb_job_stuck{$job}), 1)`)).Min(0).Max(1),
		board.Series("Failed runs of jobs", "short", 3, job(`max by (procedure, hypertable, job_id) (increase(timescaledb_job_failures_total{$job}[1h]))`)).
			Description("Within an hour. TimescaleDB's own jobs are below 1000: in its Apache edition, that of their history fails each time."),
		board.Line(board.Series("Jobs: intervals without a success", "short", 3,
			job(`(time() - max by (procedure, hypertable, job_id) (timescaledb_job_without_success_since_timestamp_seconds{$job})) / (max by (procedure, hypertable, job_id) (timescaledb_job_interval_seconds{$job}) > 0)`)), jobsMissed),
	}
}
