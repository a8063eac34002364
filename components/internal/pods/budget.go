package pods

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	policyv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/policy/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
)

// Budget creates the disruption budget of a workload of several pods: a drain moves
// them one by one. A Single has a budget of its own.
func Budget(ctx *pulumi.Context, l labels.Set, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) error {
	return budget(ctx, l.Name, Meta(l.Name, namespace, l), Selector(l), opts...)
}

func budget(ctx *pulumi.Context, name string, meta *metav1.ObjectMetaArgs, selector *metav1.LabelSelectorArgs, opts ...pulumi.ResourceOption) error {
	_, err := policyv1.NewPodDisruptionBudget(ctx, name, &policyv1.PodDisruptionBudgetArgs{
		Metadata: meta,
		Spec: &policyv1.PodDisruptionBudgetSpecArgs{
			Selector: selector,
			// Of a single pod, too: a drain must be able to move it, after a clean stop.
			MaxUnavailable: pulumi.Int(1),
			// A pod that is not ready serves nobody: it must not block a drain.
			UnhealthyPodEvictionPolicy: pulumi.String("AlwaysAllow"),
		},
	}, opts...)
	return err
}

// Timeouts makes Pulumi wait for as long as a rollout, or a stop, may take.
func Timeouts(p rollout.Plan) pulumi.ResourceOption {
	limit := p.PulumiTimeout()
	return pulumi.Timeouts(&pulumi.CustomTimeouts{Create: limit, Update: limit, Delete: limit})
}
