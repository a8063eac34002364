// Package stateful holds what the servers that keep data have in common: one pod
// on one claim, found through Services of constant names, never replaced by an edit.
package stateful

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
)

// Headless is the name of the Service that gives the pod of a server its own name.
func Headless(name string) string { return name + "-headless" }

// ServiceCount is how many Services a server with so many aliases has.
func ServiceCount(aliases []string) int { return 2 + len(aliases) }

// serviceName is what Kubernetes accepts as the name of a Service (RFC 1035).
var serviceName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// ValidateAliases reports every alias that cannot be a Service beside the server's own.
func ValidateAliases(name string, aliases []string) []error {
	var problems []error
	taken := []string{name, Headless(name)}
	for _, alias := range aliases {
		switch {
		case !serviceName.MatchString(alias):
			problems = append(problems, fmt.Errorf("AliasServices: %q is no Service name: "+
				"use lower-case letters, digits and '-', beginning with a letter, 63 at most", alias))
		case slices.Contains(taken, alias):
			problems = append(problems, fmt.Errorf("AliasServices: %q is given twice or is a Service of %s itself: remove it", alias, name))
		}
		taken = append(taken, alias)
	}
	return problems
}

// Server is one server's pod and how it is reached.
type Server struct {
	Labels    labels.Set
	Namespace pulumi.StringInput
	// PortName and Port of the server's container port.
	PortName string
	Port     int
	// MetricsPort of the exporter beside it.
	MetricsPort int
	// Aliases are further names of the clients' Service.
	Aliases []string
	// Protect keeps the StatefulSet when the stack is destroyed.
	Protect bool
	// Startup is the longest that a pod may take until it is ready, recovery
	// included; it bounds what Pulumi awaits.
	Startup rollout.Startup
	// GraceSeconds is the time that a stop may take.
	GraceSeconds    int
	User            int
	PriorityClass   pulumi.StringPtrInput
	ImagePullSecret pulumi.StringPtrInput
	Containers      corev1.ContainerArray
	Volumes         corev1.VolumeArray
}

// Create creates the account, the Services, the StatefulSet and the disruption
// budget. It returns the host name that clients use.
func (s Server) Create(ctx *pulumi.Context, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	host, err := s.services(ctx, opts...)
	if err != nil {
		return host, err
	}
	account, err := pods.ServiceAccount(ctx, s.Labels, s.Namespace, opts...)
	if err != nil {
		return host, err
	}
	name := s.Labels.Name
	single := pods.NewSingle(s.Namespace, pods.Options{
		Labels:          s.Labels,
		User:            s.User,
		ServiceAccount:  account.Metadata.Name().Elem(),
		PriorityClass:   s.PriorityClass,
		ImagePullSecret: s.ImagePullSecret,
		GraceSeconds:    s.GraceSeconds,
		Annotations: pulumi.StringMap{
			"prometheus.io/scrape": pulumi.String("true"),
			"prometheus.io/port":   pulumi.String(strconv.Itoa(s.MetricsPort)),
			"prometheus.io/path":   pulumi.String("/metrics"),
		},
		Containers: s.Containers,
		Volumes:    s.Volumes,
	})
	plan := rollout.Plan{Startup: s.Startup, Replicas: 1, AtOnce: 1, GraceSeconds: s.GraceSeconds}
	statefulSet, err := appsv1.NewStatefulSet(ctx, name, &appsv1.StatefulSetArgs{
		Metadata: pods.Meta(name, s.Namespace, s.Labels),
		Spec: &appsv1.StatefulSetSpecArgs{
			// Down to the strategy all are constants: Kubernetes refuses to change most
			// of them, so Pulumi would replace the StatefulSet.
			Replicas:    pulumi.Int(1),
			ServiceName: pulumi.String(Headless(name)),
			Selector:    pods.Selector(s.Labels),
			// With the other policy a pod that never gets ready blocks the very update
			// that would repair it.
			PodManagementPolicy:  pulumi.String("Parallel"),
			RevisionHistoryLimit: pulumi.Int(10),
			UpdateStrategy:       &appsv1.StatefulSetUpdateStrategyArgs{Type: pulumi.String("RollingUpdate")},
			Template:             single.Template,
		},
	}, append(slices.Clone(opts), pods.Timeouts(plan), pulumi.Protect(s.Protect), pulumi.RetainOnDelete(s.Protect))...)
	if err != nil {
		return host, err
	}
	return host, single.Await(ctx, statefulSet, plan, opts...)
}

