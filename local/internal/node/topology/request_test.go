package topology

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestRequestIsMet(t *testing.T) {
	c, err := Local().Apply(Request{
		Nodes: 3, Zones: []string{"a", "b"}, Labels: []string{"alphapulse-2:disk=ssd", "alphapulse-2:example.com/x="},
		Taints: []string{"alphapulse:node-role.kubernetes.io/control-plane:NoSchedule", "alphapulse-3:for=tests:NoExecute"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Node{
		{Number: 1, Zone: "a", Taints: []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: "NoSchedule"}}},
		{Number: 2, Zone: "b", Labels: map[string]string{"disk": "ssd", "example.com/x": ""}},
		{Number: 3, Zone: "a", Taints: []corev1.Taint{{Key: "for", Value: "tests", Effect: "NoExecute"}}},
	}
	if !reflect.DeepEqual(c.Nodes, want) {
		t.Errorf("got %+v", c.Nodes)
	}
	// Nothing asked for changes nothing; one kind asked for replaces that kind.
	if again, err := c.Apply(Request{}); err != nil || !reflect.DeepEqual(again, c) {
		t.Errorf("nothing asked for: %+v, %v", again, err)
	}
	other, err := c.Apply(Request{Nodes: 4, Taints: []string{"alphapulse-4:x=y:PreferNoSchedule"}})
	if err != nil || len(other.Nodes[0].Taints)+len(other.Nodes[2].Taints) != 0 || len(other.Nodes[3].Taints) != 1 || other.Nodes[1].Labels["disk"] != "ssd" || other.Nodes[3].Zone != "local-d" {
		t.Errorf("got %+v, %v", other.Nodes, err)
	}
	if len(c.Nodes) != 3 || len(c.Nodes[0].Taints) != 1 {
		t.Errorf("the cluster that was asked has changed: %+v", c.Nodes)
	}
}

func TestRequestTellsAllThatIsWrong(t *testing.T) {
	c, err := Local().Apply(Request{Nodes: 2})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Apply(Request{
		Zones: []string{"a zone"}, Labels: []string{"worker:disk=ssd", "alphapulse:disk", "disk=ssd", "alphapulse:-=x"},
		Taints: []string{"alphapulse-2:a=b:Never", "alphapulse-9:a:NoSchedule"},
	})
	for _, want := range []string{"zone a zone", `label "worker:disk=ssd": there is no node "worker" in the cluster: it has alphapulse, alphapulse-2`, `"alphapulse:disk": want NODE:KEY=VALUE`,
		`"disk=ssd": want NODE:`, `"alphapulse:-=x"`, `"alphapulse-2:a=b:Never": want NODE:KEY=VALUE:EFFECT`, `"alphapulse-9"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	for n, want := range map[int]string{1: "the cluster has 2", 10: "want 1 to 9", -1: "want 1 to 9"} {
		if _, err := c.Apply(Request{Nodes: n}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d nodes: %v", n, err)
		}
	}
}
