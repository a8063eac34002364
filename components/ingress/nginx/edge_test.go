package nginx_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// backend is one pod behind the edge. Pods of one service differ in the address and
// share the port, so each listens on a loopback address of its own.
type backend struct {
	address string
	port    int

	mu       sync.Mutex
	requests []*http.Request
}

func (b *backend) seen() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

// startBackend answers with its address and records what it was asked; handle, when
// not nil, answers instead.
func startBackend(t *testing.T, address string, port int, handle http.HandlerFunc) *backend {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, port))
	require.NoError(t, err)
	b := &backend{address: address, port: l.Addr().(*net.TCPAddr).Port}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.requests = append(b.requests, r.Clone(context.Background()))
		b.mu.Unlock()
		if handle != nil {
			handle(w, r)
			return
		}
		_, _ = fmt.Fprintf(w, "%s %s", address, r.URL.Path)
	}))
	require.NoError(t, s.Listener.Close())
	s.Listener = l
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections() // hijacked and waiting ones
		s.Close()
	})
	return b
}

// edge is nginx in front of one pod of each service, with limits that no test meets
// by accident.
type edge struct {
	*nginxtest.Server
	dns                                     *nginxtest.DNS
	ui, api, dashboard, grafana, prometheus *backend
}

func startEdge(t *testing.T, change func(*nginx.Config), apiHandler http.HandlerFunc) *edge {
	t.Helper()
	e := &edge{dns: nginxtest.StartDNS(t)}
	c := full()
	c.Resolver = e.dns.Address
	c.Limits = nginx.Limits{
		APIRate: 1000, APIBurst: 1000, LoginRate: 1000, LoginBurst: 1000, WebSocketRate: 1000, WebSocketBurst: 1000,
		Connections: 1000, LoginPaths: []string{"/api/login"}, ExemptCIDRs: []string{"127.0.0.8/32"},
	}
	for _, s := range []struct {
		name     string
		backend  **backend
		upstream *nginx.Upstream
		handle   http.HandlerFunc
	}{
		{"ui.test", &e.ui, c.Upstreams.UI, nil},
		{"api.test", &e.api, c.Upstreams.API, apiHandler},
		{"dashboard.test", &e.dashboard, c.Upstreams.Dashboard, echo},
		{"grafana.test", &e.grafana, c.Upstreams.Grafana, nil},
		{"prometheus.test", &e.prometheus, c.Upstreams.Prometheus, nil},
	} {
		*s.backend = startBackend(t, "127.0.0.2", 0, s.handle)
		s.upstream.Address = fmt.Sprintf("%s:%d", s.name, (*s.backend).port)
		e.dns.Set(s.name, "127.0.0.2")
	}
	if change != nil {
		change(&c)
	}
	e.Server = nginxtest.Start(t, c)
	e.reached(t)
	return e
}

// unfound is set once an edge did not find a service: the others would not either, and
// each would wait for it.
var unfound atomic.Bool

// found waits until what holds, since names are looked up in the background after the
// start; not again when that never happened before.
func found(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.False(t, unfound.Load(), "an edge before found no service")
	defer func() {
		if t.Failed() {
			unfound.Store(true)
		}
	}()
	nginxtest.Eventually(t, what+" is found", holds)
}

// reached waits until every service is found.
func (e *edge) reached(t *testing.T) {
	t.Helper()
	client := e.Client(t, "127.0.0.8")
	const guarded = "https://monitoring.example.test/prometheus/"
	urls := []string{guarded}
	for _, host := range nginx.HostsOf(e.Config.Domain).All() {
		urls = append(urls, "https://"+host+"/")
	}
	for _, url := range urls {
		found(t, url, func() bool {
			r, err := http.NewRequest(http.MethodGet, url, nil)
			require.NoError(t, err)
			r.SetBasicAuth(nginx.PasswordUser, nginxtest.Password)
			if e.Config.Login.UsersFile != "" && url != guarded {
				r.SetBasicAuth("ada", nginxtest.UserPassword)
			}
			code, _, _ := do(t, client, r)
			return code < http.StatusInternalServerError
		})
	}
}

