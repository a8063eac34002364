//go:build cluster

package database

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// backedUp makes the stanza and a backup, if there is none.
func backedUp(t *testing.T, p *plan, kind string) {
	t.Helper()
	if _, err := job(t.Context(), t, "stanza", p.backupPod([]string{"pgbackrest", "stanza-create"})); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	log, err := job(t.Context(), t, "backup", p.backupPod([]string{"pgbackrest", "--type=" + kind, "backup"}))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, "backup size") || strings.Contains(line, "standby") {
			t.Log(strings.TrimSpace(line))
		}
	}
	fmt.Printf("| %s backup | %.0f s | load %s |\n", kind, time.Since(start).Seconds(), loadAverage())
}

func TestBackupAndProof(t *testing.T) {
	p, err := newPlan()
	if err != nil {
		t.Fatal(err)
	}
	f := under(t, "a backup and its proof", func(context.Context) {
		backedUp(t, p, "full")
		start := time.Now()
		log, err := job(t.Context(), t, "proof", p.restorePod(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}, "prove"))
		if err != nil {
			t.Fatal(err)
		}
		i := strings.LastIndex(log, `{"time"`)
		if i < 0 || !strings.Contains(log[i:], "can be restored") {
			t.Errorf("no report: %s", log)
		} else {
			t.Log(strings.TrimSpace(log[i:]))
		}
		fmt.Printf("| proof | %.0f s | load %s |\n", time.Since(start).Seconds(), loadAverage())
	})
	none(t, f)
}

// All volumes are gone: the repository gives back exactly the rows of a given second.
func TestAllVolumesDestroyed(t *testing.T) {
	ctx := t.Context()
	if err := ready(ctx, 3); err != nil {
		t.Fatal(err)
	}
	p, err := newPlan()
	if err != nil {
		t.Fatal(err)
	}
	l := load(t)
	run := l.Start(ctx)
	time.Sleep(2 * time.Second)
	backedUp(t, p, "full")
	time.Sleep(3 * time.Second)
	text, err := query(ctx, t, appRole, appDatabase, `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	result := run.Stop()
	want, err := query(ctx, t, appRole, appDatabase, fmt.Sprintf("SELECT count(*)::text FROM written WHERE run = %d AND at <= '%s'", result.Number, text))
	if err != nil {
		t.Fatal(err)
	}
	// The archive gets the last of it within a minute, without a word.
	lead := primary(t).Name
	waitFor(t, "the archive", func() bool {
		out, err := execute(ctx, lead, "postgresql", "psql", "-h", socketDir, "-AtXc", "SELECT last_archived_time > '"+text+"'::timestamptz + interval '3 s' FROM pg_stat_archiver")
		return err == nil && strings.TrimSpace(out) == "t"
	})

	start := time.Now()
	foreground := metav1.DeletePropagationForeground
	if err := cluster.AppsV1().StatefulSets(namespace).Delete(ctx, p.scope(), metav1.DeleteOptions{PropagationPolicy: &foreground, GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		_ = cluster.CoreV1().Pods(namespace).Delete(ctx, fmt.Sprintf("%s-%d", p.scope(), i), *metav1.NewDeleteOptions(0))
		if err := cluster.CoreV1().PersistentVolumeClaims(namespace).Delete(ctx, fmt.Sprintf("data-%s-%d", p.scope(), i), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
	waitFor(t, "the end of the volumes", func() bool {
		claims, err := cluster.CoreV1().PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{})
		n := 0
		for _, c := range claims.Items {
			if strings.HasPrefix(c.Name, "data-"+p.scope()) {
				n++
			}
		}
		return err == nil && n == 0
	})
	gone := time.Since(start)

	p.generation = fmt.Sprintf("-g%d", time.Now().Unix()%100000)
	claimName := "data-" + p.scope() + "-0"
	if _, err := cluster.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: meta(claimName, nil), Spec: claim("4Gi")}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	filled := time.Now()
	log, err := job(ctx, t, "fill", p.restorePod(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName}}, "fill", "-archive", "-target", text))
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.LastIndex(log, `{"time"`); i >= 0 {
		t.Log(strings.TrimSpace(log[i:]))
	}
	fill := time.Since(filled)
	if err := p.apply(ctx); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the restored database", func() bool {
		one, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err := query(one, t, appRole, appDatabase, "SELECT 1::text")
		return err == nil
	})
	serving := time.Since(start)
	got, err := query(ctx, t, appRole, appDatabase, fmt.Sprintf("SELECT count(*)::text FROM written WHERE run = %d", result.Number))
	if err != nil || got != want {
		t.Errorf("%s rows, %v; want %s of %s", got, err, want, text)
	}
	fmt.Printf("| all volumes destroyed → restored to a second | %s rows wanted, %s got | gone after %.0f s, filled in %.0f s, serving after %.0f s | load %s |\n",
		want, got, gone.Seconds(), fill.Seconds(), serving.Seconds(), loadAverage())
	if err := ready(ctx, 3); err != nil {
		t.Error(err)
	}
}

// The archive is away, and comes back.
func TestArchiveAway(t *testing.T) {
	p, err := newPlan()
	if err != nil {
		t.Fatal(err)
	}
	backedUp(t, p, "incr")
	scale := func(ctx context.Context, n int32) {
		s, err := cluster.AppsV1().Deployments(namespace).GetScale(ctx, s3Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.Spec.Replicas = n
		if _, err := cluster.AppsV1().Deployments(namespace).UpdateScale(ctx, s3Name, s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	none(t, under(t, "archive away for 40 s", func(ctx context.Context) {
		scale(ctx, 0)
		time.Sleep(40 * time.Second)
		scale(ctx, 1)
	}))
	lead := primary(t).Name
	waitFor(t, "the archive goes on", func() bool {
		out, err := execute(t.Context(), lead, "postgresql", "psql", "-h", socketDir, "-AtXc", "SELECT last_archived_time > last_failed_time FROM pg_stat_archiver")
		return err == nil && strings.TrimSpace(out) == "t"
	})
}
