//go:build cluster && linux

package node_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/preflight"
)

// several are lives of clusters with more than one node.
func several() []life {
	return []life{
		{"kill -9 of up --nodes 3 with a switch", func(t *testing.T) {
			u := clusterNode
			u.flags = []string{"--nodes=3"}
			u.crash(t, "a network of the third node", func() bool { return exists("/run/netns/" + nodeName + "-3") })
		}},
		{"three nodes and their faults", threeNodes},
		{"three nodes with both versions of IP, kill -9 of all, twice", powerOff},
	}
}

// powerOff kills all processes of a cluster with every kind of route. What they leave
// is in the way neither of this clone's next start nor of one that knows nothing of
// the nodes.
func powerOff(t *testing.T) {
	local(t, "up", "--nodes", "3", "--dual-stack")
	hosts := three(t, true)
	reaches(t, hosts)
	kill := func() {
		for _, pid := range initPIDs() {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		until(t, "all first processes are gone", func() bool {
			st, err := node.Status(t.Context())
			return err == nil && !st.Running
		})
	}
	fits := func(what string) {
		needs, err := node.Needs(t.Context(), topology.Request{})
		if err == nil {
			err = preflight.Run(t.Context(), needs)
		}
		if err != nil || len(needs.Ranges) == 0 {
			t.Errorf("%s: the machine is refused for what the cluster left: %v, looked for %v", what, err, needs.Ranges)
		}
	}
	kill()
	fits("in this clone")
	if out := local(t, "up"); !strings.Contains(out, "remove what a crash left behind") {
		t.Error("up did not tell that it removed leftovers")
	}
	reaches(t, hosts)
	kill()
	state, err := paths.State("cluster", "cluster.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	fits("in a clone that knows of one node")
}

// three is what a cluster of three nodes consists of.
func three(t *testing.T, dualStack bool) []topology.Host {
	t.Helper()
	c, err := topology.Local().Apply(topology.Request{Nodes: 3, DualStack: dualStack})
	if err != nil {
		t.Fatal(err)
	}
	return c.Hosts()
}

// threeNodes grows a cluster, and then asserts what its nodes promise: pods reach each
// other over nodes and only where policies allow it, volumes stay where they are, and
// faults do what they say.
func threeNodes(t *testing.T) {
	local(t, "up")
	local(t, "up", "--nodes", "3", "--label", nodeName+"-2:disk=ssd", "--taint", nodeName+"-3:for=tests:NoSchedule")
	refused(t, "the cluster has 3", "up", "--nodes", "2")
	refused(t, "cannot be changed", "up", "--dual-stack")
	hosts := three(t, false)
	c := client(t)
	for _, h := range hosts {
		n, err := c.CoreV1().Nodes().Get(t.Context(), h.Name(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if n.Spec.PodCIDR != h.Pods().String() || n.Labels[corev1.LabelTopologyZone] != h.Zone || (n.Labels["disk"] == "ssd") != (h.Number == 2) {
			t.Errorf("%s: pods %s, labels %v", h.Name(), n.Spec.PodCIDR, n.Labels)
		}
		if tainted := slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == "for" }); tainted != (h.Number == 3) {
			t.Errorf("%s: taints %v", h.Name(), n.Spec.Taints)
		}
	}
	reaches(t, hosts)
	t.Run("no packet leaves", noPacketLeaves)
	volumesStay(t, hosts[1])

	third := hosts[2].Name()
	refused(t, `there is no node "nobody"`, "node", "kill", "nobody")
	for _, fault := range []string{"kill", "kill", "stop"} { // idempotent
		local(t, "node", fault, third)
		is(t, third, node.NodeStopped)
	}
	refused(t, "does not run", "node", "cut", third)
	local(t, "node", "start", third)
	is(t, third, node.NodeRunning)
	for range 2 {
		local(t, "node", "cut", third)
	}
	is(t, third, node.NodeCut)
	ready := func(want bool) func() bool {
		return func() bool {
			n, err := c.CoreV1().Nodes().Get(t.Context(), third, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return want == slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
				return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
			})
		}
	}
	until(t, "the node that is cut off is not ready", ready(false))
	local(t, "node", "join", third)
	until(t, "the node that was cut off is ready", ready(true))
	// The control plane away and back: the others go on.
	local(t, "node", "stop", nodeName)
	refused(t, "start the control plane's first", "node", "start", third)
	local(t, "up")
	reaches(t, hosts)
	killInit(t)
}

// is asserts what status tells of a node.
func is(t *testing.T, name, want string) {
	t.Helper()
	st, err := node.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range st.Nodes {
		if n.Name == name && n.State != want {
			t.Errorf("%s is %s, want %s", name, n.State, want)
		}
	}
	if st.Ready && want != node.NodeRunning {
		t.Errorf("the cluster is ready although %s is %s", name, want)
	}
}

// on is a pod for one node, whatever its taints.
func on(host topology.Host, name string, command ...string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}, Spec: corev1.PodSpec{
		NodeName: host.Name(), TerminationGracePeriodSeconds: new(int64(0)), AutomountServiceAccountToken: new(false),
		Containers: []corev1.Container{{Name: "c", Image: plan.HelperImage, Command: command}},
	}}
}

