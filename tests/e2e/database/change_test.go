//go:build cluster

package database

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
)

// changed applies a changed plan and waits until it is there.
func changed(ctx context.Context, t *testing.T, change func(*plan)) *plan {
	t.Helper()
	p, err := newPlan()
	if err != nil {
		t.Fatal(err)
	}
	change(p)
	if err := p.apply(ctx); err != nil {
		t.Fatal(err)
	}
	// The controllers have to see it first.
	time.Sleep(3 * time.Second)
	if err := ready(ctx, p.instances); err != nil {
		t.Error(err)
	}
	return p
}

func none(t *testing.T, f figures) {
	t.Helper()
	if f.failed > 0 {
		t.Errorf("%d failed", f.failed)
	}
}

// query asks through the pooler.
func query(ctx context.Context, t *testing.T, role, in, sql string) (answer string, err error) {
	t.Helper()
	conn, err := pgx.Connect(ctx, loadAs(t, role, in).URL)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, sql).Scan(&answer)
	return answer, err
}

func TestParameterThatNeedsARestart(t *testing.T) {
	before, err := query(t.Context(), t, appRole, appDatabase, "SHOW max_connections")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"100": "120", "120": "100"}[before]
	none(t, under(t, "max_connections "+before+" → "+want, func(ctx context.Context) {
		changed(ctx, t, func(p *plan) {
			p.settings = slices.DeleteFunc(p.settings, func(s patroni.Setting) bool { return s.Name == "max_connections" })
			p.settings = append(p.settings, patroni.Setting{Name: "max_connections", Value: want})
			p.revision = "connections-" + want
		})
	}))
	if got, err := query(t.Context(), t, appRole, appDatabase, "SHOW max_connections"); err != nil || got != want {
		t.Errorf("max_connections %s, %v; want %s", got, err, want)
	}
}

func TestScaleToOneAndBack(t *testing.T) {
	none(t, under(t, "3 → 1 → 3 members", func(ctx context.Context) {
		changed(ctx, t, func(p *plan) { p.instances = 1 })
		changed(ctx, t, func(p *plan) { p.instances = 3 })
	}))
}

func TestReadersAreOnStandbys(t *testing.T) {
	if err := ready(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if got, err := query(t.Context(), t, appRole, appDatabase+"_read", "SELECT pg_is_in_recovery()::text"); err != nil || got != "true" {
		t.Errorf("read-only endpoint: in recovery %s, %v", got, err)
	}
	if got, err := query(t.Context(), t, appRole, appDatabase, "SELECT pg_is_in_recovery()::text"); err != nil || got != "false" {
		t.Errorf("endpoint: in recovery %s, %v", got, err)
	}
}

// The application's login rotates: the new one works before the old one stops, and no
// request of either fails meanwhile.
func TestLoginRotates(t *testing.T) {
	const next = appRole + "_2"
	ctx := t.Context()
	if err := ready(ctx, 3); err != nil {
		t.Fatal(err)
	}
	old := load(t)
	run := old.Start(ctx)
	begun := time.Now()
	changed(ctx, t, func(p *plan) { p.login = next })
	waitFor(t, "the new login", func() bool {
		_, err := query(ctx, t, next, appDatabase, "SELECT 1::text")
		return err == nil
	})
	accepted := time.Since(begun)
	other := loadAs(t, next, appDatabase).Start(ctx)
	time.Sleep(3 * time.Second)
	first := run.Stop()
	changed(ctx, t, func(p *plan) { p.login, p.used = next, logins(next) })
	waitFor(t, "the end of the old login", func() bool {
		conn, err := pgx.Connect(ctx, old.URL)
		if err == nil {
			_ = conn.Close(ctx)
		}
		return err != nil
	})
	refused := time.Since(begun)
	second := other.Stop()
	fmt.Printf("| rotation of the application's login | %d + %d acknowledged | %d + %d failed | accepted after %.0f s, the old one refused after %.0f s | load %s |\n",
		len(first.Acks), len(second.Acks), len(first.Failures), len(second.Failures), accepted.Seconds(), refused.Seconds(), loadAverage())
	for _, f := range append(first.Failures, second.Failures...) {
		t.Errorf("failed: %v", f.Err)
	}
	changed(ctx, t, func(p *plan) { p.login = appRole })
	waitFor(t, "the first login again", func() bool {
		_, err := query(ctx, t, appRole, appDatabase, "SELECT 1::text")
		return err == nil
	})
	changed(ctx, t, func(p *plan) { p.used = logins(appRole) })
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(4 * time.Minute); !ok(); time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatalf("%s: still not after four minutes", what)
		}
	}
}

func TestPoolersAreReplaced(t *testing.T) {
	none(t, under(t, "poolers replaced", func(ctx context.Context) {
		pods, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + poolerName})
		if err != nil {
			t.Fatal(err)
		}
		for _, pod := range pods.Items {
			if err := cluster.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Second)
			waitFor(t, "pods", func() bool {
				return ready(ctx, 3) == nil
			})
		}
	}))
}

// job runs a pod to its end and returns its log.
func job(ctx context.Context, t *testing.T, of string, pod corev1.PodTemplateSpec) (string, error) {
	t.Helper()
	jobs := cluster.BatchV1().Jobs(namespace)
	foreground := metav1.DeletePropagationForeground
	_ = jobs.Delete(ctx, of, metav1.DeleteOptions{PropagationPolicy: &foreground})
	waitFor(t, "the former job's end", func() bool { _, err := jobs.Get(ctx, of, metav1.GetOptions{}); return err != nil })
	if _, err := jobs.Create(ctx, &batchv1.Job{ObjectMeta: meta(of, nil), Spec: batchv1.JobSpec{BackoffLimit: new(int32), Template: pod}}, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	var failed bool
	waitFor(t, "job "+of, func() bool {
		j, err := jobs.Get(ctx, of, metav1.GetOptions{})
		failed = err == nil && j.Status.Failed > 0
		return failed || err == nil && j.Status.Succeeded > 0
	})
	pods, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "job-name=" + of})
	if err != nil || len(pods.Items) == 0 {
		return "", fmt.Errorf("no pod of job %s: %w", of, err)
	}
	raw, err := cluster.CoreV1().Pods(namespace).GetLogs(pods.Items[0].Name, &corev1.PodLogOptions{}).DoRaw(ctx)
	if failed {
		err = fmt.Errorf("job %s failed: %s", of, raw)
	}
	return string(raw), err
}
