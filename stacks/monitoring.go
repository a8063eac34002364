package stacks

import (
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

func (s *Stack) monitoringSettings(set *settings.Set) {
	a, only := s.Monitoring, settings.Only(room.Kubernetes)
	floor := func(least resource.Quantity) settings.Option {
		return settings.AtLeast(least, "as limits.memory it does not start with it")
	}
	smallest := settings.AtLeast(smallestVolume, "")
	g := set.Group("Monitoring", "Prometheus, Alertmanager, Grafana and, on a cluster, kube-state-metrics.")
	g.Image(&a.Images.Prometheus, "prometheusImage", "Prometheus.")
	g.Image(&a.Images.Alertmanager, "alertmanagerImage", "Alertmanager.")
	g.Image(&a.Images.Grafana, "grafanaImage", "Grafana.")
	g.Image(&a.Images.KubeStateMetrics, "kubeStateMetricsImage", "kube-state-metrics.", only)
	g.Resources(&a.Prometheus.Resources, "prometheusResources", "Prometheus", floor(monitoring.LeastMemory.Prometheus))
	s.volume(g, monitoringName+"-prometheus", &a.Prometheus.Storage, "prometheusStorage", "Size of Prometheus' volume. It can grow, never shrink. A Docker volume has no bound: the oldest samples go by it.", smallest)
	g.Text(&a.Prometheus.Retention, "prometheusRetention", "How long Prometheus keeps samples.", settings.Valid(duration))
	g.Resources(&a.Grafana.Resources, "grafanaResources", "Grafana", floor(monitoring.LeastMemory.Grafana))
	s.volume(g, monitoringName+"-grafana", &a.Grafana.Storage, "grafanaStorage", "Size of Grafana's volume. It can grow, never shrink.", smallest, only)
	g.Resources(&a.Alertmanager.Resources, "alertmanagerResources", "Alertmanager", floor(monitoring.LeastMemory.Alertmanager))
	g.Resources(&a.KubeStateMetrics.Resources, "kubeStateMetricsResources", "kube-state-metrics", floor(monitoring.LeastMemory.KubeStateMetrics), only)
	s.receiverSettings(g)
}

// duration is for settings.Valid: one of Prometheus' own.
func duration(v string) error {
	if d, err := model.ParseDuration(v); err != nil || d == 0 {
		return fmt.Errorf("%q is not a duration: write e.g. 200h or 15d", v)
	}
	return nil
}

// arrangeMonitoring comes after the edge, through which users reach Grafana.
func (s *Stack) arrangeMonitoring() {
	a := s.Monitoring
	a.APIServerPorts = numbers(s.Cluster.APIServerPorts)
	a.ExternalURL = pulumi.String(s.Edge.URLs()["grafana"])
	a.StorageClass, a.Protect = s.Cluster.StorageClass, s.Platform.Protect
}

// monitoringCredentials gives Grafana the password of its admin.
func (s *Stack) monitoringCredentials(c *platform.Credentials) {
	s.Monitoring.Grafana.Password = c.GrafanaAdmin
}
