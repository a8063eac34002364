package monitoring

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/operator"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Operator lets the Prometheus of a Prometheus Operator watch the namespace instead of one
// of its own: by ServiceMonitors, PodMonitors and a PrometheusRule. Its Alertmanager sends the alerts.
type Operator struct {
	// Namespace of that Prometheus.
	Namespace string
	// Labels by which it selects ServiceMonitors, PodMonitors and PrometheusRules, e.g. release
	// "kube-prometheus-stack".
	Labels map[string]string
	// PrometheusURL is where Grafana asks it, http, with a port or on port 80.
	PrometheusURL string
	// PrometheusPort of its pods.
	PrometheusPort int
	// Kept are the sizes of the claims of a Prometheus and an Alertmanager that were there
	// before, by name: they stay until they are left out.
	Kept map[string]resource.Quantity
}

// operatedFacts are those of a monitoring without a Prometheus and an Alertmanager.
func (a *Args) operatedFacts(name string, on room.Target) room.Facts {
	own := *a
	own.Operator, own.Custom, own.Prometheus.RemoteWrite, own.Alertmanager = nil, nil, nil, Alertmanager{Resources: a.Alertmanager.Resources}
	gone := func(i room.Identity) bool { return i == PrometheusOf(name) || i == AlertmanagerOf(name) }
	all := own.Facts(name, on)
	f := room.Facts{}
	for _, w := range all.Workloads {
		if !gone(w.Identity) {
			f.Workloads = append(f.Workloads, w)
			f.Links = append(f.Links, a.scraped(name, w.Identity, []int{w.Scrape.Port}))
		}
	}
	for _, s := range all.Services {
		if s != PrometheusOf(name).Name && s != AlertmanagerOf(name).Name {
			f.Services = append(f.Services, s)
		}
	}
	for _, c := range all.Claims {
		if c.Name == GrafanaOf(name).Name {
			f.Claims = append(f.Claims, c)
		}
	}
	for _, claim := range slices.Sorted(maps.Keys(a.Operator.Kept)) {
		f.Claims = append(f.Claims, room.Claim{Name: claim, Size: a.Operator.Kept[claim]})
	}
	for _, l := range all.Links {
		if !gone(*l.From.Workload) && (l.To.Workload == nil || !gone(*l.To.Workload)) {
			f.Links = append(f.Links, l)
		}
	}
	f.Links = append(f.Links, room.Link{
		From: room.Of(GrafanaOf(name)), To: room.Within(a.Operator.Namespace), Ports: []int{a.Operator.PrometheusPort}, Zone: room.Exit,
	})
	return f
}

// scope is what the Operator's Prometheus is asked for.
func (a *Args) scope() operator.Scope {
	return operator.Scope{Namespace: a.NamespaceName, StateJob: a.Watched.KubeStateMetrics}
}

// operated creates the objects that the Operator reads, and keeps what was stored before.
func (a *Args) operated(ctx *pulumi.Context, name string, facts room.Facts, opts ...pulumi.ResourceOption) error {
	for _, w := range slices.Concat(facts.Workloads, a.Scraped) {
		if w.Scrape == nil {
			continue
		}
		kind, spec := a.scope().Monitor(w)
		if err := a.object(ctx, kind, w.Identity, spec, opts...); err != nil {
			return err
		}
	}
	spec := a.ExternalURL.ToStringOutput().ApplyT(func(url string) (map[string]any, error) {
		groups, err := a.OperatorGroups(a.values(url, room.Kubernetes))
		return map[string]any{"groups": groups}, err
	})
	i := PrometheusOf(name)
	i.Name = name
	if err := a.object(ctx, "PrometheusRule", i, spec, opts...); err != nil {
		return err
	}
	for _, former := range []struct {
		server
		image pulumi.StringInput
	}{
		{server{identity: PrometheusOf(name), container: "prometheus", resources: a.Prometheus.Resources}, a.Images.Prometheus},
		{server{identity: AlertmanagerOf(name), container: "alertmanager", resources: a.Alertmanager.Resources}, a.Images.Alertmanager},
	} {
		size, kept := a.Operator.Kept[former.identity.Name]
		if !kept {
			continue
		}
		_, err := workload.Pod{
			Identity: former.identity, Placement: a.Placement, Kind: workload.Stateful, GoverningService: former.identity.Name, Protect: a.Protect,
			Processes: []workload.Process{{Name: former.container, Image: former.image, User: workload.Nobody, Resources: former.resources}},
		}.Idle(ctx, map[string]resource.Quantity{former.identity.Name: size}, opts...)
		if err != nil {
			return fmt.Errorf("former %s: %w", former.container, err)
		}
	}
	return nil
}

// OperatorGroups are the groups of the PrometheusRule.
func (a *Args) OperatorGroups(values rule.Values) ([]any, error) {
	rendered, err := rule.Render(a.rules(), values)
	if err != nil {
		return nil, err
	}
	files := []string{rendered}
	if a.Custom != nil {
		files = append(files, slices.Collect(contents(a.Custom.Rules))...)
	}
	return a.scope().Groups(files...)
}

// contents of files, in the order of their names.
func contents(files map[string]string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if !yield(files[name]) {
				return
			}
		}
	}
}

// object creates one that the Operator reads.
func (a *Args) object(ctx *pulumi.Context, kind string, i room.Identity, spec any, opts ...pulumi.ResourceOption) error {
	meta := workload.Meta(i.Name, a.Namespace, i)
	labels := pulumi.ToStringMap(i.Labels())
	for label, value := range a.Operator.Labels {
		labels[label] = pulumi.String(value)
	}
	meta.Labels = labels
	_, err := apiextensions.NewCustomResource(ctx, i.Name, &apiextensions.CustomResourceArgs{
		ApiVersion: pulumi.String(operator.APIVersion), Kind: pulumi.String(kind), Metadata: meta,
		OtherFields: map[string]any{"spec": spec},
	}, opts...)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", kind, i.Name, err)
	}
	return nil
}
