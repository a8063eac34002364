package services

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// TestNodesAreWhatWasAskedFor asks for one thing after the other, on nodes of which
// one has registered itself and which controllers have tainted.
func TestNodesAreWhatWasAskedFor(t *testing.T) {
	client := fake.NewClientset(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "alphapulse", Labels: map[string]string{"kubernetes.io/os": "linux"}},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}},
	})
	apply := func(r topology.Request) (first, second *corev1.Node) {
		t.Helper()
		c, err := topology.Local().Apply(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := ApplyNodes(t.Context(), client, c.Hosts()); err != nil {
			t.Fatal(err)
		}
		list, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 2 {
			t.Fatalf("%d nodes, %v", len(list.Items), err)
		}
		return &list.Items[0], &list.Items[1]
	}
	keys := func(n *corev1.Node) (keys []string) {
		for _, taint := range n.Spec.Taints {
			keys = append(keys, taint.Key+taint.Value)
		}
		slices.Sort(keys)
		return keys
	}

	first, second := apply(topology.Request{Nodes: 2, Labels: []string{"alphapulse-2:disk=ssd"}, Taints: []string{"alphapulse:a=b:NoSchedule"}})
	if _, role := first.Labels["node-role.kubernetes.io/control-plane"]; !role || first.Labels["kubernetes.io/os"] != "linux" || first.Spec.PodCIDR != "10.244.0.0/24" {
		t.Errorf("the first: %v, pods %s", first.Labels, first.Spec.PodCIDR)
	}
	if _, role := second.Labels["node-role.kubernetes.io/control-plane"]; role || second.Labels["disk"] != "ssd" || second.Labels[corev1.LabelTopologyZone] != "local-b" || second.Spec.PodCIDR != "10.244.1.0/24" {
		t.Errorf("the second: %v, pods %s", second.Labels, second.Spec.PodCIDR)
	}
	if got := keys(first); !slices.Equal(got, []string{"ab", corev1.TaintNodeNotReady}) || len(second.Spec.Taints) > 0 {
		t.Errorf("taints %v and %v", got, second.Spec.Taints)
	}

	// Another value of the same taint, and one more.
	first, second = apply(topology.Request{Nodes: 2, Taints: []string{"alphapulse:a=c:NoSchedule", "alphapulse-2:x:NoExecute"}})
	if got := keys(first); !slices.Equal(got, []string{"ac", corev1.TaintNodeNotReady}) || !slices.Equal(keys(second), []string{"x"}) {
		t.Errorf("taints %v and %v", got, second.Spec.Taints)
	}
	if _, ok := second.Labels["disk"]; ok {
		t.Error("a label that is asked for no more is still there")
	}

	// What a user adds stays when what was asked for goes.
	second.Spec.Taints = append(second.Spec.Taints, corev1.Taint{Key: "users", Effect: corev1.TaintEffectNoSchedule})
	if _, err := client.CoreV1().Nodes().Update(t.Context(), second, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	first, second = apply(topology.Request{Nodes: 2})
	if !slices.Equal(keys(first), []string{corev1.TaintNodeNotReady}) || !slices.Equal(keys(second), []string{"users"}) {
		t.Errorf("taints %v and %v", keys(first), keys(second))
	}
}
