package monitoring

import (
	"errors"
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/netedge"
	"github.com/alphapulse/alphapulse-infra/components/internal/sizing"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// The ports that the monitoring workloads listen on.
const (
	PrometheusPort       = 9090
	AlertmanagerPort     = 9093
	GrafanaPort          = 3000
	KubeStateMetricsPort = 8080
)

// The paths that Prometheus and Alertmanager serve below, inside the cluster and
// behind the edge alike: no proxy has to rewrite a path.
const (
	PrometheusPath   = "/prometheus"
	AlertmanagerPath = "/alertmanager"
)

// Images are the references of the images, each with a tag or digest.
type Images struct {
	Prometheus, Alertmanager, Grafana, KubeStateMetrics pulumi.StringInput
}

// Prometheus sizes Prometheus.
type Prometheus struct {
	// Resources of the pod; 500m/1Gi to 1/2Gi when zero.
	Resources sizing.Resources
	// Storage of the samples; 20Gi when zero. The oldest are dropped when they
	// fill four fifths of it, whatever Retention says.
	Storage resource.Quantity
	// Retention is a Prometheus duration, e.g. "15d" or "200h"; "200h" when empty.
	Retention string
}

// Alertmanager sizes Alertmanager and says where alerts go.
type Alertmanager struct {
	// Resources of the pod; 50m/64Mi to 200m/256Mi when zero.
	Resources sizing.Resources
	// Storage of silences and of what was notified; 1Gi when zero.
	Storage resource.Quantity
	// WebhookURL gets every alert as a POST in Alertmanager's webhook format; a
	// secret. It must be an https URL on port 443 of an Internet address. nil
	// leaves alerts visible in the user interfaces only.
	WebhookURL pulumi.StringInput
	// HeartbeatURL gets a POST every minute for as long as monitoring works, for a
	// service that raises an alarm when they stop; conditions as for WebhookURL.
	// nil for none.
	HeartbeatURL pulumi.StringInput
}

// Grafana sizes Grafana.
type Grafana struct {
	// Resources of the pod; 250m/512Mi to 500m/1Gi when zero.
	Resources sizing.Resources
	// Storage of what users add to the provisioned dashboards; 10Gi when zero.
	Storage resource.Quantity
	// Password of the user "admin"; a secret. Changing it changes the login.
	Password pulumi.StringInput
}

// KubeStateMetrics sizes kube-state-metrics.
type KubeStateMetrics struct {
	// Resources of the pod; 20m/64Mi to 200m/256Mi when zero.
	Resources sizing.Resources
}

// Args configure a Monitoring.
type Args struct {
	// Namespace to create the objects in, and the only one that is monitored.
	Namespace pulumi.StringInput
	// Images of the four workloads.
	Images           Images
	Prometheus       Prometheus
	Alertmanager     Alertmanager
	Grafana          Grafana
	KubeStateMetrics KubeStateMetrics
	// Rules and Panels are those of the rooms, in the rooms' order; monitoring adds its
	// own.
	Rules  []rule.Group
	Panels []board.Contribution
	// Constants are the values of what rule.Constant records in Rules, such as when the
	// edge's certificate expires, in Unix seconds. A group with one that is missing, as
	// the program does not know it, is left out.
	Constants pulumi.IntMap
	// Watched are the monitoring workloads themselves; Validated fills them in.
	Watched observe.Watched
	// ExternalURL is the address of Grafana as users see it, e.g.
	// "https://monitoring.example.com", without a slash at the end.
	ExternalURL pulumi.StringInput
	// StorageClass of the claims; "" takes the cluster's default.
	StorageClass string
	// Protect makes Pulumi refuse to delete claims and StatefulSets, and keep them
	// if the stack is destroyed all the same.
	Protect bool
	// PriorityClass names the class of the pods that hold data; nil for the
	// cluster's default.
	PriorityClass pulumi.StringPtrInput
	// ImagePullSecret names a Secret with registry credentials; nil for public images.
	ImagePullSecret pulumi.StringPtrInput
}

// retentionShare is the part of Prometheus' volume that blocks may fill, in
// percent. The rest is for the write-ahead log, the head and a running compaction.
const retentionShare = 80

// Validated is a copy with every default filled in for the instance called name, or
// all that is wrong.
func (a *Args) Validated(name string) (*Args, error) {
	d := a.withDefaults(name)
	return d, d.validate()
}

func (a *Args) withDefaults(name string) *Args {
	d := *a
	orResources(&d.Prometheus.Resources, sizing.Of("500m", "1Gi", "1", "2Gi"))
	orResources(&d.Alertmanager.Resources, sizing.Of("50m", "64Mi", "200m", "256Mi"))
	orResources(&d.Grafana.Resources, sizing.Of("250m", "512Mi", "500m", "1Gi"))
	orResources(&d.KubeStateMetrics.Resources, sizing.Of("20m", "64Mi", "200m", "256Mi"))
	orQuantity(&d.Prometheus.Storage, "20Gi")
	orQuantity(&d.Alertmanager.Storage, "1Gi")
	orQuantity(&d.Grafana.Storage, "10Gi")
	if d.Prometheus.Retention == "" {
		d.Prometheus.Retention = "200h"
	}
	d.Watched.Prometheus = prometheusLabels(name).Name
	d.Watched.Alertmanager = alertmanagerLabels(name).Name
	d.Watched.Grafana = grafanaLabels(name).Name
	d.Watched.KubeStateMetrics = kubeStateMetricsLabels(name).Name
	d.Watched.PrometheusClaim = prometheusLabels(name).Name
	d.Watched.AlertmanagerClaim = alertmanagerLabels(name).Name
	return &d
}

func orResources(r *sizing.Resources, otherwise sizing.Resources) {
	if r.Requests.CPU.IsZero() && r.Requests.Memory.IsZero() && r.Limits.CPU.IsZero() && r.Limits.Memory.IsZero() {
		*r = otherwise
	}
}

func orQuantity(q *resource.Quantity, otherwise string) {
	if q.IsZero() {
		*q = resource.MustParse(otherwise)
	}
}

// validate expects the defaults to be filled in.
func (a *Args) validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("monitoring: "+format, v...)) }
	for _, required := range []struct {
		name, remedy string
		missing      bool
	}{
		{"Namespace", "pass the namespace to create the objects in", a.Namespace == nil},
		{"ExternalURL", "pass the address of Grafana as users see it", a.ExternalURL == nil},
		{"Grafana.Password", "pass the password of Grafana's admin user", a.Grafana.Password == nil},
		{"Images.Prometheus", "pass an image reference", a.Images.Prometheus == nil},
		{"Images.Alertmanager", "pass an image reference", a.Images.Alertmanager == nil},
		{"Images.Grafana", "pass an image reference", a.Images.Grafana == nil},
		{"Images.KubeStateMetrics", "pass an image reference", a.Images.KubeStateMetrics == nil},
	} {
		if required.missing {
			problem("%s is missing: %s", required.name, required.remedy)
		}
	}
	for _, w := range []struct {
		name      string
		resources sizing.Resources
	}{
		{"Prometheus", a.Prometheus.Resources},
		{"Alertmanager", a.Alertmanager.Resources},
		{"Grafana", a.Grafana.Resources},
		{"KubeStateMetrics", a.KubeStateMetrics.Resources},
	} {
		if err := w.resources.Validate(); err != nil {
			problem("%s.Resources: %w", w.name, err)
		}
	}
	for _, v := range []struct {
		name string
		size resource.Quantity
	}{
		{"Prometheus", a.Prometheus.Storage}, {"Alertmanager", a.Alertmanager.Storage}, {"Grafana", a.Grafana.Storage},
	} {
		if v.size.Sign() <= 0 {
			problem("%s.Storage is %q: set a size above zero", v.name, v.size.String())
		}
	}
	if d, err := model.ParseDuration(a.Prometheus.Retention); err != nil || d == 0 {
		problem("Prometheus.Retention is %q: give a Prometheus duration above zero, such as 15d or 200h", a.Prometheus.Retention)
	}
	if _, err := a.GrafanaDashboards(); err != nil {
		problem("Panels: %w", err)
	}
	if _, err := rule.Merge(observe.Rules(a.Watched, a.Rules)); err != nil {
		problem("Rules: %w", err)
	}
	return errors.Join(problems...)
}

