package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	logs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// within is a context of the parent's trace.
func within(t *testing.T) context.Context {
	t.Helper()
	return Propagator.Extract(t.Context(), propagation.MapCarrier{"traceparent": parent})
}

func TestLogLine(t *testing.T) {
	var b bytes.Buffer
	log := NewLog(&b, "api", false)
	log.Debug("a detail")
	if b.Len() != 0 {
		t.Errorf("a detail is written though nobody asked: %s", &b)
	}
	log.With("a", 1).WithGroup("g").WarnContext(within(t), "words", "level", "mine")
	var line struct {
		Time     time.Time `json:"time"`
		Severity string    `json:"severity"`
		Message  string    `json:"msg"`
		Mode     string    `json:"mode"`
		Market   string    `json:"market"`
		A        int       `json:"a"`
		G        struct {
			Level string `json:"level"`
			Trace string `json:"trace_id"`
			Span  string `json:"span_id"`
		} `json:"g"`
	}
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if time.Since(line.Time) > time.Hour || line.Severity != "WARN" || line.Message != "words" || line.Mode != "api" || line.Market != "simulated" || line.A != 1 || line.G.Level != "mine" {
		t.Errorf("%s", &b)
	}
	b.Reset()
	log.InfoContext(within(t), "words")
	if !strings.Contains(b.String(), `"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331"`) {
		t.Errorf("the line does not say its trace: %s", &b)
	}
	b.Reset()
	log.Info("words")
	if strings.Contains(b.String(), "trace_id") {
		t.Errorf("a trace that is none: %s", &b)
	}
	b.Reset()
	NewLog(&b, "api", true).Debug("a detail")
	Printf{NewLog(&b, "api", true)}.Printf(t.Context(), "%d of a library", 7)
	if !strings.Contains(b.String(), `"msg":"a detail"`) || !strings.Contains(b.String(), `"severity":"DEBUG","msg":"7 of a library"`) {
		t.Errorf("with DEBUG: %s", &b)
	}
}

