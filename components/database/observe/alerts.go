// Package observe says what is watched of the database: its alerts and its panels.
// Plain Go without Pulumi types.
package observe

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Watched is where the database is seen, and from when on it is worth a look.
type Watched struct {
	// Job is the database's name among the jobs of Prometheus: postgres_exporter
	// beside it serves its metrics.
	Job string
	// Workload is what runs it, where it is not called like the job.
	Workload string
	// Members are those of a cluster, beside each of which an agent tells of TimescaleDB; nil
	// where there is one server without, and nothing tells how large its volume is, as on a
	// Docker host.
	Members []Member
	// Pooler is the name of the poolers' job; "" where there are none.
	Pooler string
	// Limits of the alerts.
	Limits Limits
}

// Member is one of several servers.
type Member struct {
	// Pod and Claim are the names of its pod and its volume's claim.
	Pod, Claim string
}

// Limits are the values from which on an alert fires; the default stands for zero.
type Limits struct {
	// Connections is the used share of max_connections that is worth a look; 0.8.
	Connections float64
	// TransactionSeconds is the age of an open transaction; 900.
	TransactionSeconds int
	// Deadlocks in a quarter of an hour; 3.
	Deadlocks int
	// LagSeconds is how far a standby may be behind; 60.
	LagSeconds int
	// Rollbacks is the share of transactions that are rolled back; 0.1.
	Rollbacks float64
	// TemporaryBytes are the bytes per second that queries write to temporary files;
	// 10 MiB.
	TemporaryBytes int
	// PoolerWaitSeconds is how long the oldest client of a pooler may wait for a server
	// connection; 5.
	PoolerWaitSeconds int
}

// Shares and ages that do not depend on what the database is used for.
const (
	// At this share of max_connections there is room for an administrator and little else.
	connectionsCritical = 0.95
	// readsFromMemory is what a database of this kind reaches whose memory suffices.
	readsFromMemory = 0.9
	// deadRows is twice the share at which autovacuum begins by default.
	deadRows = 0.4
	// PostgreSQL freezes rows from 200 million transactions on and refuses writes at
	// 2.1 thousand million (documentation, "Preventing Transaction ID Wraparound
	// Failures").
	wraparoundWarning  = 500e6
	wraparoundCritical = 1500e6
	// jobsMissed is how many times its interval a job may be without a success.
	jobsMissed = 3
)

func (w Watched) withDefaults() Watched {
	w.Limits = Limits{
		Connections:        cmp.Or(w.Limits.Connections, 0.8),
		TransactionSeconds: cmp.Or(w.Limits.TransactionSeconds, 900),
		Deadlocks:          cmp.Or(w.Limits.Deadlocks, 3),
		LagSeconds:         cmp.Or(w.Limits.LagSeconds, 60),
		Rollbacks:          cmp.Or(w.Limits.Rollbacks, 0.1),
		TemporaryBytes:     cmp.Or(w.Limits.TemporaryBytes, 10<<20),
		PoolerWaitSeconds:  cmp.Or(w.Limits.PoolerWaitSeconds, 5),
	}
	return w
}

// Collectors of postgres_exporter that Alerts needs beside those that it runs by
// itself; each is a flag --collector.<name>.
var Collectors = []string{"database_wraparound", "stat_checkpointer"}

// Alerts are the rules on the database.
func Alerts(w Watched) []rule.Group {
	w = w.withDefaults()
	about := rule.About{Owner: rule.Platform, Workload: cmp.Or(w.Workload, w.Job), Dashboard: board.Data.UID}
	return []rule.Group{
		{Name: rule.Availability, Rules: about.Alerts(w.availability()...)},
		{Name: rule.Capacity, Rules: about.Alerts(w.capacity()...)},
		{Name: "database", Rules: about.Alerts(slices.Concat(w.work(), w.pooling(), w.jobs())...)},
	}
}

func (w Watched) availability() []rule.Rule {
	down := rule.Alert("DatabaseDown", rule.Critical, "1m",
		rule.On(w.Job, `sum by (job) (pg_replication_is_replica{$job} == bool 0) == 0 or absent(pg_replication_is_replica{$job})`),
		"The database does not answer",
		"No exporter beside a server can log in to one that takes writes, or none answers itself. The API answers 503 to what is not cached.")
	// A critical alert on it may tell why: its volume is full.
	down.Silences = []rule.Silence{
		{Matchers: []string{`severity="warning"`}, Equal: []string{rule.WorkloadLabel}},
		{OfConsumers: true},
	}
	if w.Workload != "" && w.Workload != w.Job {
		// Those on its backups are about the database, whichever set runs it.
		down.Silences = append(down.Silences, rule.Silence{Matchers: []string{`severity="warning"`, fmt.Sprintf("%s=%q", rule.WorkloadLabel, w.Job)}})
	}
	return append(append([]rule.Rule{down}, w.replication()...),
		rule.Alert("DatabaseMetricsIncomplete", rule.Warning, "15m",
			rule.On(w.Job, `min by (job, collector) (pg_scrape_collector_success{$job}) == 0 or max by (job) (pg_exporter_last_scrape_error{$job}) == 1 and on(job) pg_up{$job} == 1`),
			"The database's exporter cannot read everything",
			"A query of the exporter fails{{ with $labels.collector }}, that of the collector {{ . }}{{ end }}. Alerts on what it reads are blind."),
	)
}

