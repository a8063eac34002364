//go:build e2e

package single

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

// Folders of the engine's host with backups: the stack's, and those of another one.
const (
	repository = "/var/lib/docker/e2e-backup"
	another    = "/var/lib/docker/e2e-another"
)

// execute runs a command in a container and returns what it prints, and how it ended.
func execute(t testing.TB, name string, command ...string) (string, int) {
	t.Helper()
	body := func(v any) *strings.Reader {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReader(string(raw))
	}
	var made struct {
		ID string `json:"Id"`
	}
	// A terminal's stream is text as it is.
	if err := json.Unmarshal(askWith(t, "POST", "/containers/"+prefix+"-"+name+"/exec", "application/json",
		body(map[string]any{"Cmd": command, "AttachStdout": true, "AttachStderr": true, "Tty": true})), &made); err != nil {
		t.Fatal(err)
	}
	out := askWith(t, "POST", "/exec/"+made.ID+"/start", "application/json", body(map[string]any{"Detach": false, "Tty": true}))
	var ended struct{ ExitCode int }
	if err := json.Unmarshal(ask(t, "GET", "/exec/"+made.ID+"/json", nil), &ended); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.ReplaceAll(string(out), "\r\n", "\n")), ended.ExitCode
}

// sql asks the database as its superuser.
func sql(t testing.TB, statement string) string {
	t.Helper()
	out, code := execute(t, "database", "psql", "-X", "-q", "-A", "-t", "-P", "pager=off", "-v", "ON_ERROR_STOP=1", "-h", "/var/run/postgresql", "-U", "postgres", "-d", "alphapulse", "-c", statement)
	if code != 0 {
		t.Fatalf("%s: %d\n%s", statement, code, out)
	}
	return out
}

// folders makes those of the repositories, which belong to the server's user.
func folders(t testing.TB) {
	t.Helper()
	image := containers(t)["cache"].Image
	request := fmt.Sprintf(`{"Image":%q,"User":"0","Entrypoint":["sh","-c","cd /host && mkdir -p e2e-backup e2e-another && chown 1000:1000 e2e-* && chmod 700 e2e-*"],"HostConfig":{"Binds":["/var/lib/docker:/host"]}}`, image)
	id := started(t, request)
	if out := ask(t, "POST", "/containers/"+id+"/wait", nil); !strings.Contains(string(out), `"StatusCode":0`) {
		t.Fatalf("the folders: %s\n%s", out, ask(t, "GET", "/containers/"+id+"/logs?stdout=1&stderr=1", nil))
	}
	ask(t, "DELETE", "/containers/"+id, nil)
}

// started starts a container that is not of the stack, and returns its ID.
func started(t testing.TB, request string) string {
	t.Helper()
	var made struct {
		ID string `json:"Id"`
	}
	if err := json.Unmarshal(askWith(t, "POST", "/containers/create", "application/json", strings.NewReader(request)), &made); err != nil {
		t.Fatal(err)
	}
	ask(t, "POST", "/containers/"+made.ID+"/start", nil)
	return made.ID
}

// proven waits for the first backup, and for its proof.
func proven(t testing.TB, limit time.Duration) {
	t.Helper()
	start := time.Now()
	livetest.Eventually(t, limit, "the first backup", func(context.Context) (string, bool) {
		out, code := execute(t, "backup", "pgbackrest", "--log-level-console=off", "info")
		return out, code == 0 && strings.Contains(out, "full backup:")
	})
	t.Logf("the first backup was seen after %s", since(start))
	livetest.Eventually(t, 5*time.Minute, "its proof", func(context.Context) (string, bool) {
		out, code := execute(t, "backup-proof", "cat", "/home/postgres/pgdata/proven.json")
		return out, code == 0
	})
}

// archived waits until the log of before is in the archive.
func archived(t testing.TB) {
	t.Helper()
	log := sql(t, "SELECT pg_walfile_name(pg_switch_wal())")
	livetest.Eventually(t, 2*time.Minute, "the log is archived", func(context.Context) (string, bool) {
		out := sql(t, "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")
		return out, out >= log
	})
}

// dropFormer deletes the first generation's volume, which a destroyed stack may have left.
func dropFormer(t testing.TB) {
	t.Helper()
	if former := prefix + "-database-g1"; slices.Contains(volumes(t), former) {
		ask(t, "DELETE", "/volumes/"+former, nil)
	}
}

// refusesBackups of a database that was never backed up, and leaves it as it is.
func (s *session) refusesBackups(t *testing.T) {
	before := ids(t)
	refused(t, "the stack's database is in volume "+prefix+"-database, of the Alpine image", "up", "--yes", "--skip-preview",
		"--config-file", settings(t, "databaseBackup", "path", "databaseBackupHostPath", repository))
	if names := changed(before, ids(t)); len(names) > 0 {
		t.Errorf("a refused update replaced %v", names)
	}
	folders(t)
}

