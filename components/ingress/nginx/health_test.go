package nginx_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// pods starts an edge in front of an API of two pods.
func pods(t *testing.T, change func(*nginx.Config), handle func(pod string) http.HandlerFunc) (*edge, *backend, *backend) {
	t.Helper()
	e := startEdge(t, change, handle("first"))
	second := startBackend(t, "127.0.0.3", e.api.port, handle("second"))
	e.dns.Set("api.test", "127.0.0.2", "127.0.0.3")
	client := e.Client(t, "")
	nginxtest.Eventually(t, "the second pod is used", func() bool {
		_, _, _ = get(t, client, "https://api.example.test/")
		return len(second.seen()) > 0
	})
	return e, e.api, second
}

func send(t *testing.T, c *http.Client, method, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	require.NoError(t, err)
	code, _, body := do(t, c, r)
	return code, body
}

func TestSlowAnswersTakeNoPodFromTheOthers(t *testing.T) {
	t.Parallel()
	release, open := gate()
	defer open()
	e, first, second := pods(t, func(c *nginx.Config) { c.RequestTimeoutSeconds = 1 }, func(string) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-release
			}
		}
	})
	client := e.Client(t, "")
	var waiting sync.WaitGroup
	for range 12 { // six tries of three failures eject two pods, if they count
		waiting.Go(func() {
			code, _, _ := get(t, client, "https://api.example.test/slow")
			assert.Equal(t, http.StatusGatewayTimeout, code)
		})
	}
	waiting.Wait()
	before := [2]int{len(first.seen()), len(second.seen())}
	for range 40 {
		code, _, _ := get(t, client, "https://api.example.test/quick")
		require.Equal(t, http.StatusOK, code)
	}
	assert.Greater(t, len(first.seen()), before[0])
	assert.Greater(t, len(second.seen()), before[1])
}

// Pods that are down together and come back at the same addresses are there for the
// next request.
func TestPodsThatComeBackServeAtOnce(t *testing.T) {
	e := startEdge(t, nil, nil)
	port := e.api.port
	e.dns.Set("api.test", "127.0.0.4", "127.0.0.5")
	client := e.Client(t, "")
	nginxtest.Eventually(t, "all pods are down", func() bool {
		code, _ := send(t, client, http.MethodGet, "https://api.example.test/")
		return code == http.StatusServiceUnavailable
	})
	for range 20 {
		code, _ := send(t, client, http.MethodPost, "https://api.example.test/")
		require.Equal(t, http.StatusServiceUnavailable, code)
	}
	startBackend(t, "127.0.0.4", port, nil)
	startBackend(t, "127.0.0.5", port, nil)
	for range 20 {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			code, _ := send(t, client, method, "https://api.example.test/")
			require.Equal(t, http.StatusOK, code)
		}
	}
}

func TestAPodThatHangsCostsNoReadingRequest(t *testing.T) {
	t.Parallel()
	release, open := gate()
	defer open()
	var hangs atomic.Bool
	e, _, second := pods(t, func(c *nginx.Config) { c.RequestTimeoutSeconds = 1 }, func(pod string) http.HandlerFunc {
		return func(_ http.ResponseWriter, _ *http.Request) {
			if pod == "second" && hangs.Load() {
				<-release
			}
		}
	})
	hangs.Store(true)
	client := e.Client(t, "")
	before := len(second.seen())
	const n = 200
	for range n {
		code, _ := send(t, client, http.MethodGet, "https://api.example.test/")
		require.Equal(t, http.StatusOK, code)
	}
	assert.Less(t, len(second.seen())-before, n/4, "every second request would have waited")
}

func TestAPodThatFailsIsAvoidedAndComesBack(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			var fails atomic.Bool
			e, _, second := pods(t, nil, func(pod string) http.HandlerFunc {
				return func(w http.ResponseWriter, _ *http.Request) {
					if pod == "second" && fails.Load() {
						w.WriteHeader(status)
					}
				}
			})
			fails.Store(true)
			client := e.Client(t, "")
			before := len(second.seen())
			const n = 200
			lost := 0
			for range n {
				for range 2 {
					code, _ := send(t, client, http.MethodGet, "https://api.example.test/")
					require.Equal(t, http.StatusOK, code)
				}
				if code, _ := send(t, client, http.MethodPost, "https://api.example.test/"); code != http.StatusOK {
					lost++
				}
			}
			assert.Less(t, len(second.seen())-before, n/4, "of %d requests", 3*n)
			assert.Less(t, lost, n/10, "what writes is not repeated, but seldom gets there")
			fails.Store(false)
			nginxtest.Eventually(t, "it is asked again", func() bool {
				before := len(second.seen())
				for range 6 {
					_, _ = send(t, client, http.MethodGet, "https://api.example.test/")
				}
				return len(second.seen())-before > 1
			})
		})
	}
}

