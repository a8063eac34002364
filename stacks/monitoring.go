package stacks

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/prometheus/common/model"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

func (s *Stack) monitoringSettings(set *settings.Set) {
	a, only := s.Monitoring, settings.Only(room.Kubernetes)
	smallest := settings.AtLeast(smallestVolume, "")
	g := set.Group("Monitoring", "Prometheus, Alertmanager, Grafana and, on a cluster, kube-state-metrics.")
	g.Image(&a.Images.Prometheus, "prometheusImage", "Prometheus.")
	g.Image(&a.Images.Alertmanager, "alertmanagerImage", "Alertmanager.")
	g.Image(&a.Images.Grafana, "grafanaImage", "Grafana.")
	g.Image(&a.Images.KubeStateMetrics, "kubeStateMetricsImage", "kube-state-metrics.", only)
	g.Resources(&a.Prometheus.Resources, "prometheusResources", "Prometheus")
	s.volume(g, monitoringName+"-prometheus", &a.Prometheus.Storage, "prometheusStorage", "Size of Prometheus' volume. It can grow, never shrink. A Docker volume has no bound: the oldest samples go by it.", smallest)
	g.Text(&a.Prometheus.Retention, "prometheusRetention", "How long Prometheus keeps samples.", settings.Valid(duration))
	g.Resources(&a.Grafana.Resources, "grafanaResources", "Grafana")
	s.volume(g, monitoringName+"-grafana", &a.Grafana.Storage, "grafanaStorage", "Size of Grafana's volume. It can grow, never shrink.", smallest, only)
	g.Resources(&a.Alertmanager.Resources, "alertmanagerResources", "Alertmanager")
	g.Resources(&a.KubeStateMetrics.Resources, "kubeStateMetricsResources", "kube-state-metrics", only)
	g.SecretText(&a.Alertmanager.WebhookURL, "alertWebhookUrl", "URL that Alertmanager posts alerts to; without it alerts show in the user interfaces only.", settings.Valid(receiver))
	g.SecretText(&a.Alertmanager.HeartbeatURL, "heartbeatWebhookUrl", "URL that Alertmanager posts the dead-man's switch to.", settings.Valid(receiver))
}

// duration is for settings.Valid: one of Prometheus' own.
func duration(v string) error {
	if d, err := model.ParseDuration(v); err != nil || d == 0 {
		return fmt.Errorf("%q is not a duration: write e.g. 200h or 15d", v)
	}
	return nil
}

// receiver is for settings.Valid. The address is a secret: no message repeats it.
func receiver(v string) error {
	if u, err := url.Parse(v); err != nil || u.Scheme != "https" || u.Hostname() == "" || (u.Port() != "" && u.Port() != "443") {
		return errors.New("the value is not an https URL on port 443, which is all that the network policy lets out")
	}
	return nil
}

// arrangeMonitoring comes after the edge, through which users reach Grafana.
func (s *Stack) arrangeMonitoring() {
	a := s.Monitoring
	a.ExternalURL = pulumi.String(s.Edge.URLs()["grafana"])
	a.StorageClass, a.Protect = s.Cluster.StorageClass, s.Platform.Protect
}

// monitoringCredentials gives Grafana the password of its admin.
func (s *Stack) monitoringCredentials(c *platform.Credentials) {
	s.Monitoring.Grafana.Password = c.GrafanaAdmin
}