// echo answers WebSockets with what they say, anything else with its path.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		_, _ = fmt.Fprintf(w, "plain %s", r.URL.Path)
		return
	}
	// Accept compares Origin and Host: the edge must have kept the latter.
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow() //nolint:errcheck // the test ends the connection
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

// gate keeps requests waiting until it is opened; a test that fails opens it, too.
func gate() (<-chan struct{}, func()) {
	c := make(chan struct{})
	return c, sync.OnceFunc(func() { close(c) })
}

func do(t *testing.T, c *http.Client, r *http.Request) (int, http.Header, string) {
	t.Helper()
	response, err := c.Do(r)
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, string(body)
}

func get(t *testing.T, c *http.Client, url string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	return do(t, c, r)
}

func TestEachHostAndPathReachesItsService(t *testing.T) {
	e := startEdge(t, nil, nil)
	old, client := e.Client(t, ""), e.Client(t, "")
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	for url, want := range map[string]*backend{
		"https://alphapulse.example.test/":                     e.ui,
		"https://alphapulse.example.test/apiary":               e.ui,
		"https://alphapulse.example.test/wsx":                  e.ui,
		"https://alphapulse.example.test/api":                  e.api,
		"https://alphapulse.example.test/api/signals/latest":   e.api,
		"https://alphapulse.example.test/ws":                   e.api,
		"https://alphapulse.example.test/ws/streaming":         e.api,
		"https://api.example.test/health":                      e.api,
		"https://api.example.test/ws":                          e.api,
		"https://api.example.test/ws/signals":                  e.api,
		"https://dashboard.example.test/":                      e.dashboard,
		"https://dashboard.example.test/ws":                    e.dashboard,
		"https://dashboard.example.test/socket.io/":            e.dashboard,
		"https://monitoring.example.test/":                     e.grafana,
		"https://monitoring.example.test/login":                e.grafana,
		"https://monitoring.example.test/api/live/ws":          e.grafana,
		"https://monitoring.example.test/prometheus/-/healthy": e.prometheus,
	} {
		r, err := http.NewRequest(http.MethodGet, url+"?q=1", nil)
		require.NoError(t, err)
		r.SetBasicAuth(nginx.PasswordUser, nginxtest.Password)
		code, _, _ := do(t, old, r)
		assert.Equal(t, http.StatusOK, code, url)

		before := len(want.seen())
		response, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, 2, response.ProtoMajor)
		assert.Equal(t, http.StatusOK, response.StatusCode, url)
		seen := want.seen()
		if assert.Len(t, seen, before+1, "%s did not reach its service", url) {
			got := seen[before]
			assert.Equal(t, r.URL.RequestURI(), got.URL.RequestURI(), "the path and query arrive unchanged")
			assert.Equal(t, r.URL.Host, got.Host)
			assert.Equal(t, "https", got.Header.Get("X-Forwarded-Proto"))
			assert.Equal(t, "127.0.0.1", got.Header.Get("X-Forwarded-For"))
		}
	}
}

func TestHiddenPathsAreNotFound(t *testing.T) {
	e := startEdge(t, nil, nil)
	client := e.Client(t, "")
	for _, url := range []string{
		"https://api.example.test/metrics",
		"https://api.example.test/api/internal/x",
		"https://alphapulse.example.test/api/internal/x",
		"https://alphapulse.example.test/metrics",
		"https://monitoring.example.test/metrics",
		"https://api.example.test//metrics",
		"https://api.example.test/%6Detrics",
		"https://api.example.test/a/../metrics",
	} {
		code, _, _ := get(t, client, url)
		assert.Equal(t, http.StatusNotFound, code, url)
	}
}

func TestPlainHTTPIsRedirectedToThePublicPort(t *testing.T) {
	e := startEdge(t, nil, nil)
	client := e.Client(t, "")
	reached := func() (n int) {
		for _, b := range []*backend{e.ui, e.api, e.dashboard, e.grafana, e.prometheus} {
			n += len(b.seen())
		}
		return n
	}
	before := reached()
	for _, host := range nginx.HostsOf("example.test").All() {
		r, err := http.NewRequest(http.MethodPost, "http://"+host+"/a%20b/c?d=e%2Ff", strings.NewReader("x"))
		require.NoError(t, err)
		code, header, _ := do(t, client, r)
		assert.Equal(t, http.StatusPermanentRedirect, code, "308 keeps the method")
		assert.Equal(t, "https://"+host+":30443/a%20b/c?d=e%2Ff", header.Get("Location"))
		assert.Empty(t, header.Get("Strict-Transport-Security"), "browsers ignore it on plain HTTP")
	}
	assert.Equal(t, before, reached(), "no service saw a plain request")
}