// Demands is what the workloads need of the quota. None is ever more than one pod:
// each stops before its successor starts.
func (a *Args) Demands(name string) []sizing.Demand {
	d := a.withDefaults(name)
	return []sizing.Demand{
		{Workload: prometheusLabels(name).Name, Replicas: 1, Services: 1,
			Containers: []sizing.Resources{d.Prometheus.Resources}, Volumes: []resource.Quantity{d.Prometheus.Storage}},
		{Workload: alertmanagerLabels(name).Name, Replicas: 1, Services: 1,
			Containers: []sizing.Resources{d.Alertmanager.Resources}, Volumes: []resource.Quantity{d.Alertmanager.Storage}},
		{Workload: grafanaLabels(name).Name, Replicas: 1, Services: 1,
			Containers: []sizing.Resources{d.Grafana.Resources}, Volumes: []resource.Quantity{d.Grafana.Storage}},
		{Workload: kubeStateMetricsLabels(name).Name, Replicas: 1,
			Containers: []sizing.Resources{d.KubeStateMetrics.Resources}},
	}
}

// Workloads are the identities of the monitoring pods, known before they exist.
type Workloads struct {
	Prometheus, Alertmanager, Grafana, KubeStateMetrics netedge.Workload
}

// WorkloadsOf gives the identities of the monitoring instance called name.
func WorkloadsOf(name string) Workloads {
	of := func(l labels.Set) netedge.Workload {
		return netedge.Workload{Name: l.Name, Selector: l.Selector()}
	}
	return Workloads{
		Prometheus:       of(prometheusLabels(name)),
		Alertmanager:     of(alertmanagerLabels(name)),
		Grafana:          of(grafanaLabels(name)),
		KubeStateMetrics: of(kubeStateMetricsLabels(name)),
	}
}

