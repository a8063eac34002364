package nginx_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// as asks for a page of the API on behalf of a client, through the trusted proxy.
func (e *edge) as(t *testing.T, client, url string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Header.Set("X-Forwarded-For", client)
	code, _, _ := do(t, e.Client(t, "127.0.0.9"), r)
	return code
}

// passed sends n requests, one from each client in turn, and counts those that were
// not limited.
func (e *edge) passed(t *testing.T, n int, clients ...string) (passed int) {
	t.Helper()
	for i := range n {
		switch code := e.as(t, clients[i%len(clients)], "https://api.example.test/x"); code {
		case http.StatusOK:
			passed++
		case http.StatusTooManyRequests:
		default:
			t.Fatalf("%s: %d", clients[i%len(clients)], code)
		}
	}
	return passed
}

func TestAnIPv6ClientIsItsNetwork(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) { c.Limits.APIRate, c.Limits.APIBurst = 1, 3 }, nil)
	const n = 40 // at one a second, far more than trickle through while they are sent
	for name, c := range map[string]struct {
		clients []string
		shared  bool
	}{
		"one network of 64 bits":          {[]string{"2001:db9:0:1::1", "2001:db9:0:1::2", "2001:db9:0:1:ffff:ffff:ffff:ffff", "2001:db9:0:1:a:b:c:d"}, true},
		"networks that differ":            {[]string{"2001:db9:0:2::1", "2001:db9:0:3::1", "2001:db9:0:4::1", "2001:db9:1:2::1"}, false},
		"addresses of IPv4":               {[]string{"198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"}, false},
		"addresses of IPv4 within IPv6":   {[]string{"::ffff:203.0.113.1", "::ffff:203.0.113.2", "::ffff:203.0.113.3", "::ffff:203.0.113.4"}, false},
		"an address of IPv4 in two forms": {[]string{"::ffff:192.0.2.7", "192.0.2.7"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			passed := e.passed(t, n, c.clients...)
			if c.shared {
				assert.Less(t, passed, 3*4, "they share 1 + 3, and what a second brings")
			} else {
				assert.GreaterOrEqual(t, passed, 4*4, "each has 1 + 3")
			}
		})
	}
}

func TestNetworksOfBothFamiliesAreExemptAndTrusted(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) {
		c.Limits.APIRate, c.Limits.APIBurst = 1, 3
		c.Limits.ExemptCIDRs = []string{"127.0.0.8/32", "198.51.100.0/25", "2001:db8:1::/48"}
		c.TrustedProxies = []string{"127.0.0.9/32", "::1/128"}
	}, nil)
	const n = 30
	for client, exempt := range map[string]bool{
		"198.51.100.127": true, "198.51.100.128": false,
		"2001:db8:1:ffff::1": true, "2001:db8:2::1": false,
	} {
		passed := e.passed(t, n, client)
		assert.Equal(t, exempt, passed == n, "%s: %d of %d", client, passed, n)
	}
	if nginxtest.IPv6() {
		r, err := http.NewRequest(http.MethodGet, "http://api.example.test/x", nil)
		require.NoError(t, err)
		r.Header.Set("X-Forwarded-For", "2001:db8:1::5")
		r.Header.Set("X-Forwarded-Proto", "https")
		before := len(e.api.seen())
		code, _, _ := do(t, e.Client(t, "::1"), r)
		require.Equal(t, http.StatusOK, code)
		assert.Equal(t, "2001:db8:1::5", e.api.seen()[before].Header.Get("X-Forwarded-For"))
	}
}

// Every proxy adds the one that it heard from. The client is the last address that no
// trusted proxy has; what stands before it was the client's to invent.
func TestTheClientIsTheLastAddressThatIsNotTrusted(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) { c.TrustedProxies = []string{"127.0.0.9/32", "10.0.0.0/8", "fd00::/8"} }, nil)
	for forwarded, want := range map[string]string{
		"203.0.113.7":                     "203.0.113.7",
		"203.0.113.7, 10.1.2.3":           "203.0.113.7",
		"203.0.113.7, fd00::5, 10.1.2.3":  "203.0.113.7",
		"1.2.3.4, 203.0.113.7, 10.1.2.3":  "203.0.113.7",
		"10.9.9.9, 203.0.113.7, 10.1.2.3": "203.0.113.7",
		"2001:db8::1, 10.1.2.3":           "2001:db8::1",
		"nonsense, 203.0.113.7, 10.1.2.3": "203.0.113.7",
	} {
		before := len(e.api.seen())
		require.Equal(t, http.StatusOK, e.as(t, forwarded, "https://api.example.test/x"))
		got := e.api.seen()[before].Header
		assert.Equal(t, want, got.Get("X-Forwarded-For"), forwarded)
		assert.Equal(t, want, got.Get("X-Real-IP"), forwarded)
	}
}

// What says where a request comes from, or where it really goes, is the edge's to say.
func TestHeadersThatServicesTrustAreTheEdges(t *testing.T) {
	e := startEdge(t, nil, nil)
	for _, host := range []string{"api.example.test", "alphapulse.example.test", "monitoring.example.test"} {
		r, err := http.NewRequest(http.MethodGet, "https://"+host+"/x", nil)
		require.NoError(t, err)
		for _, h := range []string{
			"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix",
			"X-Real-IP", "X-Request-ID", "X-Original-URL", "X-Rewrite-URL", "Proxy", "X_Forwarded_For",
		} {
			r.Header[h] = []string{"from-the-client"}
		}
		b := map[string]*backend{"api.example.test": e.api, "alphapulse.example.test": e.ui, "monitoring.example.test": e.grafana}[host]
		before := len(b.seen())
		code, _, _ := do(t, e.Client(t, ""), r)
		require.Equal(t, http.StatusOK, code)
		got := b.seen()[before]
		for name, values := range got.Header {
			assert.NotContains(t, strings.Join(values, ", "), "from-the-client", name)
		}
		assert.Equal(t, "30443", got.Header.Get("X-Forwarded-Port"))
		assert.Equal(t, host, got.Header.Get("X-Forwarded-Host"))
	}
}
