//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/restore"
)

// shop is a server that archives into a repository in a folder.
type shop struct {
	*server
	t *testing.T
	// folder of the repository and of the restored volumes, as programs in the image see it.
	folder string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	host, err := os.MkdirTemp(image, "r")
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, folder: "/" + filepath.Base(host)}
	s.server = start(t, "archive_mode=on", "wal_level=replica", "archive_command=pgbackrest --config="+s.folder+"/conf --stanza=db archive-push %p")
	conf := fmt.Sprintf("[global]\nrepo1-path=%s/repo\nrepo1-retention-full=2\nlock-path=%s/lock\nlog-level-file=off\nlog-level-console=warn\nspool-path=%s/spool\nstart-fast=y\n"+
		"[db]\npg1-path=%s/data\npg1-socket-path=%s\npg1-user=postgres\n", s.folder, s.folder, s.folder, s.dir, s.dir)
	if err := os.WriteFile(filepath.Join(host, "conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(host, user, user); err != nil {
		t.Fatal(err)
	}
	s.backrest("stanza-create")
	return s
}

// command is one of the image beside the data, in this PID namespace.
func (s *shop) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	path := "/usr/bin/" + name
	if _, err := os.Stat(image + path); err != nil {
		path = bin + name
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "LANG=C.UTF-8", "PGBACKREST_CONFIG=" + s.folder + "/conf"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: image, Credential: &syscall.Credential{Uid: user, Gid: user}, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (s *shop) backrest(args ...string) {
	s.t.Helper()
	if out, err := s.command(s.t.Context(), "pgbackrest", append([]string{"--stanza=db"}, args...)...).CombinedOutput(); err != nil {
		s.t.Fatalf("pgbackrest %v: %v: %s", args, err, out)
	}
}

func (s *shop) exec(sql string) {
	s.t.Helper()
	conn, err := s.connect(s.t.Context(), "postgres", "app", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(s.t.Context()) }()
	if _, err := conn.Exec(s.t.Context(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// archived sends what has been written to the repository.
func (s *shop) archived() {
	s.t.Helper()
	segment, err := s.ask("postgres", "postgres", "SELECT pg_walfile_name(pg_switch_wal())")
	if err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		last, err := s.ask("postgres", "postgres", "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")
		if err == nil && last >= segment {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s is not archived: last %s, %v", segment, last, err)
		}
	}
}

func (s *shop) now() time.Time {
	s.t.Helper()
	text, err := s.ask("postgres", "postgres", "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
	if err != nil {
		s.t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		s.t.Fatal(err)
	}
	return at
}

// volume is an empty one to restore into.
func (s *shop) volume(name string, target restore.Target) *restore.Restore {
	s.t.Helper()
	dir := s.folder + "/" + name
	if err := os.Mkdir(image+dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	run := dir + "/run"
	r := &restore.Restore{
		Stanza: "db", Target: target, Data: dir + "/data", Run: run, Root: image, Command: s.command, Log: slog.New(slog.DiscardHandler),
		Connect: func(ctx context.Context, folder, database string) (*pgx.Conn, error) {
			config, err := pgx.ParseConfig("host=" + image + folder + " user=postgres sslmode=disable")
			if err != nil {
				return nil, err
			}
			config.Database = database
			return pgx.ConnectConfig(ctx, config)
		},
	}
	// The agent is the image's user in a pod; here it is root.
	s.own(dir)
	for _, sub := range []string{dir + "/data", run} {
		if err := os.MkdirAll(image+sub, 0o700); err != nil {
			s.t.Fatal(err)
		}
		s.own(sub)
	}
	return r
}

func (s *shop) own(dir string) {
	s.t.Helper()
	if err := os.Chown(image+dir, user, user); err != nil {
		s.t.Fatal(err)
	}
}

// rows counts those of a restored table.
func (s *shop) rows(r *restore.Restore, table string) string {
	s.t.Helper()
	n, err := s.restored(r, "SELECT count(*)::text FROM "+table)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// rolesThatLogIn are those of the application that can.
func (s *shop) rolesThatLogIn(r *restore.Restore) (string, error) {
	return s.restored(r, "SELECT coalesce(string_agg(rolname, ' '), '') FROM pg_roles WHERE rolcanlogin AND rolname IN ('app_user', 'second')")
}

// restored starts the restored database and asks it.
func (s *shop) restored(r *restore.Restore, sql string) (answer string, err error) {
	s.t.Helper()
	if err := os.WriteFile(image+r.Run+"/hba.conf", []byte("local all all trust\n"), 0o644); err != nil {
		return "", err
	}
	server := s.command(s.t.Context(), "postgres", "-D", r.Data, "-c", "listen_addresses=", "-c", "unix_socket_directories="+r.Run, "-c", "archive_mode=off",
		"-c", "shared_preload_libraries=timescaledb", "-c", "hba_file="+r.Run+"/hba.conf")
	if err := server.Start(); err != nil {
		return "", err
	}
	defer func() { _ = server.Process.Signal(syscall.SIGINT); _ = server.Wait() }()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		conn, err := r.Connect(s.t.Context(), r.Run, "app")
		if err == nil {
			defer func() { _ = conn.Close(s.t.Context()) }()
			err = conn.QueryRow(s.t.Context(), sql).Scan(&answer)
			return answer, err
		}
		if time.Now().After(end) {
			return "", err
		}
	}
}

func TestRestore(t *testing.T) {
	s := newShop(t)
	conn, err := s.connect(t.Context(), "postgres", "postgres", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE ROLE app_user LOGIN; CREATE ROLE second LOGIN IN ROLE app_user; CREATE ROLE watcher LOGIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE app OWNER app_user TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	empty := s.volume("empty", restore.Target{})
	if err := empty.Fill(t.Context()); err == nil || !strings.Contains(err.Error(), "no backup") {
		t.Errorf("a repository without a backup: %v", err)
	}
	s.exec("CREATE EXTENSION timescaledb")
	s.exec("CREATE TABLE ticks (at timestamptz NOT NULL, n int)")
	s.exec("SELECT create_hypertable('ticks', 'at', chunk_time_interval => interval '1 day')")
	s.exec("INSERT INTO ticks SELECT '2027-01-01'::timestamptz + n * interval '1 hour', n FROM generate_series(1, 100) n")
	s.backrest("--type=full", "backup")
	s.exec("INSERT INTO ticks SELECT '2027-01-01'::timestamptz + n * interval '1 hour', n FROM generate_series(101, 150) n")
	time.Sleep(time.Second) // pgBackRest counts whole ones
	good := s.now()
	time.Sleep(10 * time.Millisecond)
	s.exec("DROP TABLE ticks; CREATE TABLE later (n int)")
	s.archived()

	// The table was dropped: the second before has all rows.
	before := s.volume("before", restore.Target{Time: good})
	if err := before.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.rows(before, "ticks"); got != "150" {
		t.Errorf("%s rows at the time before the table was dropped, want 150", got)
	}
	if got, err := s.rolesThatLogIn(before); err != nil || got != "" {
		t.Errorf("%s may log in to the restored database before commits are safe, %v", got, err)
	}
	auto, err := os.ReadFile(image + before.Data + "/postgresql.auto.conf")
	if err != nil || strings.Contains(string(auto), "\nrecovery_target") || strings.Contains(string(auto), "\nrestore_command") {
		t.Errorf("a later start would recover again: %s, %v", auto, err)
	}

	// Complete is complete; and nothing is overwritten.
	if err := before.Fill(t.Context()); err != nil {
		t.Errorf("a second time: %v", err)
	}
	other := *before
	other.Target = restore.Target{}
	if err := other.Fill(t.Context()); !errors.Is(err, restore.ErrOccupied) {
		t.Errorf("another target into the same volume: %v", err)
	}
	live := *before
	live.Data = s.dir + "/data"
	if err := live.Fill(t.Context()); !errors.Is(err, restore.ErrOccupied) {
		t.Errorf("a volume with a database: %v", err)
	}
	if _, err := s.ask("postgres", "app", "SELECT count(*)::text FROM later"); err != nil {
		t.Errorf("the live server: %v", err)
	}

	// The end of the log has what came last; so has a time at which nothing happened.
	for name, target := range map[string]restore.Target{"latest": {}, "idle": {Time: s.now()}} {
		r := s.volume(name, target)
		if err := r.Fill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.rows(r, "later"); got != "0" {
			t.Errorf("%s: %s rows", name, got)
		}
	}
	first := s.volume("first", restore.Target{Time: good.Add(-24 * time.Hour)})
	if err := first.Fill(t.Context()); err == nil || !strings.Contains(err.Error(), "before the end of the oldest backup") {
		t.Errorf("a time before the first backup: %v", err)
	}
}

func TestProof(t *testing.T) {
	s := newShop(t)
	conn, err := s.connect(t.Context(), "postgres", "postgres", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE app TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	s.exec("CREATE EXTENSION timescaledb")
	s.exec("CREATE TABLE ticks (at timestamptz NOT NULL, n int)")
	s.exec("SELECT create_hypertable('ticks', 'at', chunk_time_interval => interval '1 day')")
	s.exec("INSERT INTO ticks SELECT '2027-01-01'::timestamptz + n * interval '1 hour', n FROM generate_series(1, 100) n")
	s.backrest("--type=full", "backup")
	s.exec("INSERT INTO ticks SELECT '2027-01-01'::timestamptz + n * interval '1 hour', n FROM generate_series(101, 150) n")
	s.archived()
	report, err := s.volume("proof", restore.Target{}).Prove(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report.Hypertables != 1 || report.Chunks != 7 || report.Rows < 150 || report.Databases < 2 || report.Backup == "" {
		t.Errorf("%+v", report)
	}

	// A damaged index is found.
	s.exec("CREATE TABLE listed (n int PRIMARY KEY); INSERT INTO listed SELECT generate_series(1, 10000)")
	s.exec("CREATE FUNCTION wrong(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE INDEX damaged ON listed (wrong(n)); CREATE OR REPLACE FUNCTION wrong(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -$1'")
	s.archived()
	if report, err := s.volume("damaged", restore.Target{}).Prove(t.Context()); err == nil || !strings.Contains(err.Error(), "amcheck") {
		t.Errorf("a damaged index: %+v, %v", report, err)
	}
}
