//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/tests/e2e/internal/rows"
)

// commits is what writers without a pause got from one endpoint, the best of its runs.
type commits struct {
	rate float64 // acknowledged in a second
	p95  time.Duration
}

// BenchmarkCommits measures one row a transaction, from eight writers that never pause:
// of three members that commit by quorum against one, and through PgBouncer against
// straight to the primary. All of it shares the machine with its generator, so that each
// figure is the best of three runs, with the load average before the first.
// patroni_MiB is what Patroni takes in a member, as its proportional share.
func BenchmarkCommits(b *testing.B) {
	d := editable(b)
	for b.Loop() {
		d.deploy(b, "databaseInstances=1")
		b.Logf("load average with one member: %s", loadAverage(b))
		pooled, direct := mostCommits(b, throughPooler), mostCommits(b, straight)
		b.ReportMetric(patroniMiB(b), "patroni_MiB")
		d.deploy(b, "databaseInstances=3")
		b.Logf("load average with three members: %s", loadAverage(b))
		three := mostCommits(b, throughPooler)
		d.deploy(b, "databaseInstances=1")
		b.ReportMetric(three.rate/pooled.rate, "three/one_rate")
		b.ReportMetric(three.p95.Seconds()/pooled.p95.Seconds(), "three/one_p95")
		b.ReportMetric(pooled.rate/direct.rate, "pgbouncer/direct_rate")
		b.ReportMetric(pooled.p95.Seconds()/direct.p95.Seconds(), "pgbouncer/direct_p95")
		b.ReportMetric(pooled.rate, "one_commits/s")
		b.ReportMetric(three.rate, "three_commits/s")
		b.ReportMetric(milliseconds(pooled.p95), "one_p95_ms")
		b.ReportMetric(milliseconds(three.p95), "three_p95_ms")
		b.ReportMetric(0, "ns/op")
	}
}

// mostCommits is the best of three runs.
func mostCommits(b *testing.B, dial func(ctx context.Context, network, address string) (net.Conn, error)) commits {
	b.Helper()
	var best commits
	for range 3 {
		w := &rows.Load{URL: login(b, database.Name), Dial: dial, Writers: 8, Timeout: waits}
		if err := w.Prepare(b.Context()); err != nil {
			b.Fatal(err)
		}
		run := w.Start(b.Context())
		time.Sleep(loadFor)
		result := run.Stop()
		if len(result.Failures) > 0 || len(result.Acks) == 0 {
			b.Fatalf("%d of %d commits failed: a measurement with failures says nothing: %+v", len(result.Failures), len(result.Acks), result.Failures)
		}
		if rate := result.Rate(); rate > best.rate {
			best = commits{rate, result.Quantile(0.95)}
		}
	}
	return best
}

// straight connects to the primary itself, as a build does that needs a session.
func straight(ctx context.Context, _, _ string) (net.Conn, error) {
	list, err := cluster.CoreV1().Pods(namespace).List(ctx, primaries)
	if err != nil || len(list.Items) != 1 {
		return nil, fmt.Errorf("%d primaries: %w", len(list.Items), err)
	}
	p := list.Items[0]
	return from(ctx, p.Spec.NodeName, net.JoinHostPort(p.Status.PodIP, strconv.Itoa(database.Port)))
}

// patroniMiB is the memory of Patroni beside the server, of which each page that n
// processes share counts for the n-th part.
func patroniMiB(b *testing.B) float64 {
	b.Helper()
	kib := 0
	for _, pid := range processes(b, primary(b), func(command string) bool {
		return strings.Contains(command, "patroni") && !strings.HasPrefix(command, "postgres")
	}) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(raw)) {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Pss:" {
				n, err := strconv.Atoi(fields[1])
				if err != nil {
					b.Fatalf("%q: %v", line, err)
				}
				kib += n
			}
		}
	}
	return float64(kib) / 1024
}

