package workload

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	policyv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/policy/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload/rollout"
)

// budget creates a disruption budget: a drain moves the pods one by one.
func budget(ctx *pulumi.Context, name string, meta *metav1.ObjectMetaArgs, spec *policyv1.PodDisruptionBudgetSpecArgs, opts ...pulumi.ResourceOption) error {
	// A pod that is not ready serves nobody: it must not block a drain.
	spec.UnhealthyPodEvictionPolicy = pulumi.String("AlwaysAllow")
	_, err := policyv1.NewPodDisruptionBudget(ctx, name, &policyv1.PodDisruptionBudgetArgs{Metadata: meta, Spec: spec}, opts...)
	return err
}

// allButOne is the spec of a budget by which one pod may go at a time. Of a single pod, too:
// a drain must be able to move it, after a clean stop.
func allButOne(selector *metav1.LabelSelectorArgs) *policyv1.PodDisruptionBudgetSpecArgs {
	return &policyv1.PodDisruptionBudgetSpecArgs{Selector: selector, MaxUnavailable: pulumi.Int(1)}
}

// allButOneOf says the same of a number of pods that may become another one, and changes with
// it. An edit of the annotation by which a rollout is awaited leaves an object's generation
// as it is, and then the Kubernetes provider (up to v4.25) may take a copy of the object of
// before the edit for the one that it awaits: the stack's state would keep the former
// annotation, and the next update, of nothing, would write it again.
func allButOneOf(pods int, selector *metav1.LabelSelectorArgs) *policyv1.PodDisruptionBudgetSpecArgs {
	return &policyv1.PodDisruptionBudgetSpecArgs{Selector: selector, MinAvailable: pulumi.Int(pods - 1)}
}

// timeouts makes Pulumi wait for as long as a rollout, or a stop, may take.
func timeouts(p rollout.Plan) pulumi.ResourceOption {
	limit := p.PulumiTimeout()
	return pulumi.Timeouts(&pulumi.CustomTimeouts{Create: limit, Update: limit, Delete: limit})
}
