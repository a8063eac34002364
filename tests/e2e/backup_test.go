//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// backedUp is a stack of its own whose backups lie on a volume.
const backedUp = "e2e-backup"

// TestBackup backs a database up and restores it as an operator does, with the commands
// of docs/operations.md.
func TestBackup(t *testing.T) {
	must(t, "images", "versitygw")
	ns := another(t, backedUp, append(small(30380, 30743, "backup.localhost"),
		"databaseBackup=volume", "databaseBackupStorage=2Gi")...)
	start := time.Now()
	up(t, backedUp)
	t.Logf("up with backups on a volume: %s", since(start))
	settled(t, ns)
	firstBackup(t, ns)
	for _, section := range []string{"Deploy and change", "See how it is", "Read logs", "When something does not work", "Scale"} {
		operate(t, ns, section, nil)
	}
	growRefused(t, ns)
	start = time.Now()
	operate(t, ns, "Back up", nil)
	t.Logf("the commands of Back up, a proof among them: %s", since(start))

	t.Run("Rotate", func(t *testing.T) { testRotate(t, ns) })
	t.Run("RotateInternals", func(t *testing.T) { testRotateInternals(t, ns) })
	logsShowNoSecret(t, backedUp, ns)
	t.Run("ArchiveAway", func(t *testing.T) { testArchiveAway(t, ns) })
	t.Run("ArchiveFull", func(t *testing.T) { testArchiveFull(t, ns) })
	t.Run("WrongTimesAreRefused", func(t *testing.T) { testRestoreRefused(t, ns) })
	t.Run("AllVolumesDestroyed", func(t *testing.T) { testVolumesDestroyed(t, ns) })
}

// growRefused: a volume whose class lets none grow is named before anything is changed.
func growRefused(t *testing.T, ns string) {
	t.Helper()
	claim, err := cluster.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), "data-database-g1-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	grows := func(yes bool) {
		must(t, "kubectl", "--", "patch", "storageclass", *claim.Spec.StorageClassName, "--patch", fmt.Sprintf(`{"allowVolumeExpansion":%v}`, yes))
	}
	grows(false)
	defer grows(true)
	pulumi(t, "config", "set", "--stack", backedUp, "databaseStorage", "4Gi")
	out, err := try(t, "pulumi", "--", "preview", "--stack", backedUp)
	if err == nil || !strings.Contains(out, "which does not let a volume grow") {
		t.Errorf("a volume that cannot grow is not refused: %v\n%s", err, last(out, 10))
	}
	pulumi(t, "config", "set", "--stack", backedUp, "databaseStorage", "2Gi")
}

// firstBackup waits for the backup that nobody asks for.
func firstBackup(t testing.TB, ns string) {
	t.Helper()
	eventually(t, 5*time.Minute, "the first backup", func(ctx context.Context) (string, bool) {
		jobs, err := cluster.BatchV1().Jobs(ns).List(ctx, metav1.ListOptions{LabelSelector: nameLabel + "=backup"})
		if err != nil {
			return err.Error(), false
		}
		seen, all := "", len(jobs.Items) > 0
		for _, j := range jobs.Items {
			complete := slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == batchv1.JobComplete && c.Status == "True" })
			seen += fmt.Sprintf("%s complete %v, %d failed; ", j.Name, complete, j.Status.Failed)
			all = all && complete
		}
		return seen, all
	})
}

