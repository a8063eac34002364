package workload

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Idle keeps what is left of members that others have replaced: their StatefulSet,
// without a pod, and their claims of these sizes, by name, with all that is on them. A
// protected set could not be deleted, and one that outlives its deletion would go on
// running.
func (p Pod) Idle(ctx *pulumi.Context, claims map[string]resource.Quantity, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		data := Data{Size: claims[name]}
		if _, err := data.create(ctx, name, p.Identity, p.Namespace, append(opts[:len(opts):len(opts)], pulumi.RetainOnDelete(p.Protect))...); err != nil {
			return nil, fmt.Errorf("claim %s: %w", name, err)
		}
	}
	first := p.Processes[0]
	p.Init, p.Processes, p.Scrape, p.Annotations = nil, []Process{{Name: first.Name, Image: first.Image, User: first.User, Resources: first.Resources}}, nil, nil
	meta := Meta(p.object(), p.Namespace, p.Identity)
	// It has stopped when it has stopped: nobody waits for that.
	meta.Annotations = Unawaited
	set, err := appsv1.NewStatefulSet(ctx, p.object(), &appsv1.StatefulSetArgs{
		Metadata: meta,
		Spec: &appsv1.StatefulSetSpecArgs{
			Replicas: pulumi.Int(0), ServiceName: pulumi.String(p.GoverningService), Selector: p.selector(),
			PodManagementPolicy: pulumi.String("Parallel"), RevisionHistoryLimit: pulumi.Int(p.history()),
			UpdateStrategy: &appsv1.StatefulSetUpdateStrategyArgs{Type: pulumi.String("RollingUpdate")},
			Template:       p.template(pulumi.String(p.Name), nil),
		},
	}, append(opts[:len(opts):len(opts)], pulumi.IgnoreChanges([]string{"spec.volumeClaimTemplates"}))...)
	if err != nil {
		return nil, fmt.Errorf("stateful set %s: %w", p.object(), err)
	}
	return set, nil
}
