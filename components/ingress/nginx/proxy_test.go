package nginx_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
)

// TestProxyProtocol: a balancer that passes connections on names the client in front of
// the first byte; it is that client's limits that count, and nothing that the client
// itself writes is believed.
func TestProxyProtocol(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) { c.ProxyProtocol = true }, nil)
	// ask is one request over a connection of its own; from is where the balancer is.
	ask := func(from, header string, port int, secure bool) (*http.Response, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_, err = fmt.Fprint(c, header)
		require.NoError(t, err)
		if secure {
			c = tls.Client(c, &tls.Config{ServerName: "api.example.test", InsecureSkipVerify: true}) //nolint:gosec // what is asked is who the client is taken for
		}
		r, err := http.NewRequest(http.MethodGet, "http://api.example.test/x", nil)
		require.NoError(t, err)
		r.Header.Set("X-Forwarded-For", "192.0.2.66")
		r.Header.Set("X-Forwarded-Proto", "https")
		if err := r.Write(c); err != nil {
			return nil, err
		}
		return http.ReadResponse(bufio.NewReader(c), r)
	}
	const names = "PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n"

	before := len(e.api.seen())
	response, err := ask("127.0.0.9", names, e.Config.HTTPSPort, true)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	got := e.api.seen()[before]
	assert.Equal(t, "203.0.113.7", got.Header.Get("X-Forwarded-For"), "the client that the balancer names")
	assert.Equal(t, "https", got.Header.Get("X-Forwarded-Proto"))

	before = len(e.api.seen())
	response, err = ask("127.0.0.1", names, e.Config.HTTPSPort, true)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, "127.0.0.1", e.api.seen()[before].Header.Get("X-Forwarded-For"), "whoever is not trusted names nobody else")

	response, err = ask("127.0.0.9", names, e.Config.HTTPPort, false)
	require.NoError(t, err)
	assert.Equal(t, http.StatusPermanentRedirect, response.StatusCode, "the client's own X-Forwarded-Proto is believed")

	_, err = ask("127.0.0.9", "", e.Config.HTTPPort, false)
	assert.Error(t, err, "a connection without the header is refused")

	health, err := http.Get("http://127.0.0.1:" + strconv.Itoa(e.Config.HealthPort) + nginx.HealthPath)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, health.StatusCode, "probes send no header")
	require.NoError(t, health.Body.Close())
}
