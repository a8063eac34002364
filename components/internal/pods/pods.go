// Package pods builds pod templates that pass Pod Security "restricted": every
// workload of every component goes through Template and Container, so that a
// hardening is stated once.
package pods

import (
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
	"github.com/alphapulse/alphapulse-infra/components/internal/sizing"
)

// Spread says how a workload's pods are distributed over zones and hosts.
type Spread int

const (
	// SpreadNone is for workloads of one pod.
	SpreadNone Spread = iota
	// SpreadPreferred asks for even distribution and schedules all the same
	// where the cluster is too small for it.
	SpreadPreferred
	// SpreadRequired leaves a pod pending rather than put two on one host.
	SpreadRequired
)

// Options are what the workloads differ in.
type Options struct {
	Labels labels.Set
	// User is the numeric uid, gid and fsGroup of every container.
	User int
	// ServiceAccount is the name of the workload's own account.
	ServiceAccount pulumi.StringInput
	// MountToken gives the pod an API token; only for workloads that talk to the API server.
	MountToken bool
	// PriorityClass is the name of the pod's PriorityClass; nil for the cluster's default.
	PriorityClass pulumi.StringPtrInput
	// GraceSeconds is the time between SIGTERM (including preStop) and SIGKILL.
	GraceSeconds int
	// ImagePullSecret names a Secret with registry credentials; nil for public images.
	ImagePullSecret pulumi.StringPtrInput
	Spread          Spread
	InitContainers  corev1.ContainerArray
	Containers      corev1.ContainerArray
	Volumes         corev1.VolumeArray
	Annotations     pulumi.StringMap
}

// Template builds the pod template.
func Template(o Options) *corev1.PodTemplateSpecArgs {
	spec := &corev1.PodSpecArgs{
		ServiceAccountName:            o.ServiceAccount,
		AutomountServiceAccountToken:  pulumi.Bool(o.MountToken),
		EnableServiceLinks:            pulumi.Bool(false), // generated *_PORT variables would shadow the application's own
		PriorityClassName:             o.PriorityClass,
		TerminationGracePeriodSeconds: pulumi.Int(o.GraceSeconds),
		TopologySpreadConstraints:     spread(o.Labels, o.Spread),
		SecurityContext: &corev1.PodSecurityContextArgs{
			RunAsNonRoot:        pulumi.Bool(true),
			RunAsUser:           pulumi.Int(o.User),
			RunAsGroup:          pulumi.Int(o.User),
			FsGroup:             pulumi.Int(o.User),
			FsGroupChangePolicy: pulumi.String("OnRootMismatch"), // a large volume is not walked at every start
			SeccompProfile:      &corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
		},
		InitContainers: o.InitContainers,
		Containers:     o.Containers,
		Volumes:        o.Volumes,
	}
	if o.ImagePullSecret != nil {
		spec.ImagePullSecrets = corev1.LocalObjectReferenceArray{&corev1.LocalObjectReferenceArgs{Name: o.ImagePullSecret}}
	}
	return &corev1.PodTemplateSpecArgs{
		Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(o.Labels.All()), Annotations: o.Annotations},
		Spec:     spec,
	}
}

func spread(l labels.Set, s Spread) corev1.TopologySpreadConstraintArray {
	if s == SpreadNone {
		return nil
	}
	constraint := func(key, unsatisfiable string) corev1.TopologySpreadConstraintInput {
		return &corev1.TopologySpreadConstraintArgs{
			MaxSkew:           pulumi.Int(1),
			TopologyKey:       pulumi.String(key),
			WhenUnsatisfiable: pulumi.String(unsatisfiable),
			LabelSelector:     &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(l.Selector())},
			// Each revision is spread on its own: pods of the old one, about to
			// stop, do not push the new ones together.
			MatchLabelKeys: pulumi.ToStringArray([]string{"pod-template-hash"}),
		}
	}
	// Zones stay a preference: a cluster in one zone is not a mistake.
	hosts := "ScheduleAnyway"
	if s == SpreadRequired {
		hosts = "DoNotSchedule"
	}
	return corev1.TopologySpreadConstraintArray{
		constraint("topology.kubernetes.io/zone", "ScheduleAnyway"),
		constraint("kubernetes.io/hostname", hosts),
	}
}

// Container completes a container with the hardening and the resources that
// every container carries.
func Container(c corev1.ContainerArgs, r sizing.Resources) corev1.ContainerArgs {
	c.ImagePullPolicy = pulumi.String("IfNotPresent")
	c.TerminationMessagePolicy = pulumi.String("FallbackToLogsOnError")
	c.Resources = &corev1.ResourceRequirementsArgs{
		Requests: pulumi.StringMap{
			"cpu": pulumi.String(r.Requests.CPU.String()), "memory": pulumi.String(r.Requests.Memory.String()),
			"ephemeral-storage": pulumi.String(ephemeralRequest),
		},
		Limits: pulumi.StringMap{
			"cpu": pulumi.String(r.Limits.CPU.String()), "memory": pulumi.String(r.Limits.Memory.String()),
			"ephemeral-storage": pulumi.String(ephemeralLimit),
		},
	}
	c.SecurityContext = &corev1.SecurityContextArgs{
		AllowPrivilegeEscalation: pulumi.Bool(false),
		ReadOnlyRootFilesystem:   pulumi.Bool(true),
		RunAsNonRoot:             pulumi.Bool(true),
		Capabilities:             &corev1.CapabilitiesArgs{Drop: pulumi.ToStringArray([]string{"ALL"})},
	}
	return c
}

