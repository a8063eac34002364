//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// replicationPassword is that of the members that run.
func replicationPassword(t *testing.T, ns string) string {
	t.Helper()
	for _, p := range pods(t, ns)["database"] {
		for _, c := range p.Spec.Containers {
			for _, from := range c.EnvFrom {
				if from.SecretRef == nil || !strings.HasPrefix(from.SecretRef.Name, "database-credentials-") {
					continue
				}
				s, err := cluster.CoreV1().Secrets(ns).Get(t.Context(), from.SecretRef.Name, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return string(s.Data["PATRONI_REPLICATION_PASSWORD"])
			}
		}
	}
	t.Fatal("no member has a password for replication")
	return ""
}

// replicates logs in to the first member's server for replication, over TLS.
func replicates(ctx context.Context, ns, login, password string) error {
	out, err := execute(ctx, ns, "database-g1-0", "postgresql", "env", "PGPASSWORD="+password, "psql", "-XAtq", "-c", "IDENTIFY_SYSTEM",
		"host=127.0.0.1 user="+login+" replication=true sslmode=require connect_timeout=10")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// What members and poolers log in with is made anew under load, with a standby that logs
// in with it, too: no request fails, and the former logins are refused.
func testRotateInternal(t *testing.T, ns string) {
	pulumi(t, "config", "set", "--stack", backedUp, "databaseInstances", "2")
	up(t, backedUp)
	settled(t, ns)
	const (
		streaming = "SELECT coalesce(string_agg(DISTINCT usename || ' ' || sync_state, ', '), '') FROM pg_stat_replication WHERE state = 'streaming' AND application_name LIKE 'database-%'"
		logins    = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin AND rolname ~ '^alphapulse_(monitor|pooler|replicator|rewinder)'"
		former    = "alphapulse_replicator"
		present   = former + "_2027_01"
	)
	seen := func(what, sql, want string) {
		t.Helper()
		eventually(t, 3*time.Minute, what, func(ctx context.Context) (string, bool) {
			out, err := onPrimary(ctx, ns, sql)
			return fmt.Sprint(out, err), err == nil && out == want
		})
	}
	seen("the standby streams", streaming, former+" quorum")
	was := replicationPassword(t, ns)
	if err := replicates(t.Context(), ns, former, was); err != nil {
		t.Errorf("the first login: %v", err)
	}
	l := startLoad(t, &balancer{nodes: []string{nodeAddress(t)}, within: waits, failed: map[string]int{}}, outputsOf(t, backedUp))
	start := time.Now()
	operate(t, ns, "Rotate what the database's parts log in with", nil)
	took := since(start)
	seen("the former logins are refused", logins, "alphapulse_monitor_2027_01 alphapulse_pooler_2027_01 "+present+" alphapulse_rewinder_2027_01")
	refused := since(start)
	seen("the standby streams with the new login", streaming, present+" quorum")
	settled(t, ns)
	all := l.settleDown(t, time.Minute)
	now := replicationPassword(t, ns)
	if now == was {
		t.Error("the password is what it was")
	}
	if err := replicates(t.Context(), ns, present, now); err != nil {
		t.Errorf("the new login: %v", err)
	}
	for login, password := range map[string]string{former: was, present: was} {
		if err := replicates(t.Context(), ns, login, password); err == nil {
			t.Errorf("%s logs in with the former password", login)
		}
	}
	fmt.Printf("| rotation of what the database's parts log in with, two members, and the update that forgets the former control password | pages failed: %s; reads: %s; writes: %s | %s, the former logins refused %s after the begin |\n",
		all["page"], all["read"], all["write"], took, refused)
	none(t, "rotation", all)
	answers(t, outputsOf(t, backedUp))
	pulumi(t, "config", "set", "--stack", backedUp, "databaseInstances", "1")
	up(t, backedUp)
	settled(t, ns)
}
