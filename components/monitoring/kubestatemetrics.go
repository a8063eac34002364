package monitoring

import (
	"maps"
	"slices"
	"strings"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
)

func (m *Monitoring) kubeStateMetrics(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) error {
	l := kubeStateMetricsLabels(name)
	account, err := pods.ServiceAccount(ctx, l, args.Namespace, opts...)
	if err != nil {
		return err
	}
	if err := role(ctx, l, args.Namespace, config.Observed, opts...); err != nil {
		return err
	}
	const telemetryPort, telemetryName = 8081, "telemetry"
	startup := rollout.StartupFor(60)
	// kube-state-metrics asks the API server before it calls itself alive, so its
	// liveness looks at the process alone: an API server that is away for a minute
	// must not restart it.
	liveness := pods.Probe{Path: "/healthz", Port: portName, PeriodSeconds: 10, TimeoutSeconds: 5, Failures: 6}
	plan := rollout.Plan{Startup: startup, Replicas: 1, AtOnce: 1, GraceSeconds: 10}
	single := pods.NewSingle(args.Namespace, pods.Options{
		Labels:          l,
		User:            Nobody,
		ServiceAccount:  account.Metadata.Name().Elem(),
		MountToken:      true,
		GraceSeconds:    plan.GraceSeconds,
		ImagePullSecret: args.ImagePullSecret,
		Annotations:     scraped(KubeStateMetricsPort, "/metrics"),
		Containers: corev1.ContainerArray{pods.Container(corev1.ContainerArgs{
			Name:  pulumi.String("kube-state-metrics"),
			Image: args.Images.KubeStateMetrics,
			Args: pulumi.StringArray{
				pulumi.Sprintf("--namespaces=%s", args.Namespace),
				pulumi.String("--resources=" + strings.Join(slices.Sorted(maps.Keys(config.Observed)), ",")),
				pulumi.Sprintf("--port=%d", KubeStateMetricsPort),
				pulumi.Sprintf("--telemetry-port=%d", telemetryPort),
			},
			Ports: corev1.ContainerPortArray{
				&corev1.ContainerPortArgs{Name: pulumi.String(portName), ContainerPort: pulumi.Int(KubeStateMetricsPort)},
				&corev1.ContainerPortArgs{Name: pulumi.String(telemetryName), ContainerPort: pulumi.Int(telemetryPort)},
			},
			StartupProbe:   pods.Startup(liveness, startup),
			LivenessProbe:  liveness.Args(),
			ReadinessProbe: pods.Probe{Path: "/readyz", Port: telemetryName, PeriodSeconds: 5, TimeoutSeconds: 5, Failures: 3}.Args(),
		}, args.KubeStateMetrics.Resources)},
	})
	deployment, err := appsv1.NewDeployment(ctx, l.Name, &appsv1.DeploymentArgs{
		Metadata: pods.Meta(l.Name, args.Namespace, l),
		Spec: &appsv1.DeploymentSpecArgs{
			Replicas:                pulumi.Int(1),
			RevisionHistoryLimit:    pulumi.Int(3),
			ProgressDeadlineSeconds: pulumi.Int(plan.ProgressDeadlineSeconds()),
			// Two at once would report every object twice.
			Strategy: &appsv1.DeploymentStrategyArgs{Type: pulumi.String("Recreate")},
			Selector: pods.Selector(l),
			Template: single.Template,
		},
	}, append(opts, pods.Timeouts(plan))...)
	if err != nil {
		return err
	}
	return single.Await(ctx, deployment, plan, opts...)
}