// replication tells how the members of a cluster are to each other.
func (w Watched) replication() []rule.Rule {
	if len(w.Members) < 2 {
		return nil
	}
	missing := rule.Alert("DatabaseMemberDown", rule.Warning, "5m",
		rule.On(w.Job, fmt.Sprintf(`(count by (job) (pg_up{$job} == 1) or absent(pg_up{$job}) * 0) < %d`, len(w.Members))),
		"A member of the database is missing",
		fmt.Sprintf("{{ $value }} of %d members answer. The next failure may find no standby to take over.", len(w.Members)))
	missing.Silences = []rule.Silence{rule.OnSameWorkload("TargetDown", "PodNotReady", "ReplicasMissing")}
	return []rule.Rule{
		rule.Alert("DatabaseUnprotected", rule.Critical, "1m",
			rule.On(w.Job, `sum by (job) (pg_replication_is_replica{$job} == bool 0) > 0 unless on(job) sum by (job) (pg_replication_slot_slot_is_active{$job,slot_type="physical"}) > 0`),
			"Commits of the database are on one member alone",
			"No standby streams from the primary. Commits go on, and what is committed now is lost with the primary's volume."),
		missing,
		rule.Alert("DatabaseReplicationLag", rule.Warning, "5m",
			rule.On(w.Job, fmt.Sprintf(`max by (job, pod) (pg_replication_lag_seconds{$job}) > %d`, w.Limits.LagSeconds)),
			"A standby of the database is behind",
			"{{ $labels.pod }} is {{ $value | humanizeDuration }} behind the primary: readers of it see old rows, and it keeps the write-ahead log."),
	}
}

func (w Watched) capacity() []rule.Rule {
	var rules []rule.Rule
	for _, m := range w.Members {
		rules = append(rules, rule.MemberVolume(m.Claim, w.Job, m.Pod, "pg_database_size_bytes", "pg_wal_size_bytes"))
	}
	connections := func(severity rule.Severity, share float64) rule.Rule {
		return rule.Alert("DatabaseConnectionsHigh", severity, "5m",
			rule.On(w.Job, fmt.Sprintf(`max by (job) (sum by (job, instance) (pg_stat_database_numbackends{$job})) / on(job) max by (job) (pg_settings_max_connections{$job}) > %g`, share)),
			"The database is running out of connections",
			"{{ $value | humanizePercentage }} of the database's connections are in use. At 100 % new ones are refused, and API pods that start cannot become ready.")
	}
	wraparound := func(severity rule.Severity, age float64) rule.Rule {
		return rule.Alert("DatabaseWraparoundNear", severity, "1h",
			rule.On(w.Job, fmt.Sprintf(`max by (job, datname) (pg_database_wraparound_age_datfrozenxid_seconds{$job}) > %[1]g or max by (job, datname) (pg_database_wraparound_age_datminmxid_seconds{$job}) > %[1]g`, age)),
			"The database's transaction ids run out",
			"The oldest row of {{ $labels.datname }} that is not frozen is {{ $value | humanize }} transactions old. At 2.1G the database refuses every write.")
	}
	return append(rules,
		connections(rule.Critical, connectionsCritical),
		connections(rule.Warning, w.Limits.Connections),
		wraparound(rule.Critical, wraparoundCritical),
		wraparound(rule.Warning, wraparoundWarning),
		rule.Alert("DatabaseVacuumBehind", rule.Warning, "1h",
			rule.On(w.Job, fmt.Sprintf(`sum by (job, datname) (pg_stat_user_tables_n_dead_tup{$job}) > 1e5 and sum by (job, datname) (pg_stat_user_tables_n_dead_tup{$job}) / sum by (job, datname) (pg_stat_user_tables_n_dead_tup{$job} + pg_stat_user_tables_n_live_tup{$job}) > %g`, deadRows)),
			"Dead rows pile up in the database",
			"{{ $value | humanize }} rows of {{ $labels.datname }} are dead and not cleaned up: tables grow, and queries read more than they have to."),
	)
}

