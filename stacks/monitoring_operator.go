package stacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/operator"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Who scrapes, and evaluates rules.
const (
	// MonitoringOwn is a Prometheus and an Alertmanager of the stack.
	MonitoringOwn = "own"
	// MonitoringOperator is the Prometheus of a Prometheus Operator in the cluster.
	MonitoringOperator = "operator"
)

// ownClaims are those of the stack's own Prometheus and Alertmanager.
var ownClaims = []string{monitoring.PrometheusOf(monitoringName).Name, monitoring.AlertmanagerOf(monitoringName).Name}

// operatedMonitoring is what a stack says of a Prometheus Operator.
type operatedMonitoring struct {
	backend, namespace, url string
	labels                  map[string]string
}

// on tells whether an Operator's Prometheus watches.
func (o *operatedMonitoring) on() bool { return o.backend == MonitoringOperator }

// ownServer marks a setting of a Prometheus and an Alertmanager of the stack.
func (s *Stack) ownServer() settings.Option {
	return settings.While(func() bool { return !s.operated.on() }, "monitoringBackend is "+MonitoringOwn)
}

// operatorSettings come before those of the stack's own Prometheus.
func (s *Stack) operatorSettings(g *settings.Group) {
	o, only := &s.operated, settings.Only(room.Kubernetes)
	on := settings.While(o.on, "monitoringBackend is "+MonitoringOperator)
	g.Text(&o.backend, "monitoringBackend", "Who scrapes and evaluates rules: own, for a Prometheus and an Alertmanager of the stack; or operator, for those of a Prometheus Operator (0.81 or later) in the cluster, by ServiceMonitor, PodMonitor and PrometheusRule objects.",
		settings.OneOf(MonitoringOwn, MonitoringOperator), only)
	g.Text(&o.namespace, "operatorNamespace", "Namespace of the Operator's Prometheus: it is let in, and Grafana is let out to it.", settings.Valid(namespaceName), only, on)
	g.Object("operatorLabels", "Labels by which that Prometheus selects ServiceMonitors, PodMonitors and PrometheusRules, e.g. release: kube-prometheus-stack.", o.readLabels, only, on)
	g.Text(&o.url, "operatorPrometheusUrl", "Where Grafana asks that Prometheus; by default at the Service prometheus-operated of operatorNamespace, which every Operator makes.", settings.Valid(func(v string) error {
		_, err := httpPort(v)
		return err
	}), only, on)
	g.Check(func(p *settings.Problems) {
		if !o.on() {
			return
		}
		if o.url == "" {
			o.url = fmt.Sprintf("http://prometheus-operated.%s.svc:9090", o.namespace)
		}
		port, _ := httpPort(o.url)
		s.Monitoring.Operator = &monitoring.Operator{
			Namespace: o.namespace, Labels: o.labels, PrometheusURL: o.url, PrometheusPort: port, Kept: map[string]resource.Quantity{},
		}
		s.Monitoring.NamespaceName = s.Cluster.Namespace
	})
}

// namespaceName is for settings.Valid.
func namespaceName(v string) error {
	if problems := validation.IsDNS1123Label(v); len(problems) > 0 {
		return fmt.Errorf("%q cannot be a namespace: %s", v, problems[0])
	}
	return nil
}

// httpPort is the port of an http URL.
func httpPort(raw string) (int, error) {
	u := room.Address(raw, "http")
	if u == nil || u.User != nil {
		return 0, fmt.Errorf("%q is no http address: write e.g. http://prometheus-operated.monitoring.svc:9090", room.Shown(raw))
	}
	return room.PortOf(u), nil
}

func (o *operatedMonitoring) readLabels(raw string) error {
	o.labels = map[string]string{}
	if err := json.Unmarshal([]byte(raw), &o.labels); err != nil {
		return errors.New("it is not an object of texts: `pulumi config set --path operatorLabels.release kube-prometheus-stack`")
	}
	var problems []error
	own := room.Identity{}.Labels()
	for _, name := range slices.Sorted(maps.Keys(o.labels)) {
		if _, taken := own[name]; taken {
			problems = append(problems, fmt.Errorf("%s: the stack's objects have this label with a value of their own: choose another, and have that Prometheus select it", name))
		}
		for _, problem := range append(validation.IsQualifiedName(name), validation.IsValidLabelValue(o.labels[name])...) {
			problems = append(problems, fmt.Errorf("%s: it cannot be a label: %s", name, problem))
		}
	}
	return errors.Join(problems...)
}

// formerMonitoring keeps the volumes of a Prometheus and an Alertmanager that the stack had
// before, until they are named by databaseDeleteVolumes.
func (s *Stack) formerMonitoring(p *settings.Problems, before Previous) {
	for _, claim := range ownClaims {
		size, err := resource.ParseQuantity(before.Volumes[claim])
		deleted := slices.Contains(s.Backup.Delete, claim)
		switch {
		case err != nil:
		case !s.operated.on() && deleted:
			p.Add("databaseDeleteVolumes", "%q is in use: monitoringBackend is %s", claim, MonitoringOwn)
		case s.operated.on() && !deleted:
			s.Monitoring.Operator.Kept[claim] = size
		}
	}
}

// operatorServes refuses a cluster that knows no such objects.
func (s *Stack) operatorServes(ctx context.Context, cluster *live.Cluster) error {
	if !s.operated.on() {
		return nil
	}
	missing, err := cluster.Unserved(ctx, s.Cluster.Namespace, maps.Keys(operator.Kinds))
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &refusal{fmt.Sprintf("monitoringBackend: %s, and the cluster knows no %s of %s: install Prometheus Operator, or set monitoringBackend %s",
			MonitoringOperator, strings.Join(missing, " and no "), operator.APIVersion, MonitoringOwn)}
	}
	return nil
}
