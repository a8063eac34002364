package monitoring

import (
	"errors"
	"fmt"
	"slices"

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

	// WebhookName is the receiver of Alertmanager.WebhookURL.
	WebhookName = "webhook"
)

// How long Alertmanager may take to answer for the first time, and to stop, in seconds.
const (
	AlertmanagerStartupSeconds = 60
	AlertmanagerGraceSeconds   = 30
)

// Receiver is where alerts are sent.
type Receiver struct {
	config.Receiver
	// Credential is what the kind asks for; a secret. nil for a mail server that asks for
	// none.
	Credential pulumi.StringInput
}

// receivers are all of them, the plain webhook among them.
func (a *Alertmanager) receivers() []Receiver {
	all := slices.Clone(a.Receivers)
	if a.WebhookURL != nil {
		all = append(all, Receiver{Receiver: config.Receiver{Name: WebhookName, Webhook: &config.Webhook{}}, Credential: a.WebhookURL})
	}
	return all
}

// ports are those that receivers are reached on, in order.
func (a *Alertmanager) ports() []int {
	var ports []int
	if a.HeartbeatURL != nil {
		ports = append(ports, 443)
	}
	for _, r := range a.receivers() {
		ports = append(ports, r.Port())
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// validate reports everything that is wrong with the receivers.
func (a *Alertmanager) validate() error {
	var all []config.Receiver
	var problems []error
	for _, r := range a.receivers() {
		all = append(all, r.Receiver)
		if r.Credential == nil && r.AsksForCredential() {
			problems = append(problems, fmt.Errorf("receiver %s: its credential is missing: pass it as a secret", r.Name))
		}
	}
	return errors.Join(config.ValidateReceivers(all), errors.Join(problems...))
}

// AlertmanagerFiles are the files below AlertmanagerConfigPath, and below
// ReceiversPath the receivers' credentials, secret; none of these without a receiver.
func (a *Args) AlertmanagerFiles() (files map[string]string, receivers pulumi.StringMap, err error) {
	settings := config.Alertmanager{
		DeadMansSwitch: observe.DeadMansSwitch,
		Inhibitions:    rule.Inhibitions(a.rules(), a.Consumers),
	}
	if c := a.Custom; c != nil {
		settings.Routes, settings.TimeIntervals, settings.InhibitRules = c.Routes, c.TimeIntervals, c.InhibitRules
	}
	receivers = pulumi.StringMap{}
	for _, r := range a.Alertmanager.receivers() {
		to, key, name := r.Receiver, r.Name, "the credential of receiver "+r.Name
		if a.Alertmanager.WebhookURL != nil && r.Name == WebhookName {
			key, name = webhookKey, "Alertmanager.WebhookURL"
		}
		if r.Credential != nil {
			to.CredentialFile = ReceiversPath + "/" + key
			receivers[key] = pulumi.ToSecret(r.Credential).(pulumi.StringOutput)
			if r.CredentialIsURL() {
				receivers[key] = receiverURL(name, r.Credential)
			}
		}
		settings.Receivers = append(settings.Receivers, to)
	}
	if u := a.Alertmanager.HeartbeatURL; u != nil {
		settings.HeartbeatFile = ReceiversPath + "/" + heartbeatKey
		receivers[heartbeatKey] = receiverURL("Alertmanager.HeartbeatURL", u)
	}
	file, err := settings.Render()
	return map[string]string{alertmanagerFile: file, config.TemplateFile: config.NotificationTemplate}, receivers, err
}

// AlertmanagerArguments are the process' arguments.
func (a *Args) AlertmanagerArguments() pulumi.StringArray {
	return pulumi.StringArray{
		pulumi.String("--config.file=" + AlertmanagerConfigPath + "/" + alertmanagerFile),
		pulumi.String("--storage.path=" + AlertmanagerData),
		pulumi.Sprintf("--web.external-url=%s%s", a.ExternalURL, AlertmanagerPath),
		pulumi.String("--web.route-prefix=" + AlertmanagerPath),
		pulumi.Sprintf("--web.listen-address=:%d", AlertmanagerPort),
		pulumi.String("--log.format=json"),
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
	if !config.LetOut(raw) {
		return fmt.Errorf("monitoring: %s is not an https URL on port 443: give one such as https://alerts.example.com/hook", name)
	}
	return nil
}
