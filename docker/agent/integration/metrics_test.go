//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/exposition"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/member"
)

// run executes statements, each in a transaction of its own.
func (s *server) run(database string, statements ...string) {
	s.t.Helper()
	conn, err := s.connect(s.t.Context(), "postgres", database, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(s.t.Context()) }()
	for _, sql := range statements {
		if _, err := conn.Exec(s.t.Context(), sql); err != nil {
			s.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// valueOf is that of a series; without labels in what is served they are any.
func valueOf(text, series string) (float64, bool) {
	name, labels, _ := strings.Cut(series, "{")
	pattern := `(?m)^` + name
	for _, l := range strings.Split(strings.TrimSuffix(labels, "}"), ",") {
		pattern += ".*" + regexp.QuoteMeta(l)
	}
	m := regexp.MustCompile(pattern + `.* ([-0-9.]+)$`).FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(m[1], 64)
	return v, err == nil
}

// What an agent beside a member tells of TimescaleDB is what the server says, its names and
// all.
func TestTimescaleIsMeasured(t *testing.T) {
	s := start(t)
	d := declared(append(usual, login("app_user", member.Application))...)
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	a := &member.Agent{Declared: filepath.Join(t.TempDir(), "roles.json"), Roles: roles(s)}
	if err := os.WriteFile(a.Declared, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	metrics := func() string {
		t.Helper()
		m, err := a.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return exposition.Text(m)
	}
	if text := metrics(); strings.Contains(text, "timescaledb") || !strings.Contains(text, "\npg_timeline_id 1\n") {
		t.Errorf("without a database:\n%s", text)
	}
	s.run("postgres", "CREATE DATABASE app")
	if text := metrics(); strings.Contains(text, "timescaledb") {
		t.Errorf("without the extension:\n%s", text)
	}
	apply(t, roles(s), d, used(d))
	// The image is of the Apache edition, which has neither jobs of users nor compression: the
	// scheduler tries what is entered here, and fails in earnest.
	job := `INSERT INTO _timescaledb_config.bgw_job (id, application_name, schedule_interval, max_runtime, max_retries, retry_period, proc_schema, proc_name, owner, scheduled, fixed_schedule, hypertable_id)
		VALUES (%d, 'j', '%s', '0', -1, '1 hour', 'public', '%s', 'postgres', %t, false, %s)`
	ran := `INSERT INTO _timescaledb_internal.bgw_job_stat VALUES (%d, now(), now(), 'infinity', now(), true, 7, '0', '0', 5, 2, 0, 0, 0, 0)`
	ticks := `(SELECT id FROM _timescaledb_catalog.hypertable WHERE table_name = 'Ticks')`
	s.run("app",
		`CREATE SCHEMA "Odd"`,
		`CREATE TABLE "Odd"."Ticks" (at timestamptz NOT NULL, price float8)`,
		`SELECT create_hypertable('"Odd"."Ticks"', by_range('at', INTERVAL '1 day'))`,
		`INSERT INTO "Odd"."Ticks" SELECT now() - n * INTERVAL '1 hour', n FROM generate_series(1, 200) n`,
		`CREATE TABLE plain (at timestamptz NOT NULL, price float8)`,
		`SELECT create_hypertable('plain', by_range('at'))`,
		`CREATE PROCEDURE fails(job_id int, config jsonb) LANGUAGE plpgsql AS $$ BEGIN END $$`,
		fmt.Sprintf(job, 1001, "2 hours", "fails", true, ticks),
		fmt.Sprintf(job, 1002, "1 day", "rests", true, "NULL"), fmt.Sprintf(ran, 1002),
		fmt.Sprintf(job, 1003, "1 day", "off", false, "NULL"),
		`SELECT _timescaledb_functions.restart_background_workers()`, // which read the catalog when they start
	)
	began := time.Now()
	var text string
	eventually(t, "a job has failed", func() bool {
		text = metrics()
		failed, _ := valueOf(text, `timescaledb_job_failures_total{job_id="1001"}`)
		return failed >= 1
	})
	for series, want := range map[string]float64{
		`timescaledb_job_failed{job_id="1001",procedure="fails",hypertable="Ticks"}`:         1,
		`timescaledb_job_failed{job_id="1002",procedure="rests",hypertable=""}`:              0,
		`timescaledb_job_failures_total{job_id="1002"}`:                                      2,
		`timescaledb_job_stuck{job_id="1001"}`:                                               0,
		`timescaledb_job_stuck{job_id="1002"}`:                                               0,
		`timescaledb_job_interval_seconds{job_id="1001"}`:                                    7200,
		`timescaledb_job_failed{job_id="3",procedure="policy_job_stat_history_retention"}`:   1, // see above
		`timescaledb_hypertable_chunks{schema="Odd",hypertable="Ticks"}`:                     asked(t, s, `SELECT count(*)::text FROM show_chunks('"Odd"."Ticks"')`),
		`timescaledb_hypertable_compressed_chunks{schema="Odd",hypertable="Ticks"}`:          0,
		`timescaledb_hypertable_chunks{schema="public",hypertable="plain"}`:                  0,
		`timescaledb_hypertable_size_bytes{schema="Odd",hypertable="Ticks"}`:                 asked(t, s, `SELECT hypertable_size('"Odd"."Ticks"')::text`),
		`timescaledb_hypertable_before_compression_bytes{schema="Odd",hypertable="Ticks"}`:   0,
		`timescaledb_hypertable_after_compression_bytes{schema="public",hypertable="plain"}`: 0,
	} {
		if got, found := valueOf(text, series); !found || got != want {
			t.Errorf("%s: %g (%t), want %g", series, got, found, want)
		}
	}
	if strings.Contains(text, `"1003"`) {
		t.Errorf("a job that is switched off is there:\n%s", text)
	}
	// One that never succeeded counts from when it was first seen, and the other from its success.
	failing := `timescaledb_job_without_success_since_timestamp_seconds{job_id="1001"}`
	first, _ := valueOf(text, failing)
	if at := time.Unix(int64(first), 0); at.Before(began.Add(-time.Second)) || at.After(time.Now()) {
		t.Errorf("it is without success since %s, and it was made at %s", at, began)
	}
	if later, _ := valueOf(metrics(), failing); later != first {
		t.Errorf("it is without success since %g, and later since %g", first, later)
	}
	if at, _ := valueOf(text, `timescaledb_job_without_success_since_timestamp_seconds{job_id="1002"}`); at != asked(t, s, `SELECT extract(epoch FROM last_successful_finish)::text FROM timescaledb_information.job_stats WHERE job_id = 1002`) {
		t.Errorf("the other succeeded at %g", at)
	}
	// Two of the chunks are compressed, by what the catalog says.
	s.run("app", `UPDATE _timescaledb_catalog.hypertable SET compression_state = 1, compressed_hypertable_id = (SELECT id FROM _timescaledb_catalog.hypertable WHERE table_name = 'plain') WHERE table_name = 'Ticks'`,
		`WITH c AS (SELECT min(id) AS a, max(id) AS b FROM _timescaledb_catalog.chunk) UPDATE _timescaledb_catalog.chunk SET compressed_chunk_id = CASE id WHEN c.a THEN c.b ELSE c.a END FROM c WHERE id IN (c.a, c.b)`,
		`INSERT INTO _timescaledb_catalog.compression_chunk_size SELECT id, compressed_chunk_id, 100, 10, 1, 20, 2, 1, 24, 24, 0 FROM _timescaledb_catalog.chunk WHERE compressed_chunk_id IS NOT NULL`)
	for series, want := range map[string]float64{"compressed_chunks": 2, "before_compression_bytes": 222, "after_compression_bytes": 46} {
		if got, _ := valueOf(metrics(), "timescaledb_hypertable_"+series+`{hypertable="Ticks"}`); got != want {
			t.Errorf("%s: %g, want %g", series, got, want)
		}
	}
	// As a primary that dies while the job runs leaves it.
	s.run("app", `UPDATE _timescaledb_internal.bgw_job_stat SET next_start = '-infinity' WHERE job_id = 1002`)
	if got, _ := valueOf(metrics(), `timescaledb_job_stuck{job_id="1002"}`); got != 1 {
		t.Errorf("a job that never starts again:\n%s", metrics())
	}
	for _, sql := range statements(t, "DatabaseJobsFailing") {
		s.run("app", sql)
	}
	t.Log("\n" + text)
}

// statements are those that an alert's runbook asks.
func statements(t *testing.T, alert string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/runbooks/" + alert + ".md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile(`psql .*(?:\\\n)?.*-c (?:"([^"]+)"|'([^']+)')`).FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1]+m[2])
	}
	if len(all) == 0 {
		t.Fatalf("%s asks %q", alert, all)
	}
	return all
}

// An application that owns the schema cannot have the superuser run what is its own, and one
// that holds a table for itself does not hold the scrape for long.
func TestTheApplicationDoesNotMeddle(t *testing.T) {
	s := start(t)
	d := declared(append(usual, login("app_user", member.Application))...)
	raw, _ := json.Marshal(d)
	a := &member.Agent{Declared: filepath.Join(t.TempDir(), "roles.json"), Roles: roles(s)}
	if err := os.WriteFile(a.Declared, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	apply(t, roles(s), d, used(d))
	app, err := s.connect(t.Context(), "app_user", "app", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = app.Close(context.WithoutCancel(t.Context())) }()
	for _, argument := range []string{"oid", "int", "bigint", "text", "name"} {
		for _, name := range []string{"hypertable_size", "hypertable_compression_stats"} {
			if _, err := app.Exec(t.Context(), fmt.Sprintf(`CREATE FUNCTION public.%s(%s) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'taken in'; END $$`, name, argument)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, sql := range []string{
		"CREATE TABLE public.ticks (at timestamptz NOT NULL)", "SELECT public.create_hypertable('public.ticks', public.by_range('at'))",
		"INSERT INTO public.ticks VALUES (now())", "BEGIN", "LOCK TABLE public.ticks IN ACCESS EXCLUSIVE MODE",
	} {
		if _, err := app.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if _, err := a.Metrics(t.Context()); err == nil || !strings.Contains(err.Error(), "lock timeout") {
		t.Errorf("while a table is locked: %v", err)
	}
	if _, err := app.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if m, err := a.Metrics(t.Context()); err != nil || !strings.Contains(exposition.Text(m), `timescaledb_hypertable_chunks{schema="public",hypertable="ticks"} 1`) {
		t.Errorf("%v\n%s", err, exposition.Text(m))
	}
}

func asked(t *testing.T, s *server, sql string) float64 {
	t.Helper()
	answer, err := s.ask("postgres", "app", sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	v, err := strconv.ParseFloat(answer, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// poolerUser is that of PgBouncer's image and of the agent beside it.
const poolerUser = 998

// withPooler starts PgBouncer from its image before a server, and the agent beside it. It
// returns the folder of PgBouncer's socket and the address of the agent's metrics.
func withPooler(t *testing.T, s *server) (socket, address string) {
	t.Helper()
	packed, err := archive("pgbouncer", "PGBOUNCER_ARCHIVE")
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.MkdirTemp("", "alphapulse-pooler-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := errors.Join(os.Chmod(root, 0o755), unpack(packed, root)); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(root, "agent"), "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, dir := range []string{"/run/server", "/run/pgbouncer", "/run/gates"} {
		if err := errors.Join(os.MkdirAll(root+dir, 0o777), os.Chmod(root+dir, 0o777)); err != nil {
			t.Fatal(err)
		}
	}
	// The server's root file system is another one; both are in one folder of the machine.
	if err := os.Link(image+s.dir+"/.s.PGSQL.5432", root+"/run/server/.s.PGSQL.5432"); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"/pgbouncer.ini": "[databases]\napp = host=/run/server dbname=app pool_size=1\n\n[pgbouncer]\nlisten_addr =\nlisten_port = 6432\nunix_socket_dir = /run/pgbouncer\n" +
			"auth_type = trust\nauth_file = /users\npool_mode = transaction\n",
		"/users": "\"app_user\" \"\"\n",
	} {
		if err := os.WriteFile(root+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	goes := func(name string, args ...string) {
		cmd := inside(name, args...)
		cmd.Env = append(cmd.Env, "CONTROL_USER=control", "CONTROL_PASSWORD=secret")
		cmd.SysProcAttr.Chroot, cmd.SysProcAttr.Credential = root, &syscall.Credential{Uid: poolerUser, Gid: poolerUser}
		var log strings.Builder
		cmd.Stdout, cmd.Stderr = &log, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if t.Failed() {
				t.Logf("%s:\n%s", name, log.String())
			}
		})
	}
	address = free(t)
	goes("/usr/sbin/pgbouncer", "/pgbouncer.ini")
	goes("/agent", "pooler", "-members", "localhost", "-primary", "/run/gates", "-standby", "/run/pgbouncer", "-console", "/run/pgbouncer",
		"-listen", free(t), "-listen-tls", "", "-listen-metrics", address)
	return root + "/run/pgbouncer", address
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// The agent tells of PgBouncer what its console says, which takes it without a password.
func TestThePoolerIsMeasured(t *testing.T) {
	s := start(t)
	s.run("postgres", "CREATE ROLE app_user LOGIN", "CREATE DATABASE app")
	socket, address := withPooler(t, s)
	metrics := func() (int, string) {
		response, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	client := func() *pgx.Conn {
		config, err := pgx.ParseConfig("host=" + socket + " port=6432 user=app_user dbname=app sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		var conn *pgx.Conn
		eventually(t, "PgBouncer takes a client", func() bool {
			conn, err = pgx.ConnectConfig(t.Context(), config)
			return err == nil
		})
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		return conn
	}
	first, second := client(), client()
	if _, err := first.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := second.Exec(t.Context(), "SELECT 1")
		answered <- err
	}()
	var text string
	eventually(t, "the second client has waited for a second", func() bool {
		_, text = metrics()
		waited, _ := valueOf(text, "pgbouncer_pools_client_maxwait_seconds{}")
		return waited > 1
	})
	for series, want := range map[string]float64{
		`pgbouncer_pools_client_active_connections{database="app",user="app_user"}`:  1,
		`pgbouncer_pools_client_waiting_connections{database="app",user="app_user"}`: 1,
		`pgbouncer_pools_server_active_connections{database="app",user="app_user"}`:  1,
		`pgbouncer_pools_server_idle_connections{database="app"}`:                    0,
		`pgbouncer_pools_server_used_connections{database="app"}`:                    0,
		`pgbouncer_databases_pool_size{name="app"}`:                                  1,
	} {
		if got, found := valueOf(text, series); !found || got != want {
			t.Errorf("%s: %g (%t), want %g", series, got, found, want)
		}
	}
	for _, sql := range statements(t, "DatabasePoolerWaiting") {
		s.run("app", sql)
	}
	if strings.Contains(text, `"pgbouncer"`) {
		t.Errorf("the console is among the pools:\n%s", text)
	}
	if _, err := first.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	eventually(t, "three queries in two transactions are counted", func() bool {
		_, text = metrics()
		queries, _ := valueOf(text, `pgbouncer_stats_queries_pooled_total{database="app"}`)
		transactions, _ := valueOf(text, `pgbouncer_stats_sql_transactions_pooled_total{database="app"}`)
		waited, _ := valueOf(text, `pgbouncer_stats_client_wait_seconds_total{database="app"}`)
		waiting, _ := valueOf(text, "pgbouncer_pools_client_waiting_connections{}")
		return queries == 3 && transactions == 2 && waited > 1 && waiting == 0
	})
	t.Log("\n" + text)
}