func TestWhenTracesAreRecorded(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, c := range map[string]struct {
		env  map[string]string
		on   bool
		says string
	}{
		"no endpoint":             {nil, false, ""},
		"an endpoint":             {map[string]string{endpoint: "http://x"}, true, ""},
		"one for traces":          {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, true, ""},
		"disabled":                {map[string]string{endpoint: "http://x", "OTEL_SDK_DISABLED": "true"}, false, ""},
		"no exporter":             {map[string]string{endpoint: "http://x", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"the exporter":            {map[string]string{endpoint: "http://x", "OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, true, ""},
		"another exporter":        {map[string]string{endpoint: "http://x", "OTEL_TRACES_EXPORTER": "zipkin"}, false, `OTEL_TRACES_EXPORTER is "zipkin": use otlp or none`},
		"another protocol":        {map[string]string{endpoint: "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": use http/protobuf`},
		"one for traces is right": {map[string]string{endpoint: "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, true, ""},
	} {
		on, err := wanted(func(key string) string { return c.env[key] }, "TRACES")
		if on != c.on || (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v", name, on, err)
		}
	}
}

// What the standard variables name gets the spans, and they say whose they are.
func TestSpansAreSent(t *testing.T) {
	got := make(chan *collector.ExportTraceServiceRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(raw, &request); err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("X-Key") != "k" {
			t.Errorf("%s %v: %v", r.URL.Path, r.Header, err)
		}
		got <- &request
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "X-Key=k")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=dev,service.version=9")
	provider, end, err := NewTracing(t.Context(), "api", "1.2.3", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("t").Start(within(t), "work")
	span.End()
	if err := end(t.Context()); err != nil {
		t.Fatal(err)
	}
	request := <-got
	about := map[string]string{}
	for _, a := range request.ResourceSpans[0].Resource.Attributes {
		about[a.Key] = a.Value.GetStringValue()
	}
	if about["service.name"] != "alphapulse-api" || about["service.version"] != "9" || about["deployment.environment.name"] != "dev" || about["telemetry.sdk.language"] != "go" {
		t.Errorf("about %v", about)
	}
	if s := request.ResourceSpans[0].ScopeSpans[0].Spans[0]; s.Name != "work" || trace.TraceID(s.TraceId).String() != "0af7651916cd43dd8448eb211c80319c" || trace.SpanID(s.ParentSpanId).String() != "b7ad6b7169203331" {
		t.Errorf("the span is %v", s)
	}
}

// What the standard variables name gets the lines, each with its trace and its process;
// the output has them, too, and the collector that is gone is told there alone.
func TestLinesAreSent(t *testing.T) {
	got := make(chan *logs.ExportLogsServiceRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var request logs.ExportLogsServiceRequest
		if err := proto.Unmarshal(raw, &request); err != nil || r.URL.Path != "/v1/logs" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		got <- &request
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_SERVICE_NAME", "shop")
	var b bytes.Buffer
	log, end, err := SendLog(t.Context(), "api", "1.2.3", NewLog(&b, "api", false))
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("a detail")
	log.With("a", 1).ErrorContext(within(t), "words")
	if err := end(t.Context()); err != nil {
		t.Fatal(err)
	}
	request := <-got
	resource := request.ResourceLogs[0]
	about := map[string]string{}
	for _, a := range resource.Resource.Attributes {
		about[a.Key] = a.Value.GetStringValue()
	}
	lines := resource.ScopeLogs[0].LogRecords
	if about["service.name"] != "shop" || about["service.version"] != "1.2.3" || len(lines) != 1 {
		t.Fatalf("about %v, %d lines", about, len(lines))
	}
	attributes := map[string]string{}
	for _, a := range lines[0].Attributes {
		attributes[a.Key] = a.Value.String()
	}
	if l := lines[0]; l.Body.GetStringValue() != "words" || l.SeverityText != "ERROR" || trace.TraceID(l.TraceId).String() != "0af7651916cd43dd8448eb211c80319c" || attributes["mode"] == "" || attributes["a"] == "" {
		t.Errorf("the line is %v", l)
	}
	if text := b.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `"msg":"words"`) || !strings.Contains(text, `"mode":"api"`) {
		t.Errorf("the output has %s", text)
	}
}

// output is a log's that several goroutines write to.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// What cannot be sent is told in the output alone: told to the collector, too, it would be
// one more line that cannot be sent.
func TestACollectorThatIsGoneIsToldOnce(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	t.Setenv("OTEL_BLRP_SCHEDULE_DELAY", "10")
	var o output
	log, end, err := SendLog(t.Context(), "api", "1", NewLog(&o, "api", false))
	if err != nil {
		t.Fatal(err)
	}
	log.Info("words")
	for deadline := time.Now().Add(time.Minute); !strings.Contains(o.String(), "telemetry is lost"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody is told: %s", &o)
		}
	}
	if err := end(t.Context()); err != nil {
		t.Errorf("nothing is left to send: %v", err)
	}
	if n := strings.Count(o.String(), "telemetry is lost"); n != 1 {
		t.Errorf("it is told %d times: %s", n, &o)
	}
	t.Setenv("OTEL_LOGS_EXPORTER", "none")
	plain := NewLog(&o, "api", false)
	if log, _, err := SendLog(t.Context(), "api", "1", plain); log != plain || err != nil {
		t.Errorf("nobody asked for it: %v", err)
	}
}

func TestWithoutAnEndpointNothingIsRecorded(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	provider, end, err := NewTracing(t.Context(), "api", "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := provider.Tracer("t").Start(within(t), "work")
	if span.IsRecording() || trace.SpanContextFromContext(ctx).TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("recording %v, trace %s", span.IsRecording(), trace.SpanContextFromContext(ctx).TraceID())
	}
	if err := end(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestChildrenOnly(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := ChildrenOnly(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))).Tracer("t")
	_, span := tracer.Start(t.Context(), "for its own sake")
	span.End()
	_, span = tracer.Start(within(t), "within")
	span.End()
	if ended := recorder.Ended(); len(ended) != 1 || ended[0].Name() != "within" {
		t.Errorf("%v", ended)
	}
}

func TestTraceID(t *testing.T) {
	if id := TraceID(within(t)); id != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("%q", id)
	}
	unsampled := Propagator.Extract(t.Context(), propagation.MapCarrier{"traceparent": strings.TrimSuffix(parent, "1") + "0"})
	if id := TraceID(unsampled); id != "" {
		t.Errorf("a trace that is not recorded is named: %q", id)
	}
}

func TestMetricsNameTheBuild(t *testing.T) {
	r := NewRegistry("api", "1.2.3")
	example := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h"})
	r.MustRegister(example)
	example.(prometheus.ExemplarObserver).ObserveWithExemplar(1, prometheus.Labels{"trace_id": "abc"})
	ask := func(accept string) string {
		w, q := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
		q.Header.Set("Accept", accept)
		Handler(r).ServeHTTP(w, q)
		return w.Body.String()
	}
	if text := ask(""); !strings.Contains(text, `alphapulse_build_info{go_version="go1`) || !strings.Contains(text, `mode="api"`) || !strings.Contains(text, `version="1.2.3"`) || !strings.Contains(text, "process_open_fds") {
		t.Errorf("%s", text)
	}
	if text := ask("application/openmetrics-text; version=1.0.0"); !strings.Contains(text, `# {trace_id="abc"} 1`) {
		t.Errorf("no exemplar in %s", text)
	}
}
