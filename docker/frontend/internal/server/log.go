package server

import (
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"time"
)

// NewLog returns a log of JSON lines with time, severity and message, and the name of
// the component in each.
func NewLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.LevelKey {
			a.Key = "severity"
		}
		return a
	}})).With("component", "frontend")
}

// longestPath is how much of a path is logged: a client can send any.
const longestPath = 256

// Logged writes a line for each request but those of probes and of the metrics' scrape.
// The query is not in it, which may hold what is not for others, as a token. trace_id is
// that of the W3C trace context that the request came with.
func Logged(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/metrics" {
			next.ServeHTTP(w, r)
			return
		}
		start, answer := time.Now(), &answer{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		attributes := []slog.Attr{
			slog.String("method", r.Method),
			slog.String("path", r.URL.Path[:min(len(r.URL.Path), longestPath)]),
			slog.Int("status", answer.status),
			slog.Int64("bytes", answer.bytes),
			slog.Float64("seconds", time.Since(start).Seconds()),
		}
		if id := traceID(r.Header.Get("Traceparent")); id != "" {
			attributes = append(attributes, slog.String("trace_id", id))
		}
		if id := r.Header.Get("X-Request-Id"); id != "" {
			attributes = append(attributes, slog.String("request_id", id[:min(len(id), 64)]))
		}
		level := slog.LevelInfo
		if answer.status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		log.LogAttrs(r.Context(), level, "request", attributes...)
	})
}

// traceparent is the header of https://www.w3.org/TR/trace-context/: version, trace,
// parent and flags. Later versions may add more behind them.
var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$`)

const noTrace = "00000000000000000000000000000000"

// traceID returns the trace that a traceparent header names, or nothing.
func traceID(header string) string {
	m := traceparent.FindStringSubmatch(header)
	if m == nil || m[1] == noTrace {
		return ""
	}
	return m[1]
}

// answer notes what was answered.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