func TestTheDefaultPortIsNotInTheRedirect(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) { c.PublicHTTPSPort = 443 }, nil)
	_, header, _ := get(t, e.Client(t, ""), "http://api.example.test/x")
	assert.Equal(t, "https://api.example.test/x", header.Get("Location"))
}

func TestOnlyTrustedProxiesSpeakForTheirClients(t *testing.T) {
	e := startEdge(t, nil, nil)
	ask := func(from, proto string) (int, *http.Request) {
		before := len(e.api.seen())
		r, err := http.NewRequest(http.MethodGet, "http://api.example.test/", nil)
		require.NoError(t, err)
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
		r.Header.Set("X-Forwarded-Proto", proto)
		r.Header.Set("X-Request-ID", "from-the-proxy-1")
		code, _, _ := do(t, e.Client(t, from), r)
		if seen := e.api.seen(); len(seen) > before {
			return code, seen[before]
		}
		return code, nil
	}
	code, got := ask("127.0.0.9", "https")
	require.Equal(t, http.StatusOK, code, "what the proxy received by HTTPS is not redirected again")
	assert.Equal(t, "203.0.113.7", got.Header.Get("X-Forwarded-For"))
	assert.Equal(t, "203.0.113.7", got.Header.Get("X-Real-IP"))
	assert.Equal(t, "https", got.Header.Get("X-Forwarded-Proto"))
	assert.Equal(t, "from-the-proxy-1", got.Header.Get("X-Request-ID"))

	code, _ = ask("127.0.0.9", "http")
	assert.Equal(t, http.StatusPermanentRedirect, code)
	code, _ = ask("127.0.0.1", "https")
	assert.Equal(t, http.StatusPermanentRedirect, code, "anyone can send the header")
	for _, pretended := range []string{"http:1:https", "x:1:wss", "https:1:https"} {
		code, _ = ask("127.0.0.1", pretended)
		assert.Equal(t, http.StatusPermanentRedirect, code, "a header that looks like the edge's own note: %s", pretended)
	}
	for proto, want := range map[string]int{"wss": http.StatusOK, "WSS": http.StatusOK, "ws": http.StatusPermanentRedirect} {
		code, _ = ask("127.0.0.9", proto)
		assert.Equal(t, want, code, "of a WebSocket some say %s", proto)
	}

	r, err := http.NewRequest(http.MethodGet, "https://api.example.test/", nil)
	require.NoError(t, err)
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	r.Header.Set("X-Request-ID", "from-the-client-1")
	before := len(e.api.seen())
	_, header, _ := do(t, e.Client(t, ""), r)
	got = e.api.seen()[before]
	assert.Equal(t, "127.0.0.1", got.Header.Get("X-Forwarded-For"))
	assert.Regexp(t, "^[0-9a-f]{32}$", got.Header.Get("X-Request-ID"))
	assert.Equal(t, []string{got.Header.Get("X-Request-ID")}, header.Values("X-Request-ID"), "the client can quote the id")
}

// TestAProxyThatEncryptsAgainSaysHowItWasAsked, as a Gateway does that ends TLS: what came to
// it by plain HTTP is redirected, with the public port and no other.
func TestAProxyThatEncryptsAgainSaysHowItWasAsked(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) { c.PublicHTTPSPort = 8443 }, nil)
	for _, c := range []struct {
		from, proto string
		want        int
	}{
		{"127.0.0.9", "http", http.StatusPermanentRedirect},
		{"127.0.0.9", "ws", http.StatusPermanentRedirect},
		{"127.0.0.9", "https", http.StatusOK},
		{"127.0.0.9", "wss", http.StatusOK},
		{"127.0.0.9", "", http.StatusOK},
		{"127.0.0.1", "http", http.StatusOK}, // anyone can send the header
	} {
		r, err := http.NewRequest(http.MethodGet, "https://api.example.test/x?y", nil)
		require.NoError(t, err)
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
		r.Header.Set("X-Forwarded-Proto", c.proto)
		code, header, _ := do(t, e.Client(t, c.from), r)
		assert.Equal(t, c.want, code, "%v", c)
		if c.want != http.StatusOK {
			assert.Equal(t, "https://api.example.test:8443/x?y", header.Get("Location"))
			assert.Empty(t, header.Get("Strict-Transport-Security"), "it would not count by plain HTTP")
		}
	}
}

