package database

import (
	"strconv"
	"strings"

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
	// reconciled exists once the roles are as declared; only then is the pod ready.
	reconciled = "/tmp/reconciled"
)

// startup is the time that a new volume may take to be initialised, and any volume
// until the server answers at all. A crash recovery is not in it: a server that
// replays its log already answers, by refusing.
var startup = rollout.StartupFor(300)

// initdbArgs of a new volume: checksums on every page; text sorted by PostgreSQL's
// own C.UTF-8 (since version 17), so that no C library, and no update of one, ever
// changes the order under an index.
const initdbArgs = "--data-checksums --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8" +
	" --auth-local=peer --auth-host=scram-sha-256"

func server(args *Args) corev1.ContainerArgs {
	// Probes hold no credential: over the socket the kernel says who asks. The exit
	// codes are 0 for accepting, 1 for refusing (starting up, recovering, shutting
	// down), 2 for no answer. pg_isready gives up by itself, long before the probe
	// would kill it: an orphan that ends with a failure would be taken by the
	// server, process 1 of its container, for a crashed child of its own.
	ready := []string{"pg_isready", "-q", "-t", "5", "-h", socketPath, "-U", SuperuserRole, "-d", SuperuserRole}
	alive := pods.Probe{
		Command:       []string{"sh", "-c", strings.Join(ready, " ") + " || [ $? -eq 1 ]"},
		PeriodSeconds: 10, TimeoutSeconds: 30, Failures: 6,
	}
	return pods.Container(corev1.ContainerArgs{
		Name:  pulumi.String("postgresql"),
		Image: args.Image,
		Args: pulumi.ToStringArray([]string{
			"postgres", "-c", "config_file=" + configPath + "/postgresql.conf", "-c", "hba_file=" + configPath + "/pg_hba.conf",
		}),
		Env: corev1.EnvVarArray{
			stateful.Env("PGDATA", dataPath),
			stateful.Env("POSTGRES_USER", SuperuserRole),
			stateful.Env("POSTGRES_PASSWORD_FILE", rolesPath+"/superuser"),
			stateful.Env("POSTGRES_INITDB_ARGS", initdbArgs),
			// The settings are ours: the image's own tuning would not be read.
			stateful.Env("NO_TS_TUNE", "true"),
		},
		Ports:         stateful.Port(portName, Port),
		StartupProbe:  pods.Startup(alive, startup),
		LivenessProbe: alive.Args(),
		ReadinessProbe: pods.Probe{
			Command:       ready,
			PeriodSeconds: 5, TimeoutSeconds: 30, Failures: 2,
		}.Args(),
		Lifecycle: &corev1.LifecycleArgs{PreStop: &corev1.LifecycleHandlerArgs{Exec: &corev1.ExecActionArgs{
			// Fast shutdown, whatever stop signal the image declares: a SIGTERM that
			// comes second no longer makes it wait for the clients to leave.
			Command: pulumi.ToStringArray([]string{"sh", "-c", "kill -INT 1"}),
		}}},
		VolumeMounts: corev1.VolumeMountArray{
			stateful.Mount("data", volumePath),
			stateful.Mount("shared-memory", "/dev/shm"),
			stateful.Mount("socket", socketPath),
			stateful.Mount("tmp", "/tmp"),
			stateful.ReadMount("config", configPath),
			stateful.ReadMount("superuser", rolesPath),
		},
	}, args.Resources)
}

// reconciler applies the roles, once the server accepts connections, and then
// sleeps. The pod is ready only when it is done.
func reconciler(args *Args) corev1.ContainerArgs {
	return pods.Container(corev1.ContainerArgs{
		Name:    pulumi.String("reconcile"),
		Image:   args.Image,
		Command: pulumi.ToStringArray([]string{"sh", scriptsPath + "/reconcile.sh", reconciled}),
		Env: corev1.EnvVarArray{
			stateful.Env("SOCKET_PATH", socketPath),
			stateful.Env("SCRIPTS_PATH", scriptsPath),
			stateful.Env("VERIFIERS_PATH", rolesPath),
			stateful.Env("DATABASE", Name),
			stateful.Env("APPLICATION_ROLE", ApplicationRole),
			stateful.Env("MONITORING_ROLE", MonitoringRole),
		},
		ReadinessProbe: pods.Probe{Command: []string{"test", "-f", reconciled}, PeriodSeconds: 2, TimeoutSeconds: 10, Failures: 1}.Args(),
		VolumeMounts: corev1.VolumeMountArray{
			stateful.Mount("socket", socketPath),
			stateful.Mount("reconcile-tmp", "/tmp"),
			stateful.ReadMount("scripts", scriptsPath),
			stateful.ReadMount("verifiers", rolesPath),
		},
	}, reconcilerResources)
}

func exporter(args *Args) corev1.ContainerArgs {
	return pods.Container(corev1.ContainerArgs{
		Name:  pulumi.String("exporter"),
		Image: args.ExporterImage,
		Env: corev1.EnvVarArray{
			stateful.Env("DATA_SOURCE_URI", "127.0.0.1:"+strconv.Itoa(Port)+"/"+Name+"?sslmode=disable"),
			stateful.Env("DATA_SOURCE_USER", MonitoringRole),
			stateful.Env("DATA_SOURCE_PASS_FILE", rolesPath+"/password"),
		},
		Ports: stateful.Port(metricsName, MetricsPort),
		// No readiness: a missing exporter must not take the database away from its clients.
		LivenessProbe: pods.Probe{Path: "/", Port: metricsName, PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 4}.Args(),
		VolumeMounts:  corev1.VolumeMountArray{stateful.ReadMount("exporter", rolesPath)},
	}, exporterResources)
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
		stateful.SecretVolume("superuser", f.verifiers, "superuser"),
		stateful.SecretVolume("verifiers", f.verifiers, "superuser", "application", "monitoring"),
		stateful.SecretVolume("exporter", f.exporter, "password"),
	}
}
