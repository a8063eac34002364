package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

func newRouter(t *testing.T, timeout time.Duration) (*Router, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	return NewRouter(slog.New(slog.DiscardHandler), registry, timeout), registry
}

func get(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestErrorsHaveTheirStatus(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		body   string
	}{
		"bad input":      {&BadInput{"limit", "too large"}, 400, `{"error":"limit: too large","field":"limit"}`},
		"not found":      {fmt.Errorf("x: %w", store.ErrNotFound), 404, `{"error":"not found"}`},
		"own status":     {&StatusError{415, "send JSON"}, 415, `{"error":"send JSON"}`},
		"no database":    {fmt.Errorf("x: %w", &store.Unavailable{Reason: "gone"}), 503, `{"error":"the database cannot be used: gone"}`},
		"too slow":       {fmt.Errorf("x: %w", context.DeadlineExceeded), 504, `{"error":"no answer within 1m0s"}`},
		"gone client":    {context.Canceled, 499, `{"error":"the client closed the request"}`},
		"a bug":          {errors.New("secret detail"), 500, `{"error":"internal error"}`},
		"too large body": {&http.MaxBytesError{Limit: 5}, 413, `{"error":"the body is larger than 5 bytes"}`},
	} {
		t.Run(name, func(t *testing.T) {
			router, _ := newRouter(t, time.Minute)
			router.Handle("GET /x", func(http.ResponseWriter, *http.Request) error { return c.err })
			w := get(router, "GET", "/x")
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, c.status, c.body)
			}
			if w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("content type %q", w.Header().Get("Content-Type"))
			}
			if retry := w.Header().Get("Retry-After") != ""; retry != (c.status == 503) {
				t.Errorf("Retry-After: %v", retry)
			}
		})
	}
}

func TestMetricsHaveBoundedLabels(t *testing.T) {
	router, registry := newRouter(t, time.Minute)
	router.Handle("GET /api/symbols/{symbol}/candles", func(w http.ResponseWriter, _ *http.Request) error {
		WriteJSON(w, 200, []byte("{}"))
		return nil
	})
	for i := range 20 {
		get(router, "GET", fmt.Sprintf("/api/symbols/S%d/candles", i))
		get(router, "GET", fmt.Sprintf("/nowhere/%d", i))
		get(router, fmt.Sprintf("METHOD%d", i), "/api/symbols/x/candles")
	}
	want := `
		# HELP http_requests_total Requests by method, route pattern and status.
		# TYPE http_requests_total counter
		http_requests_total{method="GET",route="/api/symbols/{symbol}/candles",status="200"} 20
		http_requests_total{method="GET",route="other",status="404"} 20
		http_requests_total{method="other",route="other",status="405"} 20
	`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "http_requests_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(router.metrics.duration); n != 3 {
		t.Errorf("%d durations", n)
	}
}

func TestPanicIsAnAnswer(t *testing.T) {
	var logged bytes.Buffer
	router := NewRouter(slog.New(slog.NewJSONHandler(&logged, nil)), prometheus.NewRegistry(), time.Minute)
	router.Handle("GET /x", func(http.ResponseWriter, *http.Request) error { panic("at the disco") })
	if w := get(router, "GET", "/x"); w.Code != 500 || strings.Contains(w.Body.String(), "disco") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(logged.String(), "at the disco") || !strings.Contains(logged.String(), "httpx_test.go") {
		t.Errorf("the log has no panic with its stack: %s", &logged)
	}
	if n := testutil.ToFloat64(router.metrics.requests.WithLabelValues("GET", "/x", "500")); n != 1 {
		t.Errorf("counted %v times", n)
	}
}

func TestRequestsTimeOut(t *testing.T) {
	router, _ := newRouter(t, 20*time.Millisecond)
	router.Handle("GET /slow", func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return r.Context().Err()
	})
	if w := get(router, "GET", "/slow"); w.Code != http.StatusGatewayTimeout {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A stopping server must answer everything that reaches it, and say that it stops.
func TestDrain(t *testing.T) {
	router, _ := newRouter(t, time.Minute)
	inside, leave := make(chan struct{}), make(chan struct{})
	router.Handle("GET /slow", func(w http.ResponseWriter, _ *http.Request) error {
		close(inside)
		<-leave
		WriteJSON(w, 200, []byte(`"slow"`))
		return nil
	})
	router.Handle("GET /fast", func(w http.ResponseWriter, _ *http.Request) error {
		WriteJSON(w, 200, []byte(`"fast"`))
		return nil
	})
	address := make(chan string, 1)
	var drained atomic.Bool
	server := &Server{
		Address: "127.0.0.1:0", Router: router, DrainTime: 500 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
		OnDrain:   func() { drained.Store(true) },
		Listening: func(a net.Addr) { address <- a.String() },
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	base := "http://" + <-address

	slow := make(chan string, 1)
	go func() {
		body, err := fetch(base + "/slow")
		slow <- fmt.Sprint(body, err)
	}()
	<-inside
	if r, err := http.Get(base + "/fast"); err != nil || r.Close {
		t.Fatalf("before the stop: %v, %v", r, err)
	}
	stop()
	for !router.Draining() {
		time.Sleep(time.Millisecond)
	}
	response, err := http.Get(base + "/fast")
	if err != nil {
		t.Fatalf("while draining: %v", err)
	}
	if response.StatusCode != 200 || !response.Close {
		t.Errorf("while draining: %s, Connection: close is %v", response.Status, response.Close)
	}
	if !drained.Load() {
		t.Error("OnDrain did not run")
	}
	// New connections end with the drain, the old request does not.
	for {
		if _, err := fetch(base + "/fast"); err != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	select {
	case err := <-done:
		t.Fatalf("the server ended under a running request: %v", err)
	default:
	}
	close(leave)
	if got := <-slow; got != `"slow"<nil>` {
		t.Errorf("the running request got %s", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func fetch(url string) (string, error) {
	r, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	router, _ := newRouter(t, time.Minute)
	err = (&Server{Address: l.Addr().String(), Router: router, Log: slog.New(slog.DiscardHandler)}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsAreJSONWhateverTheyQuote(t *testing.T) {
	router, _ := newRouter(t, time.Minute)
	router.Handle("GET /x", func(http.ResponseWriter, *http.Request) error { return &BadInput{`"<f>"`, "\n\x00"} })
	var body map[string]string
	if err := json.Unmarshal(get(router, "GET", "/x").Body.Bytes(), &body); err != nil || body["field"] != `"<f>"` {
		t.Errorf("%v %v", body, err)
	}
}
