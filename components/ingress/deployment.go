package ingress

import (
	"fmt"
	"strconv"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
)

// Where nginx finds its files: their folders and their names in these.
const (
	ConfigDir      = "/etc/edge"
	ConfigKey      = "nginx.conf"
	TLSDir         = "/etc/edge-tls"
	CertificateKey = "tls.crt"
	PrivateKey     = "tls.key"
	PasswordDir    = "/etc/edge-password"
	PasswordKey    = "htpasswd"
)

// Command starts nginx: not the image's entrypoint, which edits files that are
// read-only here.
func Command() []string { return []string{"nginx", "-e", "stderr", "-c", ConfigDir + "/" + ConfigKey} }

// ExporterArgs are the arguments of the exporter of the nginx at host.
func ExporterArgs(host string) []string {
	return []string{
		fmt.Sprintf("--nginx.scrape-uri=http://%s:%d%s", host, StatusPort, nginx.StatusPath),
		fmt.Sprintf("--web.listen-address=:%d", MetricsPort),
	}
}

// preStopSeconds is how long a stopping pod keeps taking connections while nodes,
// load balancers and Ingress controllers learn that it goes.
const preStopSeconds = 10

// drainMargin is what nginx may need to exit after its last worker, in seconds.
const drainMargin = 5

// DrainSeconds is how long a stopping nginx may need for what it is doing.
func (a *Args) DrainSeconds() int { return a.RequestTimeoutSeconds + drainMargin }

// startupSeconds is generous: nginx starts at once, but waits for the cluster's DNS
// to know the resolver's own name.
const startupSeconds = 60

// readOnly is the mode of files that the pod's group may read.
const readOnly = 0o440

// mounted names the objects that the pod reads files from.
type mounted struct {
	config, tls, password pulumi.StringOutput
	// guarded is whether there is a password file.
	guarded bool
}

func deployment(ctx *pulumi.Context, l labels.Set, args *Args, files mounted, opts ...pulumi.ResourceOption) error {
	account, err := pods.ServiceAccount(ctx, l, args.Namespace, opts...)
	if err != nil {
		return fmt.Errorf("service account: %w", err)
	}
	// Request bodies are buffered here; the limit is far above what the clients of
	// one pod can have under way.
	volumes, mounts := pods.EmptyDirs("512Mi", map[string]string{"tmp": "/tmp"})
	mount := func(name, path string, volume *corev1.VolumeArgs) {
		volume.Name = pulumi.String(name)
		volumes = append(volumes, volume)
		mounts = append(mounts, &corev1.VolumeMountArgs{Name: pulumi.String(name), MountPath: pulumi.String(path), ReadOnly: pulumi.Bool(true)})
	}
	mount("config", ConfigDir, &corev1.VolumeArgs{ConfigMap: &corev1.ConfigMapVolumeSourceArgs{Name: files.config}})
	mount("tls", TLSDir, &corev1.VolumeArgs{Secret: &corev1.SecretVolumeSourceArgs{SecretName: files.tls, DefaultMode: pulumi.Int(readOnly)}})
	if files.guarded {
		mount("password", PasswordDir, &corev1.VolumeArgs{Secret: &corev1.SecretVolumeSourceArgs{SecretName: files.password, DefaultMode: pulumi.Int(readOnly)}})
	}

	startup := rollout.StartupFor(startupSeconds)
	health := pods.Probe{Path: nginx.HealthPath, Port: "http", PeriodSeconds: 10, TimeoutSeconds: 3, Failures: 3}
	ready := health
	ready.PeriodSeconds, ready.Failures = 5, 2
	server := corev1.ContainerArgs{
		Name:    pulumi.String("nginx"),
		Image:   args.Image,
		Command: pulumi.ToStringArray(Command()),
		Ports: corev1.ContainerPortArray{
			&corev1.ContainerPortArgs{Name: pulumi.String("http"), ContainerPort: pulumi.Int(HTTPPort)},
			&corev1.ContainerPortArgs{Name: pulumi.String("https"), ContainerPort: pulumi.Int(HTTPSPort)},
		},
		VolumeMounts:   mounts,
		StartupProbe:   pods.Startup(health, startup),
		LivenessProbe:  pods.Liveness(health, ready),
		ReadinessProbe: ready.Args(),
		Lifecycle:      pods.PreStopSleep(preStopSeconds),
	}
	exporter := corev1.ContainerArgs{
		Name:  pulumi.String("exporter"),
		Image: args.ExporterImage,
		Args:  pulumi.ToStringArray(ExporterArgs("127.0.0.1")),
		Ports: corev1.ContainerPortArray{
			&corev1.ContainerPortArgs{Name: pulumi.String("metrics"), ContainerPort: pulumi.Int(MetricsPort)},
		},
		// An edge whose exporter is slow still serves: no readiness of its own.
		LivenessProbe: pods.Probe{Path: "/", Port: "metrics", PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 3}.Args(),
	}

	grace := preStopSeconds + args.DrainSeconds()
	plan := rollout.Plan{Startup: startup, Replicas: args.Replicas, AtOnce: 1, GraceSeconds: grace}
	spread := pods.SpreadPreferred
	if args.SpreadRequired {
		spread = pods.SpreadRequired
	}
	if _, err := appsv1.NewDeployment(ctx, l.Name, &appsv1.DeploymentArgs{
		Metadata: pods.Meta(l.Name, args.Namespace, l),
		Spec: &appsv1.DeploymentSpecArgs{
			Replicas:                pulumi.Int(args.Replicas),
			RevisionHistoryLimit:    pulumi.Int(3),
			ProgressDeadlineSeconds: pulumi.Int(plan.ProgressDeadlineSeconds()),
			Strategy: &appsv1.DeploymentStrategyArgs{
				Type: pulumi.String("RollingUpdate"),
				RollingUpdate: &appsv1.RollingUpdateDeploymentArgs{
					MaxSurge:       pulumi.Int(1),
					MaxUnavailable: pulumi.Int(0),
				},
			},
			Selector: pods.Selector(l),
			Template: pods.Template(pods.Options{
				Labels:          l,
				User:            User,
				ServiceAccount:  account.Metadata.Name().Elem(),
				PriorityClass:   args.PriorityClass,
				GraceSeconds:    grace,
				ImagePullSecret: args.ImagePullSecret,
				Spread:          spread,
				Containers: corev1.ContainerArray{
					pods.Container(server, args.Resources),
					pods.Container(exporter, args.ExporterResources),
				},
				Volumes: volumes,
				Annotations: pulumi.StringMap{
					"prometheus.io/scrape": pulumi.String("true"),
					"prometheus.io/port":   pulumi.String(strconv.Itoa(MetricsPort)),
					"prometheus.io/path":   pulumi.String("/metrics"),
				},
			}),
		},
	}, append(opts, pods.Timeouts(plan))...); err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	if err := pods.Budget(ctx, l, args.Namespace, opts...); err != nil {
		return fmt.Errorf("disruption budget: %w", err)
	}
	return nil
}
