package monitoring

import (
	"fmt"
	"maps"
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	rbacv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/rbac/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/internal/content"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Nobody is the uid of the images of Prometheus, Alertmanager and kube-state-metrics.
const Nobody = 65534

// The paths that answer once the process can serve.
const (
	PrometheusReadyPath   = PrometheusPath + "/-/ready"
	AlertmanagerReadyPath = AlertmanagerPath + "/-/ready"
	GrafanaReadyPath      = "/api/health"
)

// Where Prometheus finds its files and keeps its samples.
const (
	PrometheusConfigPath = "/etc/prometheus"
	PrometheusData       = "/prometheus"

	prometheusFile = "prometheus.yml"
	rulesFile      = "rules.yml"
)

// How long Prometheus may take to answer for the first time, as replaying the
// write-ahead log of a full volume takes minutes, and to stop, in seconds.
const (
	PrometheusStartupSeconds = 600
	PrometheusGraceSeconds   = 120
)

// PrometheusFiles are the files below PrometheusConfigPath. namespace is what a
// receiver of alerts tells two stacks apart by, values what is known only once resources
// exist; targets are those of config.Prometheus.
func (a *Args) PrometheusFiles(namespace string, values rule.Values, targets []config.Target) (map[string]string, error) {
	rendered, err := rule.Render(observe.Rules(a.Watched, a.Rules), values)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	file, err := config.Prometheus{
		Namespace:        namespace,
		KubeStateMetrics: a.Watched.KubeStateMetrics,
		Targets:          targets,
		Alertmanager:     a.Watched.Alertmanager,
		AlertmanagerPort: AlertmanagerPort,
		AlertmanagerPath: AlertmanagerPath,
		RulesFile:        PrometheusConfigPath + "/" + rulesFile,
		Retention:        a.Prometheus.Retention,
		RetentionBytes:   retentionBytes(a.Prometheus.Storage),
	}.Render()
	return map[string]string{prometheusFile: file, rulesFile: rendered}, err
}

// Values are what the rules need of resources, a rule.Values.
func (a *Args) Values() pulumi.Output {
	return pulumi.All(a.Constants, a.ExternalURL).ApplyT(func(v []any) rule.Values {
		return rule.Values{Constants: v[0].(map[string]int), DashboardsURL: v[1].(string)}
	})
}

// PrometheusArguments are the process' arguments.
func (a *Args) PrometheusArguments() pulumi.StringArray {
	return pulumi.StringArray{
		pulumi.String("--config.file=" + PrometheusConfigPath + "/" + prometheusFile),
		pulumi.String("--storage.tsdb.path=" + PrometheusData),
		pulumi.Sprintf("--web.external-url=%s%s", a.ExternalURL, PrometheusPath),
		pulumi.String("--web.route-prefix=" + PrometheusPath),
		pulumi.Sprintf("--web.listen-address=0.0.0.0:%d", PrometheusPort),
	}
}

func (m *Monitoring) prometheus(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) error {
	l := prometheusLabels(name)
	if err := prometheusRole(ctx, l, args.Namespace, opts...); err != nil {
		return err
	}
	files := pulumi.All(args.Namespace, args.Values()).ApplyT(func(v []any) (map[string]string, error) {
		return args.PrometheusFiles(v[0].(string), v[1].(rule.Values), nil)
	}).(pulumi.StringMapOutput)
	configMap, err := content.ConfigMap(ctx, l.Name+"-config", args.Namespace, l, files, opts...)
	if err != nil {
		return err
	}
	configs, configsMount := configVolume("config", configMap, PrometheusConfigPath)
	m.PrometheusHost, err = stateful{
		labels: l, container: "prometheus", args: args, image: args.Images.Prometheus,
		arguments: args.PrometheusArguments(),
		port:      PrometheusPort, resources: args.Prometheus.Resources, user: Nobody,
		dataPath: PrometheusData, storage: args.Prometheus.Storage,
		livenessPath: PrometheusPath + "/-/healthy", readinessPath: PrometheusReadyPath,
		metricsPath:    PrometheusPath + "/metrics",
		startupSeconds: PrometheusStartupSeconds, graceSeconds: PrometheusGraceSeconds,
		mountToken: true,
		volumes:    corev1.VolumeArray{configs}, mounts: corev1.VolumeMountArray{configsMount},
	}.create(ctx, opts...)
	return err
}

// retentionBytes is the size at which Prometheus drops the oldest blocks.
func retentionBytes(storage resource.Quantity) int64 {
	return storage.Value() / 100 * retentionShare
}

// prometheusRole lets Prometheus discover the pods of its own namespace.
func prometheusRole(ctx *pulumi.Context, l labels.Set, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) error {
	return role(ctx, l, namespace, map[string]string{"pods": ""}, opts...)
}

// role allows a workload's account to read the given resources (plural name →
// API group) of its own namespace.
func role(ctx *pulumi.Context, l labels.Set, namespace pulumi.StringInput, resources map[string]string, opts ...pulumi.ResourceOption) error {
	byGroup := map[string][]string{}
	for r, group := range resources {
		byGroup[group] = append(byGroup[group], r)
	}
	var policy rbacv1.PolicyRuleArray
	for _, group := range slices.Sorted(maps.Keys(byGroup)) {
		policy = append(policy, &rbacv1.PolicyRuleArgs{
			ApiGroups: pulumi.ToStringArray([]string{group}),
			Resources: pulumi.ToStringArray(slices.Sorted(slices.Values(byGroup[group]))),
			Verbs:     pulumi.ToStringArray([]string{"get", "list", "watch"}),
		})
	}
	r, err := rbacv1.NewRole(ctx, l.Name, &rbacv1.RoleArgs{Metadata: pods.Meta(l.Name, namespace, l), Rules: policy}, opts...)
	if err != nil {
		return err
	}
	_, err = rbacv1.NewRoleBinding(ctx, l.Name, &rbacv1.RoleBindingArgs{
		Metadata: pods.Meta(l.Name, namespace, l),
		RoleRef: &rbacv1.RoleRefArgs{
			ApiGroup: pulumi.String("rbac.authorization.k8s.io"), Kind: pulumi.String("Role"), Name: r.Metadata.Name().Elem(),
		},
		Subjects: rbacv1.SubjectArray{&rbacv1.SubjectArgs{
			Kind: pulumi.String("ServiceAccount"), Name: pulumi.String(l.Name), Namespace: namespace,
		}},
	}, opts...)
	return err
}