func TestUnknownHostsAreRefused(t *testing.T) {
	e := startEdge(t, nil, nil)
	client := e.Client(t, "")
	client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true //nolint:gosec // the name is wrong on purpose
	for _, url := range []string{"http://stranger.test/", "https://stranger.test/", "http://203.0.113.1/", "https://example.test/api"} {
		code, _, _ := get(t, client, url)
		assert.Equal(t, http.StatusMisdirectedRequest, code, url)
	}
	code, _, body := get(t, client, "http://203.0.113.1"+nginx.HealthPath)
	assert.Equal(t, http.StatusOK, code)
	assert.Equal(t, "ok\n", body)
}

func TestStatusIsOnLoopbackOnly(t *testing.T) {
	e := startEdge(t, nil, nil)
	code, _, body := get(t, http.DefaultClient, fmt.Sprintf("http://127.0.0.1:%d%s", e.Config.StatusPort, nginx.StatusPath))
	assert.Equal(t, http.StatusOK, code)
	assert.Contains(t, body, "Active connections")
	_, err := http.Get(fmt.Sprintf("http://127.0.0.2:%d%s", e.Config.StatusPort, nginx.StatusPath))
	assert.Error(t, err, "another address of the pod must not answer")
	code, _, _ = get(t, e.Client(t, ""), "http://127.0.0.1"+nginx.StatusPath)
	assert.Equal(t, http.StatusMisdirectedRequest, code)
}

func TestTLS(t *testing.T) {
	e := startEdge(t, nil, nil)
	for _, host := range []string{"alphapulse.example.test", "api.example.test", "dashboard.example.test", "monitoring.example.test"} {
		code, _, _ := get(t, e.Client(t, ""), "https://"+host+"/") // verifies name and chain
		assert.Equal(t, http.StatusOK, code)
	}
	dial := func(change func(*tls.Config)) (*tls.Conn, error) {
		config := e.Client(t, "").Transport.(*http.Transport).TLSClientConfig.Clone()
		config.ServerName = "api.example.test"
		change(config)
		return tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.Config.HTTPSPort), config)
	}
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conn, err := dial(func(c *tls.Config) { c.MinVersion, c.MaxVersion, c.NextProtos = v, v, []string{"h2", "http/1.1"} })
		require.NoError(t, err, tls.VersionName(v))
		assert.Equal(t, "h2", conn.ConnectionState().NegotiatedProtocol)
		require.NoError(t, conn.Close())
	}
	_, err := dial(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	assert.Error(t, err, "TLS 1.1 must be refused")
	_, err = dial(func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	})
	assert.Error(t, err, "a CBC cipher must be refused")
}

