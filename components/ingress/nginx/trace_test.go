package nginx_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

func TestTheLogIsJSONWithoutCredentials(t *testing.T) {
	e := startEdge(t, nil, nil)
	client := e.Client(t, "")
	send := func(url string) {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer s3cr3t-in-a-header")
		r.Header.Set("Cookie", "session=s3cr3t-in-a-cookie")
		r.Header.Set("Referer", "https://alphapulse.example.test/?token=s3cr3t-in-a-referer")
		r.Header.Set("User-Agent", "quotes \" and \\ and a\ttab")
		_, _, _ = do(t, client, r)
	}
	send("https://api.example.test/found?token=s3cr3t-in-a-query")
	// A service that is gone makes nginx write errors, too.
	e.dns.Set("ui.test", "127.0.0.4")
	nginxtest.Eventually(t, "an error", func() bool {
		send("https://alphapulse.example.test/ws-like?token=s3cr3t-in-a-query")
		return strings.Contains(e.Log(), `"status":503`)
	})
	send("http://stranger.test" + nginx.HealthPath)
	send("https://api.example.test/last")
	nginxtest.Eventually(t, "the last line", func() bool { return strings.Contains(e.Log(), "/last") })

	assert.NotContains(t, e.Log(), "s3cr3t")
	assert.NotContains(t, e.Log(), nginx.HealthPath)
	var found bool
	for line := range strings.Lines(e.Log()) {
		if !strings.HasPrefix(line, "{") {
			continue // nginx' own notices
		}
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		if entry["path"] != "/found" {
			continue
		}
		found = true
		assert.Equal(t, "api.example.test", entry["host"])
		assert.Equal(t, "GET", entry["method"])
		assert.Equal(t, "https", entry["scheme"])
		assert.InDelta(t, http.StatusOK, entry["status"], 0)
		assert.IsType(t, float64(0), entry["seconds"])
		assert.Regexp(t, `^[0-9.]+$`, entry["upstream_seconds"])
		assert.Regexp(t, `^[0-9.]+$`, entry["upstream_header_seconds"])
		assert.Equal(t, "127.0.0.1", entry["client"])
		assert.Equal(t, fmt.Sprintf("127.0.0.2:%d", e.api.port), entry["upstream"])
		assert.Len(t, entry["request_id"], 32)
		assert.Equal(t, entry["request_id"], entry["trace_id"])
		assert.Equal(t, "api", entry["route"])
		assert.Equal(t, false, entry["limited"])
		assert.Equal(t, "answered", entry["upstream_state"])
	}
	assert.True(t, found)
}

// Whoever listens there gets each line, and nginx does not mind when nobody does.
func TestTheLogIsSentAsDatagrams(t *testing.T) {
	to, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = to.Close() })
	e := startEdge(t, func(c *nginx.Config) { c.LogAddress = to.LocalAddr().String() }, nil)
	client := e.Client(t, "")
	code, _, _ := get(t, client, "https://api.example.test/datagram?token=s3cr3t")
	assert.Equal(t, http.StatusOK, code)
	want := e.lines(t, "/datagram", 1)[0]
	buffer := make([]byte, 64<<10)
	require.NoError(t, to.SetReadDeadline(time.Now().Add(30*time.Second)))
	message := ""
	for !strings.Contains(message, "/datagram") { // the edge's start was a request, too
		n, _, err := to.ReadFrom(buffer)
		require.NoError(t, err)
		message = string(buffer[:n])
	}
	assert.Regexp(t, `^<190>[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} \S+ edge: \{`, message, "as RFC 3164 has it")
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(message[strings.Index(message, "{"):]), &got), message)
	assert.Equal(t, want, got)

	require.NoError(t, to.Close())
	for range 3 {
		code, _, _ := get(t, client, "https://api.example.test/nobody-listens")
		assert.Equal(t, http.StatusOK, code)
	}
	e.lines(t, "/nobody-listens", 3)
}

// lines gives the log's entries for a path, once there are as many as wanted.
func (e *edge) lines(t *testing.T, path string, n int) []map[string]any {
	t.Helper()
	var entries []map[string]any
	nginxtest.Eventually(t, path+" is in the log", func() bool {
		entries = nil
		for line := range strings.Lines(e.Log()) {
			var entry map[string]any
			if json.Unmarshal([]byte(line), &entry) == nil && entry["path"] == path {
				entries = append(entries, entry)
			}
		}
		return len(entries) >= n
	})
	return entries
}

