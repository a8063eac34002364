package workload

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Data is a volume that holds what users stored. In a namespace it is a claim of its own,
// not a volumeClaimTemplate: a larger size grows the volume in place, and no edit of the
// StatefulSet can touch the claim. A Docker host has no bound on its size.
type Data struct {
	// Size of the volume. It may grow later, never shrink.
	Size resource.Quantity
	// StorageClass is used when the claim is first made; "" takes the cluster's default.
	StorageClass string
	// Protect makes Pulumi refuse to delete the claim, and keep the volume if the
	// stack is destroyed all the same.
	Protect bool
}

// Scratch is a volume that begins empty and is deleted with its pod: for more than a
// node's own disk may have to take.
type Scratch struct {
	// Size of the volume.
	Size resource.Quantity
	// StorageClass of the volume; "" takes the cluster's default.
	StorageClass string
}

// source is a generic ephemeral volume.
func (s *Scratch) source(i room.Identity) *corev1.EphemeralVolumeSourceArgs {
	return &corev1.EphemeralVolumeSourceArgs{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplateArgs{
		Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(i.Labels())},
		Spec:     spec(s.Size, s.StorageClass),
	}}
}

// spec asks for a volume that one node writes.
func spec(size resource.Quantity, class string) *corev1.PersistentVolumeClaimSpecArgs {
	spec := &corev1.PersistentVolumeClaimSpecArgs{
		AccessModes: pulumi.ToStringArray([]string{"ReadWriteOnce"}),
		Resources: &corev1.VolumeResourceRequirementsArgs{
			Requests: pulumi.StringMap{"storage": pulumi.String(size.String())},
		},
	}
	if class != "" {
		spec.StorageClassName = pulumi.String(class)
	}
	return spec
}

// claim creates a ReadWriteOnce claim that is called like the workload.
func (d *Data) claim(ctx *pulumi.Context, i room.Identity, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	meta := Meta(i.Name, namespace, i)
	// A class that binds on first use stays Pending until a pod needs the claim;
	// awaiting it here would wait for a pod that waits for the claim.
	meta.Annotations = Unawaited
	claim, err := corev1.NewPersistentVolumeClaim(ctx, i.Name, &corev1.PersistentVolumeClaimArgs{Metadata: meta, Spec: spec(d.Size, d.StorageClass)},
		append(opts[:len(opts):len(opts)],
			// Kubernetes never moves a bound claim to another class: an edit of the
			// class must not turn into a replacement of the data.
			pulumi.IgnoreChanges([]string{"spec.storageClassName", "spec.volumeName", "spec.accessModes"}),
			pulumi.Protect(d.Protect),
			pulumi.RetainOnDelete(d.Protect),
		)...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return claim.Metadata.Name().Elem(), nil
}