func TestWebSockets(t *testing.T) {
	e := startEdge(t, nil, echo)
	for _, url := range []string{
		"wss://alphapulse.example.test/ws",
		"wss://alphapulse.example.test/ws/streaming",
		"wss://api.example.test/ws",
		"wss://api.example.test/ws/signals",
		"wss://api.example.test/anything",
		"wss://dashboard.example.test/ws",
		"wss://dashboard.example.test/live",
	} {
		t.Run(url, func(t *testing.T) {
			host := strings.Split(strings.TrimPrefix(url, "wss://"), "/")[0]
			conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{
				HTTPClient: e.Client(t, ""),
				HTTPHeader: http.Header{"Origin": {"https://" + host}},
			})
			require.NoError(t, err)
			defer conn.CloseNow() //nolint:errcheck // the test is over
			for _, message := range []string{"one", "two"} {
				require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(message)))
				_, got, err := conn.Read(t.Context())
				require.NoError(t, err)
				assert.Equal(t, message, string(got))
			}
		})
	}
	t.Run("a silent one stays open, on a path for WebSockets", func(t *testing.T) {
		e := startEdge(t, func(c *nginx.Config) { c.RequestTimeoutSeconds = 1 }, echo)
		dial := func(path string) *websocket.Conn {
			conn, _, err := websocket.Dial(t.Context(), "wss://api.example.test"+path, &websocket.DialOptions{HTTPClient: e.Client(t, "")})
			require.NoError(t, err)
			return conn
		}
		stays, goes := dial("/ws"), dial("/other")
		defer stays.CloseNow() //nolint:errcheck // the test is over
		_, _, err := goes.Read(t.Context())
		require.Error(t, err, "elsewhere the time-out of a request holds")
		require.NoError(t, stays.Write(t.Context(), websocket.MessageText, []byte("still here")))
		_, got, err := stays.Read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "still here", string(got))
	})
	t.Run("another protocol is not passed on", func(t *testing.T) {
		before := len(e.api.seen())
		r, err := http.NewRequest(http.MethodGet, "https://api.example.test/x", nil)
		require.NoError(t, err)
		r.Header.Set("Connection", "Upgrade, HTTP2-Settings")
		r.Header.Set("Upgrade", "h2c")
		code, _, _ := do(t, e.Client(t, ""), r)
		assert.Equal(t, http.StatusOK, code)
		assert.Empty(t, e.api.seen()[before].Header.Get("Upgrade"))
	})
}

// burst sends n requests and counts the answers by status.
func burst(t *testing.T, client *http.Client, url string, n int) map[int]int {
	t.Helper()
	codes := map[int]int{}
	for range n {
		code, _, _ := get(t, client, url)
		codes[code]++
	}
	return codes
}

func TestRateLimits(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) {
		c.Limits.APIRate, c.Limits.APIBurst = 1, 3
		c.Limits.WebSocketRate, c.Limits.WebSocketBurst = 1, 2
	}, nil)
	client := e.Client(t, "")
	const n = 30 // at one a second, far more than trickle through while they are sent
	for url, pass := range map[string]int{
		"https://api.example.test/x":  4, // the first and the burst
		"https://api.example.test/ws": 3,
	} {
		codes := burst(t, client, url, n)
		assert.Equal(t, n, codes[http.StatusOK]+codes[http.StatusTooManyRequests], "%s: %v", url, codes)
		assert.GreaterOrEqual(t, codes[http.StatusOK], pass, url)
		assert.Less(t, codes[http.StatusOK], n/2, "%s must be limited", url)
	}
	nginxtest.Eventually(t, "the UI's host is no way round, and says when to come back", func() bool {
		code, header, _ := get(t, client, "https://alphapulse.example.test/api/x")
		return code == http.StatusTooManyRequests && header.Get("Retry-After") == "1"
	})
	for _, url := range []string{"https://alphapulse.example.test/page", "https://monitoring.example.test/", "http://x.test" + nginx.HealthPath} {
		assert.Equal(t, map[int]int{http.StatusOK: n}, burst(t, client, url, n), "%s is not limited", url)
	}
	assert.Equal(t, map[int]int{http.StatusOK: n}, burst(t, e.Client(t, "127.0.0.8"), "https://api.example.test/x", n), "an exempt address")
	assert.GreaterOrEqual(t, burst(t, e.Client(t, "127.0.0.7"), "https://api.example.test/x", 4)[http.StatusOK], 4, "another address has its own share")
}

func TestLoginLimits(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) { c.Limits.LoginRate, c.Limits.LoginBurst = 1, 2 }, nil)
	client := e.Client(t, "")
	const n = 30
	for url, from := range map[string]string{"https://api.example.test/api/login": "", "https://monitoring.example.test/login": "127.0.0.7"} {
		codes := burst(t, e.Client(t, from), url, n)
		assert.GreaterOrEqual(t, codes[http.StatusOK], 3, url)
		assert.Less(t, codes[http.StatusOK], n/2, "%s must be limited", url)
	}
	assert.Greater(t, burst(t, client, "https://alphapulse.example.test/api/login", n)[http.StatusTooManyRequests], 0, "the UI's host is no way round")
	assert.Equal(t, map[int]int{http.StatusOK: n}, burst(t, client, "https://api.example.test/api/other", n))
}

