package nginx_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

// startSecure is a pod that speaks TLS with a certificate for a name, of the CA that is made
// of a seed, and the port that it has.
func startSecure(t *testing.T, address string, port int, seed, name string, handle http.HandlerFunc) int {
	t.Helper()
	pair, err := certs.Internal(seed, name, []string{name}, time.Now())
	require.NoError(t, err)
	certificate, err := tls.X509KeyPair([]byte(pair.Certificate), []byte(pair.Key))
	require.NoError(t, err)
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, port))
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(handle)
	require.NoError(t, s.Listener.Close())
	s.Listener, s.TLS = l, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// TestServicesProveTheirNames: a service that speaks TLS is asked so, by a WebSocket, too,
// and one that is not who it should be is told nothing.
func TestServicesProveTheirNames(t *testing.T) {
	const seed, next, unknown = "a seed of at least thirty-two bytes", "the seed after it, of thirty-two bytes", "some other seed of thirty-two bytes"
	file := filepath.Join(t.TempDir(), "ca.crt")
	var roots string
	for _, s := range []string{seed, next} {
		root, err := certs.InternalRoot(s)
		require.NoError(t, err)
		roots += root
	}
	require.NoError(t, os.WriteFile(file, []byte(roots), 0o644)) //nolint:gosec // it is public
	const first = "127.0.0.2"
	port := startSecure(t, first, 0, seed, "dashboard-pods", echo)
	e := startEdge(t, func(c *nginx.Config) {
		c.UpstreamRootsFile = file
		c.Upstreams.Dashboard.Address, c.Upstreams.Dashboard.TLSName = fmt.Sprintf("dashboard.test:%d", port), "dashboard-pods"
	}, nil)
	client := e.Client(t, "")
	const url = "https://dashboard.example.test/x"
	code, _, body := get(t, client, url)
	require.Equal(t, http.StatusOK, code)
	assert.Equal(t, "plain /x", body)
	socket, _, err := websocket.Dial(t.Context(), "wss://dashboard.example.test/ws", &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: http.Header{"Origin": {"https://dashboard.example.test"}},
	})
	require.NoError(t, err)
	defer socket.CloseNow() //nolint:errcheck // the test is over
	require.NoError(t, socket.Write(t.Context(), websocket.MessageText, []byte("hello")))
	_, message, err := socket.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "hello", string(message))
	code, _, _ = get(t, client, "https://api.example.test/x")
	assert.Equal(t, http.StatusOK, code, "those without TLS go on")

	for i, c := range []struct {
		what, seed, name string
		want             int
	}{
		{"another service", seed, "ui-pods", http.StatusServiceUnavailable},
		{"of the next CA", next, "dashboard-pods", http.StatusOK},
		{"of an unknown CA", unknown, "dashboard-pods", http.StatusServiceUnavailable},
	} {
		var asked atomic.Int64
		address := fmt.Sprintf("127.0.0.%d", 20+i)
		startSecure(t, address, port, c.seed, c.name, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			echo(w, r)
		})
		e.dns.Set("dashboard.test", address)
		nginxtest.Eventually(t, c.what, func() bool {
			code, _, _ := get(t, client, url)
			return code == c.want && (asked.Load() > 0) == (c.want == http.StatusOK)
		})
		if c.want != http.StatusOK {
			assert.Zero(t, asked.Load(), "%s is told what a client sent", c.what)
		}
	}
}

// TestWhatNeedsNoLoginIsAskedOverTLS: paths of the API beside the login are its, too.
func TestWhatNeedsNoLoginIsAskedOverTLS(t *testing.T) {
	const seed = "a seed of at least thirty-two bytes"
	root, err := certs.InternalRoot(seed)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(file, []byte(root), 0o644)) //nolint:gosec // it is public
	port := startSecure(t, "127.0.0.2", 0, seed, "api-pods", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // one that is kept speaks TLS wherever it is used again
		echo(w, r)
	})
	e := guarded(t, func(c *nginx.Config) {
		c.UpstreamRootsFile = file
		c.Upstreams.API.Address, c.Upstreams.API.TLSName = fmt.Sprintf("api.test:%d", port), "api-pods"
	})
	client := e.Client(t, "")
	for _, url := range []string{"https://api.example.test/hooks/x", "https://alphapulse.example.test/api/hooks/pay"} {
		code, _, _ := get(t, client, url)
		assert.Equal(t, http.StatusOK, code, url)
	}
}
