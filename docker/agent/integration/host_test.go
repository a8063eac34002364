//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// host is a Docker host's database as its containers have it: a folder with the repository,
// encrypted, and volumes.
type host struct {
	t   *testing.T
	dir string // as programs see it
}

func newHost(t *testing.T) *host {
	t.Helper()
	build := exec.Command("go", "build", "-o", filepath.Join(image, "agent"), "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	outside, err := os.MkdirTemp(image, "h")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, dir: "/" + filepath.Base(outside)}
	for _, dir := range []string{"", "/repo", "/one", "/two", "/scratch", "/run1", "/run2", "/secret"} {
		if err := os.MkdirAll(outside+dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(outside+dir, user, user); err != nil {
			t.Fatal(err)
		}
	}
	for volume, run := range map[string]string{"one": "run1", "two": "run2", "scratch": "run1"} {
		// What the program renders, but for the folders.
		conf := fmt.Sprintf("[global]\nrepo1-type=posix\nrepo1-path=%[1]s/repo\nrepo1-cipher-type=aes-256-cbc\nrepo1-retention-full=2\nrepo1-bundle=y\nrepo1-block=y\n"+
			"compress-type=zst\nlock-path=%[1]s/lock-%[2]s\nlog-level-file=off\nlog-level-console=info\narchive-async=y\narchive-timeout=60\nspool-path=%[1]s/%[2]s/spool\nstart-fast=y\n"+
			"[db]\npg1-path=%[1]s/%[2]s/data\npg1-socket-path=%[1]s/%[3]s\npg1-user=postgres\n", h.dir, volume, run)
		h.write(volume+".conf", conf)
	}
	h.write("secret/repository.conf", "[global]\nrepo1-cipher-pass=a-passphrase-of-twenty-letters\n")
	return h
}

func (h *host) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(image+h.dir+"/"+name, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// command is one beside a volume.
func (h *host) command(volume, name string, args ...string) *exec.Cmd {
	cmd := inside(name, args...)
	cmd.Env = append(cmd.Env, "PGBACKREST_CONFIG="+h.dir+"/"+volume+".conf", "PGBACKREST_CONFIG_INCLUDE_PATH="+h.dir+"/secret", "PGBACKREST_STANZA=db",
		"PGDATA="+h.dir+"/"+volume+"/data")
	return cmd
}

// runs starts what goes on, until stop is called.
func (h *host) runs(cmd *exec.Cmd) (log *bytes.Buffer, stop func()) {
	h.t.Helper()
	log = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGINT)
			_ = cmd.Wait()
		}
	}
	h.t.Cleanup(func() {
		stop()
		if h.t.Failed() {
			h.t.Logf("%v:\n%s", cmd.Args, log)
		}
	})
	return log, stop
}

// server is the agent that becomes the server of a volume.
func (h *host) server(volume, run string) (stop func()) {
	h.t.Helper()
	_, stop = h.runs(h.command(volume, "/agent", "start", "-bin", filepath.Clean(bin), "-major", "17", "--",
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+h.dir+"/"+run, "-c", "shared_preload_libraries=timescaledb",
		"-c", "archive_mode=on", "-c", `archive_command=pgbackrest --stanza=db archive-push "%p"`, "-c", "archive_timeout=60s"))
	h.eventually("the server of "+volume, func() (string, bool) {
		out, err := h.psql(run, "SELECT 1")
		return out, err == nil
	})
	return stop
}

