package cache

import (
	"path"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
	"github.com/alphapulse/alphapulse-infra/components/internal/stateful"
)

const (
	portName    = "redis"
	metricsName = "metrics"
)

// startup is the time until the server answers at all. Loading its data is not in
// it: a server that loads already answers.
var startup = rollout.StartupFor(60)

// StartupSeconds is how long the server may take to have its data loaded.
func (a *Args) StartupSeconds() int {
	return startup.BudgetSeconds() + LoadingSeconds(a.MaxMemoryBytes())
}

// GraceSeconds for a stop: the append-only file is flushed once, and a rewrite
// under way is given up.
const GraceSeconds = 60

func server(args *Args) corev1.ContainerArgs {
	p := ServerProcess()
	// Answered while the data is loading, too: a long load must not be killed.
	alive := pods.Probe{Command: ask("time"), PeriodSeconds: 10, TimeoutSeconds: 10, Failures: 6}
	return pods.Container(corev1.ContainerArgs{
		Name:           pulumi.String("redis"),
		Image:          args.Image,
		Command:        pulumi.ToStringArray(p.Command),
		Ports:          stateful.Port(portName, Port),
		StartupProbe:   pods.Startup(alive, startup),
		LivenessProbe:  alive.Args(),
		ReadinessProbe: pods.Probe{Command: p.Ready, PeriodSeconds: 5, TimeoutSeconds: 10, Failures: 2}.Args(),
		VolumeMounts: corev1.VolumeMountArray{
			stateful.Mount("data", DataPath),
			stateful.ReadMount("config", path.Dir(ConfigFile)),
			stateful.ReadMount("acl", path.Dir(ACLFile)),
		},
	}, args.Resources)
}

func exporter(args *Args) corev1.ContainerArgs {
	return pods.Container(corev1.ContainerArgs{
		Name:  pulumi.String("exporter"),
		Image: args.ExporterImage,
		Env:   stateful.Envs(ExporterProcess(loopback).Env),
		Ports: stateful.Port(metricsName, MetricsPort),
		// No readiness: a missing exporter must not take the cache away from its clients.
		LivenessProbe: pods.Probe{Path: "/health", Port: metricsName, PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 4}.Args(),
		VolumeMounts:  corev1.VolumeMountArray{stateful.ReadMount("exporter", path.Dir(ExporterFile))},
	}, ExporterResources)
}
