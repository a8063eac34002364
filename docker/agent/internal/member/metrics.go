package member

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/exposition"
)

// scrape bounds the statements of one, which a lock may hold up.
const scrape = 5 * time.Second

// Metrics are what PostgreSQL's own exporter has no figures of: the history that the server is
// on, and on the primary what TimescaleDB keeps and whether its jobs run. There are none of
// them where the extension is not, and none while the server does not answer, which the
// exporter tells.
func (a *Agent) Metrics(ctx context.Context) ([]exposition.Metric, error) {
	ctx, cancel := context.WithTimeout(ctx, scrape)
	defer cancel()
	raw, err := os.ReadFile(a.Declared)
	if err != nil {
		return nil, fmt.Errorf("declared roles: %w", err)
	}
	d, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	conn, err := a.Roles.Connect(ctx, Superuser, nil)
	if err != nil {
		return nil, nil //nolint:nilerr // see above
	}
	var timeline float64
	var primary, made bool
	err = conn.QueryRow(ctx, "SELECT timeline_id::float8, NOT pg_is_in_recovery(), EXISTS (SELECT FROM pg_database WHERE datname = $1) FROM pg_control_checkpoint()", d.Database).
		Scan(&timeline, &primary, &made)
	closeConn(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	all := []exposition.Metric{exposition.Of(exposition.Gauge, "pg_timeline_id", "History of the database that the server's last checkpoint is on.", timeline)}
	if !primary || !made {
		return all, nil
	}
	more, err := a.timescale(ctx, d.Database)
	return append(all, more...), err
}

// timescale asks in the application's database. Whatever is asked is named with its schema,
// and a function's argument has the type that it is declared with: the application may make
// functions of the same names.
func (a *Agent) timescale(ctx context.Context, database string) ([]exposition.Metric, error) {
	conn, err := a.Roles.Connect(ctx, database, map[string]string{
		"statement_timeout": strconv.FormatInt(scrape.Milliseconds(), 10), "lock_timeout": "1000", "default_transaction_read_only": "on",
	})
	if err != nil {
		return nil, fmt.Errorf("in database %s: %w", database, err)
	}
	defer closeConn(ctx, conn)
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')").Scan(&there); err != nil || !there {
		return nil, err
	}
	jobs, err := a.jobMetrics(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("TimescaleDB's jobs: %w", err)
	}
	tables, err := tableMetrics(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("hypertables: %w", err)
	}
	return append(jobs, tables...), nil
}

// A job that somebody has switched off is none that fails. One whose next start is minus
// infinity, and which does not run, is never started again, see jobs. One that runs with
// parallel workers is there several times.
const askJobs = `SELECT DISTINCT ON (j.job_id) j.job_id::text, j.proc_name::text, coalesce(j.hypertable_name::text, ''),
	extract(epoch FROM j.schedule_interval)::float8,
	coalesce(s.total_failures, 0)::float8,
	coalesce(s.last_run_status = 'Failed', false)::int::float8,
	coalesce(s.next_start = '-infinity' AND s.job_status <> 'Running', false)::int::float8,
	CASE WHEN isfinite(s.last_successful_finish) THEN extract(epoch FROM s.last_successful_finish)::float8 END
	FROM timescaledb_information.jobs j LEFT JOIN timescaledb_information.job_stats s USING (job_id)
	WHERE j.scheduled ORDER BY j.job_id, s.job_status = 'Running' DESC`

func (a *Agent) jobMetrics(ctx context.Context, conn *pgx.Conn) ([]exposition.Metric, error) {
	rows, err := conn.Query(ctx, askJobs)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	gauge := func(name, help string) exposition.Metric {
		return exposition.Metric{Name: "timescaledb_job_" + name, Help: help, Kind: exposition.Gauge}
	}
	interval, failed := gauge("interval_seconds", "How often the job is to run."), gauge("failed", "1 if the job's last run failed.")
	stuck := gauge("stuck", "1 if the job's next start is never.")
	since := gauge("without_success_since_timestamp_seconds", "When the job last succeeded; where it never did, when this agent first saw it.")
	failures := exposition.Metric{Name: "timescaledb_job_failures_total", Help: "Runs of the job that failed.", Kind: exposition.Counter}
	for rows.Next() {
		var id, procedure, table string
		var every, total, isFailed, isStuck float64
		var last *float64
		if err := rows.Scan(&id, &procedure, &table, &every, &total, &isFailed, &isStuck, &last); err != nil {
			return nil, err
		}
		labels := []string{"job_id", id, "procedure", procedure, "hypertable", table}
		interval.Add(every, labels...)
		failures.Add(total, labels...)
		failed.Add(isFailed, labels...)
		stuck.Add(isStuck, labels...)
		if last == nil {
			first := a.firstSeen(id)
			last = &first
		}
		since.Add(*last, labels...)
	}
	return []exposition.Metric{interval, failures, failed, stuck, since}, rows.Err()
}

// firstSeen is when a job that never succeeded was first asked for, in Unix seconds: nothing
// in the database says when it was made.
func (a *Agent) firstSeen(job string) float64 {
	at, _ := a.seen.LoadOrStore(job, time.Now())
	return float64(at.(time.Time).Unix())
}

// What nothing of is compressed has no sizes before and after.
const askTables = `SELECT h.hypertable_schema::text, h.hypertable_name::text, h.num_chunks::float8, coalesce(public.hypertable_size(h.id), 0)::float8,
	coalesce(c.number_compressed_chunks, 0)::float8, coalesce(c.before_compression_total_bytes, 0)::float8, coalesce(c.after_compression_total_bytes, 0)::float8
	FROM (SELECT *, format('%I.%I', hypertable_schema, hypertable_name)::regclass AS id FROM timescaledb_information.hypertables) h
	LEFT JOIN LATERAL public.hypertable_compression_stats(h.id) c ON h.compression_enabled
	ORDER BY 1, 2`

func tableMetrics(ctx context.Context, conn *pgx.Conn) ([]exposition.Metric, error) {
	rows, err := conn.Query(ctx, askTables)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	metrics := []exposition.Metric{
		{Name: "timescaledb_hypertable_chunks", Help: "Chunks of the hypertable."},
		{Name: "timescaledb_hypertable_size_bytes", Help: "Size of the hypertable with its indexes."},
		{Name: "timescaledb_hypertable_compressed_chunks", Help: "Chunks of the hypertable that are compressed."},
		{Name: "timescaledb_hypertable_before_compression_bytes", Help: "Size that the compressed chunks had before."},
		{Name: "timescaledb_hypertable_after_compression_bytes", Help: "Size of the compressed chunks."},
	}
	for rows.Next() {
		var schema, table string
		values := make([]float64, len(metrics))
		into := []any{&schema, &table}
		for i := range values {
			into = append(into, &values[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i := range metrics {
			metrics[i].Kind = exposition.Gauge
			metrics[i].Add(values[i], "schema", schema, "hypertable", table)
		}
	}
	return metrics, rows.Err()
}