// operate runs the commands of a section of docs/operations.md, as they stand there.
func operate(t testing.TB, ns, section string, env map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(raw), "\n## "+section+"\n")
	if !found {
		if _, text, found = strings.Cut(string(raw), "\n### "+section+"\n"); !found {
			t.Fatalf("docs/operations.md has no section %q", section)
		}
		text, _, _ = strings.Cut(text, "\n### ")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	bin := t.TempDir()
	for _, tool := range []string{"pulumi", "kubectl"} {
		// The program itself looks for these tools, and must not find this.
		script := fmt.Sprintf("#!/bin/sh\nexport PATH=%q\ncd %q && exec %q %s -- \"$@\"\n", os.Getenv("PATH"), root, local, tool)
		if err := os.WriteFile(filepath.Join(bin, tool), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	blocks := strings.Split(text, "\n```sh\n")[1:]
	if len(blocks) == 0 {
		t.Fatalf("docs/operations.md, %s: no command", section)
	}
	for _, block := range blocks {
		commands, _, _ := strings.Cut(block, "\n```")
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-ec", commands)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "NS="+ns, "PULUMI_STACK="+backedUp)
		for name, value := range env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		start := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			_, diagnostics, _ := strings.Cut(string(out), "\nDiagnostics:\n")
			diagnostics, _, _ = strings.Cut(diagnostics, "\nOutputs:\n")
			t.Fatalf("docs/operations.md, %s:\n%s\n%v\n%s\n%s", section, commands, err, last(diagnostics, 60), last(string(out), 20))
		}
		t.Logf("%s\nafter %s:\n%s", commands, since(start), last(string(out), 12))
	}
}

// primaries are the pods of the database that have the primary's label.
var primaries = metav1.ListOptions{LabelSelector: "role=primary," + nameLabel + "=database"}

// onPrimary asks the primary's server, as its superuser.
func onPrimary(ctx context.Context, ns, sql string) (string, error) {
	list, err := cluster.CoreV1().Pods(ns).List(ctx, primaries)
	if err != nil || len(list.Items) != 1 {
		return "", fmt.Errorf("%d primaries: %w", len(list.Items), err)
	}
	out, err := execute(ctx, ns, list.Items[0].Name, "postgresql", "psql", "-h", "/var/run/postgresql", "-U", "postgres", "-d", "alphapulse", "-XAtqc", sql)
	return strings.TrimSpace(out), err
}

func ask(t testing.TB, ns, sql string) string {
	t.Helper()
	out, err := onPrimary(t.Context(), ns, sql)
	if err != nil {
		t.Fatalf("%s: %v: %s", sql, err, out)
	}
	return out
}

// archived waits until what has been written is in the repository.
func archived(t testing.TB, ns string) {
	t.Helper()
	segment := ask(t, ns, "SELECT pg_walfile_name(pg_switch_wal())")
	eventually(t, 3*time.Minute, "the log in the archive", func(ctx context.Context) (string, bool) {
		out, err := onPrimary(ctx, ns, "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")
		return fmt.Sprintf("%s of %s, %v", out, segment, err), err == nil && out >= segment
	})
}

// Credentials are made anew under load: no request fails, and the former ones are refused.
func testRotate(t *testing.T, ns string) {
	const ofDatabase, ofCache = "databasePassword", "cachePassword"
	shown := func(output string) string {
		t.Helper()
		return strings.TrimSpace(pulumi(t, "stack", "output", output, "--show-secrets", "--stack", backedUp))
	}
	former := map[string]string{}
	for _, output := range []string{ofDatabase, ofCache, "grafanaPassword", "prometheusPassword"} {
		former[output] = shown(output)
	}
	l := startLoad(t, &balancer{nodes: []string{nodeAddress(t)}, within: waits, failed: map[string]int{}}, outputsOf(t, backedUp))
	start := time.Now()
	operate(t, ns, "Rotate credentials", nil)
	took := since(start)
	eventually(t, 3*time.Minute, "the former login is refused", func(ctx context.Context) (string, bool) {
		out, err := onPrimary(ctx, ns, "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'alphapulse\\_user%'")
		return fmt.Sprint(out, err), out == "alphapulse_user_2027_01"
	})
	refused := since(start)
	settled(t, ns)
	all := l.settleDown(t, time.Minute)
	for output, was := range former {
		if now := shown(output); now == was || now == "" {
			t.Errorf("%s is what it was", output)
		}
	}
	for what, password := range map[string]string{"former": former[ofCache], "present": shown(ofCache)} {
		out, err := execute(t.Context(), ns, "cache-0", "redis", "redis-cli", "--no-auth-warning", "-a", password, "PING")
		if answered := strings.Contains(out, "PONG"); answered != (what == "present") {
			t.Errorf("the cache with the %s password: %q, %v", what, out, err)
		}
	}
	answers(t, outputsOf(t, backedUp))
	fmt.Printf("| rotation of five credentials, and the update that forgets the cache's former one | pages failed: %s; reads: %s; writes: %s | %s, the former login refused %s after the begin |\n",
		all["page"], all["read"], all["write"], took, refused)
	none(t, "rotation", all)
}

// A repository that is away stops nobody, and gets what it has missed.
func testArchiveAway(t *testing.T, ns string) {
	ask(t, ns, "CREATE TABLE away (n int)")
	before := ask(t, ns, "SELECT failed_count FROM pg_stat_archiver")
	store(t, ns, 0)
	for i := range 5 {
		ask(t, ns, fmt.Sprintf("INSERT INTO away VALUES (%d)", i))
		ask(t, ns, "SELECT pg_switch_wal()")
	}
	eventually(t, 3*time.Minute, "the server says so", func(ctx context.Context) (string, bool) {
		now, err := onPrimary(ctx, ns, "SELECT failed_count FROM pg_stat_archiver")
		return now + " failures, were " + before, err == nil && now != before
	})
	if n := ask(t, ns, "INSERT INTO away VALUES (5); SELECT count(*) FROM away"); n != "6" {
		t.Errorf("%s rows while the repository is away, want 6", n)
	}
	store(t, ns, 1)
	archived(t, ns)
	ask(t, ns, "DROP TABLE away")
}

// store sets how many pods serve the repository.
func store(t *testing.T, ns string, n int32) {
	t.Helper()
	const name = "backup-store"
	s, err := cluster.AppsV1().StatefulSets(ns).GetScale(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Spec.Replicas = n
	if _, err := cluster.AppsV1().StatefulSets(ns).UpdateScale(t.Context(), name, s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, fmt.Sprint(n, " pods of the repository"), func(context.Context) (string, bool) {
		now := len(pods(t, ns)[name])
		return fmt.Sprint(now), now == int(n)
	})
}

// The repository is away for so long that the log would fill the volume: an alert comes
// first, then the oldest of it is dropped, and the server never stops.
func testArchiveFull(t *testing.T, ns string) {
	const most = 512 << 20 // a quarter of the volume: databaseStorage is 2Gi
	out := outputsOf(t, backedUp)
	client := browser(t, out.CACertificate)
	number := func(sql string) int {
		t.Helper()
		n, err := strconv.Atoi(ask(t, ns, sql))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	waiting := func() int {
		return (16 << 20) * number("SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'")
	}
	size := func() int { return number("SELECT sum(size) FROM pg_ls_waldir()") }
	done := func() int { return number("SELECT archived_count FROM pg_stat_archiver") }
	fill := func() {
		t.Helper()
		ask(t, ns, "INSERT INTO full_log SELECT max(n) + 1 FROM full_log")
		for range 2 {
			ask(t, ns, "SELECT pg_logical_emit_message(false, 'test', 'x'); SELECT pg_switch_wal()")
		}
	}
	l := startLoad(t, &balancer{nodes: []string{nodeAddress(t)}, within: waits, failed: map[string]int{}}, out)
	ask(t, ns, "CREATE TABLE full_log (n int); INSERT INTO full_log VALUES (0)")
	limit := number("SELECT pg_size_bytes(current_setting('max_wal_size'))")
	store(t, ns, 0)
	start, archivedBefore := time.Now(), done()
	for size() < limit+most/2+(32<<20) {
		if waiting() > most {
			t.Fatalf("%d MiB of the log wait, and its alert cannot have come", waiting()>>20)
		}
		fill()
	}
	eventually(t, 4*time.Minute, "the alert", func(context.Context) (string, bool) {
		firing, err := ofPrometheus(t, client, out, `ALERTS{alertname="BackupArchiveQueueFull",alertstate="firing"}`)
		return fmt.Sprint(firing, err), len(firing) > 0
	})
	alert, atAlert := since(start), waiting()
	if now := done(); now != archivedBefore {
		t.Errorf("%d segments were dropped before the alert", now-archivedBefore)
	}
	// What is tried lasts up to a minute, and the next try looks at how much waits.
	largest, dropped := 0, 0
	eventually(t, 5*time.Minute, "the oldest of the log dropped", func(context.Context) (string, bool) {
		if waiting() < most+(64<<20) {
			fill()
		}
		largest, dropped = max(largest, size()), done()-archivedBefore
		return fmt.Sprintf("%d segments, %d MiB wait", dropped, waiting()>>20), dropped > 0
	})
	if bound := limit + 2*most; largest > bound {
		t.Errorf("the log took %d MiB, want at most %d", largest>>20, bound>>20)
	}
	rows, last := number("SELECT count(*) FROM full_log"), number("SELECT max(n) FROM full_log")
	if rows != last+1 {
		t.Errorf("%d rows of %d", rows, last+1)
	}
	store(t, ns, 1)
	archived(t, ns)
	operate(t, ns, "Back up", nil) // the way back begins anew with it
	all := l.settleDown(t, time.Minute)
	fmt.Printf("| the repository away until %d MiB of the log wait | acknowledged rows lost: 0 of %d; pages failed: %s; reads: %s; writes: %s | the alert after %s at %d MiB waiting, %d segments dropped later, the log's largest size %d MiB |\n",
		most>>20, rows, all["page"], all["read"], all["write"], alert, atAlert>>20, dropped, largest>>20)
	none(t, "a repository that is away for long", all)
	ask(t, ns, "DROP TABLE full_log")
}

// What cannot be restored is refused before anything of the database changes.
func testRestoreRefused(t *testing.T, ns string) {
	before := uids(t, ns)["database"]
	pulumi(t, "config", "set", "--stack", backedUp, "databaseRestore", "2020-01-01T00:00:00Z")
	out, err := try(t, "pulumi", "--", "up", "--stack", backedUp, "--yes", "--skip-preview")
	if err == nil || !strings.Contains(out, "before the end of the oldest backup") {
		t.Errorf("a restore to before the first backup: %v\n%s", err, last(out, 40))
	}
	t.Log(last(out, 12))
	if after := uids(t, ns)["database"]; !reflect.DeepEqual(before, after) {
		t.Errorf("the members were %v and are %v", before, after)
	}
	if got := ask(t, ns, "SELECT 1"); got != "1" {
		t.Errorf("the primary answers %q", got)
	}
	pulumi(t, "config", "rm", "--stack", backedUp, "databaseRestore")
	up(t, backedUp)
	if after := uids(t, ns)["database"]; !reflect.DeepEqual(before, after) {
		t.Errorf("the members were %v and are %v", before, after)
	}
}

// Every volume is gone: the repository gives back exactly the rows of a given moment.
func testVolumesDestroyed(t *testing.T, ns string) {
	ask(t, ns, "CREATE TABLE written (n int, at timestamptz)")
	ask(t, ns, "DO $$ BEGIN FOR i IN 1..100 LOOP INSERT INTO written VALUES (i, clock_timestamp()); COMMIT; PERFORM pg_sleep(0.05); END LOOP; END $$")
	at := ask(t, ns, `SELECT to_char((at + interval '20 ms') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') FROM written WHERE n = 60`)
	want := ask(t, ns, "SELECT count(*) || ' to ' || max(n) FROM written WHERE at <= '"+at+"'")
	ask(t, ns, "DROP TABLE written")
	archived(t, ns)

	start := time.Now()
	destroyVolumes(t, ns)
	gone := time.Now()
	operate(t, ns, "A table was dropped", map[string]string{"AT": at})
	if got := ask(t, ns, "SELECT count(*) || ' to ' || max(n) FROM written"); got != want {
		t.Errorf("rows %s, want %s of %s", got, want, at)
	} else {
		fmt.Printf("| all volumes destroyed, restored to %s by `pulumi up` | rows %s wanted, %s got | gone after %s, serving %s later |\n", at, want, got, gone.Sub(start).Round(time.Second), since(gone))
	}
	settled(t, ns)
	answers(t, outputsOf(t, backedUp))
	firstBackup(t, ns)
	upAgainOf(t, backedUp)
}

// destroyVolumes takes every volume of the database away, with all that is on it.
func destroyVolumes(t testing.TB, ns string) {
	t.Helper()
	claims, err := cluster.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{LabelSelector: nameLabel + "=database"})
	if err != nil || len(claims.Items) == 0 {
		t.Fatalf("%d claims: %v", len(claims.Items), err)
	}
	for _, c := range claims.Items {
		if err := cluster.CoreV1().PersistentVolumeClaims(ns).Delete(t.Context(), c.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range pods(t, ns)["database"] {
		if err := cluster.CoreV1().Pods(ns).Delete(t.Context(), p.Name, *metav1.NewDeleteOptions(0)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 2*time.Minute, "no volume of before", func(ctx context.Context) (string, bool) {
		left := ""
		for _, c := range claims.Items {
			if now, err := cluster.CoreV1().PersistentVolumeClaims(ns).Get(ctx, c.Name, metav1.GetOptions{}); err == nil && now.UID == c.UID {
				left += c.Name + " "
			}
		}
		return left, left == ""
	})
}

// upAgainOf deploys a stack once more, which changes nothing.
func upAgainOf(t *testing.T, name string) {
	t.Helper()
	out := pulumi(t, "up", "--stack", name, "--yes", "--skip-preview", "--suppress-outputs", "--expect-no-changes")
	t.Log(last(out, 4))
}
