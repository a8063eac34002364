package workload

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	apicorev1 "k8s.io/api/core/v1"
)

// Nodes says which nodes pods may run on.
type Nodes struct {
	// Selector are labels that a node must have, e.g. kubernetes.io/arch.
	Selector map[string]string
	// Tolerations are for the taints of nodes.
	Tolerations []apicorev1.Toleration
	// Affinity to nodes and pods, beside what keeps a workload's own pods apart; nil for
	// none.
	Affinity *apicorev1.Affinity
}

// tolerations renders those of the pods.
func (n Nodes) tolerations() corev1.TolerationArrayInput {
	var all corev1.TolerationArray
	text := func(s string) pulumi.StringPtrInput {
		if s == "" {
			return nil
		}
		return pulumi.String(s)
	}
	for _, t := range n.Tolerations {
		args := &corev1.TolerationArgs{
			Key: text(t.Key), Operator: text(string(t.Operator)), Value: text(t.Value), Effect: text(string(t.Effect)),
		}
		if t.TolerationSeconds != nil {
			args.TolerationSeconds = pulumi.Int(int(*t.TolerationSeconds))
		}
		all = append(all, args)
	}
	if all == nil {
		return nil
	}
	return all
}

// selector renders the labels of the nodes.
func (n Nodes) selector() pulumi.StringMapInput {
	if len(n.Selector) == 0 {
		return nil
	}
	return pulumi.ToStringMap(n.Selector)
}

// Spread says how a workload's pods are distributed over zones and hosts.
type Spread int

const (
	// SpreadNone is for workloads of one pod.
	SpreadNone Spread = iota
	// SpreadPreferred asks for even distribution and schedules all the same
	// where the cluster is too small for it.
	SpreadPreferred
	// SpreadRequired leaves a pod pending rather than put two more on one host than on
	// another that may run it. A single host gets all.
	SpreadRequired
)

// SpreadOf is SpreadRequired or SpreadPreferred.
func SpreadOf(required bool) Spread {
	if required {
		return SpreadRequired
	}
	return SpreadPreferred
}

// spread keeps hosts even where that is required, and zones as far as possible: a cluster
// in one zone is not a mistake. Nodes whose taints the pods do not tolerate do not count
// (nodeTaintsPolicy; Kubernetes 1.33 has it for good, 1.26 by default): else a control
// plane would hold every worker to one pod.
func (p Pod) spread() corev1.TopologySpreadConstraintArray {
	constraint := func(key, unsatisfiable string) corev1.TopologySpreadConstraintInput {
		return &corev1.TopologySpreadConstraintArgs{
			MaxSkew:           pulumi.Int(1),
			TopologyKey:       pulumi.String(key),
			WhenUnsatisfiable: pulumi.String(unsatisfiable),
			NodeTaintsPolicy:  pulumi.String("Honor"),
			LabelSelector:     p.selector(),
			MatchLabelKeys:    p.revision(),
		}
	}
	zones := constraint("topology.kubernetes.io/zone", "ScheduleAnyway")
	switch p.Spread {
	case SpreadRequired:
		return corev1.TopologySpreadConstraintArray{zones, constraint(hostname, "DoNotSchedule")}
	case SpreadPreferred:
		return corev1.TopologySpreadConstraintArray{zones}
	default:
		return nil
	}
}

// apart asks for other hosts where that is no requirement. It is no constraint of spread:
// of those that may be broken the scheduler forgets all on a node that lacks the key of
// one, so that nodes without a zone would get the pods anyhow.
func (p Pod) apart() corev1.AffinityPtrInput {
	if p.Away != nil {
		return &corev1.AffinityArgs{PodAntiAffinity: &corev1.PodAntiAffinityArgs{
			RequiredDuringSchedulingIgnoredDuringExecution: corev1.PodAffinityTermArray{&corev1.PodAffinityTermArgs{
				TopologyKey: pulumi.String(hostname), LabelSelector: &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(p.Away)},
			}},
		}}
	}
	if p.Spread != SpreadPreferred {
		return nil
	}
	return &corev1.AffinityArgs{PodAntiAffinity: &corev1.PodAntiAffinityArgs{
		PreferredDuringSchedulingIgnoredDuringExecution: corev1.WeightedPodAffinityTermArray{&corev1.WeightedPodAffinityTermArgs{
			Weight: pulumi.Int(100),
			PodAffinityTerm: &corev1.PodAffinityTermArgs{
				TopologyKey: pulumi.String(hostname), LabelSelector: p.selector(), MatchLabelKeys: p.revision(),
			},
		}},
	}}
}

// hostname is the label that tells nodes apart.
const hostname = "kubernetes.io/hostname"

// revision lets each be spread on its own: pods of the old one, about to stop, do not push
// the new ones together. A member stays where its volume is.
func (p Pod) revision() pulumi.StringArrayInput {
	if p.Members != nil {
		return nil
	}
	return pulumi.ToStringArray([]string{"pod-template-hash"})
}
