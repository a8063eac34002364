package monitoring

import (
	"fmt"
	"net/url"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/content"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
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
		Inhibitions:    rule.Inhibitions(observe.Rules(a.Watched, a.Rules)),
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

func (m *Monitoring) alertmanager(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) error {
	l := alertmanagerLabels(name)
	files, urls, err := args.AlertmanagerFiles()
	if err != nil {
		return err
	}
	configMap, err := content.ConfigMap(ctx, l.Name+"-config", args.Namespace, l, pulumi.ToStringMap(files), opts...)
	if err != nil {
		return err
	}
	volume, mount := configVolume("config", configMap, AlertmanagerConfigPath)
	volumes, mounts := corev1.VolumeArray{volume}, corev1.VolumeMountArray{mount}
	if len(urls) > 0 {
		secret, err := content.Secret(ctx, l.Name+"-receivers", args.Namespace, l, urls, opts...)
		if err != nil {
			return err
		}
		volume, mount := secretVolume("receivers", secret, ReceiversPath)
		volumes, mounts = append(volumes, volume), append(mounts, mount)
	}
	m.AlertmanagerHost, err = stateful{
		labels: l, container: "alertmanager", args: args, image: args.Images.Alertmanager,
		arguments: args.AlertmanagerArguments(),
		port:      AlertmanagerPort, resources: args.Alertmanager.Resources, user: Nobody,
		dataPath: AlertmanagerData, storage: args.Alertmanager.Storage,
		livenessPath: AlertmanagerPath + "/-/healthy", readinessPath: AlertmanagerReadyPath,
		metricsPath:    AlertmanagerPath + "/metrics",
		startupSeconds: AlertmanagerStartupSeconds, graceSeconds: AlertmanagerGraceSeconds,
		volumes: volumes, mounts: mounts,
	}.create(ctx, opts...)
	return err
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
