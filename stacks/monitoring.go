package stacks

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

func (s *Stack) monitoringSettings(set *settings.Set) {
	a, only, own := s.Monitoring, settings.Only(room.Kubernetes), s.ownServer()
	floor := func(least resource.Quantity) settings.Option {
		return settings.AtLeast(least, "as limits.memory it does not start with it")
	}
	smallest := settings.AtLeast(smallestVolume, "")
	g := set.Group("Monitoring", "Prometheus, Alertmanager, Grafana and, on a cluster, kube-state-metrics.")
	s.operatorSettings(g)
	g.Image(&a.Images.Prometheus, "prometheusImage", "Prometheus.", own)
	g.Image(&a.Images.Alertmanager, "alertmanagerImage", "Alertmanager.", own)
	g.Image(&a.Images.Grafana, "grafanaImage", "Grafana.")
	g.Image(&a.Images.KubeStateMetrics, "kubeStateMetricsImage", "kube-state-metrics.", only)
	g.Resources(&a.Prometheus.Resources, "prometheusResources", "Prometheus", floor(monitoring.LeastMemory.Prometheus), own)
	s.volume(g, monitoringName+"-prometheus", &a.Prometheus.Storage, "prometheusStorage", "Size of Prometheus' volume. It can grow, never shrink. A Docker volume has no bound: the oldest samples go by it.", smallest, own)
	g.Text(&a.Prometheus.Retention, "prometheusRetention", "How long Prometheus keeps samples.", settings.Valid(duration), own)
	g.Resources(&a.Grafana.Resources, "grafanaResources", "Grafana", floor(monitoring.LeastMemory.Grafana))
	s.logsPluginSetting(g)
	s.signOnSettings(g)
	s.volume(g, monitoringName+"-grafana", &a.Grafana.Storage, "grafanaStorage", "Size of Grafana's volume. It can grow, never shrink.", smallest, only)
	g.Resources(&a.Alertmanager.Resources, "alertmanagerResources", "Alertmanager", floor(monitoring.LeastMemory.Alertmanager), own)
	g.Resources(&a.KubeStateMetrics.Resources, "kubeStateMetricsResources", "kube-state-metrics", floor(monitoring.LeastMemory.KubeStateMetrics), only)
	s.receiverSettings(g)
	s.ownerSettings(g)
	s.kubeletSettings(g)
	s.customSettings(g)
	s.remoteSettings(g)
}

// duration is for settings.Valid: one of Prometheus' own.
func duration(v string) error {
	if d, err := model.ParseDuration(v); err != nil || d == 0 {
		return fmt.Errorf("%q is not a duration: write e.g. 200h or 15d", v)
	}
	return nil
}

// namedReceiver is one of alertReceivers.
type namedReceiver struct {
	config.Receiver
	// Credential that the kind asks for.
	Credential string `json:"credential"`
}

// receiverSettings say where alerts go.
func (s *Stack) receiverSettings(g *settings.Group) {
	a := &s.Monitoring.Alertmanager
	named := map[string]namedReceiver{}
	settings.Objects(g, &named, "alertReceivers",
		"Who gets which alerts, by a name of your own: one of slack, pagerDuty, opsgenie, teams, telegram, email and webhook with its credential, "+
			"and the severities, owners, workloads and hours that it is for; docs/receivers.md has one of each. Without receivers alerts show in the user interfaces only.",
		settings.Secret, s.ownServer())
	g.SecretText(&a.WebhookURL, "alertWebhookUrl", "URL that every alert is posted to in Alertmanager's own format: the receiver called webhook.", settings.Valid(receiver), s.ownServer())
	g.SecretText(&a.HeartbeatURL, "heartbeatWebhookUrl", "URL that Alertmanager posts the dead-man's switch to.", settings.Valid(receiver), s.ownServer())
	g.Check(func(p *settings.Problems) {
		var all []config.Receiver
		for _, name := range slices.Sorted(maps.Keys(named)) {
			r := named[name]
			r.Name = name
			for _, problem := range r.problems() {
				p.Add("alertReceivers."+name, "%v", problem)
			}
			if p.Meant("alertWebhookUrl") && name == monitoring.WebhookName {
				p.Add("alertReceivers."+name, "alertWebhookUrl is the receiver of that name: choose another one")
			}
			all = append(all, r.Receiver)
			a.Receivers = append(a.Receivers, r.receiver())
		}
		if err := config.ValidateReceivers(all); err != nil {
			for problem := range strings.SplitSeq(err.Error(), "\n") {
				p.Add("alertReceivers", "%s", problem)
			}
		}
	})
}

// receiver is the component's, with the credential as a secret.
func (r namedReceiver) receiver() monitoring.Receiver {
	to := monitoring.Receiver{Receiver: r.Receiver}
	if c := strings.TrimSpace(r.Credential); c != "" {
		to.Credential = pulumi.ToSecret(pulumi.String(c)).(pulumi.StringOutput)
	}
	return to
}