// work tells what slows the work down.
func (w Watched) work() []rule.Rule {
	return []rule.Rule{
		rule.Alert("DatabaseDeadlocks", rule.Warning, "",
			rule.On(w.Job, fmt.Sprintf(`sum by (job, datname) (increase(pg_stat_database_deadlocks{$job}[15m])) >= %d`, w.Limits.Deadlocks)),
			"Transactions of the database wait for each other",
			"{{ $value | humanize }} deadlocks in {{ $labels.datname }} within a quarter of an hour: PostgreSQL ended a transaction of each."),
		rule.Alert("DatabaseLongTransaction", rule.Warning, "1m",
			rule.On(w.Job, fmt.Sprintf(`max by (job, datname, usename, state) (pg_stat_activity_max_tx_duration{$job,backend_type="client backend",state!="idle"}) > %d`, w.Limits.TransactionSeconds)),
			"A transaction of the database is open for long",
			"A transaction of {{ $labels.usename }} in {{ $labels.datname }} ({{ $labels.state }}) is open for {{ $value | humanizeDuration }}. It may hold locks, and no row that it could see is cleaned up."),
		// The write-ahead log reached its size before the time was over. PostgreSQL
		// before 17 counts it elsewhere.
		rule.Alert("DatabaseCheckpointsForced", rule.Warning, "30m",
			rule.On(w.Job, `increase(pg_stat_checkpointer_num_requested_total{$job}[1h]) > 5 and rate(pg_stat_checkpointer_num_requested_total{$job}[1h]) > rate(pg_stat_checkpointer_num_timed_total{$job}[1h])`+
				` or increase(pg_stat_bgwriter_checkpoints_req_total{$job}[1h]) > 5 and rate(pg_stat_bgwriter_checkpoints_req_total{$job}[1h]) > rate(pg_stat_bgwriter_checkpoints_timed_total{$job}[1h])`),
			"The database writes checkpoints under pressure",
			"{{ $value | humanize }} checkpoints within an hour began because the write-ahead log was full, more than in their own time. Writes are slower and the log is larger than they have to be."),
		rule.Alert("DatabaseRollbacksHigh", rule.Warning, "15m",
			rule.On(w.Job, fmt.Sprintf(`sum by (job, datname) (rate(pg_stat_database_xact_rollback{$job}[15m])) / (sum by (job, datname) (rate(pg_stat_database_xact_commit{$job}[15m]) + rate(pg_stat_database_xact_rollback{$job}[15m])) > 1) > %g`, w.Limits.Rollbacks)),
			"Many transactions of the database are rolled back",
			"{{ $value | humanizePercentage }} of the transactions in {{ $labels.datname }} are rolled back: statements fail, or clients go away."),
		rule.Alert("DatabaseTemporaryFiles", rule.Warning, "15m",
			rule.On(w.Job, fmt.Sprintf(`sum by (job, datname) (rate(pg_stat_database_temp_bytes{$job}[15m])) > %d`, w.Limits.TemporaryBytes)),
			"Queries of the database do not fit into memory",
			"Queries in {{ $labels.datname }} write {{ $value | humanize1024 }}B per second to temporary files, which is slow and takes space on the volume."),
		rule.Alert("DatabaseReadsFromDisk", rule.Warning, "30m",
			rule.On(w.Job, fmt.Sprintf(`sum by (job) (rate(pg_stat_database_blks_hit{$job}[15m])) / (sum by (job) (rate(pg_stat_database_blks_hit{$job}[15m]) + rate(pg_stat_database_blks_read{$job}[15m])) > 1000) < %g`, readsFromMemory)),
			"The database reads much from its volume",
			"{{ $value | humanizePercentage }} of the pages that queries read are in the database's memory. The others come from the volume or the kernel's cache, which is slower."),
	}
}

// pooling tells whether clients of the poolers get to the server. They wait through a failover
// and a planned switch, too, which is over within the two minutes.
func (w Watched) pooling() []rule.Rule {
	if w.Pooler == "" {
		return nil
	}
	return []rule.Rule{rule.Alert("DatabasePoolerWaiting", rule.Warning, "2m",
		rule.On(w.Pooler, fmt.Sprintf(`max by (job, database) (pgbouncer_pools_client_maxwait_seconds{$job}) > %d`, w.Limits.PoolerWaitSeconds)),
		"Clients wait for a connection to the database",
		"The oldest client in a pooler's queue for {{ $labels.database }} has waited for {{ $value | humanizeDuration }}: all server connections of the pool are in use, or none can be made. After a minute its query fails.")}
}

// ownJobs are TimescaleDB's own, below 1000: they are no policy of the application, and in the
// Apache edition the one that shortens the history of jobs fails each time.
const ownJobs = `job_id!~"[0-9]{1,3}"`

// jobs tells whether TimescaleDB's policies are carried out. A job that has failed once is
// tried again, of the policies at last after an hour.
func (w Watched) jobs() []rule.Rule {
	if len(w.Members) == 0 {
		return nil
	}
	of := func(metric string) string {
		return rule.On(w.Job, fmt.Sprintf(`max by (job, job_id, procedure, hypertable) (timescaledb_job_%s{$job,%s})`, metric, ownJobs))
	}
	return []rule.Rule{rule.Alert("DatabaseJobsFailing", rule.Warning, "90m",
		fmt.Sprintf(`%s == 1 or %s == 1 or time() - %s > %d * %s`,
			of("failed"), of("stuck"), of("without_success_since_timestamp_seconds"), jobsMissed, of("interval_seconds")),
		"A job of TimescaleDB is not done",
		fmt.Sprintf("Job {{ $labels.job_id }} ({{ $labels.procedure }}{{ with $labels.hypertable }} of {{ . }}{{ end }}) fails, is never started again, or has not succeeded for %d times its interval. What it is to drop, compress or refresh stays as it is.", jobsMissed))}
}
