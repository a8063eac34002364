package services

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// taintsAnnotation tells, on a Node, which of its taints were asked for: controllers
// add and remove others.
const taintsAnnotation = topology.Product + ".local/taints"

// ApplyNodes makes the Node objects what was asked for. Where a kubelet has not
// registered its node, the object is there before, with its addresses of pods, and
// the kubelet takes it over.
func ApplyNodes(ctx context.Context, client kubernetes.Interface, hosts []topology.Host) error {
	for _, h := range hosts {
		if err := applyNode(ctx, client, h); err != nil {
			return fmt.Errorf("node %s: %w", h.Name(), err)
		}
	}
	return nil
}

func applyNode(ctx context.Context, client kubernetes.Interface, h topology.Host) error {
	labels := map[string]string{corev1.LabelTopologyRegion: plan.Region, corev1.LabelTopologyZone: h.Zone}
	if h.ControlPlane() {
		labels["node-role.kubernetes.io/control-plane"] = ""
	}
	for k, v := range h.Labels {
		labels[k] = v
	}
	spec := applycorev1.NodeSpec().WithPodCIDR(h.Pods().String())
	for _, r := range h.PodRanges() {
		spec.WithPodCIDRs(r.String())
	}
	node := applycorev1.Node(h.Name()).WithLabels(labels).WithSpec(spec)
	if _, err := client.CoreV1().Nodes().Apply(ctx, node, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return err
	}
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		n, err := client.CoreV1().Nodes().Get(ctx, h.Name(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		changed, err := setTaints(n, h.Taints)
		if err != nil || !changed {
			return err
		}
		_, err = client.CoreV1().Nodes().Update(ctx, n, metav1.UpdateOptions{FieldManager: fieldManager})
		return err
	})
}

// setTaints replaces the taints that were asked for before by those that are now, and
// reports whether that changed anything.
func setTaints(n *corev1.Node, want []corev1.Taint) (bool, error) {
	var before []corev1.Taint
	if text := n.Annotations[taintsAnnotation]; text != "" {
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			return false, fmt.Errorf("annotation %s: %w", taintsAnnotation, err)
		}
	}
	if equal := slices.EqualFunc(before, want, sameTaint); equal {
		return false, nil
	}
	n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		is := func(o corev1.Taint) bool { return t.MatchTaint(&o) }
		return slices.ContainsFunc(before, is) || slices.ContainsFunc(want, is)
	})
	n.Spec.Taints = append(n.Spec.Taints, want...)
	text, err := json.Marshal(want)
	if err != nil {
		return false, err
	}
	if n.Annotations == nil {
		n.Annotations = map[string]string{}
	}
	n.Annotations[taintsAnnotation] = string(text)
	return true, nil
}

func sameTaint(a, b corev1.Taint) bool { return a.MatchTaint(&b) && a.Value == b.Value }
