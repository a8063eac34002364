package elastic

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstream is what Elasticsearch answers about its own template, in short.
const upstream = `{"index_templates":[{"name":"logs-otel@template","index_template":{"index_patterns":["logs-*.otel-*"],
	"composed_of":["logs@mappings","logs@settings","otel@mappings","logs-otel@mappings","semconv-resource-to-ecs@mappings","logs@custom","logs-otel@custom","ecs@mappings"],
	"priority":120,"version":11,"_meta":{"managed":true},"data_stream":{"hidden":false,"allow_custom_routing":false},"allow_auto_create":true,
	"ignore_missing_component_templates":["logs@custom","logs-otel@custom"]}}]}`

// server answers requests by method and path; what it is sent is kept.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]func(w http.ResponseWriter)
	sent    map[string]map[string]any
	keys    []string
	asked   int
}

func start(t *testing.T) *server {
	t.Helper()
	s := &server{sent: map[string]map[string]any{}, answers: map[string]func(http.ResponseWriter){
		"GET /_index_template/logs-otel@template":       with(http.StatusOK, upstream),
		"PUT /_index_template/team-logs":                with(http.StatusOK, `{"acknowledged":true}`),
		"PUT /_data_stream/logs-*.otel-team/_lifecycle": with(http.StatusOK, `{"acknowledged":true}`),
	}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked++
		s.keys = append(s.keys, r.Header.Get("Authorization"))
		what := r.Method + " " + r.URL.Path
		if raw, _ := io.ReadAll(r.Body); len(raw) > 0 {
			var body map[string]any
			if err := json.Unmarshal(raw, &body); err != nil {
				t.Error(err)
			}
			s.sent[what] = body
		}
		answer := s.answers[what]
		if answer == nil {
			t.Errorf("%s is asked", what)
			answer = with(http.StatusBadRequest, "{}")
		}
		answer(w)
	}))
	t.Cleanup(s.Close)
	return s
}

func with(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (s *server) streams() Streams {
	return Streams{URL: s.URL, Key: "key", Namespace: "team", Retention: "168h", HTTP: s.Client(), Patience: 2 * time.Second, Pause: time.Millisecond, Log: slog.New(slog.DiscardHandler)}
}

// TestTheTemplate is Elasticsearch's own for the stack's data streams alone, with a retention
// that counts.
func TestTheTemplate(t *testing.T) {
	s := start(t)
	if err := s.streams().Set(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := s.sent["PUT /_index_template/team-logs"]
	for key, want := range map[string]any{
		"index_patterns": []any{"logs-*.otel-team"}, "priority": 220.0, "allow_auto_create": true,
		"data_stream": map[string]any{"hidden": false, "allow_custom_routing": false},
		"template": map[string]any{
			"lifecycle": map[string]any{"data_retention": "168h"},
			"settings":  map[string]any{"index": map[string]any{"lifecycle": map[string]any{"prefer_ilm": false}}},
		},
		"ignore_missing_component_templates": []any{"logs@custom", "logs-otel@custom"},
	} {
		if !reflect.DeepEqual(sent[key], want) {
			t.Errorf("%s is %v, want %v", key, sent[key], want)
		}
	}
	if made, _ := sent["composed_of"].([]any); len(made) != 8 || made[0] != "logs@mappings" {
		t.Errorf("it is composed of %v", sent["composed_of"])
	}
	if meta, _ := sent["_meta"].(map[string]any); meta["managed"] != nil || sent["version"] != nil {
		t.Errorf("it says that it is Elasticsearch's own: %v, version %v", meta, sent["version"])
	}
	if got := s.sent["PUT /_data_stream/logs-*.otel-team/_lifecycle"]["data_retention"]; got != "168h" {
		t.Errorf("what is there is kept for %v", got)
	}
	for _, key := range s.keys {
		if key != "ApiKey key" {
			t.Errorf("asked with %q", key)
		}
	}
}

// TestSettingsOfTheTemplateStay beside the one that makes the retention count.
func TestSettingsOfTheTemplateStay(t *testing.T) {
	template, err := Streams{Namespace: "team", Retention: "24h"}.own(map[string]any{
		"priority": 120.0, "template": map[string]any{"settings": map[string]any{"index": map[string]any{"mode": "logsdb"}}, "mappings": map[string]any{"dynamic": true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"settings":  map[string]any{"index": map[string]any{"mode": "logsdb", "lifecycle": map[string]any{"prefer_ilm": false}}},
		"mappings":  map[string]any{"dynamic": true},
		"lifecycle": map[string]any{"data_retention": "24h"},
	}
	if !reflect.DeepEqual(template["template"], want) {
		t.Errorf("%v, want %v", template["template"], want)
	}
}

// TestRefusals name what was asked, Elasticsearch's reason and the remedy.
func TestRefusals(t *testing.T) {
	const builtIn, own, lifecycle = "GET /_index_template/logs-otel@template", "PUT /_index_template/team-logs", "PUT /_data_stream/logs-*.otel-team/_lifecycle"
	for name, c := range map[string]struct {
		what   string
		answer func(http.ResponseWriter)
		// want are parts of the error; none for success.
		want []string
	}{
		"no data stream yet": {lifecycle, with(http.StatusNotFound, `{}`), nil},
		"an old one":         {builtIn, with(http.StatusNotFound, `{}`), []string{"8.16 and later"}},
		"no key":             {builtIn, with(http.StatusUnauthorized, `{"error":{"reason":"missing authentication credentials"}}`), []string{"401", "missing authentication credentials", "logsCredential"}},
		"a weak key":         {own, with(http.StatusForbidden, `{"error":{"reason":"action is unauthorized"}}`), []string{"action is unauthorized", "manage_index_templates", "logs-*.otel-team"}},
		"a bad template":     {own, with(http.StatusBadRequest, `{"error":{"reason":"component template [x] does not exist"}}`), []string{"400", "component template [x] does not exist"}},
		"another server":     {builtIn, with(http.StatusOK, `<html>`), []string{"no JSON"}},
		"no such template":   {builtIn, with(http.StatusOK, `{"index_templates":[]}`), []string{"0 templates"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.answers[c.what] = c.answer
			streams := s.streams()
			streams.Patience = 200 * time.Millisecond
			err := streams.Set(t.Context())
			if (err == nil) != (c.want == nil) {
				t.Fatal(err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v: it does not say %q", err, part)
				}
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("it is not one line: %v", err)
			}
		})
	}
}

// TestItWaitsForAnElasticsearch that is away for a while, and not for ever.
func TestItWaitsForAnElasticsearch(t *testing.T) {
	const builtIn = "GET /_index_template/logs-otel@template"
	s := start(t)
	s.answers[builtIn] = func(w http.ResponseWriter) {
		if s.asked < 4 {
			with(http.StatusServiceUnavailable, `{"error":{"reason":"no master"}}`)(w)
			return
		}
		with(http.StatusOK, upstream)(w)
	}
	if err := s.streams().Set(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.answers[builtIn] = with(http.StatusServiceUnavailable, `{"error":{"reason":"no master"}}`)
	streams := s.streams()
	streams.Patience = 50 * time.Millisecond
	if err := streams.Set(t.Context()); err == nil || !strings.Contains(err.Error(), "no master") || !strings.Contains(err.Error(), "given up after 50ms") {
		t.Errorf("%v", err)
	}
}
