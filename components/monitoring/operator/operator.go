// Package operator renders what Prometheus Operator reads instead of a Prometheus of our
// own: which pods are scraped, and which rules there are. Its Prometheus holds the series of
// a whole cluster, so that every expression is confined to one namespace. Plain Go without
// Pulumi types.
package operator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// APIVersion of the objects.
const APIVersion = "monitoring.coreos.com/v1"

// Kinds of the objects, and of what their definitions are called.
var Kinds = map[string]string{"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules", "ServiceMonitor": "servicemonitors"}

var promql = parser.NewParser(parser.Options{})

// Grafana fills its variable in; Prometheus prints this duration as it is written.
const (
	variable = "$__rate_interval"
	standIn  = "16m27s654ms"
)

// Scope is what expressions are confined to.
type Scope struct {
	// Namespace of the series.
	Namespace string
	// StateJob serves the state of the namespace's objects. A cluster mostly has another
	// that does, and their series must not be counted twice.
	StateJob string
}

// Confine lets an expression ask for series of the namespace alone.
func (s Scope) Confine(expr string) (string, error) {
	tree, err := promql.ParseExpr(strings.ReplaceAll(expr, variable, standIn))
	if err != nil {
		return "", err
	}
	parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
		selector, is := n.(*parser.VectorSelector)
		if !is {
			return nil
		}
		selector.LabelMatchers = append(selector.LabelMatchers, labels.MustNewMatcher(labels.MatchEqual, "namespace", s.Namespace))
		if strings.HasPrefix(selector.Name, "kube_") {
			selector.LabelMatchers = append(selector.LabelMatchers, labels.MustNewMatcher(labels.MatchEqual, "job", s.StateJob))
		}
		return nil
	})
	return strings.ReplaceAll(tree.String(), standIn, variable), nil
}

// Groups are those of rule files, as a PrometheusRule has them. What a rule makes is of the
// namespace, too, so that others find it there.
func (s Scope) Groups(files ...string) ([]any, error) {
	all := []any{}
	for _, content := range files {
		var file struct {
			Groups []map[string]any `yaml:"groups"`
		}
		if err := yaml.Unmarshal([]byte(content), &file); err != nil {
			return nil, err
		}
		for _, g := range file.Groups {
			rules, _ := g["rules"].([]any)
			for _, r := range rules {
				r, is := r.(map[string]any)
				if !is {
					continue
				}
				confined, err := s.Confine(fmt.Sprint(r["expr"]))
				if err != nil {
					return nil, fmt.Errorf("group %v: %w", g["name"], err)
				}
				labels, _ := r["labels"].(map[string]any)
				if labels == nil {
					labels = map[string]any{}
				}
				labels["namespace"] = s.Namespace
				r["expr"], r["labels"] = confined, labels
			}
			all = append(all, g)
		}
	}
	return all, nil
}

// Dashboard confines the queries of one. What only Grafana can read stays as it is.
func (s Scope) Dashboard(content string) (string, error) {
	var model map[string]any
	d := json.NewDecoder(strings.NewReader(content))
	d.UseNumber()
	if err := d.Decode(&model); err != nil {
		return "", err
	}
	s.queries(model, true)
	confined, err := json.MarshalIndent(model, "", " ")
	return string(confined), err
}

// queries confines what asks for series, and not for log lines, as a query's data source says
// or that of its panel.
func (s Scope) queries(node any, series bool) {
	switch node := node.(type) {
	case map[string]any:
		switch of := node["datasource"].(type) {
		case map[string]any:
			series = of["uid"] != board.LinesDatasource
		case string:
			series = of != board.LinesDatasource
		}
		for key, value := range node {
			if expr, is := value.(string); is && key == "expr" {
				if !series {
					continue
				}
				if confined, err := s.Confine(expr); err == nil {
					node[key] = confined
				}
				continue
			}
			s.queries(value, series)
		}
	case []any:
		for _, value := range node {
			s.queries(value, series)
		}
	}
}

// Monitor is the kind and the spec of what has a workload scraped that serves metrics: a
// ServiceMonitor where a Service has the port of all of its pods, else a PodMonitor. Series
// get the labels that they have in a Prometheus of our own.
func (s Scope) Monitor(w room.Workload) (kind string, spec map[string]any) {
	kind, list := "PodMonitor", "podMetricsEndpoints"
	if behindService(w) {
		kind, list = "ServiceMonitor", "endpoints"
	}
	var endpoints []any
	for _, at := range w.Scrape.All() {
		endpoints = append(endpoints, s.endpoint(w, at))
	}
	matched := map[string]any{}
	for name, value := range w.Selector() {
		matched[name] = value
	}
	return kind, map[string]any{
		"jobLabel":    "app.kubernetes.io/name",
		"selector":    map[string]any{"matchLabels": matched},
		list:          endpoints,
		"sampleLimit": config.SampleLimit,
	}
}

// behindService tells whether a Service has all ports at which a workload serves metrics.
func behindService(w room.Workload) bool {
	return !slices.ContainsFunc(w.Scrape.All(), func(at *room.Scrape) bool { return at.Service == "" })
}

func (s Scope) endpoint(w room.Workload, at *room.Scrape) map[string]any {
	drop, port := "container|endpoint", "portNumber"
	relabelings := []any{map[string]any{
		"sourceLabels": []any{"__meta_kubernetes_pod_label_app_kubernetes_io_component"}, "targetLabel": "component", "action": "replace",
	}}
	if behindService(w) {
		// A pod is behind a Service for clients, too, and is scraped once.
		relabelings = append([]any{map[string]any{"sourceLabels": []any{"__meta_kubernetes_service_name"}, "regex": at.Service, "action": "keep"}}, relabelings...)
		drop, port = drop+"|service", "targetPort"
	}
	e := map[string]any{
		port: at.Port, "path": at.Path, "interval": config.ScrapeInterval, "scrapeTimeout": config.ScrapeTimeout,
	}
	if w.Name == s.StateJob {
		// Its series describe other pods, and outlive its own.
		e["honorLabels"] = true
		drop += "|pod|component"
		relabelings = []any{map[string]any{"targetLabel": "instance", "replacement": config.KubeStateMetricsInstance, "action": "replace"}}
	}
	e["relabelings"] = append(relabelings, map[string]any{"regex": drop, "action": "labeldrop"})
	if len(at.Params) > 0 {
		params := map[string]any{}
		for name, value := range at.Params {
			params[name] = []any{value}
		}
		e["params"] = params
	}
	return e
}
