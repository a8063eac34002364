package rules_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/operator"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

var operated = operator.Scope{Namespace: "alphapulse-test", StateJob: watched.monitoring.KubeStateMetrics}

// underOperator is a stack without a Prometheus and an Alertmanager of its own.
var underOperator = func() composition {
	c := watched
	c.monitoring.Prometheus, c.monitoring.PrometheusClaim, c.monitoring.Alertmanager, c.monitoring.AlertmanagerClaim = "", "", "", ""
	c.monitoring.RemoteWrite = false
	return c
}()

// strictly decodes into the Operator's own type, which knows every field.
func strictly(t *testing.T, spec any, into any) {
	t.Helper()
	content, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Errorf("the Operator does not know this: %v\n%s", err, content)
	}
}

// confined checks that an expression asks for series of the namespace alone.
func confined(t *testing.T, where, expr string) {
	t.Helper()
	for _, s := range selectors(t, query{where, expr}) {
		found := false
		for _, m := range s.LabelMatchers {
			found = found || m.Name == "namespace" && m.Type == labels.MatchEqual && m.Value == operated.Namespace
		}
		if !found {
			t.Errorf("%s asks for %s of the whole cluster", where, s)
		}
	}
}

// The Operator checks the rules of an object by Prometheus' own code before Prometheus
// loads them.
func TestOperatorTakesTheRules(t *testing.T) {
	groups, err := operated.Groups(underOperator.render(t))
	if err != nil {
		t.Fatal(err)
	}
	var spec monitoringv1.PrometheusRuleSpec
	strictly(t, map[string]any{"groups": groups}, &spec)
	rendered, err := yaml.Marshal(map[string]any{"groups": groups})
	if err != nil {
		t.Fatal(err)
	}
	if _, errs := rulefmt.Parse(rendered, false, model.UTF8Validation, promql, promslog.NewNopLogger()); len(errs) > 0 {
		t.Fatal(errs)
	}
	alerts := 0
	for _, g := range spec.Groups {
		for _, r := range g.Rules {
			confined(t, "rule "+r.Alert+r.Record, r.Expr.String())
			if r.Labels["namespace"] != operated.Namespace {
				t.Errorf("%s%s is of the namespace %q", r.Alert, r.Record, r.Labels["namespace"])
			}
			if r.Alert != "" {
				alerts++
			}
		}
	}
	if alerts < 60 {
		t.Errorf("%d alerts", alerts)
	}
}

func TestOperatorsPrometheusIsAskedForTheNamespace(t *testing.T) {
	files, err := board.Files(underOperator.panels())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		own, err := operated.Dashboard(content)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal([]byte(own), &d); err != nil {
			t.Fatal(err)
		}
		for _, p := range d.allPanels() {
			for _, q := range p.Targets {
				if *q.Datasource != ofSeries {
					continue
				}
				confined(t, name+", "+p.Title, q.Expr)
				if strings.Contains(q.Expr, `job=""`) {
					t.Errorf("%s, %s asks for nobody's series: %s", name, p.Title, q.Expr)
				}
			}
		}
	}
}

func TestOperatorTakesTheTargets(t *testing.T) {
	workload := func(name string, s *room.Scrape) room.Workload {
		return room.Workload{Identity: room.Identity{Name: name, Instance: "some", Component: "kind"}, Scrape: s}
	}
	monitor := func(kind string, w room.Workload) map[string]any {
		got, spec := operated.Monitor(w)
		if got != kind {
			t.Errorf("%s is scraped by a %s, want a %s", w.Name, got, kind)
		}
		return spec
	}
	var edge, state monitoringv1.PodMonitorSpec
	certificate := &room.Scrape{Port: 9115, Path: "/probe", Params: map[string]string{"module": "certificate"}}
	strictly(t, monitor("PodMonitor", workload("edge", &room.Scrape{Port: 9113, Path: "/metrics", Beside: certificate})), &edge)
	if edge.JobLabel != "app.kubernetes.io/name" || edge.Selector.MatchLabels["app.kubernetes.io/name"] != "edge" || edge.SampleLimit == nil {
		t.Errorf("%+v", edge)
	}
	if len(edge.PodMetricsEndpoints) != 2 {
		t.Fatalf("%d endpoints", len(edge.PodMetricsEndpoints))
	}
	if e := edge.PodMetricsEndpoints[1]; e.PortNumber == nil || *e.PortNumber != 9115 || e.Path != "/probe" || e.Params["module"][0] != "certificate" || e.HonorLabels {
		t.Errorf("%+v", e)
	}
	monitor("PodMonitor", workload("edge", &room.Scrape{Port: 9113, Path: "/metrics", Service: "edge-pods", Beside: certificate})) // of one port alone
	strictly(t, monitor("PodMonitor", workload(operated.StateJob, &room.Scrape{Port: 8080, Path: "/metrics"})), &state)
	if e := state.PodMetricsEndpoints[0]; !e.HonorLabels || e.RelabelConfigs[0].TargetLabel != "instance" {
		t.Errorf("the state of other pods is told as the exporter's own: %+v", e)
	}
	var api monitoringv1.ServiceMonitorSpec
	strictly(t, monitor("ServiceMonitor", workload("backend", &room.Scrape{Port: 8000, Path: "/metrics", Service: "backend-pods"})), &api)
	if api.JobLabel != "app.kubernetes.io/name" || api.Selector.MatchLabels["app.kubernetes.io/name"] != "backend" || api.SampleLimit == nil || len(api.Endpoints) != 1 {
		t.Fatalf("%+v", api)
	}
	e := api.Endpoints[0]
	if e.TargetPort == nil || e.TargetPort.IntValue() != 8000 || e.Path != "/metrics" {
		t.Errorf("%+v", e)
	}
	if r := e.RelabelConfigs[0]; r.Action != "keep" || r.Regex != "backend-pods" || len(r.SourceLabels) != 1 || r.SourceLabels[0] != "__meta_kubernetes_service_name" {
		t.Errorf("each of its Services has it scraped: %+v", r)
	}
	if last := e.RelabelConfigs[len(e.RelabelConfigs)-1]; last.Action != "labeldrop" || !strings.Contains(last.Regex, "|service") {
		t.Errorf("the series have labels that those of a Prometheus of the stack have not: %+v", last)
	}
}
