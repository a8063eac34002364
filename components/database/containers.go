package database

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
	"github.com/alphapulse/alphapulse-infra/components/internal/stateful"
)

const (
	portName    = "postgresql"
	metricsName = "metrics"
)

// startup is the time that a new volume may take to be initialised, and any volume
// until the server answers at all. A crash recovery is not in it: a server that
// replays its log already answers, by refusing.
var startup = rollout.StartupFor(300)

func server(args *Args) corev1.ContainerArgs {
	p := ServerProcess()
	alive := pods.Probe{Command: alive(p.Ready), PeriodSeconds: 10, TimeoutSeconds: 30, Failures: 6}
	return pods.Container(corev1.ContainerArgs{
		Name:          pulumi.String("postgresql"),
		Image:         args.Image,
		Args:          pulumi.ToStringArray(p.Args),
		Env:           stateful.Envs(p.Env),
		Ports:         stateful.Port(portName, Port),
		StartupProbe:  pods.Startup(alive, startup),
		LivenessProbe: alive.Args(),
		ReadinessProbe: pods.Probe{
			Command:       p.Ready,
			PeriodSeconds: 5, TimeoutSeconds: 30, Failures: 2,
		}.Args(),
		Lifecycle: &corev1.LifecycleArgs{PreStop: &corev1.LifecycleHandlerArgs{Exec: &corev1.ExecActionArgs{
			// Fast shutdown, whatever stop signal the image declares: a SIGTERM that
			// comes second no longer makes it wait for the clients to leave.
			Command: pulumi.ToStringArray([]string{"sh", "-c", "kill -INT 1"}),
		}}},
		VolumeMounts: corev1.VolumeMountArray{
			stateful.Mount("data", VolumePath),
			stateful.Mount("shared-memory", "/dev/shm"),
			stateful.Mount("socket", SocketPath),
			stateful.Mount("tmp", "/tmp"),
			stateful.ReadMount("config", ConfigPath),
			stateful.ReadMount("superuser", RolesPath),
		},
	}, args.Resources)
}

// reconciler applies the roles, once the server accepts connections, and then
// sleeps. The pod is ready only when it is done.
func reconciler(args *Args) corev1.ContainerArgs {
	p := ReconcilerProcess(loopback)
	return pods.Container(corev1.ContainerArgs{
		Name:           pulumi.String("reconcile"),
		Image:          args.Image,
		Command:        pulumi.ToStringArray(p.Command),
		Env:            stateful.Envs(p.Env),
		ReadinessProbe: pods.Probe{Command: p.Ready, PeriodSeconds: 2, TimeoutSeconds: 10, Failures: 1}.Args(),
		VolumeMounts: corev1.VolumeMountArray{
			stateful.Mount("socket", SocketPath),
			stateful.Mount("reconcile-tmp", "/tmp"),
			stateful.ReadMount("scripts", ScriptsPath),
			stateful.ReadMount("verifiers", RolesPath),
		},
	}, ReconcilerResources)
}

func exporter(args *Args) corev1.ContainerArgs {
	return pods.Container(corev1.ContainerArgs{
		Name:  pulumi.String("exporter"),
		Image: args.ExporterImage,
		Env:   stateful.Envs(ExporterProcess("").Env),
		Ports: stateful.Port(metricsName, MetricsPort),
		// No readiness: a missing exporter must not take the database away from its clients.
		LivenessProbe: pods.Probe{Path: "/", Port: metricsName, PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 4}.Args(),
		VolumeMounts:  corev1.VolumeMountArray{stateful.ReadMount("exporter", RolesPath)},
	}, ExporterResources)
}

func volumes(claim pulumi.StringInput, f files, t Tuning) corev1.VolumeArray {
	empty := func(name string, source *corev1.EmptyDirVolumeSourceArgs) corev1.VolumeInput {
		return &corev1.VolumeArgs{Name: pulumi.String(name), EmptyDir: source}
	}
	disk := func(limit string) *corev1.EmptyDirVolumeSourceArgs {
		return &corev1.EmptyDirVolumeSourceArgs{SizeLimit: pulumi.String(limit)}
	}
	return corev1.VolumeArray{
		stateful.DataVolume("data", claim),
		// In memory, so part of the server's memory limit, as PostgreSQL's own share is.
		empty("shared-memory", &corev1.EmptyDirVolumeSourceArgs{
			Medium: pulumi.String("Memory"), SizeLimit: pulumi.String(resource.NewQuantity(t.SharedMemory, resource.BinarySI).String()),
		}),
		empty("socket", disk("1Mi")),
		empty("tmp", disk("64Mi")),
		empty("reconcile-tmp", disk("1Mi")),
		stateful.ConfigVolume("config", f.config, "postgresql.conf", "pg_hba.conf"),
		stateful.ConfigVolume("scripts", f.config, "reconcile.sh", "roles.sql"),
		// Each container sees the keys that it reads.
		stateful.SecretVolume("superuser", f.verifiers, SuperuserFile),
		stateful.SecretVolume("verifiers", f.verifiers, SuperuserFile, "application", "monitoring"),
		stateful.SecretVolume("exporter", f.exporter, PasswordFile),
	}
}
