// Package elastic gives the logs of one stack data streams of their own in an Elasticsearch:
// an index template, and how long they are kept. What a document's fields are is left to the
// template for OpenTelemetry's logs that comes with Elasticsearch: the stack's is that one, for
// fewer data streams.
package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// builtIn is the template that comes with Elasticsearch 8.16 and later.
const builtIn = "logs-otel@template"

// above is how much more the stack's template counts than the built-in one, which has the
// same data streams.
const above = 100

// Streams are the data streams of a stack's logs.
type Streams struct {
	// URL of the Elasticsearch, Key an API key in its encoded form; "" for none.
	URL, Key string
	// Namespace is the last part of the data streams' names.
	Namespace string
	// Retention is how long lines are kept, in Elasticsearch's units, e.g. "168h".
	Retention string
	HTTP      *http.Client
	// Patience is how long an Elasticsearch that does not answer is asked again, and Pause
	// between two tries.
	Patience, Pause time.Duration
	Log             *slog.Logger
}

// Pattern is that of the data streams' names.
func (s Streams) Pattern() string { return "logs-*.otel-" + s.Namespace }

// Template is the name of the index template.
func (s Streams) Template() string { return s.Namespace + "-logs" }

// Set puts the template, and tells the data streams that are there already. It does nothing
// that it has not to do again, so that it may be called any number of times.
func (s Streams) Set(ctx context.Context) error {
	var found struct {
		Templates []struct {
			Template map[string]any `json:"index_template"`
		} `json:"index_templates"`
	}
	if err := s.again(ctx, http.MethodGet, "/_index_template/"+builtIn, nil, &found); err != nil {
		if is(err, http.StatusNotFound) {
			return fmt.Errorf("%s has no index template %s, which comes with Elasticsearch 8.16 and later: name such a one in logsUrl", s.URL, builtIn)
		}
		return err
	}
	if len(found.Templates) != 1 {
		return fmt.Errorf("%s answered with %d templates called %s: it is no Elasticsearch", s.URL, len(found.Templates), builtIn)
	}
	template, err := s.own(found.Templates[0].Template)
	if err != nil {
		return err
	}
	if err := s.again(ctx, http.MethodPut, "/_index_template/"+url.PathEscape(s.Template()), template, nil); err != nil {
		return err
	}
	// A template is for data streams that are made later.
	err = s.again(ctx, http.MethodPut, "/_data_stream/"+url.PathEscape(s.Pattern())+"/_lifecycle", map[string]any{"data_retention": s.Retention}, nil)
	if err != nil && !is(err, http.StatusNotFound) {
		return err
	}
	s.Log.Info("the logs have a template and a retention of their own", "template", s.Template(), "pattern", s.Pattern(), "retention", s.Retention)
	return nil
}

// own makes the stack's template of the built-in one.
func (s Streams) own(template map[string]any) (map[string]any, error) {
	priority, ok := template["priority"].(float64)
	if !ok {
		return nil, fmt.Errorf("the template %s of %s has no priority: it is not the one that comes with Elasticsearch", builtIn, s.URL)
	}
	template["index_patterns"] = []string{s.Pattern()}
	template["priority"] = int(priority) + above
	template["_meta"] = map[string]any{"description": "logs of the stack in " + s.Namespace + ", made of " + builtIn, "managed_by": "alphapulse"}
	delete(template, "version")
	within := below(template, "template")
	within["lifecycle"] = map[string]any{"data_retention": s.Retention}
	// Its components name a policy that deletes nothing, and that would win.
	below(below(below(within, "settings"), "index"), "lifecycle")["prefer_ilm"] = false
	return template, nil
}

// below is an object of an object, which is made where there is none.
func below(in map[string]any, key string) map[string]any {
	object, ok := in[key].(map[string]any)
	if !ok {
		object = map[string]any{}
		in[key] = object
	}
	return object
}

// refusal is an answer that is none of success.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func is(err error, status int) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == status
}

// passes tells whether another try may succeed: nobody answers, or says to come again.
func passes(err error) bool {
	var r *refusal
	return !errors.As(err, &r) || r.status >= http.StatusInternalServerError || r.status == http.StatusTooManyRequests
}

// again asks until there is an answer that stays.
func (s Streams) again(ctx context.Context, method, path string, body, answer any) error {
	ctx, stop := context.WithTimeout(ctx, s.Patience)
	defer stop()
	var before error
	for {
		err := s.ask(ctx, method, path, body, answer)
		if err == nil || !passes(err) {
			return err
		}
		if before != nil && ctx.Err() != nil {
			err = before // that the time was over in the middle tells nothing
		}
		before = err
		s.Log.Warn("Elasticsearch is asked again", "reason", err.Error())
		select {
		case <-ctx.Done():
			return fmt.Errorf("given up after %s: %w", s.Patience, err)
		case <-time.After(s.Pause):
		}
	}
}

func (s Streams) ask(ctx context.Context, method, path string, body, answer any) error {
	var sent io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(s.URL, "/")+path, sent)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if s.Key != "" {
		request.Header.Set("Authorization", "ApiKey "+s.Key)
	}
	response, err := s.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return &refusal{response.StatusCode, s.refused(method, path, response.StatusCode, raw)}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return &refusal{response.StatusCode, fmt.Sprintf("%s answered with what is no JSON: %v: it is no Elasticsearch", s.URL, err)}
	}
	return nil
}

// refused says what was asked, why it was refused, and what helps.
func (s Streams) refused(method, path string, status int, raw []byte) string {
	var said struct {
		Error struct{ Reason string }
	}
	reason := strings.TrimSpace(string(raw[:min(len(raw), 300)]))
	if json.Unmarshal(raw, &said) == nil && said.Error.Reason != "" {
		reason = said.Error.Reason
	}
	text := fmt.Sprintf("%s %s%s: status %d: %s", method, s.URL, path, status, reason)
	switch status {
	case http.StatusUnauthorized:
		text += ": set logsCredential to an API key that is valid, in its encoded form"
	case http.StatusForbidden:
		text += fmt.Sprintf(": the key of logsCredential needs the cluster's privilege manage_index_templates, and on %s create_doc, auto_configure and manage_data_stream_lifecycle", s.Pattern())
	}
	return text
}
