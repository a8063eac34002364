//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
)

// testHandshakes compares what Prometheus says of handshakes that fail with how many did.
func (g *gate) testHandshakes(t *testing.T) {
	client := browser(t, g.pair.Root)
	count := func(ctx context.Context) (float64, error) {
		values, err := ofPrometheus(t, client, g.out, `sum(edge_tls_failures_total{job="edge",reason="certificate"}) or vector(0)`)
		if err != nil || len(values) != 1 {
			return 0, fmt.Errorf("%v: %w", values, err)
		}
		return values[0], nil
	}
	var before float64
	eventually(t, time.Minute, "Prometheus answers", func(ctx context.Context) (seen string, ok bool) {
		var err error
		before, err = count(ctx)
		return fmt.Sprint(before, err), err == nil
	})
	const tried = 50
	suspicious := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: nginx.HostsOf("dev.localhost").UI}
	for range tried {
		conn, err := g.dial(t.Context(), "tcp", "edge:30443")
		if err != nil {
			t.Fatal(err)
		}
		if err := tls.Client(conn, suspicious).HandshakeContext(t.Context()); err == nil {
			t.Fatal("a certificate of an unknown authority is taken")
		}
		_ = conn.Close()
	}
	eventually(t, time.Minute, "what has failed is counted", func(ctx context.Context) (string, bool) {
		now, err := count(ctx)
		return fmt.Sprintf("%.0f of %d, %v", now-before, tried, err), err == nil && now-before >= tried
	})
}
