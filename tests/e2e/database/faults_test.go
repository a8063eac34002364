//go:build cluster

package database

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// figures are what the writers saw around one event.
type figures struct {
	lost, failed, early int
	outage              time.Duration
}

// under runs an event while the writers write, and reports what they saw. The event
// returns when the fault is there.
func under(t *testing.T, what string, event func(ctx context.Context)) figures {
	t.Helper()
	if err := ready(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	l := load(t)
	before := loadAverage()
	run := l.Start(t.Context())
	time.Sleep(3 * time.Second)
	at := time.Now()
	event(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	err := run.After(ctx, time.Now(), 100)
	time.Sleep(3 * time.Second)
	result := run.Stop()
	if err != nil {
		t.Errorf("writes did not come back: %v", err)
	}
	for i, f := range result.Failures {
		if i < 5 {
			t.Logf("failed %.1f s after the event, after %.1f s: %v", f.At.Sub(at).Seconds(), f.Took.Seconds(), f.Err)
		}
	}
	verify, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lost, err := l.Verify(verify, result)
	if err != nil {
		t.Error(err)
	}
	f := figures{len(lost), len(result.Failures), len(result.Early(l.Timeout)), result.Outage(at)}
	fmt.Printf("| %s | %d acknowledged, %.0f/s | %d lost | %d failed (%d early) | %.1f s | slowest %.1f s | load %s |\n",
		what, len(result.Acks), result.Rate(), f.lost, f.failed, f.early, f.outage.Seconds(), result.Slowest().Seconds(), before)
	if f.lost > 0 {
		t.Errorf("%d acknowledged rows are lost, the first %+v", f.lost, lost[0])
	}
	if err := ready(t.Context(), 3); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	return f
}

// in runs a command in a pod of the database.
func in(ctx context.Context, t *testing.T, pod string, command ...string) {
	t.Helper()
	if _, err := execute(ctx, pod, "postgresql", command...); err != nil {
		t.Error(err)
	}
}

func TestQuiet(t *testing.T) {
	if f := under(t, "nothing", func(context.Context) {}); f.failed > 0 {
		t.Errorf("%d failed", f.failed)
	}
}

func TestServerKilled(t *testing.T) {
	pod := primary(t).Name
	under(t, "kill -9 of the primary's server", func(ctx context.Context) {
		in(ctx, t, pod, "bash", "-c", "kill -9 $(head -1 "+dataDir+"/postmaster.pid)")
	})
}

func TestPrimaryDeleted(t *testing.T) {
	pod := primary(t).Name
	if f := under(t, "primary's pod deleted", func(ctx context.Context) {
		if err := cluster.CoreV1().Pods(namespace).Delete(ctx, pod, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
	}); f.failed > 0 {
		t.Errorf("%d failed", f.failed)
	}
}

func TestPrimaryDeletedByForce(t *testing.T) {
	pod := primary(t).Name
	under(t, "primary's pod deleted by force", func(ctx context.Context) {
		if err := cluster.CoreV1().Pods(namespace).Delete(ctx, pod, *metav1.NewDeleteOptions(0)); err != nil {
			t.Error(err)
		}
	})
}
