package database

import (
	"strconv"
	"strings"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
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

// initdbArgs of a new volume: checksums on every page; the byte order of C.UTF-8
// for sorting, which no update of a C library ever changes under an index.
const initdbArgs = "--data-checksums --encoding=UTF8 --locale=C.UTF-8 --auth-local=peer --auth-host=scram-sha-256"

func statefulSet(ctx *pulumi.Context, name string, args *Args, l labels.Set, claim pulumi.StringInput, f files, opts ...pulumi.ResourceOption) (*appsv1.StatefulSet, error) {
	account, err := pods.ServiceAccount(ctx, l, args.Namespace, opts...)
	if err != nil {
		return nil, err
	}
	tuning := args.Tuning()
	grace := tuning.GraceSeconds()
	plan := rollout.Plan{
		// What an await must allow for: an initialisation or a full recovery.
		Startup:      rollout.StartupFor(startup.BudgetSeconds() + tuning.RecoverySeconds()),
		Replicas:     1,
		AtOnce:       1,
		GraceSeconds: grace,
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
				GraceSeconds:    grace,
				Annotations: pulumi.StringMap{
					"prometheus.io/scrape": pulumi.String("true"),
					"prometheus.io/port":   pulumi.String(strconv.Itoa(MetricsPort)),
					"prometheus.io/path":   pulumi.String("/metrics"),
				},
				Containers: corev1.ContainerArray{
					server(args),
					reconciler(args),
					exporter(args),
				},
				Volumes: volumes(claim, f, tuning),
			}),
		},
	}, opts...)
}

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
			env("PGDATA", dataPath),
			env("POSTGRES_USER", SuperuserRole),
			env("POSTGRES_PASSWORD_FILE", rolesPath+"/superuser"),
			env("POSTGRES_INITDB_ARGS", initdbArgs),
			// The settings are ours: the image's own tuning would not be read.
			env("NO_TS_TUNE", "true"),
		},
		Ports: corev1.ContainerPortArray{&corev1.ContainerPortArgs{
			Name: pulumi.String(portName), ContainerPort: pulumi.Int(Port),
		}},
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
			mount("data", volumePath, false),
			mount("shared-memory", "/dev/shm", false),
			mount("socket", socketPath, false),
			mount("tmp", "/tmp", false),
			mount("config", configPath, true),
			mount("superuser", rolesPath, true),
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
			env("SOCKET_PATH", socketPath),
			env("SCRIPTS_PATH", scriptsPath),
			env("VERIFIERS_PATH", rolesPath),
			env("DATABASE", Name),
			env("APPLICATION_ROLE", ApplicationRole),
			env("MONITORING_ROLE", MonitoringRole),
		},
		ReadinessProbe: pods.Probe{Command: []string{"test", "-f", reconciled}, PeriodSeconds: 2, TimeoutSeconds: 10, Failures: 1}.Args(),
		VolumeMounts: corev1.VolumeMountArray{
			mount("socket", socketPath, false),
			mount("reconcile-tmp", "/tmp", false),
			mount("scripts", scriptsPath, true),
			mount("verifiers", rolesPath, true),
		},
	}, reconcilerResources)
}

func exporter(args *Args) corev1.ContainerArgs {
	return pods.Container(corev1.ContainerArgs{
		Name:  pulumi.String("exporter"),
		Image: args.ExporterImage,
		Env: corev1.EnvVarArray{
			env("DATA_SOURCE_URI", "127.0.0.1:"+strconv.Itoa(Port)+"/"+Name+"?sslmode=disable"),
			env("DATA_SOURCE_USER", MonitoringRole),
			env("DATA_SOURCE_PASS_FILE", rolesPath+"/password"),
		},
		Ports: corev1.ContainerPortArray{&corev1.ContainerPortArgs{
			Name: pulumi.String(metricsName), ContainerPort: pulumi.Int(MetricsPort),
		}},
		// No readiness: a missing exporter must not take the database away from its clients.
		LivenessProbe: pods.Probe{Path: "/", Port: metricsName, PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 4}.Args(),
		VolumeMounts:  corev1.VolumeMountArray{mount("exporter", rolesPath, true)},
	}, exporterResources)
}

func volumes(claim pulumi.StringInput, f files, t Tuning) corev1.VolumeArray {
	empty := func(name string, source *corev1.EmptyDirVolumeSourceArgs) corev1.VolumeInput {
		return &corev1.VolumeArgs{Name: pulumi.String(name), EmptyDir: source}
	}
	disk := func(limit string) *corev1.EmptyDirVolumeSourceArgs {
		return &corev1.EmptyDirVolumeSourceArgs{SizeLimit: pulumi.String(limit)}
	}
	// A mount shows the named keys only, each container its own.
	items := func(keys []string) corev1.KeyToPathArray {
		var paths corev1.KeyToPathArray
		for _, k := range keys {
			paths = append(paths, &corev1.KeyToPathArgs{Key: pulumi.String(k), Path: pulumi.String(k)})
		}
		return paths
	}
	secret := func(name string, object pulumi.StringInput, keys ...string) corev1.VolumeInput {
		return &corev1.VolumeArgs{Name: pulumi.String(name), Secret: &corev1.SecretVolumeSourceArgs{
			SecretName: object, DefaultMode: pulumi.Int(0o440), Items: items(keys),
		}}
	}
	config := func(name string, keys ...string) corev1.VolumeInput {
		return &corev1.VolumeArgs{Name: pulumi.String(name), ConfigMap: &corev1.ConfigMapVolumeSourceArgs{
			Name: f.config, Items: items(keys),
		}}
	}
	return corev1.VolumeArray{
		&corev1.VolumeArgs{Name: pulumi.String("data"), PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSourceArgs{ClaimName: claim}},
		// In memory, so part of the server's memory limit, as PostgreSQL's own share is.
		empty("shared-memory", &corev1.EmptyDirVolumeSourceArgs{
			Medium: pulumi.String("Memory"), SizeLimit: pulumi.String(resource.NewQuantity(t.SharedMemory, resource.BinarySI).String()),
		}),
		empty("socket", disk("1Mi")),
		empty("tmp", disk("64Mi")),
		empty("reconcile-tmp", disk("1Mi")),
		config("config", "postgresql.conf", "pg_hba.conf"),
		config("scripts", "reconcile.sh", "roles.sql"),
		secret("superuser", f.verifiers, "superuser"),
		secret("verifiers", f.verifiers, "superuser", "application", "monitoring"),
		secret("exporter", f.exporter, "password"),
	}
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
