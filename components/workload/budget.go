package workload

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	policyv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/policy/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload/rollout"
)

// budget creates a disruption budget: a drain moves the pods one by one.
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

// timeouts makes Pulumi wait for as long as a rollout, or a stop, may take.
func timeouts(p rollout.Plan) pulumi.ResourceOption {
	limit := p.PulumiTimeout()
	return pulumi.Timeouts(&pulumi.CustomTimeouts{Create: limit, Update: limit, Delete: limit})
}
