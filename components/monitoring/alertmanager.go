package monitoring

import (
	"fmt"
	"net/url"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Where Alertmanager finds its files and keeps its silences.
const (
	AlertmanagerConfigPath = "/etc/alertmanager"
	AlertmanagerData       = "/alertmanager"
	ReceiversPath          = "/etc/alertmanager-receivers"

	alertmanagerFile = "alertmanager.yml"
	webhookKey       = "webhook-url"
	heartbeatKey     = "heartbeat-url"
)

// How long Alertmanager may take to answer for the first time, and to stop, in seconds.
const (
	AlertmanagerStartupSeconds = 60
	AlertmanagerGraceSeconds   = 30
)

// AlertmanagerFiles are the files below AlertmanagerConfigPath, and below
// ReceiversPath the receivers' URLs, secret; none of these without a receiver.
func (a *Args) AlertmanagerFiles() (files map[string]string, receivers pulumi.StringMap, err error) {
	settings := config.Alertmanager{
		DeadMansSwitch: observe.DeadMansSwitch,
		Inhibitions:    rule.Inhibitions(observe.Rules(a.Watched, a.Rules), a.Consumers),
	}
	receivers = pulumi.StringMap{}
	if u := a.Alertmanager.WebhookURL; u != nil {
		settings.WebhookFile = ReceiversPath + "/" + webhookKey
		receivers[webhookKey] = receiverURL("Alertmanager.WebhookURL", u)
	}
	if u := a.Alertmanager.HeartbeatURL; u != nil {
		settings.HeartbeatFile = ReceiversPath + "/" + heartbeatKey
		receivers[heartbeatKey] = receiverURL("Alertmanager.HeartbeatURL", u)
	}
	file, err := settings.Render()
	return map[string]string{alertmanagerFile: file}, receivers, err
}

// AlertmanagerArguments are the process' arguments.
func (a *Args) AlertmanagerArguments() pulumi.StringArray {
	return pulumi.StringArray{
		pulumi.String("--config.file=" + AlertmanagerConfigPath + "/" + alertmanagerFile),
		pulumi.String("--storage.path=" + AlertmanagerData),
		pulumi.Sprintf("--web.external-url=%s%s", a.ExternalURL, AlertmanagerPath),
		pulumi.String("--web.route-prefix=" + AlertmanagerPath),
		pulumi.Sprintf("--web.listen-address=0.0.0.0:%d", AlertmanagerPort),
		// One instance has no cluster to join.
		pulumi.String("--cluster.listen-address="),
	}
}

func (a *Args) alertmanager(name string, _ room.Target) (*server, error) {
	files, urls, err := a.AlertmanagerFiles()
	if err != nil {
		return nil, err
	}
	s := &server{
		identity: AlertmanagerOf(name), container: "alertmanager", image: a.Images.Alertmanager,
		arguments: a.AlertmanagerArguments(),
		port:      AlertmanagerPort, resources: a.Alertmanager.Resources, user: workload.Nobody,
		dataPath: AlertmanagerData, storage: a.Alertmanager.Storage,
		livenessPath: AlertmanagerPath + "/-/healthy", readinessPath: AlertmanagerReadyPath,
		startupSeconds: AlertmanagerStartupSeconds, graceSeconds: AlertmanagerGraceSeconds,
	}
	s.reads(workload.Folder(workload.Plain("config", files)), AlertmanagerConfigPath)
	if len(urls) > 0 {
		s.reads(workload.Folder(workload.Hidden("receivers", urls)), ReceiversPath)
	}
	return s, nil
}

// receiverURL is the URL, once it is checked, as a secret.
func receiverURL(name string, u pulumi.StringInput) pulumi.StringOutput {
	return pulumi.ToSecret(u.ToStringOutput().ApplyT(func(raw string) (string, error) {
		return raw, checkReceiver(name, raw)
	})).(pulumi.StringOutput)
}

// checkReceiver refuses a URL that the network policy would not let out. The message
// does not repeat the URL: it is a secret.
func checkReceiver(name, raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || (u.Port() != "" && u.Port() != "443") {
		return fmt.Errorf("monitoring: %s is not an https URL on port 443: give one such as https://alerts.example.com/hook", name)
	}
	return nil
}