func TestConnectionLimit(t *testing.T) {
	release, open := gate()
	defer open()
	var waiting atomic.Int32
	e := startEdge(t, func(c *nginx.Config) { c.Limits.Connections = 3 }, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			waiting.Add(1)
			<-release
		}
	})
	client := e.Client(t, "")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			code, _, _ := get(t, client, "https://api.example.test/wait")
			assert.Equal(t, http.StatusOK, code)
		})
	}
	nginxtest.Eventually(t, "three wait", func() bool { return waiting.Load() == 3 })
	code, header, _ := get(t, client, "https://api.example.test/x")
	assert.Equal(t, http.StatusTooManyRequests, code)
	assert.Equal(t, "1", header.Get("Retry-After"))
	code, _, _ = get(t, client, "https://alphapulse.example.test/")
	assert.Equal(t, http.StatusOK, code, "pages are not counted: a browser loads many files at once")
	code, _, _ = get(t, e.Client(t, "127.0.0.7"), "https://api.example.test/x")
	assert.Equal(t, http.StatusOK, code, "another address has its own share")
	open()
	wg.Wait()
	code, _, _ = get(t, client, "https://api.example.test/x")
	assert.Equal(t, http.StatusOK, code)
}

// Two pods behind one name.
func twoPods(t *testing.T, handle func(pod string) http.HandlerFunc) (*edge, *backend, *backend) {
	t.Helper()
	e := startEdge(t, nil, handle("first"))
	second := startBackend(t, "127.0.0.3", e.api.port, handle("second"))
	e.dns.Set("api.test", "127.0.0.2", "127.0.0.3")
	client := e.Client(t, "")
	nginxtest.Eventually(t, "the second pod is used", func() bool {
		_, _, _ = get(t, client, "https://api.example.test/")
		return len(second.seen()) > 0
	})
	return e, e.api, second
}

func TestTheLeastBusyPodIsChosen(t *testing.T) {
	release, open := gate()
	defer open()
	waiting := make(chan string, 1)
	e, first, second := twoPods(t, func(pod string) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				waiting <- pod
				<-release
			}
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = get(t, e.Client(t, ""), "https://api.example.test/wait")
	}()
	idle := map[string]*backend{"first": second, "second": first}[<-waiting]
	before := len(idle.seen())
	client := e.Client(t, "")
	for range 8 {
		_, _, _ = get(t, client, "https://api.example.test/")
	}
	assert.Len(t, idle.seen(), before+8, "every other pod would have been asked half of the time")
	open()
	<-done
}

func TestPodsThatGoAreNoLongerAsked(t *testing.T) {
	t.Parallel()
	e, first, second := twoPods(t, func(string) http.HandlerFunc { return func(http.ResponseWriter, *http.Request) {} })
	client := e.Client(t, "")
	e.dns.Set("api.test", "127.0.0.3")
	nginxtest.Eventually(t, "the first pod is left alone", func() bool {
		before := len(first.seen())
		for range 4 {
			_, _, _ = get(t, client, "https://api.example.test/")
		}
		return len(first.seen()) == before
	})
	assert.NotEmpty(t, second.seen())
}

func TestAPodThatIsDownCostsNoRequest(t *testing.T) {
	e := startEdge(t, nil, nil)
	// Nothing listens on the second address: connections to it are refused.
	e.dns.Set("api.test", "127.0.0.2", "127.0.0.3")
	client := e.Client(t, "")
	nginxtest.Eventually(t, "the pod that is down was tried", func() bool {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r, err := http.NewRequest(method, "https://api.example.test/x", strings.NewReader("body"))
			require.NoError(t, err)
			code, _, _ := do(t, client, r)
			require.Equal(t, http.StatusOK, code, method)
		}
		return strings.Contains(e.Log(), fmt.Sprintf("127.0.0.3:%d", e.api.port))
	})
}