func (h *host) psql(run, sql string) (string, error) {
	out, err := inside(bin+"psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", h.dir+"/"+run, "-U", "postgres", "-c", sql).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (h *host) sql(run, sql string) string {
	h.t.Helper()
	out, err := h.psql(run, sql)
	if err != nil {
		h.t.Fatalf("%s: %v: %s", sql, err, out)
	}
	return out
}

func (h *host) eventually(what string, holds func() (string, bool)) {
	h.t.Helper()
	for end := time.Now().Add(2 * patience); ; time.Sleep(100 * time.Millisecond) {
		seen, ok := holds()
		if ok {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("%s: %s", what, seen)
		}
	}
}

// loop starts one of the agent's loops, and waits until it says that it has succeeded.
func (h *host) loop(volume string, args ...string) (stop func()) {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, stop = h.runs(h.command(volume, "/agent", append(args, "-listen", address)...))
	h.eventually(args[0]+" succeeds", func() (string, bool) {
		response, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return err.Error(), false
		}
		defer func() { _ = response.Body.Close() }()
		text, _ := io.ReadAll(response.Body)
		return string(text), strings.Contains(string(text), "\nbackup_last_success_timestamp_seconds ") && strings.Contains(string(text), "\nbackup_failed 0\n")
	})
	if out, err := inside("/agent", "ask", "http://"+address+"/alive").CombinedOutput(); err != nil {
		h.t.Errorf("its health: %v: %s", err, out)
	}
	return stop
}

// backups are the types of those in the repository.
func (h *host) backups() string {
	h.t.Helper()
	out, err := h.command("one", "/usr/bin/pgbackrest", "--log-level-console=off", "info").CombinedOutput()
	if err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		if kind, _, ok := strings.Cut(strings.TrimSpace(line), " backup: "); ok {
			all = append(all, kind)
		}
	}
	return strings.Join(all, " ")
}

// TestOneHost is what a Docker host's containers do, with the agent itself: a new database,
// its backups and their proof, and a moment restored into another volume, from which the
// archive goes on.
func TestOneHost(t *testing.T) {
	h := newHost(t)
	stop := h.server("one", "run1")
	if sums := h.sql("run1", "SHOW data_checksums"); sums != "on" {
		t.Errorf("data_checksums %s", sums)
	}
	never := []string{"-full", "0 0 1 1 *", "-differential", "0 0 1 1 *", "-incremental", "0 0 1 1 *"}
	stopBackups := h.loop("one", append([]string{"backups", "-socket", h.dir + "/run1"}, never...)...)
	if got := h.backups(); got != "full" {
		t.Errorf("backups: %s, want the first", got)
	}
	h.sql("run1", "CREATE TABLE kept AS SELECT generate_series(1, 60) AS n")
	at := h.sql("run1", `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`)
	time.Sleep(1100 * time.Millisecond)
	h.sql("run1", "INSERT INTO kept SELECT generate_series(61, 100)")
	segment := h.sql("run1", "SELECT pg_walfile_name(pg_switch_wal())")
	h.eventually("the log is archived", func() (string, bool) {
		last, err := h.psql("run1", "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")
		return last, err == nil && last >= segment
	})

	stopProofs := h.loop("scratch", "proofs", "-schedule", "* * * * *")
	stopProofs()
	if _, err := os.Stat(image + h.dir + "/scratch/data"); err == nil {
		t.Error("what a proof has restored is left")
	}

	if out, err := h.command("two", "/agent", "fill", "-archive", "-run", h.dir+"/run2", "-target", "2020-01-31T10:03:59Z").CombinedOutput(); err == nil || !strings.Contains(string(out), "lies before the end of the oldest backup") {
		t.Errorf("a moment that is not there: %v: %s", err, out)
	}
	if out, err := h.command("two", "/agent", "fill", "-archive", "-run", h.dir+"/run2", "-target", at).CombinedOutput(); err != nil {
		t.Fatalf("fill: %v: %s", err, out)
	}
	if rows := h.sql("run1", "SELECT count(*) FROM kept"); rows != "100" {
		t.Errorf("the former volume has %s rows, want 100", rows)
	}
	stopBackups()
	stop()
	h.server("two", "run2")
	if rows := h.sql("run2", "SELECT count(*) FROM kept"); rows != "60" {
		t.Errorf("restored to %s: %s rows, want 60", at, rows)
	}
	// The new timeline is backed up at once.
	h.loop("two", append([]string{"backups", "-socket", h.dir + "/run2"}, never...)...)
	h.eventually("a backup of the new timeline", func() (string, bool) {
		got := h.backups()
		return got, got == "full incr"
	})
}
