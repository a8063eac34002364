package database

import (
	"fmt"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Former is the single server of releases before the cluster of members, whose volume
// belongs to another user and is copied into the first member's.
type Former struct {
	// Image that it ran, Alpine edition.
	Image pulumi.StringInput
	// Size of its claim, which is called like the database.
	Size string
}

// copyIdentity is that of the pod that copies.
func copyIdentity(name string) room.Identity {
	return room.Identity{Name: name + "-copy", Instance: name, Component: "database-copy"}
}

// copySeconds is how long a copy may take: a terabyte at 12 MB/s.
const copySeconds = 24 * 3600

// lendPath is the folder of the socket at which the former server lends its data.
const lendPath = "/run/lend"

// stop stops the former server and keeps its claim, whatever happens to the stack: it is
// the way back, and its user deletes it by name.
func (f *Former) stop(ctx *pulumi.Context, name string, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) (*corev1.PersistentVolumeClaim, pulumi.Resource, error) {
	i := Server(name)
	claim, err := corev1.NewPersistentVolumeClaim(ctx, name, &corev1.PersistentVolumeClaimArgs{
		Metadata: &metav1.ObjectMetaArgs{Name: pulumi.String(name), Namespace: namespace, Labels: pulumi.ToStringMap(i.Labels()), Annotations: workload.Unawaited},
		Spec: &corev1.PersistentVolumeClaimSpecArgs{
			AccessModes: pulumi.ToStringArray([]string{"ReadWriteOnce"}),
			Resources:   &corev1.VolumeResourceRequirementsArgs{Requests: pulumi.StringMap{"storage": pulumi.String(f.Size)}},
		},
	}, append(opts[:len(opts):len(opts)], pulumi.IgnoreChanges([]string{"spec"}), pulumi.RetainOnDelete(true))...)
	if err != nil {
		return nil, nil, fmt.Errorf("claim: %w", err)
	}
	set, err := appsv1.NewStatefulSet(ctx, name, &appsv1.StatefulSetArgs{
		Metadata: workload.Meta(name, namespace, i),
		Spec: &appsv1.StatefulSetSpecArgs{
			Replicas:             pulumi.Int(0),
			ServiceName:          pulumi.String(workload.Headless(name)),
			Selector:             &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(i.Selector())},
			PodManagementPolicy:  pulumi.String("Parallel"),
			RevisionHistoryLimit: pulumi.Int(10),
			UpdateStrategy:       &appsv1.StatefulSetUpdateStrategyArgs{Type: pulumi.String("RollingUpdate")},
			Template: &corev1.PodTemplateSpecArgs{
				Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(i.Labels())},
				Spec: &corev1.PodSpecArgs{
					AutomountServiceAccountToken: pulumi.Bool(false),
					Containers:                   corev1.ContainerArray{&corev1.ContainerArgs{Name: pulumi.String("postgresql"), Image: f.Image}},
				},
			},
		},
	}, append(opts[:len(opts):len(opts)], pulumi.IgnoreChanges([]string{"spec.template"}))...)
	if err != nil {
		return nil, nil, fmt.Errorf("stateful set: %w", err)
	}
	return claim, set, nil
}

// fill copies the former server's volume into a member's.
func (a *Args) fill(ctx *pulumi.Context, name string, into pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	claim, stopped, err := a.Former.stop(ctx, name, a.Namespace, opts...)
	if err != nil {
		return nil, fmt.Errorf("former server: %w", err)
	}
	pod := workload.Pod{
		Identity: copyIdentity(name), Placement: a.Placement, Kind: workload.Once,
		// The former server's group: its files must not be given another one.
		Group: User,
		Away:  Server(name).Selector(),
		Init: []workload.Process{
			{
				Name: "agent-install", Image: a.AgentImage, User: User, OwnUser: true, Args: pulumi.ToStringArray([]string{"install", agentPath}),
				Resources: AgentResources, Mounts: []workload.Mount{{Volume: "agent", Path: agentPath}},
			},
			{
				Name: "lend", Image: a.Former.Image, User: User, OwnUser: true, Sidecar: true,
				Command:   []string{agentPath + "/agent", "lend", "-data", dataPath, "-run", lendPath},
				Resources: a.Resources,
				Mounts: []workload.Mount{
					{Volume: "agent", Path: agentPath, ReadOnly: true}, {Volume: "former", Path: VolumePath},
					{Volume: "lend", Path: lendPath}, {Volume: "lend-tmp", Path: "/tmp"},
				},
			},
		},
		Processes: []workload.Process{{
			Name: "copy", Image: a.Image, User: MemberUser, StartupSeconds: copySeconds,
			Command:   []string{agentPath + "/agent", "copy", "-data", memberData, "-run", "/tmp/run", "-from", lendPath},
			Resources: a.Resources,
			Mounts: []workload.Mount{
				{Volume: "agent", Path: agentPath, ReadOnly: true}, {Volume: dataVolume, Path: volumeRoot},
				{Volume: "lend", Path: lendPath}, {Volume: "tmp", Path: "/tmp"},
			},
		}},
		Volumes: []workload.Volume{
			{Name: "former", Claim: claim.Metadata.Name().Elem()}, {Name: dataVolume, Claim: into},
			{Name: "agent", Empty: &workload.Empty{Size: "64Mi"}}, {Name: "lend", Empty: &workload.Empty{Size: "1Mi"}},
			{Name: "lend-tmp", Empty: &workload.Empty{Size: "64Mi"}}, {Name: "tmp", Empty: &workload.Empty{Size: "64Mi"}},
		},
	}
	pod.PlatformUsers = false // it runs two servers, on files of their users
	made, err := pod.Create(ctx, append(opts[:len(opts):len(opts)], pulumi.DependsOn([]pulumi.Resource{stopped}))...)
	if err != nil {
		return nil, fmt.Errorf("copy: %w", err)
	}
	return made.Workload, nil
}
