package workload

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
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

// spec is that of a ReadWriteOnce claim.
func (d *Data) spec() *corev1.PersistentVolumeClaimSpecArgs {
	spec := &corev1.PersistentVolumeClaimSpecArgs{
		AccessModes: pulumi.ToStringArray([]string{"ReadWriteOnce"}),
		Resources: &corev1.VolumeResourceRequirementsArgs{
			Requests: pulumi.StringMap{"storage": pulumi.String(d.Size.String())},
		},
	}
	if d.StorageClass != "" {
		spec.StorageClassName = pulumi.String(d.StorageClass)
	}
	return spec
}

// claim creates a claim that is called like the workload.
func (d *Data) claim(ctx *pulumi.Context, i room.Identity, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	claim, err := d.create(ctx, i.Name, i, namespace, append(opts[:len(opts):len(opts)], pulumi.RetainOnDelete(d.Protect))...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return claim.Metadata.Name().Elem(), nil
}

func (d *Data) create(ctx *pulumi.Context, name string, i room.Identity, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) (*corev1.PersistentVolumeClaim, error) {
	meta := Meta(name, namespace, i)
	// A class that binds on first use stays Pending until a pod needs the claim;
	// awaiting it here would wait for a pod that waits for the claim.
	meta.Annotations = Unawaited
	return corev1.NewPersistentVolumeClaim(ctx, name, &corev1.PersistentVolumeClaimArgs{Metadata: meta, Spec: d.spec()},
		append(opts[:len(opts):len(opts)],
			// Kubernetes never moves a bound claim to another class: an edit of the
			// class must not turn into a replacement of the data.
			pulumi.IgnoreChanges([]string{"spec.storageClassName", "spec.volumeName", "spec.accessModes"}),
			pulumi.Protect(d.Protect),
		)...)
}
