package workload

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	apicorev1 "k8s.io/api/core/v1"
	apimetav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// affinity renders that of the pods beside what the workload asks for itself, which is a
// distance between its pods or nothing.
func (n Nodes) affinity(own corev1.AffinityPtrInput) corev1.AffinityPtrInput {
	if n.Affinity == nil {
		return own
	}
	all := &corev1.AffinityArgs{}
	if a := n.Affinity.NodeAffinity; a != nil {
		all.NodeAffinity = nodeAffinity(a)
	}
	if a := n.Affinity.PodAffinity; a != nil {
		all.PodAffinity = &corev1.PodAffinityArgs{
			RequiredDuringSchedulingIgnoredDuringExecution:  required(a.RequiredDuringSchedulingIgnoredDuringExecution, nil),
			PreferredDuringSchedulingIgnoredDuringExecution: preferred(a.PreferredDuringSchedulingIgnoredDuringExecution, nil),
		}
	}
	distance := corev1.PodAntiAffinityArgs{}
	if args, ok := own.(*corev1.AffinityArgs); ok {
		distance = *args.PodAntiAffinity.(*corev1.PodAntiAffinityArgs)
	}
	if a := n.Affinity.PodAntiAffinity; a != nil {
		distance.RequiredDuringSchedulingIgnoredDuringExecution = required(a.RequiredDuringSchedulingIgnoredDuringExecution, distance.RequiredDuringSchedulingIgnoredDuringExecution)
		distance.PreferredDuringSchedulingIgnoredDuringExecution = preferred(a.PreferredDuringSchedulingIgnoredDuringExecution, distance.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if distance.RequiredDuringSchedulingIgnoredDuringExecution != nil || distance.PreferredDuringSchedulingIgnoredDuringExecution != nil {
		all.PodAntiAffinity = &distance
	}
	return all
}

func nodeAffinity(a *apicorev1.NodeAffinity) *corev1.NodeAffinityArgs {
	args := &corev1.NodeAffinityArgs{}
	if r := a.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
		var terms corev1.NodeSelectorTermArray
		for _, t := range r.NodeSelectorTerms {
			terms = append(terms, nodeTerm(t))
		}
		args.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelectorArgs{NodeSelectorTerms: terms}
	}
	var list corev1.PreferredSchedulingTermArray
	for _, t := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		list = append(list, &corev1.PreferredSchedulingTermArgs{Weight: pulumi.Int(int(t.Weight)), Preference: nodeTerm(t.Preference)})
	}
	if list != nil {
		args.PreferredDuringSchedulingIgnoredDuringExecution = list
	}
	return args
}

func nodeTerm(t apicorev1.NodeSelectorTerm) *corev1.NodeSelectorTermArgs {
	requirements := func(given []apicorev1.NodeSelectorRequirement) corev1.NodeSelectorRequirementArrayInput {
		var list corev1.NodeSelectorRequirementArray
		for _, r := range given {
			list = append(list, &corev1.NodeSelectorRequirementArgs{
				Key: pulumi.String(r.Key), Operator: pulumi.String(string(r.Operator)), Values: texts(r.Values),
			})
		}
		if list == nil {
			return nil
		}
		return list
	}
	return &corev1.NodeSelectorTermArgs{MatchExpressions: requirements(t.MatchExpressions), MatchFields: requirements(t.MatchFields)}
}

// required are the terms beside others, nil for none.
func required(terms []apicorev1.PodAffinityTerm, others corev1.PodAffinityTermArrayInput) corev1.PodAffinityTermArrayInput {
	list, _ := others.(corev1.PodAffinityTermArray)
	for _, t := range terms {
		list = append(list, podTerm(t))
	}
	if list == nil {
		return nil
	}
	return list
}

// preferred are the terms beside others, nil for none.
func preferred(terms []apicorev1.WeightedPodAffinityTerm, others corev1.WeightedPodAffinityTermArrayInput) corev1.WeightedPodAffinityTermArrayInput {
	list, _ := others.(corev1.WeightedPodAffinityTermArray)
	for _, t := range terms {
		list = append(list, &corev1.WeightedPodAffinityTermArgs{Weight: pulumi.Int(int(t.Weight)), PodAffinityTerm: podTerm(t.PodAffinityTerm)})
	}
	if list == nil {
		return nil
	}
	return list
}

func podTerm(t apicorev1.PodAffinityTerm) *corev1.PodAffinityTermArgs {
	return &corev1.PodAffinityTermArgs{
		TopologyKey: pulumi.String(t.TopologyKey), LabelSelector: labelSelector(t.LabelSelector),
		Namespaces: texts(t.Namespaces), NamespaceSelector: labelSelector(t.NamespaceSelector),
		MatchLabelKeys: texts(t.MatchLabelKeys), MismatchLabelKeys: texts(t.MismatchLabelKeys),
	}
}

// labelSelector keeps one that is empty, which selects everything, apart from none.
func labelSelector(s *apimetav1.LabelSelector) metav1.LabelSelectorPtrInput {
	if s == nil {
		return nil
	}
	args := &metav1.LabelSelectorArgs{}
	if len(s.MatchLabels) > 0 {
		args.MatchLabels = pulumi.ToStringMap(s.MatchLabels)
	}
	var list metav1.LabelSelectorRequirementArray
	for _, r := range s.MatchExpressions {
		list = append(list, &metav1.LabelSelectorRequirementArgs{
			Key: pulumi.String(r.Key), Operator: pulumi.String(string(r.Operator)), Values: texts(r.Values),
		})
	}
	if list != nil {
		args.MatchExpressions = list
	}
	return args
}

func texts(list []string) pulumi.StringArrayInput {
	if len(list) == 0 {
		return nil
	}
	return pulumi.ToStringArray(list)
}
