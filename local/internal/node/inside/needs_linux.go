package inside

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// needs tells processes when what they need is there.
type needs struct {
	checks map[plan.Need]func(context.Context) bool
}

func newNeeds(h topology.Host) *needs {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		// Read at each attempt's connection: cheap, and the files are surely there.
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			cert, err := tls.LoadX509KeyPair(plan.PKI+"/kubelet.crt", plan.PKI+"/kubelet.key")
			if err != nil {
				return nil, err
			}
			ca, err := os.ReadFile(plan.PKI + "/ca.crt")
			if err != nil {
				return nil, err
			}
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(ca)
			d := tls.Dialer{Config: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}}
			return d.DialContext(ctx, network, addr)
		},
	}}
	get := func(ctx context.Context, path, with string) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Cluster.APIServer()+path, nil)
		if err != nil {
			return false
		}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		return err == nil && resp.StatusCode == http.StatusOK && bytes.Contains(body, []byte(with))
	}
	object := "/api/v1/nodes/" + h.Name()
	return &needs{checks: map[plan.Need]func(context.Context) bool{
		plan.NeedAPI:     func(ctx context.Context) bool { return get(ctx, "/readyz", "ok") },
		plan.NeedNode:    func(ctx context.Context) bool { return get(ctx, object, "") },
		plan.NeedAddress: func(ctx context.Context) bool { return get(ctx, object, `"type":"InternalIP"`) },
		plan.NeedContainerd: func(ctx context.Context) bool {
			c, err := (&net.Dialer{}).DialContext(ctx, "unix", plan.Containerd)
			if err != nil {
				return false
			}
			return c.Close() == nil
		},
	}}
}

// wait returns true when the need is met and false when ctx has ended.
func (n *needs) wait(ctx context.Context, what plan.Need) bool {
	for !n.checks[what](ctx) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return true
}
