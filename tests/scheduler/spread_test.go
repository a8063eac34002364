// Package scheduler puts the pods of the rendered stacks on nodes with Kubernetes' own
// scheduler: its plugins, in their default configuration.
package scheduler

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kube-scheduler/framework"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	internal "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	"sigs.k8s.io/yaml"
)

// rendered is the Deployment of a stack: from RENDERED, or rendered now.
func rendered(t *testing.T, stack, name string) *appsv1.Deployment {
	t.Helper()
	dir := filepath.Join(os.Getenv("RENDERED"), stack)
	if os.Getenv("RENDERED") == "" {
		dir = t.TempDir()
		if out, err := exec.Command("go", "run", "-C", "../..", "./cmd/render", "-stack", stack, "-out", dir).CombinedOutput(); err != nil {
			t.Fatalf("render %s: %v\n%s", stack, err, out)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := &appsv1.Deployment{}
		if yaml.Unmarshal(text, d) == nil && d.Kind == "Deployment" && d.Name == name {
			return d
		}
	}
	t.Fatalf("stack %s has no Deployment %s", stack, name)
	return nil
}

// pods are n of a Deployment, as its ReplicaSet makes them.
func pods(d *appsv1.Deployment, n int) []*corev1.Pod {
	var all []*corev1.Pod
	for i := range n {
		p := &corev1.Pod{ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: *d.Spec.Template.Spec.DeepCopy()}
		p.Name, p.Namespace = fmt.Sprintf("%s-%d", d.Name, i), "shop"
		p.UID = types.UID(p.Name)
		p.Labels["pod-template-hash"] = "7d4"
		all = append(all, p)
	}
	return all
}

// node has room for every test's pods.
func node(name string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			"cpu": resource.MustParse("64"), "memory": resource.MustParse("256Gi"), "ephemeral-storage": resource.MustParse("1Ti"), "pods": resource.MustParse("110"),
		}},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

func tainted(key string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
	}
}

func cordoned(n *corev1.Node) {
	n.Spec.Unschedulable = true
	tainted("node.kubernetes.io/unschedulable")(n)
}

func full(n *corev1.Node) { n.Status.Allocatable["cpu"] = resource.MustParse("10m") }

func zone(name string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels["topology.kubernetes.io/zone"] = name }
}

// lister is the state of the cluster while it changes.
type lister struct{ *cache.Snapshot }

// schedule places one pod after the other and returns how many each node has; pending
// ones are counted under "".
func schedule(t *testing.T, nodes []*corev1.Node, queue []*corev1.Pod) map[string]int {
	t.Helper()
	metrics.Register()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config, err := latest.Default()
	if err != nil {
		t.Fatal(err)
	}
	// No pod asks for devices, and the plugin would want their manager.
	plugin := &config.Profiles[0].Plugins.MultiPoint
	plugin.Enabled = slices.DeleteFunc(plugin.Enabled, func(p schedulerconfig.Plugin) bool { return p.Name == names.DynamicResources })
	var placed []*corev1.Pod
	count := map[string]int{}
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	for _, pod := range queue {
		snapshot := &lister{cache.NewSnapshot(placed, nodes)}
		fwk, err := runtime.NewFramework(ctx, plugins.NewInTreeRegistry(), &config.Profiles[0],
			runtime.WithClientSet(client), runtime.WithInformerFactory(factory), runtime.WithSnapshotSharedLister(snapshot))
		if err != nil {
			t.Fatal(err)
		}
		name := best(ctx, t, fwk, snapshot, pod)
		count[name]++
		if name != "" {
			pod.Spec.NodeName = name
			placed = append(placed, pod)
		}
	}
	return count
}