// reaches lets a pod on each node, and the machine, ask a server on the last one: at the
// pod's address, by the name of a Service and through the NodePort of every node.
func reaches(t *testing.T, hosts []topology.Host) {
	t.Helper()
	c, ctx := client(t), t.Context()
	ns := fmt.Sprintf("reach-%d", time.Now().UnixNano())
	if _, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var families []corev1.IPFamily
	policy := corev1.IPFamilyPolicySingleStack
	if hosts[0].Cluster.DualStack() {
		families, policy = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}, corev1.IPFamilyPolicyRequireDualStack
	}
	service, err := c.CoreV1().Services(ns).Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "server"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": "server"}, IPFamilies: families, IPFamilyPolicy: &policy,
		Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80)}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	last := hosts[len(hosts)-1]
	pods := []*corev1.Pod{on(last, "server", "nc", "-ll", "-p", "80", "-e", "echo", "served")}
	for _, h := range hosts {
		pods = append(pods, on(h, "client-"+h.Name(), "sleep", "100000"))
	}
	for _, p := range pods {
		if _, err := c.CoreV1().Pods(ns).Create(ctx, p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var addresses []string
	until(t, "the pods run", func() bool {
		list, err := c.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
		if err != nil || len(list.Items) != len(pods) {
			return false
		}
		for _, p := range list.Items {
			if p.Name == "server" {
				for _, ip := range p.Status.PodIPs {
					addresses = append(addresses, ip.IP)
				}
			}
		}
		return true
	})
	if len(addresses) != len(hosts[0].IPs()) {
		t.Errorf("the server has the addresses %v", addresses)
	}
	asks := func(h topology.Host, target string) bool {
		out := inPod(t, ns, "client-"+h.Name(), "nc", "-w", "2", target, "80")
		return strings.Contains(out, "served")
	}
	targets := append(append(slices.Clone(addresses), service.Spec.ClusterIPs...), "server."+ns)
	for _, h := range hosts {
		for _, target := range targets {
			until(t, h.Name()+" → "+target, func() bool { return asks(h, target) })
		}
		for _, ip := range h.IPs() {
			addr := net.JoinHostPort(ip.String(), fmt.Sprint(service.Spec.Ports[0].NodePort))
			until(t, "machine → "+addr, func() bool {
				conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
				if err != nil {
					return false
				}
				defer func() { _ = conn.Close() }()
				b, _ := io.ReadAll(conn)
				return string(b) == "served\n"
			})
		}
	}
	only := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "server"}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "server"}},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "client-" + hosts[1].Name()}}}}}},
	}}
	if _, err := c.NetworkingV1().NetworkPolicies(ns).Create(ctx, only, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		until(t, hosts[0].Name()+" is kept from "+target, func() bool { return !asks(hosts[0], target) })
		until(t, hosts[1].Name()+" → "+target, func() bool { return asks(hosts[1], target) })
	}
	if err := c.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// inPod runs a command in a pod and returns what it printed.
func inPod(t *testing.T, ns, pod string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(program, append([]string{"kubectl", "--", "exec", "--namespace", ns, pod, "--"}, argv...)...)
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// volumesStay writes to a volume on a node, and reads it on the same node after that
// one was killed.
func volumesStay(t *testing.T, h topology.Host) {
	t.Helper()
	c, ctx := client(t), t.Context()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
	}}
	if _, err := c.CoreV1().PersistentVolumeClaims("default").Create(ctx, claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := on(h, "writer", "sh", "-c", "echo started >> /data/log; cat /data/log; sleep 100000")
	pod.Spec.NodeName, pod.Spec.NodeSelector = "", map[string]string{corev1.LabelHostname: h.Name()}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	if _, err := c.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	log := func() string {
		b, err := c.CoreV1().Pods("default").GetLogs("writer", &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	until(t, "the pod's first start", func() bool { return log() == "started\n" })
	volumes, err := c.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil || len(volumes.Items) != 1 || !strings.Contains(fmt.Sprint(volumes.Items[0].Spec.NodeAffinity), h.Name()) {
		t.Errorf("the volume is not tied to %s: %v, %v", h.Name(), volumes, err)
	}
	local(t, "node", "kill", h.Name())
	local(t, "node", "start", h.Name())
	until(t, "the pod's second start", func() bool { return log() == "started\nstarted\n" })
}