// What a container may write to the node: its logs, which the kubelet rotates, and
// its emptyDirs, each of which has a bound of its own.
const (
	ephemeralRequest = "64Mi"
	ephemeralLimit   = "2Gi"
)

// Liveness is the liveness probe beside a readiness probe. Where both would ask the
// same question, it asks for a connection only: a process that cannot answer for a
// while must leave the Service, not be restarted.
func Liveness(alive, ready Probe) *corev1.ProbeArgs {
	if alive.Path == ready.Path && alive.Port == ready.Port && len(alive.Command) == 0 {
		alive.Path = ""
	}
	return alive.Args()
}

// Probe looks every periodSeconds and gives up after failures missed answers.
type Probe struct {
	// Path and Port make an HTTP probe.
	Path string
	Port string
	// Command makes an exec probe; it must not contain a credential.
	Command        []string
	PeriodSeconds  int
	TimeoutSeconds int
	Failures       int
}

// Args renders the probe; nil for a probe that asks nothing.
func (p Probe) Args() *corev1.ProbeArgs {
	args := &corev1.ProbeArgs{
		PeriodSeconds:    pulumi.Int(p.PeriodSeconds),
		TimeoutSeconds:   pulumi.Int(p.TimeoutSeconds),
		FailureThreshold: pulumi.Int(p.Failures),
	}
	switch {
	case len(p.Command) > 0:
		args.Exec = &corev1.ExecActionArgs{Command: pulumi.ToStringArray(p.Command)}
	case p.Path != "":
		args.HttpGet = &corev1.HTTPGetActionArgs{Path: pulumi.String(p.Path), Port: pulumi.String(p.Port)}
	case p.Port != "":
		args.TcpSocket = &corev1.TCPSocketActionArgs{Port: pulumi.String(p.Port)}
	default:
		return nil
	}
	return args
}

// Startup turns a probe into a start-up probe with the given budget.
func Startup(p Probe, s rollout.Startup) *corev1.ProbeArgs {
	p.PeriodSeconds, p.Failures = s.PeriodSeconds, s.FailureThreshold
	return p.Args()
}

// PreStopSleep keeps a pod serving while its removal from the endpoints reaches
// every proxy. Native since Kubernetes 1.30: no shell in the image is needed.
func PreStopSleep(seconds int) *corev1.LifecycleArgs {
	return &corev1.LifecycleArgs{PreStop: &corev1.LifecycleHandlerArgs{
		Sleep: &corev1.SleepActionArgs{Seconds: pulumi.Int(seconds)},
	}}
}

// EmptyDirs makes one writable emptyDir for each path under a read-only root,
// bounded so that a runaway writer cannot fill the node.
func EmptyDirs(sizeLimit string, paths map[string]string) (corev1.VolumeArray, corev1.VolumeMountArray) {
	names := make([]string, 0, len(paths))
	for n := range paths {
		names = append(names, n)
	}
	slices.Sort(names)
	var volumes corev1.VolumeArray
	var mounts corev1.VolumeMountArray
	for _, n := range names {
		volumes = append(volumes, &corev1.VolumeArgs{Name: pulumi.String(n),
			EmptyDir: &corev1.EmptyDirVolumeSourceArgs{SizeLimit: pulumi.String(sizeLimit)}})
		mounts = append(mounts, &corev1.VolumeMountArgs{Name: pulumi.String(n), MountPath: pulumi.String(paths[n])})
	}
	return volumes, mounts
}

// ServiceAccount creates the workload's own account. The token is mounted, if at
// all, by the pod: the account itself never offers one.
func ServiceAccount(ctx *pulumi.Context, l labels.Set, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) (*corev1.ServiceAccount, error) {
	return corev1.NewServiceAccount(ctx, l.Name, &corev1.ServiceAccountArgs{
		Metadata:                     Meta(l.Name, namespace, l),
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, opts...)
}

// Meta is the metadata of an object that belongs to a workload.
func Meta(name string, namespace pulumi.StringInput, l labels.Set) *metav1.ObjectMetaArgs {
	return &metav1.ObjectMetaArgs{
		Name:      pulumi.String(name),
		Namespace: namespace,
		Labels:    pulumi.ToStringMap(l.All()),
	}
}

// Selector is the label selector of a workload's pods.
func Selector(l labels.Set) *metav1.LabelSelectorArgs {
	return &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(l.Selector())}
}
