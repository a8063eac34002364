package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

func newRouter(t *testing.T, timeout time.Duration) (*Router, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	return NewRouter(slog.New(slog.DiscardHandler), registry, timeout, 100), registry
}

func get(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func getWith(h http.Handler, target string, header http.Header) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header = header
	h.ServeHTTP(w, r)
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
	router := NewRouter(slog.New(slog.NewJSONHandler(&logged, nil)), prometheus.NewRegistry(), time.Minute, 100)
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

func TestErrorsAreJSONWhateverTheyQuote(t *testing.T) {
	router, _ := newRouter(t, time.Minute)
	router.Handle("GET /x", func(http.ResponseWriter, *http.Request) error { return &BadInput{`"<f>"`, "\n\x00"} })
	var body map[string]string
	if err := json.Unmarshal(get(router, "GET", "/x").Body.Bytes(), &body); err != nil || body["field"] != `"<f>"` {
		t.Errorf("%v %v", body, err)
	}
}
