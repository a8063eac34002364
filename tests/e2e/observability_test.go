//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The workloads that keep logs and traces, and their ports.
const (
	gateway    = "telemetry-collector"
	logStore   = "telemetry-logs"
	traceStore = "telemetry-traces"
)

// TestObservability follows a request by its trace from the edge to its SQL, its log lines
// over a time in which nobody takes them, and faults to the pages of who is on call.
func TestObservability(t *testing.T) {
	picture(t, namespace)
	must(t, "images", "otelcol", "victoria-logs", "jaeger", "versitygw")
	installAddons(t)
	e := editable(t)
	pages := startReceiver(t)
	f := inducedFaults(pages, e)
	f.expiring(t)
	pages.configure(t, e)
	start := time.Now()
	e.deploy(t, "logsBackend=local", "tracesBackend=local", "edgeTraceSampling=1", "debug=true",
		// What is over within a millisecond asks for nothing, and is dropped.
		"tracesTailSampling=0", "tracesSlowMilliseconds=1",
		"logsStorage=2Gi", "tracesStorage=4Gi", "collectorStorage=1Gi", "logsAgentNamespace="+agentNamespace,
		"prometheusOtlp=true", "kubeletMetrics=true", "grafanaLogsPlugin="+plugins,
		"databaseBackup=volume", "databaseBackupStorage=2Gi", "tlsMode=secret", "tlsSecret="+shortLived)
	f.certificate.begin()
	t.Logf("logs, traces and backups on: %s", since(start))
	pages.trusted(t)
	run := func(name string, part func(*testing.T, observed)) {
		t.Run(name, func(t *testing.T) {
			o := f.outputs(t)
			part(t, observed{outputs: o, client: browser(t, o.CACertificate)})
		})
	}
	run("ARequestIsFollowed", testFollowed)
	run("OneLoginLeadsToTheCause", testOneLogin)
	run("MetricsAreSent", testSentMetrics)
	run("RolloutsAreMarked", testRolloutsAreMarked)
	t.Run("FaultsAreToldOf", f.testShort)
	run("EveryComponentIsHeard", testHeard)
	run("RunbooksFindTheirLines", testRunbookQueries)
	run("TheLogsAreAway", testLogsAway(logStore, 5*time.Minute))
	run("TheCollectorIsAway", testLogsAway(gateway, 30*time.Second))
	run("TheAgentIsKilled", testAgentKilled)
	run("EverythingIsWatched", testWatched)
	run("NoSecretIsTold", testNoSecret)
	run("GrafanaKeepsWhatPeopleMake", testGrafanaKeeps)
	t.Run("FaultsAreToldOfLate", f.testLong)
	run("EverythingIsShown", testShown)
}

