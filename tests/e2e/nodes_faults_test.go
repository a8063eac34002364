//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// testSpread asks where three replicas are: as a preference and as a rule, on three
// nodes and where one takes none. The rule holds from then on.
func (f *fleet) testSpread(t *testing.T) {
	const (
		preferred, required = "false", "true"
		three, tainted      = "on three nodes", "updated while the control plane's node is tainted"
		taint               = "node-role.kubernetes.io/control-plane:NoSchedule"
	)
	if together := apart(t); len(together) > 0 {
		t.Errorf("preferred: %v", together)
	}
	f.spreads(t, three, preferred, 3, "")
	must(t, "kubectl", "--", "taint", "node", firstNode, taint)
	roll(t, "edge")
	settled(t, namespace)
	f.spreads(t, tainted, preferred, 2, "")
	must(t, "kubectl", "--", "taint", "node", firstNode, taint+"-")

	f.deploy(t, "spreadRequired=true")
	if together := apart(t); len(together) > 0 {
		t.Errorf("required: %v", together)
	}
	f.spreads(t, three, required, 3, "")
	// A tainted node is none to the rule: the third replica shares one of the others.
	must(t, "kubectl", "--", "taint", "node", firstNode, taint)
	l := startLoad(t, f.lb, f.out)
	roll(t, "edge")
	settled(t, namespace)
	f.spreads(t, tainted, required, 2, "")
	must(t, "kubectl", "--", "taint", "node", firstNode, taint+"-")
	none(t, "update with a tainted node", l.settleDown(t, time.Minute))
}

// spreadText is in why a pod waits that the rule keeps from the nodes.
const spreadText = "topology spread constraints"

// spreads adds a row with the nodes of the edge's pods that run, of which there are to
// be so many, and asserts that a pod waits only where that is told.
func (f *fleet) spreads(t *testing.T, situation, required string, nodes int, waits string) {
	t.Helper()
	var on []string
	for _, p := range pods(t, namespace)["edge"] {
		if ready(&p) {
			on = append(on, p.Spec.NodeName)
		}
	}
	slices.Sort(on)
	counts := map[string]int{}
	for _, n := range on {
		counts[n]++
	}
	if len(counts) != nodes {
		t.Errorf("%s, spreadRequired %s: edge pods on %v, want %d nodes", situation, required, on, nodes)
	}
	waiting := pending(t)["edge"]
	if (len(waiting) > 0) != (waits != "") {
		t.Errorf("%s, spreadRequired %s: waiting %v", situation, required, waiting)
	}
	var cells []string
	for _, n := range slices.Sorted(maps.Keys(counts)) {
		cells = append(cells, fmt.Sprintf("%d on %s", counts[n], n))
	}
	f.spread = append(f.spread, []string{situation, required, strings.Join(cells, ", "), or(waits, "no")})
}

// none fails the test for requests that have failed.
func none(t *testing.T, what string, all map[string]tally) {
	t.Helper()
	for name, y := range all {
		if y.failed > 0 {
			t.Errorf("%s: %s: %s", what, name, y)
		}
	}
}

// roll replaces a Deployment's pods.
func roll(t *testing.T, name string) {
	t.Helper()
	must(t, "kubectl", "--", "rollout", "restart", "--namespace", namespace, "deployment/"+name)
}

// notStarted is why a pod is pending that has a node.
const notStarted = "not started"

// pending returns why pods of each workload are not scheduled, or not running although
// they are.
func pending(t testing.TB) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for name, list := range pods(t, namespace) {
		for _, p := range list {
			if p.Status.Phase != corev1.PodPending {
				continue
			}
			why := notStarted
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
					why = c.Message
				}
			}
			found[name] = append(found[name], why)
		}
	}
	return found
}

// testLoadBalancer asks each node's address, and looks which client the edge saw.
func (f *fleet) testLoadBalancer(t *testing.T) {
	// One node shall be without a pod of the edge.
	f.deploy(t, "edgeReplicas=2")
	defer f.deploy(t, "edgeReplicas=3")
	// The same pods behind a Service of the other policy.
	edge := pods(t, namespace)["edge"][0]
	const other = "e2e-cluster-policy"
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: other}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster,
		Selector: map[string]string{nameLabel: edge.Labels[nameLabel], "app.kubernetes.io/instance": edge.Labels["app.kubernetes.io/instance"]},
		Ports:    []corev1.ServicePort{{Name: "https", Port: 8443, TargetPort: intstr.FromString("https")}},
	}}
	if _, err := cluster.CoreV1().Services(namespace).Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.CoreV1().Services(namespace).Delete(context.Background(), other, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	publish(t, other, f.lb.nodes)
	has := placement(t)["edge"]
	for i, node := range f.nodes {
		row := []string{node, map[bool]string{true: "yes", false: "no"}[slices.Contains(has, node)]}
		for _, service := range [][2]string{{"Local", "443"}, {"Cluster", "8443"}} {
			policy, port := service[0], service[1]
			marker := fmt.Sprintf("/e2e-%s-%s", policy, node)
			want := policy == "Cluster" || slices.Contains(has, node)
			eventually(t, time.Minute, fmt.Sprintf("%s, policy %s, edge pods on %v: answers %v", node, policy, has, want), func(ctx context.Context) (string, bool) {
				err := askNode(ctx, f, net.JoinHostPort(f.lb.nodes[i], port), marker)
				return fmt.Sprint(err), (err == nil) == want
			})
			if !want {
				row = append(row, "no answer")
				continue
			}
			client := ""
			eventually(t, time.Minute, "the request in the edge's log", func(ctx context.Context) (string, bool) {
				client = f.clientOf(t, marker)
				return client, client != ""
			})
			// The machine is .1 where the node is .2; translated, it is the node itself or
			// its end of the pod network.
			kept := strings.HasSuffix(client, ".1") && strings.TrimSuffix(client, ".1") == f.lb.nodes[i][:strings.LastIndexByte(f.lb.nodes[i], '.')] || client == machineOf(f.lb.nodes[i])
			t.Logf("%s, policy %s: the edge saw %s as the client", node, policy, client)
			if kept != (policy == "Local") {
				t.Errorf("%s, policy %s: client address kept %v: %s", node, policy, kept, client)
			}
			row = append(row, "answers; the edge sees "+map[bool]string{true: "the client", false: "the node, " + client}[kept])
		}
		f.balanced = append(f.balanced, row)
	}
}