// best is the node that a pod is put on; "" while none can have it.
func best(ctx context.Context, t *testing.T, fwk internal.Framework, snapshot framework.SharedLister, pod *corev1.Pod) string {
	t.Helper()
	state := internal.NewCycleState()
	if _, status, _ := fwk.RunPreFilterPlugins(ctx, state, pod); !status.IsSuccess() {
		t.Fatalf("%s: %v", pod.Name, status)
	}
	all, err := snapshot.NodeInfos().List()
	if err != nil {
		t.Fatal(err)
	}
	var fit []framework.NodeInfo
	for _, n := range all {
		if fwk.RunFilterPlugins(ctx, state, pod, n).IsSuccess() {
			fit = append(fit, n)
		}
	}
	if len(fit) == 0 {
		return ""
	}
	if status := fwk.RunPreScorePlugins(ctx, state, pod, fit); !status.IsSuccess() {
		t.Fatalf("%s: %v", pod.Name, status)
	}
	scores, status := fwk.RunScorePlugins(ctx, state, pod, fit)
	if !status.IsSuccess() {
		t.Fatalf("%s: %v", pod.Name, status)
	}
	slices.SortFunc(scores, func(a, b framework.NodePluginScores) int {
		if a.TotalScore != b.TotalScore {
			return int(b.TotalScore - a.TotalScore)
		}
		return slices.Compare([]byte(a.Name), []byte(b.Name))
	})
	return scores[0].Name
}

// TestSpread: what the settings promise holds on every kind of cluster. Of the hosts that
// may run a workload none has two pods more than another; where that is required, a pod
// that would break it stays pending.
func TestSpread(t *testing.T) {
	required, preferred := rendered(t, "prod", "edge"), rendered(t, "dev", "edge")
	api := rendered(t, "prod", "backend")
	control := node("control", tainted("node-role.kubernetes.io/control-plane"))
	for name, c := range map[string]struct {
		of    *appsv1.Deployment
		n     int
		nodes []*corev1.Node
		want  map[string]int
	}{
		"a tainted control plane and two workers": {required, 3, []*corev1.Node{control, node("a"), node("b")}, map[string]int{"a": 2, "b": 1}},
		"ten API pods on three workers":           {api, 10, []*corev1.Node{control, node("a"), node("b"), node("c")}, map[string]int{"a": 4, "b": 3, "c": 3}},
		"one node":                                {required, 3, []*corev1.Node{node("a")}, map[string]int{"a": 3}},
		"a worker that is drained":                {required, 3, []*corev1.Node{node("a"), node("b", cordoned), node("c")}, map[string]int{"a": 2, "c": 1}},
		"a pool for somebody else":                {required, 3, []*corev1.Node{node("a"), node("b"), node("gpu", tainted("nvidia.com/gpu"))}, map[string]int{"a": 2, "b": 1}},
		"two zones": {required, 4, []*corev1.Node{node("a1", zone("a")), node("a2", zone("a")), node("b1", zone("b"))},
			map[string]int{"a1": 1, "a2": 1, "b1": 2}},
		"three zones":               {required, 3, []*corev1.Node{node("a1", zone("a")), node("a2", zone("a")), node("b1", zone("b")), node("c1", zone("c"))}, map[string]int{"a1": 1, "b1": 1, "c1": 1}},
		"a worker without room":     {required, 3, []*corev1.Node{node("a"), node("b", full)}, map[string]int{"a": 1, "": 2}},
		"the same where it is less": {preferred, 3, []*corev1.Node{node("a"), node("b", full)}, map[string]int{"a": 3}},
		"a wish":                    {preferred, 3, []*corev1.Node{control, node("a"), node("b")}, map[string]int{"a": 2, "b": 1}},
		"a wish for ten pods":       {preferred, 10, []*corev1.Node{control, node("a"), node("b"), node("c")}, map[string]int{"a": 4, "b": 3, "c": 3}},
		"a wish in two zones":       {preferred, 4, []*corev1.Node{node("a1", zone("a")), node("a2", zone("a")), node("b1", zone("b"))}, map[string]int{"a1": 1, "a2": 1, "b1": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := schedule(t, c.nodes, pods(c.of, c.n)); !maps.Equal(got, c.want) {
				t.Errorf("on each node are %v pods, want %v", got, c.want)
			}
		})
	}
}
