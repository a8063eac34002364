//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// firstNode has the control plane and, since the stack was deployed before there were
// other nodes, every volume.
const firstNode = "alphapulse"

// fleet is the stack dev on a cluster of three nodes, spread over them, behind a load
// balancer that sends requests to each node.
type fleet struct {
	nodes []string // names, the first one first
	edited
	out outputs
	lb  *balancer
	tables
}

// TestNodes is one test because the cluster that its parts break is the same. It
// prints what each fault has cost; docs/resilience.md begins with these tables.
func TestNodes(t *testing.T) {
	kept := keys(t)
	f := newFleet(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Spread", f.testSpread},
		{"LoadBalancer", f.testLoadBalancer},
		{"Kill", f.testKill},
		{"Cut", f.testCut},
		{"Undo", f.testUndo},
		{"Quota", f.testQuota},
		{"Drain", f.testDrain},
		{"LosePrimary", f.testLosePrimary},
		{"Placement", f.testPlacement},
	} {
		t.Run(part.name, func(t *testing.T) {
			picture(t, namespace)
			part.run(t)
		})
	}
	f.print()
	if left := keys(t); !slices.Equal(left, kept) {
		t.Errorf("kubeconfigs in the folder for temporary files: %v, before %v", left, kept)
	}
}

// keys are the copies of the kubeconfig that the Kubernetes provider leaves.
func keys(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(os.TempDir(), "kubeconfig*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// newFleet grows the running cluster and deploys the stack for several nodes. Both are
// undone at the end: the nodes go with the cluster, the settings are those of the file.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{}
	f.grow(t)
	f.edited = editable(t)
	for _, key := range []string{"edgeHttpNodePort", "edgeHttpsNodePort"} {
		pulumi(t, "config", "rm", "--stack", stack, "--config-file", f.file, key)
	}
	f.deploy(t, "edgeExposure=loadBalancer", "edgePublicPort=443", "edgeReplicas=3", "backendMinReplicas=2", "edgeApiRate=1000", "edgeApiBurst=1000", "edgeConnections=1000")
	nodes, err := cluster.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, n := range nodes.Items {
		f.nodes = append(f.nodes, n.Name)
		addresses = append(addresses, internalIP(&n))
	}
	if len(f.nodes) != 3 || f.nodes[0] != firstNode {
		t.Fatalf("nodes %v, want three, the first of which is %s", f.nodes, firstNode)
	}
	port := publish(t, "edge", addresses)
	f.out = outputsOf(t, stack)
	f.lb = &balancer{port: port, nodes: addresses, failed: map[string]int{}}
	go f.lb.run(t.Context())
	return f
}

func internalIP(n *corev1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return ""
}

// publish gives a Service of type LoadBalancer the addresses of all nodes, as a
// provider's controller does, and returns its health check port.
func publish(t *testing.T, service string, addresses []string) int32 {
	t.Helper()
	var ingress []corev1.LoadBalancerIngress
	for _, a := range addresses {
		ingress = append(ingress, corev1.LoadBalancerIngress{IP: a})
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"loadBalancer": corev1.LoadBalancerStatus{Ingress: ingress}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := cluster.CoreV1().Services(namespace).Patch(t.Context(), service, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
	return s.Spec.HealthCheckNodePort
}

// placement returns the nodes of each workload's pods, also of those on their way out.
func placement(t testing.TB) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for name, list := range pods(t, namespace) {
		for _, p := range list {
			found[name] = append(found[name], p.Spec.NodeName)
		}
		slices.Sort(found[name])
	}
	return found
}

// replicated are the workloads that a lost node must not end.
var replicated = []string{"backend", "edge", "frontend"}

// apart reports the workloads of which two pods are on one node while another node
// could take one.
func apart(t testing.TB) (together []string) {
	t.Helper()
	all := placement(t)
	for _, name := range replicated {
		if on := all[name]; len(slices.Compact(slices.Clone(on))) < min(len(on), 2) {
			together = append(together, fmt.Sprintf("%s on %v", name, on))
		}
	}
	t.Logf("placement: %v", all)
	return together
}
