package monitoring

import (
	"errors"
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/custom"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
	"github.com/alphapulse/alphapulse-infra/components/workload"
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
	// What each of the workloads runs; nil takes that of Defaults.
	Prometheus, Alertmanager, Grafana, KubeStateMetrics pulumi.StringInput
}

// Prometheus sizes Prometheus.
type Prometheus struct {
	// Resources of the pod.
	Resources room.Resources
	// Storage of the samples. The oldest are dropped when they
	// fill four fifths of it, whatever Retention says.
	Storage resource.Quantity
	// Retention is a Prometheus duration, e.g. "15d" or "200h".
	Retention string
	// Kubelets are asked for what containers take; nil where nobody may. An Operator's
	// Prometheus has it anyhow, and is not told.
	Kubelets *config.Kubelets
	// RemoteWrite sends samples to somebody else's server, too; nil for nowhere.
	RemoteWrite *RemoteWrite
	// OTLP takes metrics by OpenTelemetry's protocol, too, below OTLPPath.
	OTLP bool
	// Credentials are secrets by names of their own, which scrape configurations of Custom
	// read below custom.CredentialsPath.
	Credentials map[string]pulumi.StringInput
}

// RemoteWrite is a server that takes samples by Prometheus' remote write protocol.
type RemoteWrite struct {
	// URL, https.
	URL string
	// Username of basic authentication; "" sends Credential as a bearer token.
	Username string
	// Credential is the password or the token; a secret. nil for none.
	Credential pulumi.StringInput
	// CA are the PEM certificates by which the server's is trusted; "" for those of the
	// image.
	CA string
}

// Alertmanager sizes Alertmanager and says where alerts go.
type Alertmanager struct {
	// Resources of the pod.
	Resources room.Resources
	// Storage of silences and of what was notified.
	Storage resource.Quantity
	// Receivers of alerts, each of those that it asks for.
	Receivers []Receiver
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
	// Resources of the pod.
	Resources room.Resources
	// Storage of what users add to the provisioned dashboards.
	Storage resource.Quantity
	// Password of the user "admin"; a secret. Changing it changes the login.
	Password pulumi.StringInput
	// SignOn lets users of a provider log in, too; nil for the user "admin" alone.
	SignOn *SignOn
	// LogsPlugin is where the data source of log lines comes from, which Grafana's image has
	// not, where there is a LogsURL: a version of Grafana's catalog, e.g. "0.30.1", or the
	// https address of an archive, either of which is fetched before Grafana starts, or the
	// folder in Grafana's image that holds it.
	LogsPlugin string
}

// KubeStateMetrics sizes kube-state-metrics.
type KubeStateMetrics struct {
	// Resources of the pod.
	Resources room.Resources
}

// Args configure a Monitoring. What is zero takes the value of Defaults.
type Args struct {
	// Placement names the only namespace that is monitored.
	workload.Placement
	// Images of the four workloads.
	Images Images
	// Prometheus to KubeStateMetrics size the workloads, and say what they do.
	Prometheus       Prometheus
	Alertmanager     Alertmanager
	Grafana          Grafana
	KubeStateMetrics KubeStateMetrics
	// APIServerPorts are those on which pods reach the API server, whose address is known
	// to the cluster only; by default those that most clusters use.
	APIServerPorts []int
	// Owners act on alerts instead of who does by default: by the name of the room that an
	// alert is of, e.g. "database", or by the owner by default, e.g. "trading" or "platform".
	Owners map[string]string
	// Quota is the name of the stack's own ResourceQuota; "" for none.
	Quota string
	// Limits of the alerts on workloads.
	Limits observe.Limits
	// Rules and Panels are those of the rooms, in the rooms' order; monitoring adds its
	// own.
	Rules  []rule.Group
	Panels []board.Contribution
	// TracesURL is Jaeger's address with its path, http, for Grafana; "" where there is none.
	TracesURL string
	// LogsURL is VictoriaLogs' address with its path, http, for Grafana; "" where it is not
	// to show log lines. LogsPages is where users reach VictoriaLogs' own pages; "" for
	// nowhere.
	LogsURL, LogsPages string
	// LogsOf are the workloads whose lines are kept, to which alerts lead; nil for every one.
	LogsOf []string
	// Operator watches instead of a Prometheus and an Alertmanager of its own; nil for these.
	Operator *Operator
	// Custom is what users watch beside what the rooms do; nil for nothing.
	Custom *custom.Folder
	// NamespaceName tells Custom's targets inside of the namespace from others; "" where it
	// is not known before it exists.
	NamespaceName string
	// Taken are the names of the workloads and Services of the stack.
	Taken []string
	// Scraped are the workloads of a Docker host that serve metrics; on a cluster pods are
	// discovered by their annotations.
	Scraped []room.Workload
	// Consumers are the workloads that are linked to one, by its name: alerts on them are
	// not sent while it is away itself.
	Consumers map[string][]string
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
}

