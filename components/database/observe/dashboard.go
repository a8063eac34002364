package observe

import "github.com/alphapulse/alphapulse-infra/components/room/board"

// Panels show the database.
func Panels(w Watched) []board.Contribution {
	q := board.On(w.Job)
	return []board.Contribution{{Dashboard: board.Infrastructure, Row: "Database", Panels: []board.Panel{
		board.Series("Connections", "short", 3,
			q(`sum by (datname) (pg_stat_database_numbackends{$job}) > 0`, "{{datname}}"),
			q(`max(pg_settings_max_connections{$job})`, "maximum")),
		board.Series("Transactions per second", "ops", 3,
			q(`sum(rate(pg_stat_database_xact_commit{$job}[$__rate_interval]))`, "committed"),
			q(`sum(rate(pg_stat_database_xact_rollback{$job}[$__rate_interval]))`, "rolled back")),
		board.Series("Reads served from memory", "percentunit", 3, q(
			`sum(rate(pg_stat_database_blks_hit{$job}[$__rate_interval])) / (sum(rate(pg_stat_database_blks_hit{$job}[$__rate_interval])) + sum(rate(pg_stat_database_blks_read{$job}[$__rate_interval])))`,
			"hit ratio")).Max(1),
		board.Series("Size", "bytes", 3,
			q(`pg_database_size_bytes{$job}`, "{{datname}}"),
			q(`pg_wal_size_bytes{$job}`, "write-ahead log")),
		board.Series("Rows per second", "ops", 3,
			q(`sum(rate(pg_stat_database_tup_inserted{$job}[$__rate_interval]))`, "inserted"),
			q(`sum(rate(pg_stat_database_tup_updated{$job}[$__rate_interval]))`, "updated"),
			q(`sum(rate(pg_stat_database_tup_deleted{$job}[$__rate_interval]))`, "deleted")),
		board.Series("Replication", "s", 3,
			q(`max by (pod) (pg_replication_lag_seconds{$job})`, "{{pod}} behind"),
			q(`sum(pg_replication_slot_slot_is_active{$job,slot_type="physical"})`, "standbys that stream")),
		board.Series("Deadlocks and temporary files", "short", 3,
			q(`sum(increase(pg_stat_database_deadlocks{$job}[$__rate_interval]))`, "deadlocks"),
			q(`sum(increase(pg_stat_database_temp_files{$job}[$__rate_interval]))`, "temporary files")),
	}}}
}