func TestAnUnsafeRequestIsSentOnce(t *testing.T) {
	hangUp := func(string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/die" {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}
	}
	e, first, second := twoPods(t, hangUp)
	count := func(method string) (n int) {
		for _, r := range append(first.seen(), second.seen()...) {
			if r.URL.Path == "/die" && r.Method == method {
				n++
			}
		}
		return n
	}
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		r, err := http.NewRequest(method, "https://api.example.test/die", nil)
		require.NoError(t, err)
		code, header, _ := do(t, e.Client(t, ""), r)
		assert.Equal(t, http.StatusBadGateway, code)
		assert.Empty(t, header.Get("Retry-After"), "nobody knows what it has done")
	}
	assert.Equal(t, 1, count(http.MethodPost))
	assert.GreaterOrEqual(t, count(http.MethodGet), 2, "the other pod is asked, too")
}

func TestNginxStartsBeforeItsServices(t *testing.T) {
	dns := nginxtest.StartDNS(t)
	c := full()
	c.Resolver = dns.Address
	api := startBackend(t, "127.0.0.2", 0, nil)
	c.Upstreams.API.Address = fmt.Sprintf("api.test:%d", api.port)
	s := nginxtest.Start(t, c)
	client := s.Client(t, "127.0.0.8")
	code, _, _ := get(t, client, "https://api.example.test/")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	dns.Set("api.test", "127.0.0.2")
	found(t, "the service, once it is there", func() bool {
		code, _, _ := get(t, client, "https://api.example.test/")
		return code == http.StatusOK
	})
}

func TestPrometheusAsksForThePassword(t *testing.T) {
	e := startEdge(t, nil, nil)
	client := e.Client(t, "")
	before := len(e.prometheus.seen())
	ask := func(user, password string) int {
		r, err := http.NewRequest(http.MethodGet, "https://monitoring.example.test/prometheus/graph", nil)
		require.NoError(t, err)
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		code, _, _ := do(t, client, r)
		return code
	}
	assert.Equal(t, http.StatusUnauthorized, ask("", ""))
	assert.Equal(t, http.StatusUnauthorized, ask(nginx.PasswordUser, "wrong"))
	assert.Equal(t, http.StatusUnauthorized, ask("someone", nginxtest.Password))
	require.Len(t, e.prometheus.seen(), before)
	assert.Equal(t, http.StatusOK, ask(nginx.PasswordUser, nginxtest.Password))
	got := e.prometheus.seen()[before]
	assert.Empty(t, got.Header.Get("Authorization"), "the password stays at the edge")
	assert.Equal(t, "https", got.Header.Get("X-Forwarded-Proto"))
	code, header, _ := get(t, client, "https://monitoring.example.test/prometheus")
	assert.Equal(t, http.StatusPermanentRedirect, code)
	assert.Contains(t, header.Get("Location"), "/prometheus/")

	without := startEdge(t, func(c *nginx.Config) { c.PasswordFile = "" }, nil)
	for _, path := range []string{"/prometheus", "/prometheus/graph", "/prometheus/api/v1/query"} {
		code, _, _ = get(t, without.Client(t, ""), "https://monitoring.example.test"+path)
		assert.Equal(t, http.StatusNotFound, code, path)
	}
	assert.Empty(t, without.prometheus.seen())
}

// Who has the password reads logs and traces, and writes none.
func TestLogsAndTracesAskForThePassword(t *testing.T) {
	with := func(c *nginx.Config) {
		c.Upstreams.Logs, c.Upstreams.Traces = c.Upstreams.Prometheus, c.Upstreams.Prometheus
	}
	e := startEdge(t, with, nil)
	client := e.Client(t, "")
	const host = "https://monitoring.example.test"
	for path, want := range map[string]int{
		"/logs/select/vmui/": http.StatusOK, "/logs/select/logsql/query": http.StatusOK, "/jaeger/": http.StatusOK, "/jaeger/api/traces/x": http.StatusOK,
		"/logs/insert/jsonline": http.StatusNotFound, "/logs/metrics": http.StatusNotFound, "/logs/internal/force_merge": http.StatusNotFound,
	} {
		before := len(e.prometheus.seen())
		code, header := try(t, client, http.MethodGet, host+path, "")
		if want == http.StatusOK {
			assert.Equal(t, http.StatusUnauthorized, code, path)
			assert.NotEmpty(t, header.Get("Www-Authenticate"))
		}
		code, _ = try(t, client, http.MethodGet, host+path, nginxtest.Password)
		assert.Equal(t, want, code, path)
		got := e.prometheus.seen()[before:]
		if want != http.StatusOK {
			assert.Empty(t, got, path)
			continue
		}
		require.Len(t, got, 1, path)
		assert.Equal(t, path, got[0].URL.Path)
		assert.Empty(t, got[0].Header.Get("Authorization"), "the password stays at the edge")
	}
	for path, to := range map[string]string{"/logs": "/logs/select/vmui/", "/logs/": "/logs/select/vmui/", "/jaeger": "/jaeger/search"} {
		code, header, _ := get(t, client, host+path)
		assert.Equal(t, http.StatusPermanentRedirect, code)
		assert.Equal(t, to, header.Get("Location"))
	}
	without := startEdge(t, func(c *nginx.Config) { with(c); c.PasswordFile = "" }, nil)
	before := len(without.prometheus.seen())
	for _, path := range []string{"/logs/select/vmui/", "/jaeger/"} {
		_, _, _ = get(t, without.Client(t, ""), host+path)
	}
	assert.Len(t, without.prometheus.seen(), before)
}

