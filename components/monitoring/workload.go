package monitoring

import (
	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
	"github.com/alphapulse/alphapulse-infra/components/internal/sizing"
	"github.com/alphapulse/alphapulse-infra/components/internal/volume"
)

// stateful is a single pod with a volume: what Prometheus, Alertmanager and Grafana
// have in common.
type stateful struct {
	labels    labels.Set
	container string
	args      *Args
	image     pulumi.StringInput
	arguments pulumi.StringArray
	env       corev1.EnvVarArray
	port      int
	resources sizing.Resources
	user      int
	// dataPath is where the volume of size storage is mounted.
	dataPath string
	storage  resource.Quantity
	// livenessPath and readinessPath of the HTTP probes.
	livenessPath, readinessPath string
	// startupSeconds is how long the process may take to answer for the first time.
	startupSeconds int
	graceSeconds   int
	mountToken     bool
	metricsPath    string
	init           corev1.ContainerArray
	// volumes and mounts beside the data volume.
	volumes corev1.VolumeArray
	mounts  corev1.VolumeMountArray
}

const dataVolume = "data"

// create makes account, claim, Service, StatefulSet and disruption budget, and
// returns the Service's name.
func (s stateful) create(ctx *pulumi.Context, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	name, namespace := s.labels.Name, s.args.Namespace
	account, err := pods.ServiceAccount(ctx, s.labels, namespace, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	claim, err := volume.New(ctx, name, &volume.Args{
		Namespace: namespace, Labels: s.labels, Size: s.storage,
		StorageClass: s.args.StorageClass, Protect: s.args.Protect,
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	host, err := service(ctx, s.labels, namespace, s.port, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}

	startup := rollout.StartupFor(s.startupSeconds)
	plan := rollout.Plan{Startup: startup, Replicas: 1, AtOnce: 1, GraceSeconds: s.graceSeconds}
	liveness := pods.Probe{Path: s.livenessPath, Port: portName, PeriodSeconds: 10, TimeoutSeconds: 5, Failures: 6}
	readiness := pods.Probe{Path: s.readinessPath, Port: portName, PeriodSeconds: 5, TimeoutSeconds: 5, Failures: 3}
	container := corev1.ContainerArgs{
		Name:  pulumi.String(s.container),
		Image: s.image,
		Args:  s.arguments,
		Env:   s.env,
		Ports: corev1.ContainerPortArray{&corev1.ContainerPortArgs{
			Name: pulumi.String(portName), ContainerPort: pulumi.Int(s.port),
		}},
		StartupProbe:   pods.Startup(liveness, startup),
		LivenessProbe:  pods.Liveness(liveness, readiness),
		ReadinessProbe: readiness.Args(),
		VolumeMounts:   append(s.mounts, dataMount(s.dataPath)),
	}
	single := pods.NewSingle(namespace, pods.Options{
		Labels:          s.labels,
		User:            s.user,
		ServiceAccount:  account.Metadata.Name().Elem(),
		MountToken:      s.mountToken,
		PriorityClass:   s.args.PriorityClass,
		GraceSeconds:    s.graceSeconds,
		ImagePullSecret: s.args.ImagePullSecret,
		InitContainers:  s.init,
		Containers:      corev1.ContainerArray{pods.Container(container, s.resources)},
		Annotations:     scraped(s.port, s.metricsPath),
		Volumes: append(s.volumes, &corev1.VolumeArgs{
			Name: pulumi.String(dataVolume),
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSourceArgs{
				ClaimName: claim.Metadata.Name().Elem(),
			},
		}),
	})
	statefulSet, err := appsv1.NewStatefulSet(ctx, name, &appsv1.StatefulSetArgs{
		Metadata: pods.Meta(name, namespace, s.labels),
		Spec: &appsv1.StatefulSetSpecArgs{
			Replicas:    pulumi.Int(1),
			ServiceName: pulumi.String(name),
			// Ordered management would wait for a broken pod to become ready before
			// it let a corrected one take its place.
			PodManagementPolicy:  pulumi.String("Parallel"),
			RevisionHistoryLimit: pulumi.Int(3),
			UpdateStrategy:       &appsv1.StatefulSetUpdateStrategyArgs{Type: pulumi.String("RollingUpdate")},
			Selector:             pods.Selector(s.labels),
			Template:             single.Template,
		},
	}, append(opts, pulumi.Protect(s.args.Protect), pulumi.RetainOnDelete(s.args.Protect), pods.Timeouts(plan))...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return host, single.Await(ctx, statefulSet, plan, opts...)
}

func dataMount(path string) *corev1.VolumeMountArgs {
	return &corev1.VolumeMountArgs{Name: pulumi.String(dataVolume), MountPath: pulumi.String(path)}
}

// configVolume mounts a ConfigMap at a folder, read-only.
func configVolume(volumeName string, configMap pulumi.StringInput, path string, items ...string) (*corev1.VolumeArgs, *corev1.VolumeMountArgs) {
	source := &corev1.ConfigMapVolumeSourceArgs{Name: configMap}
	if len(items) > 0 {
		var keys corev1.KeyToPathArray
		for _, i := range items {
			keys = append(keys, &corev1.KeyToPathArgs{Key: pulumi.String(i), Path: pulumi.String(i)})
		}
		source.Items = keys
	}
	return &corev1.VolumeArgs{Name: pulumi.String(volumeName), ConfigMap: source},
		&corev1.VolumeMountArgs{Name: pulumi.String(volumeName), MountPath: pulumi.String(path), ReadOnly: pulumi.Bool(true)}
}

// secretVolume mounts a Secret at a folder, readable by the pod's group alone.
func secretVolume(volumeName string, secret pulumi.StringInput, path string) (*corev1.VolumeArgs, *corev1.VolumeMountArgs) {
	return &corev1.VolumeArgs{Name: pulumi.String(volumeName), Secret: &corev1.SecretVolumeSourceArgs{
			SecretName: secret, DefaultMode: pulumi.Int(0o440),
		}},
		&corev1.VolumeMountArgs{Name: pulumi.String(volumeName), MountPath: pulumi.String(path), ReadOnly: pulumi.Bool(true)}
}
