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
		Command:        pulumi.ToStringArray([]string{"redis-server", configPath}),
		Ports:          stateful.Port(portName, Port),
		StartupProbe:   pods.Startup(alive, startup),
		LivenessProbe:  alive.Args(),
		ReadinessProbe: pods.Probe{Command: ask("ping"), PeriodSeconds: 5, TimeoutSeconds: 10, Failures: 2}.Args(),
		VolumeMounts: corev1.VolumeMountArray{
			stateful.Mount("data", dataPath),
			stateful.ReadMount("config", path.Dir(configPath)),
			stateful.ReadMount("acl", path.Dir(aclPath)),
		},
	}, args.Resources)
}

func exporter(args *Args) corev1.ContainerArgs {
	return pods.Container(corev1.ContainerArgs{
		Name:  pulumi.String("exporter"),
		Image: args.ExporterImage,
		Env: corev1.EnvVarArray{
			stateful.Env("REDIS_ADDR", "redis://"+exporterTarget),
			stateful.Env("REDIS_USER", MonitoringUser),
			stateful.Env("REDIS_PASSWORD_FILE", exporterPath+"/passwords.json"),
			// The limit and the policy are in INFO; CONFIG would also show secrets.
			stateful.Env("REDIS_EXPORTER_CONFIG_COMMAND", "-"),
			// It would query whatever address a caller names.
			stateful.Env("REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT", "true"),
		},
		Ports: stateful.Port(metricsName, MetricsPort),
		// No readiness: a missing exporter must not take the cache away from its clients.
		LivenessProbe: pods.Probe{Path: "/health", Port: metricsName, PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 4}.Args(),
		VolumeMounts:  corev1.VolumeMountArray{stateful.ReadMount("exporter", exporterPath)},
	}, exporterResources)
}