// Target is a workload that serves metrics on a port.
type Target struct {
	Workload netedge.Workload
	Port     int
}

// apiServer is where the API server may be: its address is known to the cluster
// only, and its port is one of the two that clusters use.
var apiServer = netedge.Edge{To: netedge.Outside(netedge.Anywhere), Ports: []int{443, 6443}}

// Edges is every connection that the monitoring instance called name opens: to the
// targets, among its own workloads, to the API server, and to the receivers.
func (a *Args) Edges(name string, targets ...Target) []netedge.Edge {
	w := WorkloadsOf(name)
	scrape := func(to netedge.Workload, port int) netedge.Edge {
		return netedge.Edge{From: netedge.Pods(w.Prometheus), To: netedge.Pods(to), Ports: []int{port}}
	}
	toAPIServer := func(from netedge.Workload) netedge.Edge {
		e := apiServer
		e.From = netedge.Pods(from)
		return e
	}
	edges := []netedge.Edge{
		scrape(w.Alertmanager, AlertmanagerPort), // for alerts, too
		scrape(w.Grafana, GrafanaPort),
		scrape(w.KubeStateMetrics, KubeStateMetricsPort),
		{From: netedge.Pods(w.Grafana), To: netedge.Pods(w.Prometheus), Ports: []int{PrometheusPort}},
		toAPIServer(w.Prometheus),
		toAPIServer(w.KubeStateMetrics),
	}
	for _, t := range targets {
		edges = append(edges, scrape(t.Workload, t.Port))
	}
	if a.Alertmanager.WebhookURL != nil || a.Alertmanager.HeartbeatURL != nil {
		edges = append(edges, netedge.Edge{From: netedge.Pods(w.Alertmanager), To: netedge.Outside(netedge.Internet), Ports: []int{443}})
	}
	return edges
}

func prometheusLabels(name string) labels.Set {
	return labels.Set{Name: name + "-prometheus", Instance: name, Component: "metrics"}
}

func alertmanagerLabels(name string) labels.Set {
	return labels.Set{Name: name + "-alertmanager", Instance: name, Component: "alerts"}
}

func grafanaLabels(name string) labels.Set {
	return labels.Set{Name: name + "-grafana", Instance: name, Component: "dashboards"}
}

func kubeStateMetricsLabels(name string) labels.Set {
	return labels.Set{Name: name + "-kube-state-metrics", Instance: name, Component: "cluster-state"}
}