func (s Server) services(ctx *pulumi.Context, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	create := func(name string, spec *corev1.ServiceSpecArgs) (pulumi.StringOutput, error) {
		meta := pods.Meta(name, s.Namespace, s.Labels)
		// The StatefulSet's own rollout is awaited; awaiting endpoints here would wait
		// for a pod that is created later.
		meta.Annotations = pulumi.StringMap{"pulumi.com/skipAwait": pulumi.String("true")}
		spec.Selector = pulumi.ToStringMap(s.Labels.Selector())
		spec.Ports = corev1.ServicePortArray{&corev1.ServicePortArgs{
			Name: pulumi.String(s.PortName), Port: pulumi.Int(s.Port), TargetPort: pulumi.String(s.PortName),
		}}
		service, err := corev1.NewService(ctx, name, &corev1.ServiceArgs{Metadata: meta, Spec: spec}, opts...)
		if err != nil {
			return pulumi.StringOutput{}, err
		}
		return service.Metadata.Name().Elem(), nil
	}
	host, err := create(s.Labels.Name, &corev1.ServiceSpecArgs{})
	if err != nil {
		return host, err
	}
	for _, alias := range s.Aliases {
		if _, err := create(alias, &corev1.ServiceSpecArgs{}); err != nil {
			return host, err
		}
	}
	_, err = create(Headless(s.Labels.Name), &corev1.ServiceSpecArgs{
		ClusterIP: pulumi.String("None"),
		// An operator reaches a server that is not ready yet, too.
		PublishNotReadyAddresses: pulumi.Bool(true),
	})
	return host, err
}

// DataVolume mounts the claim.
func DataVolume(name string, claim pulumi.StringInput) corev1.VolumeInput {
	return &corev1.VolumeArgs{Name: pulumi.String(name),
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSourceArgs{ClaimName: claim}}
}

// ConfigVolume mounts the named keys of a ConfigMap.
func ConfigVolume(name string, object pulumi.StringInput, keys ...string) corev1.VolumeInput {
	return &corev1.VolumeArgs{Name: pulumi.String(name),
		ConfigMap: &corev1.ConfigMapVolumeSourceArgs{Name: object, Items: items(keys)}}
}

// SecretVolume mounts the named keys of a Secret, readable by the pod's group only.
func SecretVolume(name string, object pulumi.StringInput, keys ...string) corev1.VolumeInput {
	return &corev1.VolumeArgs{Name: pulumi.String(name),
		Secret: &corev1.SecretVolumeSourceArgs{SecretName: object, Items: items(keys), DefaultMode: pulumi.Int(0o440)}}
}

func items(keys []string) corev1.KeyToPathArray {
	var paths corev1.KeyToPathArray
	for _, k := range keys {
		paths = append(paths, &corev1.KeyToPathArgs{Key: pulumi.String(k), Path: pulumi.String(k)})
	}
	return paths
}

// Mount mounts a volume for writing.
func Mount(name, path string) corev1.VolumeMountInput {
	return &corev1.VolumeMountArgs{Name: pulumi.String(name), MountPath: pulumi.String(path)}
}

// ReadMount mounts a volume for reading.
func ReadMount(name, path string) corev1.VolumeMountInput {
	return &corev1.VolumeMountArgs{Name: pulumi.String(name), MountPath: pulumi.String(path), ReadOnly: pulumi.Bool(true)}
}

// Env is a plain variable; never one with a credential.
func Env(name, value string) corev1.EnvVarInput {
	return &corev1.EnvVarArgs{Name: pulumi.String(name), Value: pulumi.String(value)}
}

// Envs are plain variables in the order of their names.
func Envs(values map[string]string) corev1.EnvVarArray {
	var env corev1.EnvVarArray
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, Env(name, values[name]))
	}
	return env
}

// Port declares a container port.
func Port(name string, number int) corev1.ContainerPortArray {
	return corev1.ContainerPortArray{&corev1.ContainerPortArgs{Name: pulumi.String(name), ContainerPort: pulumi.Int(number)}}
}
