// Package httpx is what every HTTP server of the application has in common:
// errors as JSON, metrics, time-outs, and an orderly end.
package httpx

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/telemetry"
)

// Handler answers a request or returns why it cannot.
type Handler func(w http.ResponseWriter, r *http.Request) error

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	refused  prometheus.Counter
}

// Router routes requests to handlers.
type Router struct {
	mux *http.ServeMux
	// probes are answered before and beside all others, by path.
	probes  map[string]http.Handler
	log     *slog.Logger
	timeout time.Duration
	// most requests at once, WebSockets and probes not among them.
	most     int64
	now      atomic.Int64
	metrics  metrics
	draining atomic.Bool
}

// NewRouter returns a router whose requests may take as long as timeout, and which
// answers most of them at once.
func NewRouter(log *slog.Logger, r prometheus.Registerer, timeout time.Duration, most int) *Router {
	router := &Router{mux: http.NewServeMux(), probes: map[string]http.Handler{}, log: log, timeout: timeout, most: int64(most), metrics: metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests by method, route pattern and status.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time to answer, by method and route pattern. WebSockets are not in it.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_in_flight", Help: "Requests that are being answered, WebSockets included.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "http_requests_refused_total", Help: "Requests beyond MAX_REQUESTS_IN_FLIGHT, which were answered with 503 at once.",
		}),
	}}
	r.MustRegister(router.metrics.requests, router.metrics.duration, router.metrics.inFlight, router.metrics.refused)
	limit := prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight_max", Help: "Requests that may be answered at once; WebSockets do not count."})
	limit.Set(float64(most))
	r.MustRegister(limit)
	return router
}

// Handle registers a handler for a pattern of http.ServeMux.
func (t *Router) Handle(pattern string, h Handler) {
	t.mux.Handle(pattern, t.plain(h))
}

func (t *Router) plain(h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			t.fail(w, r, err)
		}
	})
}

// HandleProbe registers a handler of GET requests for a path that says how the process
// is. However much there is to do, it is answered at once, so it must neither wait nor
// ask anybody.
func (t *Router) HandleProbe(path string, h Handler) { t.HandleProbeHTTP(path, t.plain(h)) }

// HandleProbeHTTP is HandleProbe for an http.Handler.
func (t *Router) HandleProbeHTTP(path string, h http.Handler) {
	t.probes[path] = h
	t.mux.Handle("GET "+path, h)
}

// Probes serves the probes and nothing else.
func (t *Router) Probes() http.Handler {
	mux := http.NewServeMux()
	for path, h := range t.probes {
		mux.Handle("GET "+path, h)
	}
	return mux
}

// Draining says that the process is about to end.
func (t *Router) Draining() bool { return t.draining.Load() }

// ServeHTTP answers a request.
func (t *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start, outer := time.Now(), r
	t.metrics.inFlight.Inc()
	defer t.metrics.inFlight.Dec()

	upgrade := r.Header.Get("Upgrade") != ""
	if !upgrade {
		ctx, cancel := context.WithTimeout(r.Context(), t.timeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	_, probe := t.probes[r.URL.Path]
	full := false
	if !upgrade && !probe {
		full = t.now.Add(1) > t.most
		defer t.now.Add(-1)
	}
	rec := &recorder{ResponseWriter: w}
	if t.Draining() {
		// A client that reuses the connection would meet a closed one soon.
		w.Header().Set("Connection", "close")
	}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // a panic carries the very value
				panic(p)
			}
			t.log.ErrorContext(r.Context(), "panic", "path", r.URL.Path, "request_id", r.Header.Get("X-Request-ID"), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if rec.status == 0 {
				writeError(rec, http.StatusInternalServerError, "internal error", "")
			}
		}
		if rec.status == 0 {
			rec.status = http.StatusOK
		}
		method, route := method(r.Method), route(r)
		took := time.Since(start)
		t.metrics.requests.WithLabelValues(method, route, strconv.Itoa(rec.status)).Inc()
		if !upgrade {
			t.observe(r.Context(), method, route, took)
		}
		outer.Pattern = r.Pattern // for the span
		t.log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", rec.status, "seconds", took.Seconds(),
			"request_id", r.Header.Get("X-Request-ID"), "client", r.Header.Get("X-Real-IP")) // as the edge says
	}()
	if full {
		t.metrics.refused.Inc()
		w.Header().Set("Retry-After", "1")
		writeError(rec, http.StatusServiceUnavailable, "too many requests are being answered: try again", "")
		return
	}
	t.mux.ServeHTTP(rec, r)
}

// observe counts how long an answer took. One that was traced is an example that leads
// to its trace.
func (t *Router) observe(ctx context.Context, method, route string, took time.Duration) {
	o := t.metrics.duration.WithLabelValues(method, route)
	id := telemetry.TraceID(ctx)
	if example, ok := o.(prometheus.ExemplarObserver); ok && id != "" {
		example.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": id})
		return
	}
	o.Observe(took.Seconds())
}

// Traced makes a span of each request, but for probes, and for WebSockets, which may
// last for days: those that serve them trace what happens over them.
func (t *Router) Traced(p trace.TracerProvider) http.Handler {
	return otelhttp.NewHandler(t, "request",
		otelhttp.WithTracerProvider(p), otelhttp.WithMeterProvider(noop.NewMeterProvider()), otelhttp.WithPropagators(telemetry.Propagator),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return method(r.Method) + " " + route(r) }),
		otelhttp.WithFilter(func(r *http.Request) bool {
			_, probe := t.probes[r.URL.Path]
			return !probe && r.Header.Get("Upgrade") == ""
		}))
}

// method is one of a few: a client can send any.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// route is the pattern that matched, without its method.
func route(r *http.Request) string {
	if r.Pattern == "" {
		return "other"
	}
	for i := range len(r.Pattern) {
		if r.Pattern[i] == '/' {
			return r.Pattern[i:]
		}
	}
	return r.Pattern
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController and WebSockets reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
