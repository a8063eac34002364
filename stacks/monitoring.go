package stacks

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

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

// apis are services that read a format of their own and answer 400 to Alertmanager's, by
// the ends of their hosts.
var apis = map[string]string{
	"hooks.slack.com": "Slack", "slack.com": "Slack",
	"events.pagerduty.com": "PagerDuty", "events.eu.pagerduty.com": "PagerDuty",
	"discord.com": "Discord", "discordapp.com": "Discord",
	"webhook.office.com": "Microsoft Teams", "outlook.office.com": "Microsoft Teams",
	"logic.azure.com": "Microsoft Teams", "api.powerplatform.com": "Microsoft Teams",
	"api.opsgenie.com": "Opsgenie", "api.eu.opsgenie.com": "Opsgenie",
	"api.telegram.org": "Telegram", "chat.googleapis.com": "Google Chat", "api.pushover.net": "Pushover",
	"alert.victorops.com": "Splunk On-Call", "webexapis.com": "Webex",
}

// receiver is for settings.Valid. The address is a secret: no message repeats it.
func receiver(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || (u.Port() != "" && u.Port() != "443") {
		return errors.New("the value is not an https URL on port 443, which is all that the network policy lets out")
	}
	for host := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); host != ""; {
		if service, known := apis[host]; known {
			return fmt.Errorf("the value is an address of %s, which reads a format of its own and refuses Alertmanager's: name a receiver of Alertmanager's webhook format, such as a relay to %[1]s", service)
		}
		_, host, _ = strings.Cut(host, ".")
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
