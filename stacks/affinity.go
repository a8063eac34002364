package stacks

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation"
)

// attracted says why the API server would refuse an affinity: every reason.
func attracted(a *corev1.Affinity) error {
	if a == nil {
		return nil
	}
	var problems []error
	check := func(err error, format string, args ...any) {
		if err != nil {
			problems = append(problems, fmt.Errorf(format+": %w", append(args, err)...))
		}
	}
	if n := a.NodeAffinity; n != nil {
		if r := n.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
			if len(r.NodeSelectorTerms) == 0 {
				check(errors.New("it has no nodeSelectorTerms: no node would do"), "nodeAffinity")
			}
			for i, t := range r.NodeSelectorTerms {
				check(nodeTerm(t), "nodeAffinity: nodeSelectorTerms[%d]", i)
			}
		}
		for i, t := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			check(weight(t.Weight), "nodeAffinity: preferred[%d]", i)
			check(nodeTerm(t.Preference), "nodeAffinity: preferred[%d]", i)
		}
	}
	pods := func(name string, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i, t := range required {
			check(podTerm(t), "%s: required[%d]", name, i)
		}
		for i, t := range preferred {
			check(weight(t.Weight), "%s: preferred[%d]", name, i)
			check(podTerm(t.PodAffinityTerm), "%s: preferred[%d]", name, i)
		}
	}
	if p := a.PodAffinity; p != nil {
		pods("podAffinity", p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		pods("podAntiAffinity", p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return errors.Join(problems...)
}

func weight(w int32) error {
	if w < 1 || w > 100 {
		return fmt.Errorf("weight %d: set 1 to 100", w)
	}
	return nil
}

// operators of the requirements on nodes.
var operators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn: selection.In, corev1.NodeSelectorOpNotIn: selection.NotIn,
	corev1.NodeSelectorOpExists: selection.Exists, corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
	corev1.NodeSelectorOpGt: selection.GreaterThan, corev1.NodeSelectorOpLt: selection.LessThan,
}

func nodeTerm(t corev1.NodeSelectorTerm) error {
	var problems []error
	for _, r := range t.MatchExpressions {
		operator, ok := operators[r.Operator]
		if !ok {
			problems = append(problems, fmt.Errorf("operator %q is none of In, NotIn, Exists, DoesNotExist, Gt and Lt", r.Operator))
			continue
		}
		if _, err := labels.NewRequirement(r.Key, operator, r.Values); err != nil {
			problems = append(problems, err)
		}
	}
	for _, r := range t.MatchFields {
		one := r.Operator == corev1.NodeSelectorOpIn || r.Operator == corev1.NodeSelectorOpNotIn
		if r.Key != metav1.ObjectNameField || !one || len(r.Values) != 1 {
			problems = append(problems, errors.New("matchFields: only metadata.name, In or NotIn, one value"))
		} else if list := validation.IsDNS1123Subdomain(r.Values[0]); len(list) > 0 {
			problems = append(problems, fmt.Errorf("matchFields: %q cannot be a node: %s", r.Values[0], list[0]))
		}
	}
	return errors.Join(problems...)
}

func podTerm(t corev1.PodAffinityTerm) error {
	var problems []error
	if t.TopologyKey == "" {
		problems = append(problems, errors.New("topologyKey is missing: name the label that tells places apart, e.g. kubernetes.io/hostname"))
	} else if list := validation.IsQualifiedName(t.TopologyKey); len(list) > 0 {
		problems = append(problems, fmt.Errorf("topologyKey %q cannot be a label: %s", t.TopologyKey, list[0]))
	}
	for _, s := range []*metav1.LabelSelector{t.LabelSelector, t.NamespaceSelector} {
		if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
			problems = append(problems, err)
		}
	}
	for _, n := range t.Namespaces {
		if list := validation.IsDNS1123Label(n); len(list) > 0 {
			problems = append(problems, fmt.Errorf("%q cannot be a namespace: %s", n, list[0]))
		}
	}
	for _, key := range slices.Concat(t.MatchLabelKeys, t.MismatchLabelKeys) {
		if list := validation.IsQualifiedName(key); len(list) > 0 {
			problems = append(problems, fmt.Errorf("%q cannot be a label: %s", key, list[0]))
		} else if slices.Contains(t.MatchLabelKeys, key) && slices.Contains(t.MismatchLabelKeys, key) {
			problems = append(problems, fmt.Errorf("%s is among matchLabelKeys and mismatchLabelKeys: remove one", key))
		}
	}
	if len(t.MatchLabelKeys)+len(t.MismatchLabelKeys) > 0 && t.LabelSelector == nil {
		problems = append(problems, errors.New("matchLabelKeys and mismatchLabelKeys need a labelSelector"))
	}
	return errors.Join(problems...)
}