// problems are those of the credential, which no message repeats.
func (r namedReceiver) problems() []error {
	c := strings.TrimSpace(r.Credential)
	switch {
	case c == "" && r.Email != nil && r.Email.Username != "":
		return []error{fmt.Errorf("its credential is missing, and email.username is set: `pulumi config set --secret --path alertReceivers.%s.credential`, or take the username away", r.Name)}
	case c == "" && r.AsksForCredential():
		return []error{fmt.Errorf("its credential is missing: `pulumi config set --secret --path alertReceivers.%s.credential`", r.Name)}
	case c == "":
		return nil
	case r.Webhook != nil:
		if err := receiver(c); err != nil {
			return []error{fmt.Errorf("credential: %w", err)}
		}
	case r.CredentialIsURL():
		if err := public(c); err != nil {
			return []error{fmt.Errorf("credential: %w", err)}
		}
	case r.Email == nil && strings.ContainsFunc(c, func(r rune) bool { return r <= ' ' || r > '~' }):
		return []error{errors.New("credential: it holds spaces or line breaks: set the key or the token alone")}
	}
	return nil
}

// apis are services that read a format of their own and answer 400 to Alertmanager's, by
// the ends of their hosts; with the kind of receiver that writes it, if there is one.
var apis = map[string]struct{ service, kind string }{
	"hooks.slack.com": {"Slack", "slack"}, "slack.com": {"Slack", "slack"},
	"events.pagerduty.com": {"PagerDuty", "pagerDuty"}, "events.eu.pagerduty.com": {"PagerDuty", "pagerDuty"},
	"webhook.office.com": {"Microsoft Teams", "teams"}, "outlook.office.com": {"Microsoft Teams", "teams"},
	"logic.azure.com": {"Microsoft Teams", "teams"}, "api.powerplatform.com": {"Microsoft Teams", "teams"},
	"api.opsgenie.com": {"Opsgenie", "opsgenie"}, "api.eu.opsgenie.com": {"Opsgenie", "opsgenie"},
	"api.telegram.org": {"Telegram", "telegram"},
	"discord.com":      {service: "Discord"}, "discordapp.com": {service: "Discord"},
	"chat.googleapis.com": {service: "Google Chat"}, "api.pushover.net": {service: "Pushover"},
	"alert.victorops.com": {service: "Splunk On-Call"}, "webexapis.com": {service: "Webex"},
	"hooks.slack-gov.com": {"Slack", "slack"}, "api.pagerduty.com": {"PagerDuty", "pagerDuty"},
	"open.feishu.cn": {service: "Feishu"}, "open.larksuite.com": {service: "Lark"}, "oapi.dingtalk.com": {service: "DingTalk"},
	"qyapi.weixin.qq.com": {service: "WeCom"}, "api.line.me": {service: "LINE"}, "notify-api.line.me": {service: "LINE"},
	"api.github.com": {service: "GitHub"}, "api.atlassian.com": {service: "Atlassian"}, "api.twilio.com": {service: "Twilio"},
}

// public checks that the network policy lets a URL out. It is a secret: no message
// repeats it.
func public(v string) error {
	if !config.LetOut(v) {
		return errors.New("the value is not an https URL on port 443, which is all that the network policy lets out")
	}
	return nil
}

// receiver is for settings.Valid: an address that reads Alertmanager's own format.
func receiver(v string) error {
	if err := public(v); err != nil {
		return err
	}
	u, _ := url.Parse(v)
	for host := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); host != ""; {
		if api, known := apis[host]; known {
			remedy := "name a relay that reads Alertmanager's format"
			if api.kind != "" {
				remedy = fmt.Sprintf("set it as the credential of alertReceivers.NAME with %s: {}", api.kind)
			}
			return fmt.Errorf("the value is an address of %s, which reads a format of its own and refuses Alertmanager's: %s", api.service, remedy)
		}
		_, host, _ = strings.Cut(host, ".")
	}
	return nil
}

// arrangeMonitoring comes after the edge, through which users reach Grafana.
func (s *Stack) arrangeMonitoring() {
	a := s.Monitoring
	a.APIServerPorts, a.Quota = numbers(s.Cluster.APIServerPorts), platformName
	a.ExternalURL = pulumi.String(s.Edge.URLs()["grafana"])
	a.StorageClass, a.Protect = s.Cluster.StorageClass, s.Platform.Protect
	if s.Target == room.Kubernetes {
		for i, r := range a.Alertmanager.Receivers {
			if set := s.membersSet(); slices.Contains(r.Workloads, databaseName) && !slices.Contains(r.Workloads, set) {
				a.Alertmanager.Receivers[i].Workloads = append(slices.Clone(r.Workloads), set)
			}
		}
	}
	if a.Prometheus.OTLP {
		s.Backend.Telemetry.Metrics = fmt.Sprintf("http://%s:%d%s/v1/metrics", monitoring.PrometheusOf(monitoringName).Name, monitoring.PrometheusPort, monitoring.OTLPPath)
	}
}

// monitoringCredentials gives Grafana the password of its admin.
func (s *Stack) monitoringCredentials(c *platform.Credentials) {
	s.Monitoring.Grafana.Password = c.GrafanaAdmin
}
