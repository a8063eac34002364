package workload

import (
	"fmt"
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Members make a StatefulSet of several pods, each of which has a claim of its own. The
// claims are the program's, and the set's claim template finds them by their names: a
// larger size grows them in place, which a template could not, and a claim that was lost
// is made again for its pod.
type Members struct {
	// Name of the StatefulSet, with which the names of its pods and claims begin.
	Name string
	// Labels of the pods beside the identity's, and part of every selector.
	Labels map[string]string
	// Replicas is their number.
	Replicas int
	// After is what has to be there before the first of them starts.
	After []pulumi.Resource
	// Fill fills the first claim before the first of them starts; nil leaves it empty.
	Fill func(claim pulumi.StringInput) (pulumi.Resource, error)
}

// ClaimName is the name of a member's claim, as Kubernetes forms it.
func ClaimName(volume, set string, ordinal int) string {
	return fmt.Sprintf("%s-%s-%d", volume, set, ordinal)
}

// object is the name of what creates the pods.
func (p Pod) object() string {
	if p.Members != nil {
		return p.Members.Name
	}
	return p.Name
}

// pods is how many there are.
func (p Pod) pods() int {
	if p.Members != nil {
		return p.Members.Replicas
	}
	return 1
}

// claims creates a claim for each member.
func (p Pod) claims(ctx *pulumi.Context, v Volume, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error) {
	var all []pulumi.Resource
	for i := range p.Members.Replicas {
		claim := *v.Data
		// Where the number of members shrinks, the claims of those that go are left
		// behind: a protected stack keeps them, and their users delete them by name.
		keep := claim.Protect
		claim.Protect = claim.Protect && i == 0
		made, err := claim.create(ctx, ClaimName(v.Name, p.Members.Name, i), p.Identity, p.Namespace, append(opts[:len(opts):len(opts)], pulumi.RetainOnDelete(keep))...)
		if err != nil {
			return nil, err
		}
		all = append(all, made)
		if i == 0 && p.Members.Fill != nil {
			filled, err := p.Members.Fill(made.Metadata.Name().Elem())
			if err != nil {
				return nil, err
			}
			all = append(all, filled)
		}
	}
	return all, nil
}

// claimTemplates are the template by which a member's pod mounts its claim. Kubernetes
// never lets one change.
func (p Pod) claimTemplates(c *Created) (corev1.PersistentVolumeClaimTypeArrayInput, []pulumi.ResourceOption) {
	if p.Members == nil {
		return nil, nil
	}
	var templates corev1.PersistentVolumeClaimTypeArray
	for _, v := range p.Volumes {
		if v.Data != nil {
			templates = append(templates, &corev1.PersistentVolumeClaimTypeArgs{
				Metadata: &metav1.ObjectMetaArgs{Name: pulumi.String(v.Name), Labels: pulumi.ToStringMap(p.Labels())},
				Spec:     v.Data.spec(),
			})
		}
	}
	return templates, []pulumi.ResourceOption{
		pulumi.IgnoreChanges([]string{"spec.volumeClaimTemplates"}),
		pulumi.DependsOn(slices.Concat(c.Claims, p.Members.After, c.live)),
	}
}

// Late creates the plain files of a volume that is Late.
func (f *Files) Late(ctx *pulumi.Context, i room.Identity, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	return f.live(ctx, i.Name+"-"+f.Name, i, namespace, opts...)
}

// live creates an object whose files change in place.
func (f *Files) live(ctx *pulumi.Context, name string, i room.Identity, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	meta := Meta(name, namespace, i)
	if f.Secret {
		return corev1.NewSecret(ctx, name, &corev1.SecretArgs{
			Metadata: meta, StringData: pulumi.ToSecret(f.Data).(pulumi.StringMapOutput), Type: pulumi.String("Opaque"),
		}, opts...)
	}
	return corev1.NewConfigMap(ctx, name, &corev1.ConfigMapArgs{Metadata: meta, Data: f.Data}, opts...)
}