// machineOf is the machine, as the node at an address sees it.
func machineOf(node string) string {
	ip := net.ParseIP(node).To4()
	ip[3]--
	return ip.String()
}

// askNode asks the edge at an address for a path.
func askNode(ctx context.Context, f *fleet, address, path string) error {
	c := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, address)
		},
		TLSClientConfig: trust(f.out.CACertificate), DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.out.URLs["ui"]+path, nil)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// clientOf returns whom the edge's log names as the client of a request for a path.
func (f *fleet) clientOf(t *testing.T, path string) string {
	t.Helper()
	for _, p := range pods(t, namespace)["edge"] {
		raw, err := cluster.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: p.Spec.Containers[0].Name, TailLines: new(int64(500))}).DoRaw(t.Context())
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(raw)) {
			if strings.Contains(line, `"path":"`+path+`"`) {
				if _, rest, ok := strings.Cut(line, `"client":"`); ok {
					client, _, _ := strings.Cut(rest, `"`)
					return client
				}
			}
		}
	}
	return ""
}

// testDrain takes each node out of service as an operator does, under load: each has a
// member of the database, one of them the only cache, without which the API goes on.
func (f *fleet) testDrain(t *testing.T) {
	f.deploy(t, "databaseInstances=3", "backendMinReplicas=2")
	// Where the primary was, writes wait for another: later, and not lost.
	f.lb.within = waits
	defer func() { f.lb.within = 0 }()
	if on := slices.Compact(placement(t)["database"]); len(on) != 3 {
		t.Errorf("members of the database are on %v, want one on each node", on)
	}
	for _, node := range f.nodes {
		where := placement(t)
		with := singles(where, node)
		if primary(t).Spec.NodeName == node {
			with = append(with, "the database's primary")
		}
		l := startLoad(t, f.lb, f.out)
		begun := time.Now()
		out, err := try(t, "kubectl", "--", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=240s")
		took := since(begun)
		if err != nil {
			t.Errorf("drain %s: %v\n%s", node, err, last(out, 20))
		}
		waiting := pending(t)
		must(t, "kubectl", "--", "uncordon", node)
		settled(t, namespace)
		back := since(begun)
		all := l.settleDown(t, time.Minute)
		f.fault(fmt.Sprintf("drain of %s (with %s), which took %s", node, or(strings.Join(with, " and "), "replicas only"), took), all, back.String(), words(waiting))
		none(t, "drain of "+node, all)
	}
}

// singles are the workloads of one pod that are on the node and that requests need.
func singles(where map[string][]string, node string) []string {
	var found []string
	for _, name := range []string{"cache", "database"} {
		if len(where[name]) == 1 && where[name][0] == node {
			found = append(found, name)
		}
	}
	return found
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// words tells what is pending, and why, in short: workloads by reason.
func words(waiting map[string][]string) string {
	by := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		why := waiting[name][0]
		for text, short := range map[string]string{
			"PersistentVolume's node affinity": "the volume is on the node",
			spreadText:                         "would share a node",
			notStarted:                         "waits for one of these",
		} {
			if strings.Contains(why, text) {
				why = short
			}
		}
		by[why] = append(by[why], name)
	}
	var all []string
	for _, why := range slices.Sorted(maps.Keys(by)) {
		all = append(all, fmt.Sprintf("%s (%s)", strings.Join(by[why], ", "), why))
	}
	return or(strings.Join(all, "; "), "nothing")
}

// volumePod is a pod with a volume on a node, which shows where volumes stay.
func volumePod(t *testing.T, node string) {
	t.Helper()
	const manifest = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: e2e-volume, namespace: %[1]s}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: e2e-volume, namespace: %[1]s, labels: {app.kubernetes.io/name: e2e-volume}}
spec:
  replicas: 1
  serviceName: e2e-volume
  selector: {matchLabels: {app.kubernetes.io/name: e2e-volume}}
  template:
    metadata: {labels: {app.kubernetes.io/name: e2e-volume}}
    spec:
      terminationGracePeriodSeconds: 0
      automountServiceAccountToken: false
      affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, preference: {matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [%[2]s]}]}}]}}
      containers:
      - name: c
        image: docker.io/library/busybox:1.37
        command: [sh, -c, 'echo started >> /data/log; cat /data/log; sleep 100000']
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: e2e-volume}}]
`
	apply(t, fmt.Sprintf(manifest, otherNamespace, node))
}
