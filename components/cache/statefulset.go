package cache

import (
	"path"
	"strconv"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
)

const (
	portName    = "redis"
	metricsName = "metrics"
	// exporterTarget is the server as its exporter sees it.
	exporterTarget = "127.0.0.1:6379"
	exporterPath   = "/etc/alphapulse/exporter"
)

// startup is the time until the server answers at all. Loading its data is not in
// it: a server that loads already answers.
var startup = rollout.StartupFor(60)

// graceSeconds for a stop: the append-only file is flushed once, and a rewrite
// under way is given up.
const graceSeconds = 60

func statefulSet(ctx *pulumi.Context, name string, args *Args, l labels.Set, claim pulumi.StringInput, f files, opts ...pulumi.ResourceOption) (*appsv1.StatefulSet, error) {
	account, err := pods.ServiceAccount(ctx, l, args.Namespace, opts...)
	if err != nil {
		return nil, err
	}
	plan := rollout.Plan{
		// What an await must allow for: an answer, then loading all of the data.
		Startup:      rollout.StartupFor(startup.BudgetSeconds() + LoadingSeconds(args.MaxMemoryBytes())),
		Replicas:     1,
		AtOnce:       1,
		GraceSeconds: graceSeconds,
	}
	opts = append(opts,
		pulumi.Protect(args.Protect),
		pulumi.RetainOnDelete(args.Protect),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: plan.PulumiTimeout(), Update: plan.PulumiTimeout(), Delete: plan.PulumiTimeout()}),
	)
	return appsv1.NewStatefulSet(ctx, name, &appsv1.StatefulSetArgs{
		Metadata: pods.Meta(name, args.Namespace, l),
		Spec: &appsv1.StatefulSetSpecArgs{
			// From here to the strategy: constants, since Kubernetes refuses to change
			// most of them and Pulumi would replace the StatefulSet.
			Replicas:    pulumi.Int(1),
			ServiceName: pulumi.String(headless(name)),
			Selector:    pods.Selector(l),
			// With the other policy a pod that never gets ready blocks the very update
			// that would repair it.
			PodManagementPolicy:  pulumi.String("Parallel"),
			RevisionHistoryLimit: pulumi.Int(10),
			UpdateStrategy:       &appsv1.StatefulSetUpdateStrategyArgs{Type: pulumi.String("RollingUpdate")},
			Template: pods.Template(pods.Options{
				Labels:          l,
				User:            User,
				ServiceAccount:  account.Metadata.Name().Elem(),
				PriorityClass:   args.PriorityClass,
				ImagePullSecret: args.ImagePullSecret,
				GraceSeconds:    graceSeconds,
				Annotations: pulumi.StringMap{
					"prometheus.io/scrape": pulumi.String("true"),
					"prometheus.io/port":   pulumi.String(strconv.Itoa(MetricsPort)),
					"prometheus.io/path":   pulumi.String("/metrics"),
				},
				Containers: corev1.ContainerArray{server(args), exporter(args)},
				Volumes: corev1.VolumeArray{
					&corev1.VolumeArgs{Name: pulumi.String("data"), PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSourceArgs{ClaimName: claim}},
					&corev1.VolumeArgs{Name: pulumi.String("config"), ConfigMap: &corev1.ConfigMapVolumeSourceArgs{Name: f.config}},
					secret("acl", f.acl),
					secret("exporter", f.exporter),
				},
			}),
		},
	}, opts...)
}

func server(args *Args) corev1.ContainerArgs {
	// The user of the probes has no password (any word will do) and no rights but
	// these two commands; -e makes an error reply a failure.
	ask := func(command string) []string {
		return []string{"redis-cli", "-e", "--no-auth-warning", "--user", HealthUser, "--pass", "none", command}
	}
	// Answered while the data is loading, too: a long load must not be killed.
	alive := pods.Probe{Command: ask("time"), PeriodSeconds: 10, TimeoutSeconds: 10, Failures: 6}
	return pods.Container(corev1.ContainerArgs{
		Name:  pulumi.String("redis"),
		Image: args.Image,
		// Not the image's entrypoint, which loads every module that it ships.
		Command: pulumi.ToStringArray([]string{"redis-server", configPath}),
		Ports: corev1.ContainerPortArray{&corev1.ContainerPortArgs{
			Name: pulumi.String(portName), ContainerPort: pulumi.Int(Port),
		}},
		StartupProbe:   pods.Startup(alive, startup),
		LivenessProbe:  alive.Args(),
		ReadinessProbe: pods.Probe{Command: ask("ping"), PeriodSeconds: 5, TimeoutSeconds: 10, Failures: 2}.Args(),
		VolumeMounts: corev1.VolumeMountArray{
			mount("data", dataPath, false),
			mount("config", path.Dir(configPath), true),
			mount("acl", path.Dir(aclPath), true),
		},
	}, args.Resources)
}

func exporter(args *Args) corev1.ContainerArgs {
	return pods.Container(corev1.ContainerArgs{
		Name:  pulumi.String("exporter"),
		Image: args.ExporterImage,
		Env: corev1.EnvVarArray{
			env("REDIS_ADDR", "redis://"+exporterTarget),
			env("REDIS_USER", MonitoringUser),
			env("REDIS_PASSWORD_FILE", exporterPath+"/passwords.json"),
			// The limit and the policy are in INFO; CONFIG would also show secrets.
			env("REDIS_EXPORTER_CONFIG_COMMAND", "-"),
			// It would query whatever address a caller names.
			env("REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT", "true"),
		},
		Ports: corev1.ContainerPortArray{&corev1.ContainerPortArgs{
			Name: pulumi.String(metricsName), ContainerPort: pulumi.Int(MetricsPort),
		}},
		// No readiness: a missing exporter must not take the cache away from its clients.
		LivenessProbe: pods.Probe{Path: "/health", Port: metricsName, PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 4}.Args(),
		VolumeMounts:  corev1.VolumeMountArray{mount("exporter", exporterPath, true)},
	}, exporterResources)
}

func secret(name string, object pulumi.StringInput) corev1.VolumeInput {
	return &corev1.VolumeArgs{Name: pulumi.String(name), Secret: &corev1.SecretVolumeSourceArgs{
		SecretName: object, DefaultMode: pulumi.Int(0o440),
	}}
}

func env(name, value string) corev1.EnvVarInput {
	return &corev1.EnvVarArgs{Name: pulumi.String(name), Value: pulumi.String(value)}
}

func mount(name, path string, readOnly bool) corev1.VolumeMountInput {
	m := &corev1.VolumeMountArgs{Name: pulumi.String(name), MountPath: pulumi.String(path)}
	if readOnly {
		m.ReadOnly = pulumi.Bool(true)
	}
	return m
}
