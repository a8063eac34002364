//go:build e2e

package single

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

// signals keeps logs and traces on the host: what every container writes arrives, from the
// engine's own files, a stranger's does not, and one request is found by the ID of its trace
// from the edge's line to its SQL.
func (s *session) signals(t *testing.T) {
	if err := stream("images", "otelcol", "victoria-logs", "jaeger"); err != nil {
		t.Fatal(err)
	}
	up(t, "--config-file", settings(t, "logsBackend", "local", "tracesBackend", "local", "edgeTraceSampling", "0.05", "debug", "true"))
	defer s.silent(t)
	o := outputsOf(t)
	answers(t, o)
	c := browser(t, o.CACertificate)
	stranger := run(t, containers(t)["cache"].Image, "echo of-a-stranger")
	defer ask(t, http.MethodDelete, "/containers/"+stranger+"?force=true", nil)

	const trace = "0af7651916cd43dd8448eb211c80319c"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.URLs["api"]+"/api/positions", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK || !strings.Contains(response.Header.Get("Traceparent"), trace) {
		t.Fatalf("%s, traceparent %q", response.Status, response.Header.Get("Traceparent"))
	}

	var quiet []string
	for name, c := range containers(t) {
		if c.State.Running && len(strings.TrimSpace(string(ask(t, http.MethodGet, "/containers/"+c.ID+"/logs?stdout=1&stderr=1&tail=1", nil)))) == 0 {
			quiet = append(quiet, name)
		}
	}
	livetest.Eventually(t, 2*time.Minute, "lines of every container that writes", func(context.Context) (string, bool) {
		var missing []string
		heard := map[string]int{}
		for _, l := range s.lines(t, c, o, "* | fields container.name") {
			heard[strings.TrimPrefix(l["container.name"], prefix+"-")]++
		}
		for name, c := range containers(t) {
			if c.State.Running && heard[name] == 0 && !slices.Contains(quiet, name) && name != "telemetry-reader" {
				missing = append(missing, name)
			}
		}
		return fmt.Sprintf("%v; none of %v; quiet are %v", heard, missing, quiet), len(missing) == 0
	})
	if got := s.lines(t, c, o, `"of-a-stranger"`); len(got) > 0 {
		t.Errorf("a line of a container that is not the stack's: %v", got[0])
	}
	livetest.Eventually(t, 2*time.Minute, "the request by its trace", func(context.Context) (string, bool) {
		wrote := map[string]bool{}
		for _, l := range s.lines(t, c, o, "trace_id:"+trace) {
			wrote[l["service.name"]] = true
		}
		spans := s.spans(t, c, o, trace)
		sql := slices.ContainsFunc(spans, func(name string) bool { return strings.Contains(name, "SELECT") || strings.Contains(name, "sql") })
		return fmt.Sprintf("lines of %v, spans %v", wrote, spans), wrote["alphapulse-edge"] && wrote["alphapulse-backend"] && sql
	})
}

// silent switches both off again: what was kept stays on its volumes, until they are deleted
// by name.
func (s *session) silent(t *testing.T) {
	t.Helper()
	up(t, "--config-file", settings(t))
	answers(t, outputsOf(t))
	for name := range containers(t) {
		if strings.HasPrefix(name, "telemetry-") {
			t.Errorf("%s is still there", name)
		}
	}
	kept := volumes(t)
	for _, name := range []string{"collector", "logs", "traces", "reader"} {
		volume := prefix + "-telemetry-" + name
		if !slices.Contains(kept, volume) {
			t.Errorf("volume %s was deleted: what was kept is lost", volume)
			continue
		}
		ask(t, http.MethodDelete, "/volumes/"+volume, nil)
	}
}

// lines are the records that a query of VictoriaLogs finds.
func (s *session) lines(t *testing.T, c *http.Client, o outputs, query string) []map[string]string {
	t.Helper()
	status, raw, err := request(t, c, http.MethodGet, o.URLs["logs"]+"/select/logsql/query?limit=20000&query="+url.QueryEscape(query), nil, o.PrometheusPassword)
	if err != nil || status != http.StatusOK {
		t.Logf("logs: %d %.200s %v", status, raw, err)
		return nil
	}
	var all []map[string]string
	for line := range strings.Lines(string(raw)) {
		var one map[string]string
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%.200s: %v", line, err)
		}
		all = append(all, one)
	}
	return all
}

// spans are the names of a trace's spans in Jaeger.
func (s *session) spans(t *testing.T, c *http.Client, o outputs, trace string) []string {
	t.Helper()
	status, raw, err := request(t, c, http.MethodGet, o.URLs["traces"]+"/api/traces/"+trace, nil, o.PrometheusPassword)
	var found struct {
		Data []struct {
			Spans []struct{ OperationName string }
		}
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(raw, &found) != nil {
		return nil
	}
	var names []string
	for _, d := range found.Data {
		for _, s := range d.Spans {
			names = append(names, s.OperationName)
		}
	}
	return names
}

// run starts a container that is nobody's and returns its ID.
func run(t *testing.T, image, script string) string {
	t.Helper()
	body := fmt.Sprintf(`{"Image":%q,"Entrypoint":["sh","-c",%q],"HostConfig":{"LogConfig":{"Type":"json-file","Config":{"tag":"{{.Name}}"}}}}`, image, script)
	var made struct {
		ID string `json:"Id"`
	}
	if err := json.Unmarshal(askWith(t, http.MethodPost, "/containers/create?name=stranger", "application/json", strings.NewReader(body)), &made); err != nil {
		t.Fatal(err)
	}
	ask(t, http.MethodPost, "/containers/"+made.ID+"/start", nil)
	return made.ID
}
