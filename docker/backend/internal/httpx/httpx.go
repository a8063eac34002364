// Package httpx is what every HTTP server of the application has in common:
// errors as JSON, metrics, time-outs, and an orderly end.
package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// BadInput is a request that cannot be answered, and what is wrong with it.
type BadInput struct {
	// Field of the request.
	Field string
	// Problem with it, and what would be right.
	Problem string
}

func (b *BadInput) Error() string { return b.Field + ": " + b.Problem }

// StatusError is an error with a status of its own.
type StatusError struct {
	Status  int
	Message string
}

func (e *StatusError) Error() string { return e.Message }

// Handler answers a request or returns why it cannot.
type Handler func(w http.ResponseWriter, r *http.Request) error

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// Router routes requests to handlers.
type Router struct {
	mux      *http.ServeMux
	log      *slog.Logger
	timeout  time.Duration
	metrics  metrics
	draining atomic.Bool
}

// NewRouter returns a router whose requests may take as long as timeout.
func NewRouter(log *slog.Logger, r prometheus.Registerer, timeout time.Duration) *Router {
	router := &Router{mux: http.NewServeMux(), log: log, timeout: timeout, metrics: metrics{
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
	}}
	r.MustRegister(router.metrics.requests, router.metrics.duration, router.metrics.inFlight)
	return router
}

// Handle registers a handler for a pattern of http.ServeMux.
func (t *Router) Handle(pattern string, h Handler) {
	t.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			t.fail(w, r, err)
		}
	})
}

// HandleHTTP registers an http.Handler.
func (t *Router) HandleHTTP(pattern string, h http.Handler) { t.mux.Handle(pattern, h) }

// Draining says that the process is about to end.
func (t *Router) Draining() bool { return t.draining.Load() }

// ServeHTTP answers a request.
func (t *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	t.metrics.inFlight.Inc()
	defer t.metrics.inFlight.Dec()

	upgrade := r.Header.Get("Upgrade") != ""
	if !upgrade {
		ctx, cancel := context.WithTimeout(r.Context(), t.timeout)
		defer cancel()
		r = r.WithContext(ctx)
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
			t.log.Error("panic", "path", r.URL.Path, "request_id", r.Header.Get("X-Request-ID"), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
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
			t.metrics.duration.WithLabelValues(method, route).Observe(took.Seconds())
		}
		t.log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", rec.status, "seconds", took.Seconds(),
			"request_id", r.Header.Get("X-Request-ID"))
	}()
	t.mux.ServeHTTP(rec, r)
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

// fail answers with an error.
func (t *Router) fail(w http.ResponseWriter, r *http.Request, err error) {
	var (
		bad     *BadInput
		status  *StatusError
		lost    *store.Unavailable
		tooLong *http.MaxBytesError
	)
	switch {
	case errors.As(err, &bad):
		writeError(w, http.StatusBadRequest, bad.Error(), bad.Field)
	case errors.As(err, &tooLong):
		writeError(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLong.Limit), "")
	case errors.As(err, &status):
		writeError(w, status.Status, status.Message, "")
	case errors.Is(err, store.ErrNotFound):
		writeError(w, http.StatusNotFound, "not found", "")
	case errors.As(err, &lost):
		w.Header().Set("Retry-After", "2")
		writeError(w, http.StatusServiceUnavailable, lost.Error(), "")
	case errors.Is(err, context.DeadlineExceeded):
		writeError(w, http.StatusGatewayTimeout, fmt.Sprintf("no answer within %s", t.timeout), "")
	case errors.Is(err, context.Canceled):
		// The client has gone; the status is for the metrics.
		writeError(w, statusClientClosed, "the client closed the request", "")
	default:
		t.log.Error("request failed", "path", r.URL.Path, "request_id", r.Header.Get("X-Request-ID"), "error", err)
		writeError(w, http.StatusInternalServerError, "internal error", "")
	}
}

// statusClientClosed is nginx' status for a client that did not wait.
const statusClientClosed = 499

func writeError(w http.ResponseWriter, status int, message, field string) {
	body := struct {
		Error string `json:"error"`
		Field string `json:"field,omitempty"`
	}{message, field}
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings only
	}
	WriteJSON(w, status, raw)
}

// WriteJSON writes an encoded answer. Caches between ask before they serve it again,
// unless Cache-Control is set already.
func WriteJSON(w http.ResponseWriter, status int, raw []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(raw)))
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // fails only if the client has gone
}

// Server runs a router.
type Server struct {
	Address string
	Router  *Router
	// DrainTime is how long the server keeps serving after it was told to stop.
	DrainTime time.Duration
	// OnDrain runs when the server was told to stop.
	OnDrain func()
	Log     *slog.Logger
	// Listening, when set, is told the address once the server listens.
	Listening func(net.Addr)
}

// finishMargin is what a stop may take beyond one request's time-out, the drain
// included: a little less than the five seconds that the platform adds to it before
// it kills a process.
const finishMargin = 4 * time.Second

// Run listens on the server's address and serves as Serve does.
func (s *Server) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Address)
	if err != nil {
		return err
	}
	return s.Serve(ctx, listener)
}

// Serve serves until ctx ends, then drains: the router says that it is draining,
// answers go on for DrainTime with a request to close the connection, then the
// listener closes and running requests finish. No request that was accepted is dropped.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.Router,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       s.Router.timeout + 5*time.Second,
		WriteTimeout:      s.Router.timeout + 5*time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	s.Log.Info("listening", "address", listener.Addr().String())
	if s.Listening != nil {
		s.Listening(listener.Addr())
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}

	s.Log.Info("draining", "seconds", s.DrainTime.Seconds())
	s.Router.draining.Store(true)
	if s.OnDrain != nil {
		s.OnDrain()
	}
	time.Sleep(s.DrainTime)
	finish := max(s.Router.timeout+finishMargin-s.DrainTime, finishMargin)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		_ = server.Close() // what still runs has had its time
		return fmt.Errorf("requests were still running %s after the drain: %w", finish, err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	s.Log.Info("stopped")
	return nil
}
