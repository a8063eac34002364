package rules_test

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

var databaseSituations = map[string][]situation{
	"DatabaseDown": {
		{name: "the exporter cannot log in", at: "8m", quietUntil: "5m", series: map[string]string{isReplica("x:1"): "0x4 stale"},
			fires: []firing{{rule.Critical, jobDatabase, databaseIsDown, databaseText}}},
		{name: "all are standbys", at: "8m", series: map[string]string{isReplica("x:1"): "0x4 1x10", isReplica("y:1"): "1x20"},
			fires: []firing{{rule.Critical, jobDatabase, databaseIsDown, databaseText}}},
		{name: "another took over", at: "8m", series: with(map[string]string{isReplica("x:1"): "0x4 stale", isReplica("y:1"): "1x4 0x10"}, slot("1x20"))},
	},
	"DatabaseUnprotected": {
		{name: "the last standby has gone", at: "8m", quietUntil: "5m", series: with(map[string]string{isReplica("x:1"): "0x20"}, slot("1x4 0x10")),
			fires: []firing{{rule.Critical, jobDatabase, "Commits of the database are on one member alone",
				"No standby streams from the primary. Commits go on, and what is committed now is lost with the primary's volume."}}},
		{name: "there never was one", at: "8m", series: map[string]string{isReplica("x:1"): "0x20"},
			fires: []firing{{rule.Critical, jobDatabase, "Commits of the database are on one member alone",
				"No standby streams from the primary. Commits go on, and what is committed now is lost with the primary's volume."}}},
		{name: "one of two streams", at: "8m", series: with(map[string]string{isReplica("x:1"): "0x20"}, slot("1x20"))},
	},
	"DatabaseMemberDown": {
		{name: "two of three", at: "12m", quietUntil: "4m", series: map[string]string{pgUp("x:1"): "1x20", pgUp("y:1"): "1x20", pgUp("z:1"): "0x20"},
			fires: []firing{{rule.Warning, jobDatabase, "A member of the database is missing", "2 of 3 members answer. The next failure may find no standby to take over."}}},
		{name: "none", at: "12m", series: map[string]string{isReplica("x:1"): "0x40"},
			fires: []firing{{rule.Warning, jobDatabase, "A member of the database is missing", "0 of 3 members answer. The next failure may find no standby to take over."}}},
		{name: "all", at: "12m", series: map[string]string{pgUp("x:1"): "1x20", pgUp("y:1"): "1x20", pgUp("z:1"): "1x20"}},
	},
	"DatabaseReplicationLag": {
		{name: "two minutes", at: "12m", quietUntil: "4m", series: map[string]string{`pg_replication_lag_seconds{job="database",pod="database-1"}`: "120x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "database", "pod": "database-1"}, "A standby of the database is behind",
				"database-1 is 2m 0s behind the primary: readers of it see old rows, and it keeps the write-ahead log."}}},
		{name: "a minute", at: "12m", series: map[string]string{`pg_replication_lag_seconds{job="database",pod="database-1"}`: "60x20"}},
		{name: "a minute before its time", at: "4m", series: map[string]string{`pg_replication_lag_seconds{job="database",pod="database-1"}`: "120x20"}},
	},
	"DatabaseConnectionsHigh": {
		{name: "96 of 100", at: "10m", quietUntil: "4m", series: map[string]string{
			`pg_stat_database_numbackends{job="database",datname="alphapulse"}`: "96x20", `pg_settings_max_connections{job="database"}`: "100x20"},
			fires: []firing{{rule.Critical, jobDatabase, connectionsOut, fmt.Sprintf(connectionsText, "96%")}, {rule.Warning, jobDatabase, connectionsOut, fmt.Sprintf(connectionsText, "96%")}}},
		{name: "95 of 100", at: "10m", series: map[string]string{
			`pg_stat_database_numbackends{job="database",datname="alphapulse"}`: "90x20",
			`pg_stat_database_numbackends{job="database",datname="postgres"}`:   "5x20",
			`pg_settings_max_connections{job="database",server="x"}`:            "100x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "database"}, connectionsOut, fmt.Sprintf(connectionsText, "95%")}}},
		{name: "a minute before its time", at: "4m", series: map[string]string{
			`pg_stat_database_numbackends{job="database",datname="alphapulse"}`: "96x20", `pg_settings_max_connections{job="database"}`: "100x20"}},
		{name: "80 of 100", at: "10m", series: map[string]string{
			`pg_stat_database_numbackends{job="database",datname="alphapulse"}`: "80x20",
			`pg_settings_max_connections{job="database",server="x"}`:            "100x20"}},
	},
	"DatabaseMetricsIncomplete": {
		{name: "one collector", at: "20m", quietUntil: "14m", series: map[string]string{
			`pg_scrape_collector_success{job="database",collector="wal"}`: "0x30", `pg_scrape_collector_success{job="database",collector="locks"}`: "1x30"},
			fires: []firing{{rule.Warning, map[string]string{"job": "database", "collector": "wal"}, metricsIncomplete,
				"A query of the exporter fails, that of the collector wal. Alerts on what it reads are blind."}}},
		{name: "a query that is no collector's", at: "20m", series: map[string]string{
			`pg_exporter_last_scrape_error{job="database"}`: "1x30", `pg_up{job="database",instance="x:1"}`: "1x30"},
			fires: []firing{{rule.Warning, map[string]string{"job": "database"}, metricsIncomplete,
				"A query of the exporter fails. Alerts on what it reads are blind."}}},
		{name: "while the database starts", at: "20m", series: map[string]string{
			`pg_scrape_collector_success{job="database",collector="wal"}`: "0x10 1x20", `pg_exporter_last_scrape_error{job="database"}`: "1x10 0x20",
			`pg_up{job="database",instance="x:1"}`: "0x10 1x20"}},
	},
	"DatabaseWraparoundNear": {
		{name: "600 million transactions", at: "2h", series: map[string]string{`pg_database_wraparound_age_datfrozenxid_seconds{job="database",datname="alphapulse"}`: "600000000x150"},
			fires: []firing{{rule.Warning, datname, wraparound, fmt.Sprintf(wraparoundText, "600M")}}},
		{name: "multi-transactions", at: "2h", quietUntil: "59m", series: map[string]string{`pg_database_wraparound_age_datminmxid_seconds{job="database",datname="alphapulse"}`: "1600000000x150"},
			fires: []firing{
				{rule.Critical, datname, wraparound, fmt.Sprintf(wraparoundText, "1.6G")},
				{rule.Warning, datname, wraparound, fmt.Sprintf(wraparoundText, "1.6G")}}},
		{name: "1490 million", at: "2h", series: map[string]string{`pg_database_wraparound_age_datfrozenxid_seconds{job="database",datname="alphapulse"}`: "1490000000x150"},
			fires: []firing{{rule.Warning, datname, wraparound, fmt.Sprintf(wraparoundText, "1.49G")}}},
		{name: "490 million, which are frozen soon", at: "2h", series: map[string]string{
			`pg_database_wraparound_age_datfrozenxid_seconds{job="database",datname="alphapulse"}`: "490000000x150"}},
	},
	"DatabaseVacuumBehind": {
		{name: "half of all rows", at: "2h", quietUntil: "59m", series: rows(500000, 500000),
			fires: []firing{{rule.Warning, datname, "Dead rows pile up in the database",
				"500k rows of alphapulse are dead and not cleaned up: tables grow, and queries read more than they have to."}}},
		{name: "39 %", at: "2h", series: rows(390000, 610000)},
		{name: "few", at: "2h", series: rows(95000, 10)},
	},
	"DatabaseDeadlocks": {
		{name: "three", at: "10m", series: map[string]string{`pg_stat_database_deadlocks{job="database",datname="alphapulse"}`: "0x4 3x20"},
			fires: []firing{{rule.Warning, datname, "Transactions of the database wait for each other",
				"3 deadlocks in alphapulse within a quarter of an hour: PostgreSQL ended a transaction of each."}}},
		{name: "two", at: "10m", series: map[string]string{`pg_stat_database_deadlocks{job="database",datname="alphapulse"}`: "0x4 2x20"}},
	},
	"DatabaseLongTransaction": {
		{name: "forgotten", at: "5m", quietUntil: "0m", series: activity("alphapulse_user", "idle in transaction", "client backend", 1000),
			fires: []firing{{rule.Warning, map[string]string{"job": "database", "datname": "alphapulse", "usename": "alphapulse_user", "state": "idle in transaction"},
				"A transaction of the database is open for long",
				"A transaction of alphapulse_user in alphapulse (idle in transaction) is open for 16m 40s. It may hold locks, and no row that it could see is cleaned up."}}},
		{name: "nearly a quarter of an hour", at: "5m", series: activity("alphapulse_user", "active", "client backend", 899)},
		{name: "the database's own work", at: "5m", series: activity("postgres", "active", "autovacuum worker", 5000)},
	},
	"DatabaseCheckpointsForced": {
		{name: "twice as many as in time", at: "2h", quietUntil: "54m", series: checkpoints("pg_stat_checkpointer_num_requested_total", "0.2", "pg_stat_checkpointer_num_timed_total", "0.1"),
			fires: []firing{{rule.Warning, jobDatabase, checkpointsForced, checkpointsText}}},
		{name: "before PostgreSQL 17", at: "2h", series: checkpoints("pg_stat_bgwriter_checkpoints_req_total", "0.2", "pg_stat_bgwriter_checkpoints_timed_total", "0.1"),
			fires: []firing{{rule.Warning, jobDatabase, checkpointsForced, checkpointsText}}},
		{name: "as many as in time", at: "2h", series: checkpoints("pg_stat_checkpointer_num_requested_total", "0.2", "pg_stat_checkpointer_num_timed_total", "0.2")},
		{name: "as many as in time, before PostgreSQL 17", at: "2h", series: checkpoints("pg_stat_bgwriter_checkpoints_req_total", "0.2", "pg_stat_bgwriter_checkpoints_timed_total", "0.2")},
		{name: "few", at: "2h", series: checkpoints("pg_stat_checkpointer_num_requested_total", "0.08", "pg_stat_checkpointer_num_timed_total", "0")},
	},
	"DatabaseRollbacksHigh": {
		{name: "one of six", at: "35m", quietUntil: "17m", series: transactions(300, 60),
			fires: []firing{{rule.Warning, datname, "Many transactions of the database are rolled back",
				"16.67% of the transactions in alphapulse are rolled back: statements fail, or clients go away."}}},
		{name: "9.7 %", at: "35m", series: transactions(271, 29)},
		{name: "half of hardly any", at: "35m", series: transactions(29, 29)},
	},
	"DatabaseTemporaryFiles": {
		{name: "20 MiB per second", at: "35m", quietUntil: "22m", series: map[string]string{`pg_stat_database_temp_bytes{job="database",datname="alphapulse"}`: "0+1258291200x40"},
			fires: []firing{{rule.Warning, datname, "Queries of the database do not fit into memory",
				"Queries in alphapulse write 20MiB per second to temporary files, which is slow and takes space on the volume."}}},
		{name: "10 MiB per second", at: "35m", series: map[string]string{`pg_stat_database_temp_bytes{job="database",datname="alphapulse"}`: "0+629145600x40"}},
	},
	"DatabaseReadsFromDisk": {
		{name: "a fifth", at: "50m", quietUntil: "40m", series: reads(72000, 18000),
			fires: []firing{{rule.Warning, jobDatabase, "The database reads much from its volume",
				"80% of the pages that queries read are in the database's memory. The others come from the volume or the kernel's cache, which is slower."}}},
		{name: "9 %", at: "50m", series: reads(81900, 8100)},
		{name: "half of few", at: "50m", series: reads(29000, 29000)},
	},
	"DatabasePoolerWaiting": {
		{name: "six seconds", at: "8m", quietUntil: "1m", series: with(waits("a", "alphapulse", "6x20"), waits("b", "alphapulse", "0x20"), waits("a", "alphapulse_read", "0x20")),
			fires: []firing{{rule.Warning, map[string]string{"job": "database-pooler", "database": "alphapulse"}, "Clients wait for a connection to the database",
				"The oldest client in a pooler's queue for alphapulse has waited for 6s: all server connections of the pool are in use, or none can be made. After a minute its query fails."}}},
		{name: "five seconds", at: "8m", series: waits("a", "alphapulse", "5x20")},
		{name: "a failover of a minute", at: "8m", series: waits("a", "alphapulse", "0x5 30x1 0x20")},
	},
	"DatabaseJobsFailing": {
		{name: "the last run failed", at: "100m", quietUntil: "89m", series: tsJob("1001", "policy_retention", "ticks", "1x200", "0x200", "0+60x200"),
			fires: []firing{{rule.Warning, ofJob("1001", "policy_retention", "ticks"), jobsFailing, fmt.Sprintf(jobsText, "1001 (policy_retention of ticks)")}}},
		{name: "it is never started again", at: "100m", series: tsJob("1002", "refresh", "", "0x200", "1x200", "0+60x200"),
			fires: []firing{{rule.Warning, ofJob("1002", "refresh", ""), jobsFailing, fmt.Sprintf(jobsText, "1002 (refresh)")}}},
		{name: "no success for more than three hours, by then for an hour and a half", at: "272m", series: tsJob("1001", "policy_retention", "ticks", "0x300", "0x300", "0x300"),
			fires: []firing{{rule.Warning, ofJob("1001", "policy_retention", "ticks"), jobsFailing, fmt.Sprintf(jobsText, "1001 (policy_retention of ticks)")}}},
		{name: "no success for three hours", at: "300m", series: tsJob("1001", "policy_retention", "ticks", "0x300", "0x300", "-10800+60x300")},
		{name: "a failure, and a success after an hour", at: "100m", series: tsJob("1001", "policy_retention", "ticks", "1x60 0x140", "0x200", "0+60x200")},
		{name: "TimescaleDB's own, in the Apache edition", at: "100m", series: tsJob("3", "policy_job_stat_history_retention", "", "1x200", "0x200", "0x200")},
	},
}

const (
	connectionsOut    = "The database is running out of connections"
	connectionsText   = "%s of the database's connections are in use. At 100 %% new ones are refused, and API pods that start cannot become ready."
	metricsIncomplete = "The database's exporter cannot read everything"
	wraparound        = "The database's transaction ids run out"
	wraparoundText    = "The oldest row of alphapulse that is not frozen is %s transactions old. At 2.1G the database refuses every write."
	checkpointsForced = "The database writes checkpoints under pressure"
	checkpointsText   = "12 checkpoints within an hour began because the write-ahead log was full, more than in their own time. Writes are slower and the log is larger than they have to be."
)

const (
	jobsFailing = "A job of TimescaleDB is not done"
	jobsText    = "Job %s fails, is never started again, or has not succeeded for 3 times its interval. What it is to drop, compress or refresh stays as it is."
)

// waits is how long the oldest client of a pooler has waited.
func waits(pod, database, values string) map[string]string {
	return map[string]string{fmt.Sprintf(`pgbouncer_pools_client_maxwait_seconds{job="database-pooler",pod=%q,database=%q,user="u"}`, pod, database): values}
}

// tsJob is a job of TimescaleDB's that is to run each hour. An empty label is none.
func tsJob(id, procedure, table, failed, stuck, since string) map[string]string {
	labels := fmt.Sprintf(`{job="database",pod="database-0",job_id=%q,procedure=%q,hypertable=%q}`, id, procedure, table)
	return map[string]string{
		"timescaledb_job_failed" + labels: failed, "timescaledb_job_stuck" + labels: stuck, "timescaledb_job_interval_seconds" + labels: "3600x300",
		"timescaledb_job_without_success_since_timestamp_seconds" + labels: since,
	}
}

func ofJob(id, procedure, table string) map[string]string {
	labels := map[string]string{"job": "database", "job_id": id, "procedure": procedure}
	if table != "" {
		labels["hypertable"] = table
	}
	return labels
}

var (
	jobDatabase = map[string]string{"job": "database"}
	datname     = map[string]string{"job": "database", "datname": "alphapulse"}
)

// rows of two tables.
func rows(dead, live int) map[string]string {
	all := map[string]string{}
	for table, part := range map[string]int{"a": 4, "b": 6} {
		labels := fmt.Sprintf(`{job="database",datname="alphapulse",relname=%q}`, table)
		all["pg_stat_user_tables_n_dead_tup"+labels] = fmt.Sprintf("%dx150", dead*part/10)
		all["pg_stat_user_tables_n_live_tup"+labels] = fmt.Sprintf("%dx150", live*part/10)
	}
	return all
}

func activity(user, state, backend string, seconds int) map[string]string {
	return map[string]string{fmt.Sprintf(
		`pg_stat_activity_max_tx_duration{job="database",datname="alphapulse",usename=%q,state=%q,backend_type=%q,application_name="x",wait_event="y"}`,
		user, state, backend): fmt.Sprintf("%dx20", seconds)}
}

// checkpoints a minute.
func checkpoints(requested, perMinute, timed, inTime string) map[string]string {
	return map[string]string{requested + `{job="database"}`: "0+" + perMinute + "x150", timed + `{job="database"}`: "0+" + inTime + "x150"}
}

// transactions a minute.
func transactions(committed, rolledBack int) map[string]string {
	return map[string]string{
		`pg_stat_database_xact_commit{job="database",datname="alphapulse"}`:   fmt.Sprintf("0+%dx40", committed),
		`pg_stat_database_xact_rollback{job="database",datname="alphapulse"}`: fmt.Sprintf("0+%dx40", rolledBack),
	}
}

// reads of pages a minute.
func reads(hit, read int) map[string]string {
	return map[string]string{
		`pg_stat_database_blks_hit{job="database",datname="alphapulse"}`:  fmt.Sprintf("0+%dx60", hit),
		`pg_stat_database_blks_read{job="database",datname="alphapulse"}`: fmt.Sprintf("0+%dx60", read),
	}
}

// What the exporter says of one server.
func isReplica(instance string) string {
	return fmt.Sprintf(`pg_replication_is_replica{job="database",instance=%q}`, instance)
}

func pgUp(instance string) string { return fmt.Sprintf(`pg_up{job="database",instance=%q}`, instance) }

// slot is that of a standby on the primary.
func slot(active string) map[string]string {
	return map[string]string{`pg_replication_slot_slot_is_active{job="database",instance="x:1",slot_type="physical",slot_name="b"}`: active}
}