// RetentionShare is the part of Prometheus' volume that blocks may fill.
// The rest is for the write-ahead log, the head and a running compaction.
const RetentionShare = 0.8

// Validated is a copy with every default filled in for the instance called name, or
// all that is wrong.
func (a *Args) Validated(name string) (*Args, error) {
	d := a.withDefaults(name)
	return d, d.validate()
}

func (a *Args) withDefaults(name string) *Args {
	d := room.Fill(*a, Defaults())
	d.Watched = a.Named(name, room.Kubernetes)
	return &d
}

// Named are the names of the workloads of the monitoring called name.
func (a *Args) Named(name string, on room.Target) observe.Watched {
	w := a.Watched
	w.Name = name
	w.Prometheus, w.PrometheusClaim, w.Alertmanager, w.AlertmanagerClaim = "", "", "", ""
	if a.Operator == nil {
		w.Prometheus, w.PrometheusClaim = PrometheusOf(name).Name, PrometheusOf(name).Name
		w.Alertmanager, w.AlertmanagerClaim = AlertmanagerOf(name).Name, AlertmanagerOf(name).Name
	}
	w.Grafana, w.KubeStateMetrics = GrafanaOf(name).Name, ""
	w.RemoteWrite, w.Quota, w.Limits = a.Prometheus.RemoteWrite != nil, a.Quota, a.Limits
	if on == room.Kubernetes {
		w.KubeStateMetrics, w.Containers = KubeStateMetricsOf(name).Name, a.Prometheus.Kubelets != nil
	}
	return w
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
		{"NamespaceName", "an Operator's Prometheus is asked for one namespace: pass its name", a.Operator != nil && a.NamespaceName == ""},
		{"Grafana.Password", "pass the password of Grafana's admin user", a.Grafana.Password == nil},
	} {
		if required.missing {
			problem("%s is missing: %s", required.name, required.remedy)
		}
	}
	a.Grafana.SignOn.validate(problem)
	if a.LogsURL != "" {
		if err := CheckLogsPlugin(a.Grafana.LogsPlugin); err != nil {
			problem("Grafana.LogsPlugin: %w", err)
		}
	}
	for _, w := range []struct {
		name      string
		resources room.Resources
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
	if w := a.Prometheus.RemoteWrite; w != nil {
		if err := config.CheckRemoteURL(w.URL); err != nil {
			problem("Prometheus.RemoteWrite.URL: %w", err)
		}
	}
	if err := a.Alertmanager.validate(); err != nil {
		problem("Alertmanager: %w", err)
	}
	if _, err := a.GrafanaDashboards(); err != nil {
		problem("Panels: %w", err)
	}
	if _, err := rule.Merge(a.rules()); err != nil {
		problem("Rules: %w", err)
	}
	custom, _ := a.CheckCustom(room.Kubernetes)
	for _, p := range custom {
		problem("Custom: %s", p)
	}
	return errors.Join(problems...)
}
