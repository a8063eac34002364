//go:build e2e

package e2e

import (
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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// plugins is the folder of the stand-in for Grafana that has its data source of log lines.
const plugins = "/usr/share/grafana/plugins"

// grafanaAsks is who has logged in to Grafana, once, and asks everything through it.
type grafanaAsks struct {
	observed
	// sources are the IDs of the data sources by their names.
	sources map[string]int
}

// loggedIn logs in to Grafana as its admin, as its page does.
func (o observed) loggedIn(t *testing.T) grafanaAsks {
	t.Helper()
	form := map[string]string{"user": "admin", "password": o.GrafanaPassword}
	eventually(t, 2*time.Minute, "Grafana's login", func(context.Context) (string, bool) {
		status, body, err := request(t, o.client, http.MethodPost, o.URLs["grafana"]+"/login", form, nil)
		return fmt.Sprintf("%d %.160q %v", status, body, err), err == nil && status == http.StatusOK
	})
	g := grafanaAsks{o, map[string]int{}}
	var known []struct {
		ID   int
		Name string
	}
	if err := g.get(t, "/api/datasources", nil, &known); err != nil {
		t.Fatal(err)
	}
	for _, s := range known {
		g.sources[s.Name] = s.ID
	}
	return g
}

// get asks Grafana for JSON.
func (g grafanaAsks) get(t *testing.T, path string, query url.Values, into any) error {
	t.Helper()
	raw, err := g.raw(t, path, query)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func (g grafanaAsks) raw(t *testing.T, path string, query url.Values) ([]byte, error) {
	t.Helper()
	status, body, err := request(t, g.client, http.MethodGet, g.URLs["grafana"]+path+"?"+query.Encode(), nil, nil)
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %d %.200q %w", path, status, body, err)
	}
	return body, nil
}

// of is the path at which Grafana asks one of its data sources.
func (g grafanaAsks) of(source, path string) string {
	return "/api/datasources/proxy/" + strconv.Itoa(g.sources[source]) + "/" + path
}

// exemplar is a single observation of a histogram.
type exemplar struct {
	Labels    map[string]string
	Value     string
	Timestamp float64
}

// exemplars are those of the last minutes, the earliest of each series first.
func (g grafanaAsks) exemplars(t *testing.T, series string) ([]exemplar, error) {
	t.Helper()
	now := time.Now()
	var answer struct {
		Data []struct{ Exemplars []exemplar }
	}
	err := g.get(t, g.of("Prometheus", "api/v1/query_exemplars"), url.Values{
		"query": {series}, "start": {fmt.Sprint(now.Add(-10 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())},
	}, &answer)
	var all []exemplar
	for _, s := range answer.Data {
		all = append(all, s.Exemplars...)
	}
	return all, err
}

// testOneLogin goes from a panel's observation to its trace and to that trace's lines, with
// Grafana's login alone: over the links that the network policies allow, and by the addresses
// of Grafana's own data sources.
func testOneLogin(t *testing.T, o observed) {
	g := o.loggedIn(t)
	for _, source := range []string{"Prometheus", "Jaeger", "VictoriaLogs"} {
		if g.sources[source] == 0 {
			t.Fatalf("Grafana has no data source %s: %v", source, g.sources)
		}
	}
	for _, series := range []string{`http_request_duration_seconds_bucket{job="backend"}`, `span_duration_seconds_bucket{job="` + gateway + `"}`} {
		eventually(t, 3*time.Minute, "from an observation of "+series+" to its lines", func(context.Context) (string, bool) {
			if status, _, err := request(t, o.client, http.MethodGet, o.URLs["api"]+"/api/symbols", nil, nil); err != nil || status != http.StatusOK {
				return fmt.Sprintf("GET /api/symbols: %d %v", status, err), false
			}
			observations, err := g.exemplars(t, series)
			if err != nil || len(observations) == 0 {
				return fmt.Sprintf("%d observations %v", len(observations), err), false
			}
			seen := ""
			for _, e := range observations {
				var found bool
				if seen, found = g.led(t, e.Labels["trace_id"]); found {
					t.Logf("an observation of %s s, %s", e.Value, seen)
					return seen, true
				}
			}
			return fmt.Sprintf("%d observations, the last one: %s", len(observations), seen), false
		})
	}
}

// led follows a trace's ID to its spans and its lines.
func (g grafanaAsks) led(t *testing.T, id string) (seen string, found bool) {
	t.Helper()
	if id == "" {
		return "it has no trace_id", false
	}
	var traces struct{ Data []traced }
	if err := g.get(t, g.of("Jaeger", "api/traces/"+id), nil, &traces); err != nil || len(traces.Data) != 1 {
		return fmt.Sprintf("trace %s: %d found %v", id, len(traces.Data), err), false
	}
	raw, err := g.raw(t, g.of("VictoriaLogs", "select/logsql/query"), url.Values{"query": {fmt.Sprintf(`trace_id:=%q`, id)}, "limit": {"100"}})
	if err != nil {
		return err.Error(), false
	}
	lines := strings.Count(string(raw), "\n")
	return fmt.Sprintf("trace %s: %d spans, %d lines", id, len(traces.Data[0].Spans), lines), len(traces.Data[0].Spans) > 0 && lines > 0
}

// testSentMetrics sends one metric as a build or a batch job outside of the cluster does, and
// finds it as docs/observability.md says.
func testSentMetrics(t *testing.T, o observed) {
	attribute := func(key, value string) map[string]any {
		return map[string]any{"key": key, "value": map[string]any{"stringValue": value}}
	}
	body := map[string]any{"resourceMetrics": []any{map[string]any{
		"resource": map[string]any{"attributes": []any{
			attribute("service.name", "e2e-batch"), attribute("service.instance.id", "one"), attribute("k8s.pod.name", "batch-0"),
		}},
		"scopeMetrics": []any{map[string]any{"metrics": []any{map[string]any{
			"name": "e2e.orders.open", "gauge": map[string]any{"dataPoints": []any{map[string]any{
				"timeUnixNano": strconv.FormatInt(time.Now().UnixNano(), 10), "asDouble": 42,
			}}},
		}}}},
	}}}
	at := o.URLs["prometheus"] + "/api/v1/otlp/v1/metrics"
	if status, _, err := request(t, o.client, http.MethodPost, at, body, nil); err != nil || status != http.StatusUnauthorized {
		t.Errorf("POST %s without a password: %d %v, want 401", at, status, err)
	}
	status, answer, err := request(t, o.client, http.MethodPost, at, body, func(r *http.Request) { r.SetBasicAuth("admin", o.PrometheusPassword) })
	if err != nil || status != http.StatusOK {
		t.Fatalf("POST %s: %d %.200q %v", at, status, answer, err)
	}
	const series = `e2e_orders_open{job="e2e-batch",instance="one",k8s_pod_name="batch-0"}`
	eventually(t, time.Minute, series, func(ctx context.Context) (string, bool) {
		values, err := o.ask(ctx, t, series)
		return fmt.Sprintf("%v %v", values, err), err == nil && len(values) == 1 && values[0] == 42
	})
	for _, workload := range []string{"backend", "backend-engine", "backend-dashboard"} {
		env := map[string]string{}
		for _, p := range pods(t, namespace)[workload] {
			for _, c := range p.Spec.Containers {
				for _, e := range c.Env {
					env[e.Name] = e.Value
				}
			}
		}
		if env["OTEL_METRICS_EXPORTER"] != "otlp" || env["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] == "" {
			t.Errorf("%s is not told where metrics are sent: %q %q", workload, env["OTEL_METRICS_EXPORTER"], env["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"])
		}
	}
}

// testRolloutsAreMarked rolls a Deployment out as kubectl does, and asks what Grafana asks to
// draw marks across its panels.
func testRolloutsAreMarked(t *testing.T, o observed) {
	const rolled = "frontend"
	g := o.loggedIn(t)
	var page struct {
		Dashboard struct {
			Annotations struct {
				List []struct{ Name, Expr string }
			}
		}
	}
	if err := g.get(t, "/api/dashboards/uid/alphapulse-overview", nil, &page); err != nil {
		t.Fatal(err)
	}
	expr := ""
	for _, m := range page.Dashboard.Annotations.List {
		if m.Name == "Rollout" {
			expr = m.Expr
		}
	}
	if expr == "" {
		t.Fatalf("Grafana draws no mark: %+v", page.Dashboard.Annotations.List)
	}
	patch := func(ctx context.Context, value string) error {
		_, err := cluster.AppsV1().Deployments(namespace).Patch(ctx, rolled, types.StrategicMergePatchType,
			[]byte(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":`+value+`}}}}}`), metav1.PatchOptions{})
		return err
	}
	start := time.Now()
	if err := patch(t.Context(), `"`+start.Format(time.RFC3339)+`"`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := patch(ctx, "null"); err != nil {
			t.Error(err)
		}
	})
	settled(t, namespace)
	eventually(t, 3*time.Minute, "the mark of the rollout of "+rolled, func(context.Context) (string, bool) {
		var answer struct {
			Data struct {
				Result []struct {
					Metric map[string]string
					Values [][2]any
				}
			}
		}
		err := g.get(t, g.of("Prometheus", "api/v1/query_range"), url.Values{
			"query": {expr}, "start": {fmt.Sprint(start.Unix())}, "end": {fmt.Sprint(time.Now().Unix())}, "step": {"15"},
		}, &answer)
		marked := map[string]int{}
		for _, r := range answer.Data.Result {
			marked[r.Metric["deployment"]+r.Metric["statefulset"]] += len(r.Values)
		}
		return fmt.Sprintf("marked: %v %v", marked, err), marked[rolled] > 0
	})
}

// testGrafanaKeeps makes a dashboard by hand, as somebody does who looks for a cause, has
// Grafana's pod replaced, and finds it again.
func testGrafanaKeeps(t *testing.T, o observed) {
	const uid, title = "e2e-by-hand", "Made by hand"
	o.loggedIn(t)
	made := map[string]any{"dashboard": map[string]any{"uid": uid, "title": title, "panels": []any{}}}
	if status, answer, err := request(t, o.client, http.MethodPost, o.URLs["grafana"]+"/api/dashboards/db", made, nil); err != nil || status != http.StatusOK {
		t.Fatalf("POST /api/dashboards/db: %d %.200s %v", status, answer, err)
	}
	former := uids(t, namespace)["monitoring-grafana"]
	if err := cluster.CoreV1().Pods(namespace).Delete(t.Context(), "monitoring-grafana-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, "Grafana has another pod", func(context.Context) (string, bool) {
		list := pods(t, namespace)["monitoring-grafana"]
		return fmt.Sprintf("%d pods", len(list)), len(list) == 1 && ready(&list[0]) && !slices.Contains(former, string(list[0].UID))
	})
	g := o.loggedIn(t)
	var page struct{ Dashboard struct{ Title string } }
	if err := g.get(t, "/api/dashboards/uid/"+uid, nil, &page); err != nil || page.Dashboard.Title != title {
		t.Errorf("what was made by hand is gone: %+v %v", page, err)
	}
}
