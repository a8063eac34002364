package monitoring

import (
	"fmt"
	"net/url"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/content"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/rules"
)

const (
	alertmanagerConfigPath = "/etc/alertmanager"
	alertmanagerFile       = "alertmanager.yml"
	receiversPath          = "/etc/alertmanager-receivers"
	webhookKey             = "webhook-url"
	heartbeatKey           = "heartbeat-url"
)

func (m *Monitoring) alertmanager(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) error {
	l := alertmanagerLabels(name)
	settings := config.Alertmanager{DeadMansSwitch: rules.DeadMansSwitch}
	urls := pulumi.StringMap{}
	if u := args.Alertmanager.WebhookURL; u != nil {
		settings.WebhookFile = receiversPath + "/" + webhookKey
		urls[webhookKey] = receiverURL("Alertmanager.WebhookURL", u)
	}
	if u := args.Alertmanager.HeartbeatURL; u != nil {
		settings.HeartbeatFile = receiversPath + "/" + heartbeatKey
		urls[heartbeatKey] = receiverURL("Alertmanager.HeartbeatURL", u)
	}
	file, err := settings.Render()
	if err != nil {
		return err
	}
	configMap, err := content.ConfigMap(ctx, l.Name+"-config", args.Namespace, l, pulumi.StringMap{
		alertmanagerFile: pulumi.String(file),
	}, opts...)
	if err != nil {
		return err
	}
	volume, mount := configVolume("config", configMap, alertmanagerConfigPath)
	volumes, mounts := corev1.VolumeArray{volume}, corev1.VolumeMountArray{mount}
	if len(urls) > 0 {
		secret, err := content.Secret(ctx, l.Name+"-receivers", args.Namespace, l, urls, opts...)
		if err != nil {
			return err
		}
		volume, mount := secretVolume("receivers", secret, receiversPath)
		volumes, mounts = append(volumes, volume), append(mounts, mount)
	}
	m.AlertmanagerHost, err = stateful{
		labels: l, container: "alertmanager", args: args, image: args.Images.Alertmanager,
		arguments: pulumi.StringArray{
			pulumi.String("--config.file=" + alertmanagerConfigPath + "/" + alertmanagerFile),
			pulumi.String("--storage.path=/alertmanager"),
			pulumi.Sprintf("--web.external-url=%s%s", args.ExternalURL, AlertmanagerPath),
			pulumi.String("--web.route-prefix=" + AlertmanagerPath),
			pulumi.Sprintf("--web.listen-address=0.0.0.0:%d", AlertmanagerPort),
			// One instance has no cluster to join.
			pulumi.String("--cluster.listen-address="),
		},
		port: AlertmanagerPort, resources: args.Alertmanager.Resources, user: nobody,
		dataPath: "/alertmanager", storage: args.Alertmanager.Storage,
		livenessPath: AlertmanagerPath + "/-/healthy", readinessPath: AlertmanagerPath + "/-/ready",
		metricsPath:    AlertmanagerPath + "/metrics",
		startupSeconds: 60, graceSeconds: 30,
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