// BenchmarkRestore backs a database of 1 GB up to a volume and restores it after all its
// volumes have been destroyed. backup_MB/s is by pgBackRest's own times; restore_s is from
// the volumes' end until the application is answered again, by ` + "`pulumi up`" + `, and wanted to
// be below 60.
func BenchmarkRestore(b *testing.B) {
	must(b, "images", "versitygw")
	ns := another(b, "e2e-bench", append(small(30380, 30743, "bench.localhost"),
		"databaseBackup=volume", "databaseBackupStorage=8Gi", "databaseStorage=10Gi")...)
	up(b, "e2e-bench")
	settled(b, ns)
	firstBackup(b, ns)
	// Half of a text of hexadecimal digits is what compression can find, as of much that
	// is stored.
	ask(b, ns, "CREATE TABLE bulk AS SELECT n, (SELECT string_agg(md5(random()::text || n || part), '') FROM generate_series(1, 31) AS part) AS line FROM generate_series(1, 1000000) AS n")
	size := number(b, ask(b, ns, "SELECT pg_database_size('"+database.Name+"')"))
	archived(b, ns)
	for b.Loop() {
		must(b, "kubectl", "--", "create", "job", "--namespace", ns, "--from=cronjob/backup-full", "bench")
		must(b, "kubectl", "--", "wait", "--namespace", ns, "--for=condition=complete", "--timeout=15m", "job/bench")
		must(b, "kubectl", "--", "delete", "job", "--namespace", ns, "bench")
		took, raw := newestBackup(b, ns)
		at := ask(b, ns, `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`)
		ask(b, ns, "CREATE TABLE after_it AS SELECT 1")
		archived(b, ns)
		b.Logf("load average before the restore: %s", loadAverage(b))
		destroyVolumes(b, ns)
		gone := time.Now()
		pulumi(b, "config", "set", "--stack", "e2e-bench", "databaseRestore", at)
		up(b, "e2e-bench")
		if n := ask(b, ns, "SELECT count(*) FROM bulk"); n != "1000000" {
			b.Fatalf("%s rows are back, want 1000000", n)
		}
		answers(b, outputsOf(b, "e2e-bench"))
		back := time.Since(gone)
		b.ReportMetric(raw/1e6/took.Seconds(), "backup_MB/s")
		b.ReportMetric(size/1e6/back.Seconds(), "restore_MB/s")
		b.ReportMetric(back.Seconds(), "restore_s")
		b.ReportMetric(size/1e6, "MB")
		b.ReportMetric(0, "ns/op")
	}
}

// newestBackup is how long it took, and how large the database was, in bytes.
func newestBackup(b *testing.B, ns string) (took time.Duration, size float64) {
	b.Helper()
	list, err := cluster.CoreV1().Pods(ns).List(b.Context(), primaries)
	if err != nil || len(list.Items) != 1 {
		b.Fatalf("%d primaries: %v", len(list.Items), err)
	}
	out, err := execute(b.Context(), ns, list.Items[0].Name, "pgbackrest", "pgbackrest", "info", "--output=json")
	if err != nil {
		b.Fatalf("pgbackrest info: %v: %s", err, out)
	}
	var stanzas []struct {
		Backup []struct {
			Info      struct{ Size float64 }
			Timestamp struct{ Start, Stop int64 }
		}
	}
	if err := json.Unmarshal([]byte(out), &stanzas); err != nil {
		b.Fatalf("pgbackrest info: %v: %s", err, out)
	}
	if len(stanzas) != 1 || len(stanzas[0].Backup) == 0 {
		b.Fatalf("pgbackrest info names no backup: %s", out)
	}
	last := stanzas[0].Backup[len(stanzas[0].Backup)-1]
	return time.Duration(last.Timestamp.Stop-last.Timestamp.Start) * time.Second, last.Info.Size
}

func number(b *testing.B, text string) float64 {
	b.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