// The time that a service has is the one that is set, no less and no more.
func TestASlowServiceIsGivenUp(t *testing.T) {
	t.Parallel()
	release, open := gate()
	defer open()
	e := startEdge(t, func(c *nginx.Config) { c.RequestTimeoutSeconds = 4 }, func(_ http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wait":
			<-release
		case "/slow":
			time.Sleep(2 * time.Second)
		}
	})
	client := e.Client(t, "")
	code, _, _ := get(t, client, "https://api.example.test/slow")
	assert.Equal(t, http.StatusOK, code)
	r, err := http.NewRequest(http.MethodPost, "https://api.example.test/wait", nil)
	require.NoError(t, err)
	code, _, _ = do(t, client, r)
	assert.Equal(t, http.StatusGatewayTimeout, code)
	// What nobody set would be a minute.
	entry := e.lines(t, "/wait", 1)[0]
	assert.Regexp(t, `^([4-9]|1[0-9])\.`, entry["upstream_seconds"])
}

func TestLargeBodies(t *testing.T) {
	e := startEdge(t, nil, nil) // 1 MiB
	for size, want := range map[int]int{1 << 20: http.StatusOK, 1<<20 + 1: http.StatusRequestEntityTooLarge} {
		r, err := http.NewRequest(http.MethodPost, "https://api.example.test/x", strings.NewReader(strings.Repeat("x", size)))
		require.NoError(t, err)
		code, _, _ := do(t, e.Client(t, ""), r)
		assert.Equal(t, want, code, size)
	}
}

func TestCompression(t *testing.T) {
	e := startEdge(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `["`+strings.Repeat("x", 4096)+`"]`)
	})
	r, err := http.NewRequest(http.MethodGet, "https://api.example.test/x", nil)
	require.NoError(t, err)
	r.Header.Set("Accept-Encoding", "gzip") // set by hand: the client leaves the answer as it is
	_, header, body := do(t, e.Client(t, ""), r)
	assert.Equal(t, "gzip", header.Get("Content-Encoding"))
	assert.Less(t, len(body), 4096)
}

func TestStoppingFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	release, open := gate()
	defer open()
	waiting := make(chan struct{}, 1)
	e := startEdge(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			waiting <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, "whole")
	})
	// One connection is idle, on another a request is under way.
	idle := e.Client(t, "")
	idle.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	code, _, _ := get(t, idle, "https://api.example.test/")
	require.Equal(t, http.StatusOK, code)
	answer := make(chan string, 1)
	go func() {
		_, _, body := get(t, e.Client(t, ""), "https://api.example.test/wait")
		answer <- body
	}()
	<-waiting
	e.Quit(t)
	nginxtest.Eventually(t, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.Config.HTTPPort))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	code, _, _ = get(t, idle, "https://api.example.test/")
	assert.Equal(t, http.StatusOK, code, "a request on an idle connection is still answered")
	open()
	assert.Equal(t, "whole", <-answer)
	assert.NoError(t, e.Exited())
	assert.Contains(t, e.Log(), `"path":"/wait"`, "nor is its line in the log lost")
}
