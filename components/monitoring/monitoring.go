// Package monitoring runs Prometheus, Alertmanager, Grafana and kube-state-metrics
// for one namespace, with nothing but namespaced permissions. A pod is scraped
// when it carries the annotations prometheus.io/scrape "true", prometheus.io/port
// and prometheus.io/path, and declares that port.
package monitoring

import (
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
)

// Monitoring is the monitoring of one namespace.
type Monitoring struct {
	pulumi.ResourceState

	// PrometheusHost, AlertmanagerHost and GrafanaHost are the Services' names;
	// their ports are PrometheusPort, AlertmanagerPort and GrafanaPort.
	PrometheusHost, AlertmanagerHost, GrafanaHost pulumi.StringOutput
}

// NewMonitoring creates the monitoring.
func NewMonitoring(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Monitoring, error) {
	if args == nil {
		args = &Args{}
	}
	args, err := args.Validated(name)
	if err != nil {
		return nil, err
	}
	m := &Monitoring{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Monitoring", name, m, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(m)
	for _, part := range []struct {
		what   string
		create func(*pulumi.Context, string, *Args, ...pulumi.ResourceOption) error
	}{
		{"kube-state-metrics", m.kubeStateMetrics},
		{"alertmanager", m.alertmanager},
		{"prometheus", m.prometheus},
		{"grafana", m.grafana},
	} {
		if err := part.create(ctx, name, args, parent); err != nil {
			return nil, fmt.Errorf("%s: %w", part.what, err)
		}
	}
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{
		"prometheusHost":   m.PrometheusHost,
		"alertmanagerHost": m.AlertmanagerHost,
		"grafanaHost":      m.GrafanaHost,
	})
}

// portName is the name of the port that probes and Services refer to.
const portName = "http"

// scraped are the annotations that make Prometheus scrape a pod.
func scraped(port int, path string) pulumi.StringMap {
	return pulumi.StringMap{
		"prometheus.io/scrape": pulumi.String("true"),
		"prometheus.io/port":   pulumi.String(fmt.Sprint(port)),
		"prometheus.io/path":   pulumi.String(path),
	}
}

// service gives a workload its address inside the namespace.
func service(ctx *pulumi.Context, l labels.Set, namespace pulumi.StringInput, port int, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	m := pods.Meta(l.Name, namespace, l)
	// The rollout is awaited by the workload itself.
	m.Annotations = pulumi.StringMap{"pulumi.com/skipAwait": pulumi.String("true")}
	s, err := corev1.NewService(ctx, l.Name, &corev1.ServiceArgs{
		Metadata: m,
		Spec: &corev1.ServiceSpecArgs{
			Type: pulumi.String("ClusterIP"),
			// Headless: each is one pod, a StatefulSet's own name is below it.
			ClusterIP: pulumi.String("None"),
			Selector:  pulumi.ToStringMap(l.Selector()),
			Ports: corev1.ServicePortArray{&corev1.ServicePortArgs{
				Name: pulumi.String(portName), Port: pulumi.Int(port), TargetPort: pulumi.String(portName),
			}},
		},
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return s.Metadata.Name().Elem(), nil
}