// A page that is broken on every pod is the application's own answer each time, and
// the other pages do not suffer.
func TestTheServicesOwnErrorsAreShown(t *testing.T) {
	handle := func(w http.ResponseWriter, r *http.Request) {
		if status, ok := map[string]int{"/500": 500, "/502": 502, "/503": 503, "/504": 504, "/404": 404, "/429": 429}[r.URL.Path]; ok {
			w.Header().Set("Retry-After", "77")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "the service's own words")
		}
	}
	check := func(t *testing.T, e *edge) {
		client := e.Client(t, "")
		for _, path := range []string{"/500", "/502", "/503", "/504", "/404", "/429"} {
			for range 12 {
				code, header, body := get(t, client, "https://api.example.test"+path)
				require.Equal(t, path[1:], fmt.Sprint(code))
				require.Equal(t, "the service's own words", body)
				require.Equal(t, []string{"77"}, header.Values("Retry-After"))
				code, _, _ = get(t, client, "https://api.example.test/other")
				require.Equal(t, http.StatusOK, code)
			}
		}
	}
	t.Run("one pod", func(t *testing.T) { check(t, startEdge(t, nil, handle)) })
	t.Run("two pods", func(t *testing.T) {
		e, _, _ := pods(t, nil, func(string) http.HandlerFunc { return handle })
		check(t, e)
	})
}

func TestWithoutAnyPodTheEdgeSaysSo(t *testing.T) {
	e := startEdge(t, nil, nil)
	for _, name := range []string{"ui.test", "api.test", "dashboard.test", "grafana.test", "prometheus.test"} {
		e.dns.Set(name)
	}
	client := e.Client(t, "")
	for url, isAPI := range map[string]bool{
		"https://alphapulse.example.test/":            false,
		"https://alphapulse.example.test/api/signals": true,
		"https://alphapulse.example.test/ws":          true,
		"https://api.example.test/api/signals":        true,
		"https://api.example.test/ws/streaming":       true,
		"https://dashboard.example.test/":             false,
		"https://monitoring.example.test/":            false,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			var header http.Header
			var body string
			nginxtest.Eventually(t, url+" is gone", func() bool {
				r, err := http.NewRequest(method, url, nil)
				require.NoError(t, err)
				var code int
				code, header, body = do(t, client, r)
				require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, code, url)
				return code == http.StatusServiceUnavailable
			})
			assert.Equal(t, []string{"3"}, header.Values("Retry-After"), url)
			assert.Equal(t, []string{"nosniff"}, header.Values("X-Content-Type-Options"), url)
			assert.NotContains(t, body, "nginx", url)
			if !isAPI {
				assert.Equal(t, "text/html", header.Get("Content-Type"), url)
				assert.True(t, strings.HasPrefix(body, "<!doctype html>"), url)
				assert.Contains(t, body, header.Get("X-Request-ID"), url)
				continue
			}
			assert.Equal(t, "application/problem+json", header.Get("Content-Type"), url)
			problem(t, body, http.StatusServiceUnavailable, header)
		}
	}
}

// problem checks an error as RFC 9457 writes it.
func problem(t *testing.T, body string, status int, header http.Header) {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
		RequestID           string `json:"request_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &p), body)
	assert.Equal(t, "about:blank", p.Type)
	assert.Equal(t, status, p.Status)
	assert.NotEmpty(t, p.Title)
	assert.NotEmpty(t, p.Detail)
	assert.Equal(t, header.Get("X-Request-ID"), p.RequestID)
}

func TestTheAPIsErrorsAreJSON(t *testing.T) {
	release, open := gate()
	defer open()
	e := startEdge(t, func(c *nginx.Config) {
		c.RequestTimeoutSeconds = 1
		c.Limits.WebSocketRate, c.Limits.WebSocketBurst = 1, 0
	}, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-release
		}
	})
	client := e.Client(t, "")
	expect := func(status int, url, body string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
		require.NoError(t, err)
		code, header, text := do(t, client, r)
		if assert.Equal(t, status, code, url) {
			assert.Equal(t, "application/problem+json", header.Get("Content-Type"))
			problem(t, text, status, header)
		}
	}
	expect(http.StatusGatewayTimeout, "https://api.example.test/wait", "")
	expect(http.StatusRequestEntityTooLarge, "https://api.example.test/x", strings.Repeat("x", 1<<20+1))
	nginxtest.Eventually(t, "the limit is met", func() bool {
		code, _, _ := get(t, client, "https://api.example.test/ws")
		return code == http.StatusTooManyRequests
	})
	expect(http.StatusTooManyRequests, "https://api.example.test/ws", "")
}
