//go:build e2e

package e2e

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
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

// roots are the CAs that everything which is there trusts, and signed which of them made
// the members' certificates.
func roots(t *testing.T, ns string) (trusted map[string]bool, signed string) {
	t.Helper()
	trusted = map[string]bool{}
	parse := func(raw []byte) *x509.Certificate {
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, p := range slices.Concat(pods(t, ns)["database"], pods(t, ns)["database-pooler"]) {
		for _, v := range p.Spec.Volumes {
			if v.Name != "tls" || v.Secret == nil {
				continue
			}
			s, err := cluster.CoreV1().Secrets(ns).Get(t.Context(), v.Secret.SecretName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for rest := s.Data["ca.crt"]; ; {
				var block *pem.Block
				if block, rest = pem.Decode(rest); block == nil {
					break
				}
				trusted[parse(block.Bytes).Subject.CommonName] = true
			}
			block, _ := pem.Decode(s.Data["tls.crt"])
			if block == nil {
				t.Fatalf("no certificate in %s", v.Secret.SecretName)
			}
			by := parse(block.Bytes).Issuer.CommonName
			if signed != "" && by != signed {
				t.Errorf("%s is signed by %s, others by %s", p.Name, by, signed)
			}
			signed = by
		}
	}
	return trusted, signed
}

// What members and poolers know each other by is made anew under load, on two members: no
// request fails, and what was before is refused.
func testRotateInternals(t *testing.T, ns string) {
	pulumi(t, "config", "set", "--stack", backedUp, "databaseInstances", "2")
	up(t, backedUp)
	settled(t, ns)
	t.Run("Logins", func(t *testing.T) { testRotateLogins(t, ns) })
	t.Run("Authority", func(t *testing.T) { testRotateAuthority(t, ns) })
	answers(t, outputsOf(t, backedUp))
	pulumi(t, "config", "set", "--stack", backedUp, "databaseInstances", "1")
	up(t, backedUp)
	settled(t, ns)
}

// standby waits until one streams with a login, and every commit is on it.
func standby(t *testing.T, ns, login string) {
	t.Helper()
	eventually(t, 3*time.Minute, "a standby streams as "+login, func(ctx context.Context) (string, bool) {
		out, err := onPrimary(ctx, ns, "SELECT coalesce(string_agg(DISTINCT usename || ' ' || sync_state, ', '), '') FROM pg_stat_replication"+
			" WHERE state = 'streaming' AND application_name LIKE 'database-%'")
		return fmt.Sprint(out, err), err == nil && out == login+" quorum"
	})
}

func testRotateLogins(t *testing.T, ns string) {
	const (
		logins  = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin AND rolname ~ '^alphapulse_(monitor|pooler|replicator|rewinder)'"
		former  = "alphapulse_replicator"
		present = former + "_2027_01"
	)
	standby(t, ns, former)
	was := replicationPassword(t, ns)
	if err := replicates(t.Context(), ns, former, was); err != nil {
		t.Errorf("the first login: %v", err)
	}
	l := startLoad(t, &balancer{nodes: []string{nodeAddress(t)}, within: waits, failed: map[string]int{}}, outputsOf(t, backedUp))
	start := time.Now()
	operate(t, ns, "Rotate what the database's parts log in with", nil)
	took := since(start)
	eventually(t, 3*time.Minute, "the former logins are refused", func(ctx context.Context) (string, bool) {
		out, err := onPrimary(ctx, ns, logins)
		return fmt.Sprint(out, err), out == "alphapulse_monitor_2027_01 alphapulse_pooler_2027_01 "+present+" alphapulse_rewinder_2027_01"
	})
	refused := since(start)
	standby(t, ns, present)
	settled(t, ns)
	all := l.settleDown(t, time.Minute)
	now := replicationPassword(t, ns)
	if now == was {
		t.Error("the password is what it was")
	}
	if err := replicates(t.Context(), ns, present, now); err != nil {
		t.Errorf("the new login: %v", err)
	}
	for _, login := range []string{former, present} {
		if err := replicates(t.Context(), ns, login, was); err == nil {
			t.Errorf("%s logs in with the former password", login)
		}
	}
	fmt.Printf("| rotation of what the database's parts log in with, two members, and the update that forgets the former control password | pages failed: %s; reads: %s; writes: %s | %s, the former logins refused %s after the begin |\n",
		all["page"], all["read"], all["write"], took, refused)
	none(t, "rotation", all)
}

func testRotateAuthority(t *testing.T, ns string) {
	trusted, was := roots(t, ns)
	if len(trusted) != 2 || !trusted[was] {
		t.Errorf("trusted are %v, and %s signs", trusted, was)
	}
	l := startLoad(t, &balancer{nodes: []string{nodeAddress(t)}, within: waits, failed: map[string]int{}}, outputsOf(t, backedUp))
	start := time.Now()
	operate(t, ns, "Rotate the stack's own CA", nil)
	took := since(start)
	standby(t, ns, "alphapulse_replicator_2027_01")
	settled(t, ns)
	all := l.settleDown(t, time.Minute)
	after, now := roots(t, ns)
	if now == was || !trusted[now] || len(after) != 2 || after[was] {
		t.Errorf("%s signed and %v were trusted, %s signs and %v are", was, trusted, now, after)
	}
	archived(t, ns)
	fmt.Printf("| rotation of the stack's own CA, two members, and the update that forgets the former one | pages failed: %s; reads: %s; writes: %s | %s |\n",
		all["page"], all["read"], all["write"], took)
	none(t, "rotation", all)
}
