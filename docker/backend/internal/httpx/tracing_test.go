package httpx

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/telemetry"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	parent  = "00-" + traceID + "-b7ad6b7169203331-01"
)

// A request goes on with the trace that the edge has begun; its span, its log lines
// and the latency's example name it, and nobody's secret is in any of them.
func TestRequestIsTraced(t *testing.T) {
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	router := NewRouter(telemetry.NewLog(&log, "api", true), registry, time.Minute, 10)
	router.Handle("GET /api/symbols/{symbol}/candles", text("ok"))
	router.Handle("GET /api/bug", func(http.ResponseWriter, *http.Request) error { panic("at the disco") })
	router.HandleProbe("/ready", text("ready"))
	router.Handle("GET /ws", text("socket"))
	recorder := tracetest.NewSpanRecorder()
	h := router.Traced(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
	ask := func(target string, header http.Header) {
		t.Helper()
		r := httptest.NewRequest("GET", target, nil)
		header.Set("Traceparent", parent)
		header.Set("Authorization", "Bearer secret-token")
		header.Set("Cookie", "alphapulse_session=secret-cookie")
		r.Header = header
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	ask("/api/symbols/SIM0001USDT/candles?token=secret-query", http.Header{})
	ask("/api/bug?token=secret-query", http.Header{})
	ask("/ready", http.Header{})
	ask("/ws", http.Header{"Upgrade": {"websocket"}})

	spans := recorder.Ended()
	if len(spans) != 2 || spans[0].Name() != "GET /api/symbols/{symbol}/candles" || spans[1].Name() != "GET /api/bug" {
		t.Fatalf("spans %v", spans)
	}
	for _, s := range spans {
		if s.SpanContext().TraceID().String() != traceID || s.Parent().SpanID().String() != "b7ad6b7169203331" {
			t.Errorf("%s does not go on with the edge's trace: %s", s.Name(), s.SpanContext().TraceID())
		}
		for _, a := range append(s.Attributes(), attribute.String("status", s.Status().Description)) {
			if strings.Contains(a.Value.String(), "secret") {
				t.Errorf("%s tells %s", s.Name(), a.Value.String())
			}
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log tells: %s", &log)
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "/api/") && !strings.Contains(line, `"trace_id":"`+traceID+`"`) {
			t.Errorf("a line without its trace: %s", line)
		}
	}
	if n := strings.Count(log.String(), "\n"); n < 4 {
		t.Errorf("%d lines: %s", n, &log)
	}

	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	telemetry.Handler(registry).ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), `# {trace_id="`+traceID+`"}`) {
		t.Error("the latency has no example")
	}
	if !strings.Contains(w.Body.String(), `http_requests_total{method="GET",route="/api/symbols/{symbol}/candles",status="200"} 1`) {
		t.Errorf("%s", w.Body)
	}
}
