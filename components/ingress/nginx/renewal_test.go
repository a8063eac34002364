package nginx_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

// issuer is the name of the CA of the certificate that a new connection is shown.
func (e *edge) issuer(t *testing.T) string {
	t.Helper()
	config := e.Client(t, "").Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "api.example.test"
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.Config.HTTPSPort), config)
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // the handshake is over
	return conn.ConnectionState().PeerCertificates[0].Issuer.CommonName
}

// A certificate with another key is mounted while clients come and stay.
func TestARenewedCertificateIsServedWithoutARestartOrALostRequest(t *testing.T) {
	t.Parallel()
	e := startEdge(t, nil, nil)
	renewed, err := certs.Development(nginxtest.Seed+", renewed", nginx.HostsOf("example.test").All(), time.Now())
	require.NoError(t, err)
	e.Trust(t, renewed)
	workers := e.Workers(t)
	before := e.issuer(t)

	var asked, lost atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			stays := i%2 == 0
			client := e.Client(t, "127.0.0.8")
			client.Transport.(*http.Transport).DisableKeepAlives = !stays
			for {
				select {
				case <-stop:
					return
				default:
				}
				response, err := client.Get("https://api.example.test/x")
				asked.Add(1)
				if err != nil {
					lost.Add(1)
					t.Log(err)
					continue
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
					lost.Add(1)
				}
				_ = response.Body.Close()
			}
		})
	}
	e.Renew(t, renewed)
	since := time.Now()
	nginxtest.Eventually(t, "every worker shows the new certificate", func() bool {
		for range 20 {
			if e.issuer(t) == before {
				return false
			}
		}
		return true
	})
	close(stop)
	clients.Wait()
	t.Logf("served after %s, %d requests meanwhile, %d lost", time.Since(since).Round(time.Second), asked.Load(), lost.Load())
	assert.Zero(t, lost.Load(), "of %d requests", asked.Load())
	assert.Greater(t, asked.Load(), int64(100))
	assert.Equal(t, workers, e.Workers(t), "the same processes go on")
}