// scale lets a StatefulSet have so many pods.
func scale(t *testing.T, name string, replicas int32) {
	t.Helper()
	_, err := cluster.AppsV1().StatefulSets(namespace).UpdateScale(t.Context(), name,
		&autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// observed is the stack, and who looks at it.
type observed struct {
	outputs
	client *http.Client
}

// served asks a pod by the API server.
func served(ctx context.Context, pod string, port int, path string, query url.Values) ([]byte, error) {
	r := cluster.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").Name(pod + "-0:" + strconv.Itoa(port)).SubResource("proxy").Suffix(path)
	for name, values := range query {
		for _, v := range values {
			r = r.Param(name, v)
		}
	}
	return r.DoRaw(ctx)
}

// lines asks VictoriaLogs, in LogsQL.
func lines(ctx context.Context, query string) ([]map[string]string, error) {
	raw, err := served(ctx, logStore, 9428, "logs/select/logsql/query", url.Values{"query": {query}, "limit": {"10000"}})
	if err != nil {
		return nil, fmt.Errorf("%w: %.200s", err, raw)
	}
	var all []map[string]string
	for s := bufio.NewScanner(bytes.NewReader(raw)); s.Scan(); {
		var line map[string]string
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("%w: %.200s", err, s.Bytes())
		}
		all = append(all, line)
	}
	return all, nil
}

// traced is Jaeger's answer to the question for a trace.
type traced struct {
	Spans []struct {
		ID         string `json:"spanID"`
		Name       string `json:"operationName"`
		Process    string `json:"processID"`
		Duration   int64  `json:"duration"` // microseconds
		References []struct {
			ID string `json:"spanID"`
		} `json:"references"`
		Tags []struct {
			Key   string `json:"key"`
			Value any    `json:"value"`
		} `json:"tags"`
	} `json:"spans"`
	Processes map[string]struct {
		Service string `json:"serviceName"`
	} `json:"processes"`
}

// traceOf asks Jaeger as Grafana's data source does.
func traceOf(ctx context.Context, id string) (traced, error) {
	raw, err := served(ctx, traceStore, 16686, "jaeger/api/traces/"+id, nil)
	if err != nil {
		return traced{}, fmt.Errorf("%w: %.200s", err, raw)
	}
	var answer struct{ Data []traced }
	if err := json.Unmarshal(raw, &answer); err != nil || len(answer.Data) != 1 {
		return traced{}, fmt.Errorf("%d traces: %w", len(answer.Data), err)
	}
	return answer.Data[0], nil
}

// has tells whether a span of the service has a tag with that in its value.
func (x traced) has(service, key, part string) bool {
	for _, s := range x.Spans {
		for _, tag := range s.Tags {
			if x.Processes[s.Process].Service == service && tag.Key == key && strings.Contains(fmt.Sprint(tag.Value), part) {
				return true
			}
		}
	}
	return false
}

// tree is the trace as people read it.
func (x traced) tree() string {
	var b strings.Builder
	var below func(parent string, depth int)
	known := map[string]bool{}
	for _, s := range x.Spans {
		known[s.ID] = true
	}
	below = func(parent string, depth int) {
		for _, s := range x.Spans {
			of := ""
			if len(s.References) > 0 && known[s.References[0].ID] {
				of = s.References[0].ID
			}
			if of == parent {
				fmt.Fprintf(&b, "%s%s: %s, %d µs\n", strings.Repeat("  ", depth), x.Processes[s.Process].Service, s.Name, s.Duration)
				below(s.ID, depth+1)
			}
		}
	}
	below("", 0)
	return b.String()
}

// testFollowed: what a client quotes from an answer's header finds everything.
func testFollowed(t *testing.T, o observed) {
	const asked = "SIM0007"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.URLs["api"]+"/api/symbols?query="+asked, nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	response, err := o.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	parts := strings.Split(response.Header.Get("Traceparent"), "-")
	if response.StatusCode != http.StatusOK || len(parts) != 4 {
		t.Fatalf("%s, traceparent %q", response.Status, response.Header.Get("Traceparent"))
	}
	id := parts[1]
	var x traced
	eventually(t, 2*time.Minute, "the trace "+id, func(ctx context.Context) (string, bool) {
		if x, err = traceOf(ctx, id); err != nil {
			return err.Error(), false
		}
		request := slices.ContainsFunc(x.services(), func(s string) bool { return s == "alphapulse-api" })
		return x.tree(), request && x.has("alphapulse-api", "db.query.text", "$1") && strings.Contains(strings.ToLower(x.tree()), "mget")
	})
	t.Logf("trace %s after %s:\n%s", id, since(start), x.tree())
	for _, s := range x.Spans {
		for _, tag := range s.Tags {
			if strings.Contains(fmt.Sprint(tag.Value), asked) {
				t.Errorf("the span %s tells what was asked for: %s=%v", s.Name, tag.Key, tag.Value)
			}
		}
	}
	eventually(t, 2*time.Minute, "the lines of "+id, func(ctx context.Context) (string, bool) {
		found, err := lines(ctx, fmt.Sprintf(`trace_id:=%q`, id))
		services := map[string]string{}
		for _, l := range found {
			services[l["service.name"]] = l["_msg"]
		}
		return fmt.Sprintf("%d lines: %v %v", len(found), services, err), services["alphapulse-edge"] != "" && services["alphapulse-api"] != ""
	})
	found, err := lines(t.Context(), fmt.Sprintf(`trace_id:=%q`, id))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range found {
		t.Logf("%s %s %s: %s", l["_time"], l["severity_text"], l["k8s.pod.name"], l["_msg"])
		if text := fmt.Sprint(l); strings.Contains(text, asked) || l["k8s.namespace.name"] != namespace || l["k8s.pod.name"] == "" {
			t.Errorf("the line tells what was asked for, or not where it is from: %s", text)
		}
	}
}

// services are the services that took part.
func (x traced) services() []string {
	var all []string
	for _, p := range x.Processes {
		all = append(all, p.Service)
	}
	return all
}

// ask asks Prometheus for the values of an expression.
func (o observed) ask(_ context.Context, t *testing.T, expr string) ([]float64, error) {
	t.Helper()
	return ofPrometheus(t, o.client, o.outputs, expr)
}

// ofPrometheus are the values of an expression, as a stack's Prometheus tells them.
func ofPrometheus(t *testing.T, client *http.Client, o outputs, expr string) ([]float64, error) {
	t.Helper()
	status, body, err := request(t, client, http.MethodGet, o.URLs["prometheus"]+"/api/v1/query?query="+url.QueryEscape(expr), nil,
		func(r *http.Request) { r.SetBasicAuth("admin", o.PrometheusPassword) })
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("%d %.200s %w", status, body, err)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	var values []float64
	for _, r := range answer.Data.Result {
		v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// behindLogin asks for a page of the stores through the edge.
func (o observed) behindLogin(t *testing.T) {
	t.Helper()
	for _, e := range []struct{ name, path string }{{"logs", "/select/logsql/query?query=*&limit=1"}, {"traces", "/api/services"}} {
		u := o.URLs[e.name] + e.path
		if status, _, err := request(t, o.client, http.MethodGet, u, nil, nil); err != nil || status != http.StatusUnauthorized {
			t.Errorf("GET %s without a password: %d %v, want 401", u, status, err)
		}
		status, body, err := request(t, o.client, http.MethodGet, u, nil, func(r *http.Request) { r.SetBasicAuth("admin", o.PrometheusPassword) })
		if err != nil || status != http.StatusOK || !strings.Contains(string(body), "alphapulse-") {
			t.Errorf("GET %s: %d %.200q %v", u, status, body, err)
		}
	}
}

// testWatched: each of the new workloads is scraped, and what its panels and alerts ask
// for is there.
func testWatched(t *testing.T, o observed) {
	o.behindLogin(t)
	for expr, least := range map[string]float64{
		`sum(up{job="` + gateway + `"})`:                                                        2, // its own figures, and what it is sent
		`sum(up{job="` + logStore + `"})`:                                                       1,
		`sum(up{job="` + traceStore + `"})`:                                                     1,
		`sum(otelcol_receiver_accepted_log_records{job="` + gateway + `"})`:                     1,
		`sum(otelcol_exporter_sent_log_records{job="` + gateway + `"})`:                         1,
		`sum(otelcol_exporter_sent_spans{job="` + gateway + `"})`:                               1,
		`min(otelcol_exporter_queue_capacity{job="` + gateway + `"})`:                           1,
		`count(otelcol_receiver_refused_spans{job="` + gateway + `"})`:                          1,
		`sum(span_calls_total{service_name="alphapulse-api"})`:                                  1,
		`count(span_duration_seconds_bucket{job="` + gateway + `"})`:                            1,
		`sum(vl_storage_rows{job="` + logStore + `"})`:                                          1,
		`count(vl_storage_is_read_only{job="` + logStore + `"} == 0)`:                           1,
		`sum(otelcol_exporter_sent_spans{job="` + traceStore + `"})`:                            1,
		`count(alphapulse:volume_used:ratio{persistentvolumeclaim=~"telemetry-(logs|traces)"})`: 2,
	} {
		eventually(t, 2*time.Minute, expr, func(ctx context.Context) (string, bool) {
			// The collector began anew a while ago, and counts from its first span on.
			if status, _, err := request(t, o.client, http.MethodGet, o.URLs["api"]+"/api/symbols", nil, nil); err != nil || status != http.StatusOK {
				return fmt.Sprintf("GET /api/symbols: %d %v", status, err), false
			}
			values, err := o.ask(ctx, t, expr)
			return fmt.Sprintf("%v %v", values, err), err == nil && len(values) == 1 && values[0] >= least
		})
	}
}
