package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRequestsAreLogged(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	var log bytes.Buffer
	h := Logged(NewLog(&log), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "four")
	}))
	for _, c := range []struct {
		name, target, traceparent string
		want                      map[string]any
	}{
		{"a trace", "/symbols?token=secret", "00-" + trace + "-00f067aa0ba902b7-01",
			map[string]any{"severity": "INFO", "msg": "request", "component": "frontend", "path": "/symbols", "status": 200.0, "bytes": 4.0, "trace_id": trace, "request_id": "r1"}},
		{"a later version", "/", "cc-" + trace + "-00f067aa0ba902b7-01-more", map[string]any{"trace_id": trace}},
		{"no trace", "/", "", map[string]any{"trace_id": nil}},
		{"an invalid trace", "/", "00-" + noTrace + "-00f067aa0ba902b7-01", map[string]any{"trace_id": nil}},
		{"no trace context", "/", `00-` + trace + `-00f067aa0ba902b7"}`, map[string]any{"trace_id": nil}},
		{"an error", "/broken", "", map[string]any{"severity": "ERROR", "status": 500.0}},
		{"a long path", "/" + strings.Repeat("x", 999), "", map[string]any{"path": "/" + strings.Repeat("x", longestPath-1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			log.Reset()
			r := httptest.NewRequest(http.MethodGet, c.target, nil)
			r.Header.Set("Traceparent", c.traceparent)
			r.Header.Set("X-Request-Id", "r1")
			h.ServeHTTP(httptest.NewRecorder(), r)
			var line map[string]any
			if err := json.Unmarshal(log.Bytes(), &line); err != nil {
				t.Fatalf("%v: %s", err, log.String())
			}
			for key, want := range c.want {
				if line[key] != want {
					t.Errorf("%s is %v, want %v in %s", key, line[key], want, log.String())
				}
			}
			at, _ := line["time"].(string)
			if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
				t.Errorf("time %q: %v", line["time"], err)
			}
			if strings.Contains(log.String(), "secret") {
				t.Errorf("the query is in the log: %s", log.String())
			}
		})
	}

	log.Reset()
	for _, path := range []string{"/healthz", "/metrics"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	if log.Len() > 0 {
		t.Errorf("probes are in the log: %s", log.String())
	}
}