// backups are taken, proven and restored on a stack that begins with them, and it is found
// again after a destroy.
func (s *session) backups(t *testing.T) {
	backed := []string{"databaseBackup", "path", "databaseBackupHostPath", repository, "databaseBackupProof", "* * * * *"}
	up(t, "--config-file", settings(t, backed...))
	if out, code := execute(t, "database", "pgbackrest", "version"); code != 0 {
		t.Fatalf("pgbackrest: %s", out)
	}
	proven(t, 5*time.Minute)

	sql(t, "CREATE TABLE e2e AS SELECT generate_series(1, 60) AS n")
	at := strings.ReplaceAll(sql(t, "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MSZ')"), " ", "T")
	time.Sleep(2 * time.Second) // a moment lies between
	sql(t, "INSERT INTO e2e SELECT generate_series(61, 100)")
	archived(t)

	before := ids(t)
	refused(t, "lies before the end of the oldest backup", "up", "--yes", "--skip-preview", "--config-file", settings(t, append(backed, "databaseRestore", "2020-01-31T10:03:59Z")...))
	if names := changed(before, ids(t)); slices.Contains(names, "database") {
		t.Errorf("a refused restore replaced %v", names)
	}
	if rows := sql(t, "SELECT count(*) FROM e2e"); rows != "100" {
		t.Errorf("after a refused restore there are %s rows, want 100", rows)
	}

	start := time.Now()
	restored := append(slices.Clone(backed), "databaseRestore", at)
	up(t, "--config-file", settings(t, restored...))
	if rows := sql(t, "SELECT count(*) FROM e2e"); rows != "60" {
		t.Errorf("restored to %s there are %s rows, want 60", at, rows)
	}
	t.Logf("restored to %s, and serving after %s", at, since(start))
	for _, want := range []string{prefix + "-database-g1", prefix + "-database-g2"} {
		if !slices.Contains(volumes(t), want) {
			t.Errorf("volumes %v, want %s among them", volumes(t), want)
		}
	}
	answers(t, outputsOf(t))
	up(t, "--config-file", settings(t, restored...)) // what has filled the volume goes
	up(t, "--expect-no-changes", "--config-file", settings(t, restored...))
	livetest.Eventually(t, 5*time.Minute, "a backup of the new timeline", func(context.Context) (string, bool) {
		out, code := execute(t, "backup", "pgbackrest", "--log-level-console=off", "info")
		return out, code == 0 && strings.Count(out, " backup:") > 1
	})

	s.foundAgain(t, backed)
}

// foundAgain is the volume that was restored into, after a destroy.
func (s *session) foundAgain(t *testing.T, backed []string) {
	s.passphrase = strings.TrimSpace(pulumi(t, "stack", "output", "databaseBackupPassphrase", "--show-secrets"))
	file := settings(t, backed...)
	pulumi(t, "config", "set", "--secret", "--config-file", file, "databaseBackupPassphrase", s.passphrase)
	t.Log(livetest.LastLines(pulumi(t, "destroy", "--yes", "--skip-preview", "--config-file", file), 4))
	up(t, "--config-file", file)
	if rows := sql(t, "SELECT count(*) FROM e2e"); rows != "60" {
		t.Errorf("after a destroy there are %s rows, want the 60 of the newest volume", rows)
	}
	if out, code := execute(t, "backup", "pgbackrest", "--type=incr", "backup"); code != 0 {
		t.Errorf("a backup with the passphrase that was kept: %d\n%s", code, livetest.LastLines(out, 5))
	}
	pulumi(t, "config", "set", "--config-file", file, "deleteVolumes", "true")
	up(t, "--config-file", file)
	t.Log(livetest.LastLines(pulumi(t, "destroy", "--yes", "--skip-preview", "--config-file", file), 4))
	for _, v := range volumes(t) {
		if v != prefix+"-database-g1" { // which the destroyed stack has left
			t.Errorf("volume %s is left", v)
		}
	}
}

// outlive: the host is gone, and the folder of its backups is not. A new stack begins with
// them, and so does one that only reads them and has backups of its own.
func (s *session) outlive(t *testing.T) {
	dropFormer(t) // the host that is gone has had it
	for _, c := range []struct {
		what, secret string
		with         []string
	}{
		{"the same folder", "databaseBackupPassphrase", []string{"databaseBackupHostPath", repository}},
		{"another stack's", "databaseRestorePassphrase", []string{"databaseBackupHostPath", another, "databaseRestoreHostPath", repository}},
	} {
		file := settings(t, append(c.with, "databaseBackup", "path", "databaseRestore", "latest", "deleteVolumes", "true")...)
		pulumi(t, "config", "set", "--secret", "--config-file", file, c.secret, s.passphrase)
		up(t, "--config-file", file)
		if rows := sql(t, "SELECT count(*) FROM e2e"); rows != "60" {
			t.Errorf("%s: a new stack begins with %s rows, want 60", c.what, rows)
		}
		answers(t, outputsOf(t))
		// The stack's own first one may be under way.
		livetest.Eventually(t, 3*time.Minute, "a backup of the new stack, from "+c.what, func(context.Context) (string, bool) {
			out, code := execute(t, "backup", "pgbackrest", "--type=incr", "backup")
			return livetest.LastLines(out, 5), code == 0
		})
		t.Log(livetest.LastLines(pulumi(t, "destroy", "--yes", "--skip-preview", "--config-file", file), 4))
	}
}
