// Package volume creates the claims that hold what users stored. Claims are
// resources of their own, not volumeClaimTemplates: a larger size grows the volume
// in place, and no edit of the StatefulSet can touch the claim.
package volume

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
)

// Args describe a claim.
type Args struct {
	Namespace pulumi.StringInput
	Labels    labels.Set
	// Size of the volume. It may grow later, never shrink.
	Size resource.Quantity
	// StorageClass is used when the claim is first made; "" takes the cluster's default.
	StorageClass string
	// Protect makes Pulumi refuse to delete the claim, and keep the volume if the
	// stack is destroyed all the same.
	Protect bool
}

// New creates a ReadWriteOnce claim named name.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*corev1.PersistentVolumeClaim, error) {
	spec := &corev1.PersistentVolumeClaimSpecArgs{
		AccessModes: pulumi.ToStringArray([]string{"ReadWriteOnce"}),
		Resources: &corev1.VolumeResourceRequirementsArgs{
			Requests: pulumi.StringMap{"storage": pulumi.String(args.Size.String())},
		},
	}
	if args.StorageClass != "" {
		spec.StorageClassName = pulumi.String(args.StorageClass)
	}
	opts = append(opts,
		// Kubernetes never moves a bound claim to another class: an edit of the
		// class must not turn into a replacement of the data.
		pulumi.IgnoreChanges([]string{"spec.storageClassName", "spec.volumeName", "spec.accessModes"}),
		pulumi.Protect(args.Protect),
		pulumi.RetainOnDelete(args.Protect),
	)
	return corev1.NewPersistentVolumeClaim(ctx, name, &corev1.PersistentVolumeClaimArgs{
		Metadata: &metav1.ObjectMetaArgs{
			Name:      pulumi.String(name),
			Namespace: args.Namespace,
			Labels:    pulumi.ToStringMap(args.Labels.All()),
			// A class that binds on first use stays Pending until a pod needs the
			// claim; awaiting it here would wait for a pod that waits for the claim.
			Annotations: pulumi.StringMap{"pulumi.com/skipAwait": pulumi.String("true")},
		},
		Spec: spec,
	}, opts...)
}