func TestATraceIsContinuedOrStarted(t *testing.T) {
	const (
		id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
		zeroes   = "00000000000000000000000000000000"
	)
	e := startEdge(t, func(c *nginx.Config) { c.TraceSampling = 0 }, nil)
	client := e.Client(t, "")
	sent := map[string]string{}
	for given, want := range map[string]string{
		"00-" + id + "-" + span + "-01":            "00-" + id + "-" + span + "-01",
		"00-" + id + "-" + span + "-00":            "00-" + id + "-" + span + "-00",
		"cc-" + id + "-" + span + "-01":            "00-" + id + "-" + span + "-01",
		"cc-" + id + "-" + span + "-01-what-comes": "00-" + id + "-" + span + "-01",
		"":                                               "",
		"00-" + id + "-" + span + "-01-more":             "",
		"00-" + id + "-" + span + "-0":                   "",
		"ff-" + id + "-" + span + "-01":                  "",
		"00-" + zeroes + "-" + span + "-01":              "",
		"00-" + id + "-" + zeroes[:16] + "-01":           "",
		"00-" + strings.ToUpper(id) + "-" + span + "-01": "",
		"00-" + id + "-" + span + "-01, 00-" + id + "-" + span + "-01": "",
		"nonsense": "",
	} {
		path := fmt.Sprintf("/trace/%d", len(sent))
		r, err := http.NewRequest(http.MethodGet, "https://api.example.test"+path, nil)
		require.NoError(t, err)
		if given != "" {
			r.Header.Set("Traceparent", given)
		}
		r.Header.Set("Tracestate", "vendor=x")
		before := len(e.api.seen())
		_, header, _ := do(t, client, r)
		got := e.api.seen()[before].Header
		if want == "" {
			// It starts here, with the request's id, and asks nobody to keep it.
			request := header.Get("X-Request-ID")
			want = "00-" + request + "-" + request[:16] + "-00"
			assert.Empty(t, got.Get("Tracestate"), "%s: it belonged to another trace", given)
		} else {
			assert.Equal(t, "vendor=x", got.Get("Tracestate"))
		}
		assert.Equal(t, []string{want}, got.Values("Traceparent"), given)
		assert.Equal(t, []string{want}, header.Values("Traceparent"), "%s: the client can quote it", given)
		sent[path] = want
	}
	for path, want := range sent {
		entry := e.lines(t, path, 1)[0]
		assert.Equal(t, want, fmt.Sprintf("00-%s-%s-%s", entry["trace_id"], entry["span_id"], entry["trace_flags"]))
	}
}

func TestAShareOfNewTracesIsSampled(t *testing.T) {
	for share, check := range map[float64]func(sampled, n int) bool{
		1:   func(sampled, n int) bool { return sampled == n },
		0.5: func(sampled, n int) bool { return sampled > n/4 && sampled < n*3/4 },
		0:   func(sampled, _ int) bool { return sampled == 0 },
	} {
		e := startEdge(t, func(c *nginx.Config) { c.TraceSampling = share }, nil)
		client, sampled := e.Client(t, ""), 0
		const n = 200
		for range n {
			_, header, _ := get(t, client, "https://api.example.test/x")
			if strings.HasSuffix(header.Get("Traceparent"), "-01") {
				sampled++
			}
		}
		assert.True(t, check(sampled, n), "share %v: %d of %d", share, sampled, n)
	}
}

func TestTheLogTellsTheRouteAndWhatBecameOfTheRequest(t *testing.T) {
	var failed atomic.Bool
	e := startEdge(t, func(c *nginx.Config) { c.Limits.APIRate, c.Limits.APIBurst, c.RequestTimeoutSeconds = 1, 2, 1 }, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wait-for-ever":
			<-r.Context().Done()
		case "/fails-once":
			if failed.CompareAndSwap(false, true) {
				w.WriteHeader(http.StatusInternalServerError)
			}
		case "/fails":
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	free := e.Client(t, "127.0.0.8")
	urls := map[string]string{
		"https://alphapulse.example.test/route/1":        "ui answered",
		"https://alphapulse.example.test/api/route/2":    "api answered",
		"https://api.example.test/route/3":               "api answered",
		"https://api.example.test/ws/route/4":            "websocket answered",
		"https://dashboard.example.test/route/5":         "dashboard answered",
		"https://monitoring.example.test/route/6":        "grafana answered",
		"https://monitoring.example.test/prometheus/r/7": "prometheus ",
		"https://api.example.test/api/internal/route/8":  "hidden ",
		"http://stranger.test/route/9":                   "unknown ",
		"https://api.example.test/wait-for-ever":         "api late",
		"https://api.example.test/fails":                 "api failed",
		"https://api.example.test/fails-once":            "api retried",
	}
	for url := range urls {
		_, _, _ = get(t, free, url)
	}
	for url, want := range urls {
		entry := e.lines(t, "/"+strings.SplitN(url, "/", 4)[3], 1)[0]
		assert.Equal(t, want, fmt.Sprintf("%s %s", entry["route"], entry["upstream_state"]), url)
		assert.Equal(t, false, entry["limited"])
	}
	r, err := http.NewRequest(http.MethodPost, "https://api.example.test/fails", nil)
	require.NoError(t, err)
	_, _, _ = do(t, free, r)
	assert.Equal(t, "failed", e.lines(t, "/fails", 2)[1]["upstream_state"])

	limited := 0
	_ = burst(t, e.Client(t, ""), "https://api.example.test/limited", 10)
	for _, entry := range e.lines(t, "/limited", 10) {
		if entry["limited"] == true {
			limited++
			assert.InDelta(t, http.StatusTooManyRequests, entry["status"], 0)
		}
	}
	assert.Positive(t, limited)

	e.dns.Set("api.test")
	nginxtest.Eventually(t, "the API is gone", func() bool {
		code, _, _ := get(t, free, "https://api.example.test/unreached")
		return code == http.StatusServiceUnavailable
	})
	entries := e.lines(t, "/unreached", 1)
	nginxtest.Eventually(t, "the log says that nobody was reached", func() bool {
		entries = e.lines(t, "/unreached", 1)
		return entries[len(entries)-1]["upstream_state"] == "unreached"
	})
}
