//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// apply makes objects of a manifest, which the test removes with their namespace.
func apply(t *testing.T, manifest string) {
	t.Helper()
	cmd := command(t.Context(), []string{"kubectl", "--", "apply", "--filename=-"})
	cmd.Stdin = strings.NewReader(manifest)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

func trust(ca string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca))
	return &tls.Config{RootCAs: roots}
}

// nodeReady reports what the control plane thinks of a node.
func nodeReady(t testing.TB, name string) bool {
	t.Helper()
	n, err := cluster.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// moved reports whether every pod of the stack that can be elsewhere than on the node
// is, and ready. One that the rule of spread keeps waiting cannot.
func moved(t testing.TB, node string) (string, bool) {
	t.Helper()
	var missing []string
	waits := map[string]int32{}
	for name, why := range pending(t) {
		for _, w := range why {
			if strings.Contains(w, spreadText) {
				waits[name]++
			}
		}
	}
	for name, list := range pods(t, namespace) {
		for _, p := range list {
			if _, bound := stays(p); bound || p.Spec.NodeName == "" && waits[name] > 0 {
				continue
			}
			if p.Spec.NodeName == node || !ready(&p) {
				missing = append(missing, name)
			}
		}
	}
	deployments, err := cluster.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deployments.Items {
		if d.Status.AvailableReplicas+waits[d.Name] < *d.Spec.Replicas {
			missing = append(missing, d.Name+" (count)")
		}
	}
	slices.Sort(missing)
	return fmt.Sprintf("not elsewhere yet: %v", slices.Compact(missing)), len(missing) == 0
}

// stays returns the claim of a pod that ties it to a node, if it has one.
func stays(p corev1.Pod) (claim string, yes bool) {
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			return v.PersistentVolumeClaim.ClaimName, true
		}
	}
	return "", false
}

// victim is a node with replicas of the stack, but without a volume of it.
func (f *fleet) victim(t testing.TB) string {
	t.Helper()
	where := placement(t)
	for _, n := range slices.Backward(f.nodes) {
		if n != firstNode && len(singles(where, n)) == 0 && (slices.Contains(where["edge"], n) || slices.Contains(where["backend"], n)) {
			return n
		}
	}
	t.Fatalf("no node without a volume has a replica: %v", where)
	return ""
}

// lossWindow is how long requests may fail when a node is lost: the balancer asks twice
// before it believes, and what was on its way then is lost with its time.
const lossWindow = probeTries*probeEvery + answerWithin + 2*time.Second

// testKill cuts the power of a node under load, and gives it back.
func (f *fleet) testKill(t *testing.T) {
	createNamespace(t, otherNamespace)
	node := f.victim(t)
	volumePod(t, node)
	written := func() string {
		b, err := cluster.CoreV1().Pods(otherNamespace).GetLogs("e2e-volume-0", &corev1.PodLogOptions{}).DoRaw(t.Context())
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	eventually(t, 2*time.Minute, "a volume on "+node, func(ctx context.Context) (string, bool) {
		p, err := cluster.CoreV1().Pods(otherNamespace).Get(ctx, "e2e-volume-0", metav1.GetOptions{})
		if err != nil {
			return err.Error(), false
		}
		return p.Spec.NodeName + " " + written(), p.Spec.NodeName == node && written() == "started\n"
	})

	l := startLoad(t, f.lb, f.out)
	time.Sleep(2 * time.Second)
	must(t, "node", "kill", node)
	begun := time.Now()
	eventually(t, 2*time.Minute, node+" is noticed to be lost", func(context.Context) (string, bool) {
		return fmt.Sprint(nodeReady(t, node)), !nodeReady(t, node)
	})
	noticed := since(begun)
	eventually(t, 5*time.Minute, "all that can move has moved", func(context.Context) (string, bool) { return moved(t, node) })
	served := since(begun)
	waiting := pending(t)
	if together := apart(t); len(together) > 0 {
		t.Errorf("with a node missing: %v", together)
	}
	// Its volume is on the node that is gone.
	eventually(t, 2*time.Minute, "the pod with a volume waits for its node", func(ctx context.Context) (string, bool) {
		p, err := cluster.CoreV1().Pods(otherNamespace).Get(ctx, "e2e-volume-0", metav1.GetOptions{})
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%s, deleted %v, on %q", p.Status.Phase, p.DeletionTimestamp != nil, p.Spec.NodeName), p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodPending
	})
	waiting["a pod with a claim there"] = []string{"the volume is on the node"}
	all := l.settleDown(t, time.Minute)
	f.fault(fmt.Sprintf("power cut of %s, noticed after %s", node, noticed), all, served.String(), words(waiting))
	for name, y := range all {
		// Until the node is noticed to be lost a connection to one of its pods is tried now
		// and then, and a write that went there is not sent again.
		if y.outage() > lossWindow && y.failed > y.sent/100 {
			t.Errorf("power cut of %s: %s: %s, want at most %s of failures, or one in a hundred", node, name, y, lossWindow)
		}
	}

	const missing = "with a node missing"
	f.spreads(t, missing, "true", 2, "")
	f.deploy(t, "spreadRequired=false")
	f.spreads(t, missing, "false", 2, "")

	begun = time.Now()
	must(t, "node", "start", node)
	eventually(t, 3*time.Minute, "what was written before the power cut", func(context.Context) (string, bool) {
		got := written()
		return got, got == "started\nstarted\n"
	})
	settled(t, namespace)
	f.fault(fmt.Sprintf("%s back", node), nil, since(begun).String(), words(pending(t)))
	f.loseFirst(t)
}

// loseFirst cuts the power of the node with the control plane, the only database and
// the only cache, and gives it back before pods would be replaced.
func (f *fleet) loseFirst(t *testing.T) {
	l := startLoad(t, f.lb, f.out)
	time.Sleep(2 * time.Second)
	must(t, "node", "kill", firstNode)
	time.Sleep(10 * time.Second)
	begun := time.Now()
	must(t, "node", "start", firstNode)
	settled(t, namespace)
	back := since(begun)
	all := l.settleDown(t, 2*time.Minute)
	f.fault(fmt.Sprintf("power cut of %s (control plane, %s) for 10 s", firstNode, strings.Join(singles(placement(t), firstNode), ", ")), all, back.String()+" from the start", "nothing")
	if y := all["page"]; y.outage() > lossWindow {
		t.Errorf("power cut of %s: pages: %s", firstNode, y)
	}
}

// testLosePrimary cuts the power of the node that has the database's primary: another
// member takes over, and the one that is back follows it.
func (f *fleet) testLosePrimary(t *testing.T) {
	if p := primary(t); p.Spec.NodeName == firstNode { // the control plane is not what this is about
		handOver(t, p)
		settled(t, namespace)
	}
	was := primary(t)
	node := was.Spec.NodeName
	f.lb.within = waits
	defer func() { f.lb.within = 0 }()
	w := writers(t)
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	run := w.Start(t.Context())
	l := startLoad(t, f.lb, f.out)
	look := watchPrimaries(t)
	with := ""
	if dns, err := cluster.CoreV1().Pods("kube-system").List(t.Context(), metav1.ListOptions{
		LabelSelector: "k8s-app=kube-dns", FieldSelector: "spec.nodeName=" + node,
	}); err != nil {
		t.Fatal(err)
	} else if len(dns.Items) > 0 {
		with = " and one of the two that know the cluster's names"
	}
	time.Sleep(2 * time.Second)
	at := time.Now()
	must(t, "node", "kill", node)
	promoted(t, was.Name)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := run.After(ctx, time.Now(), 100); err != nil {
		t.Errorf("writes did not come back: %v", err)
	}
	must(t, "node", "start", node)
	settled(t, namespace)
	rejoined := since(at)
	result := run.Stop()
	most := look()
	all := l.settleDown(t, time.Minute)
	lost, err := w.Verify(ctx, result)
	if err != nil || len(lost) > 0 {
		t.Errorf("%d of %d acknowledged rows are lost, %v", len(lost), len(result.Acks), err)
	}
	if most > 1 {
		t.Errorf("%d members said at the same time that they are the primary", most)
	}
	f.fault(fmt.Sprintf("power cut of %s, with the database's primary%s: %d of %d acknowledged rows lost, %d writes failed, none for %.1f s",
		node, with, len(lost), len(result.Acks), len(result.Failures), result.Outage(at).Seconds()), all, rejoined.String()+", the member back", "nothing")
}

// testCut separates the node of the trading engine from the others: another engine is
// started there, and never do two trade.
func (f *fleet) testCut(t *testing.T) {
	const engine = "backend-engine"
	// On a node of which the control plane is not a part.
	must(t, "kubectl", "--", "cordon", firstNode)
	must(t, "kubectl", "--", "delete", "pod", "--namespace", namespace, "--selector", nameLabel+"="+engine)
	settled(t, namespace)
	must(t, "kubectl", "--", "uncordon", firstNode)
	// The node that was away has none of what replicas serve.
	for _, name := range replicated {
		roll(t, name)
	}
	settled(t, namespace)
	node := pods(t, namespace)[engine][0].Spec.NodeName

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	most, samples, seen := 0, 0, map[string]bool{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			leaders := f.leaders(ctx, engine)
			mu.Lock()
			samples++
			most = max(most, len(leaders))
			for _, l := range leaders {
				seen[l] = true
			}
			mu.Unlock()
			time.Sleep(500 * time.Millisecond)
		}
	})
	eventually(t, time.Minute, "a trading engine", func(context.Context) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint(seen), len(seen) == 1
	})

	with := ""
	for _, name := range replicated {
		if slices.Contains(placement(t)[name], node) {
			with += ", " + name
		}
	}
	l := startLoad(t, f.lb, f.out)
	time.Sleep(2 * time.Second)
	must(t, "node", "cut", node)
	begun := time.Now()
	eventually(t, 5*time.Minute, "all that can move has moved", func(context.Context) (string, bool) { return moved(t, node) })
	served := since(begun)
	eventually(t, 3*time.Minute, "another engine trades", func(context.Context) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint(seen), len(seen) == 2
	})
	trades := since(begun)
	waiting := pending(t)
	must(t, "node", "join", node)
	eventually(t, 2*time.Minute, node+" is ready again", func(context.Context) (string, bool) { return fmt.Sprint(nodeReady(t, node)), nodeReady(t, node) })
	settled(t, namespace)
	all := l.settleDown(t, time.Minute)
	stop()
	wg.Wait()
	f.fault(fmt.Sprintf("%s, with the engine%s, cut off; another engine trades after %s, at most %d did in %d looks at all", node, with, trades, most, samples), all, served.String(), words(waiting))
	if most > 1 || samples < 20 {
		t.Errorf("%d engines traded at the same time, in %d looks", most, samples)
	}
}

// leaders returns the engines that say of themselves that they trade, also those on a
// node that only this machine reaches.
func (f *fleet) leaders(ctx context.Context, name string) []string {
	list, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: nameLabel + "=" + name})
	if err != nil {
		return nil
	}
	var found []string
	for _, p := range list.Items {
		if p.Status.PodIP == "" {
			continue
		}
		port := p.Spec.Containers[0].Ports[0].ContainerPort
		// From its own node, which the policies let in.
		cmd := exec.CommandContext(ctx, "nsenter", "--net=/run/netns/"+p.Spec.NodeName, "curl", "--silent", "--max-time", "1", fmt.Sprintf("http://%s:%d/metrics", p.Status.PodIP, port))
		out, err := cmd.Output()
		if err == nil && bytes.Contains(out, []byte("\nalphapulse_engine_leader 1\n")) {
			found = append(found, string(p.UID))
		}
	}
	return found
}

// testUndo undoes a rollout with kubectl, on nodes that have not seen the older
// revision's configuration.
func (f *fleet) testUndo(t *testing.T) {
	// The largest scale is for testQuota.
	f.deploy(t, "edgeApiRate=1001", "backendMinReplicas=4")
	l := startLoad(t, f.lb, f.out)
	begun := time.Now()
	must(t, "kubectl", "--", "rollout", "undo", "--namespace", namespace, "deployment/edge")
	out, err := try(t, "kubectl", "--", "rollout", "status", "--namespace", namespace, "deployment/edge", "--timeout=12s")
	t.Logf("rollout undo: %v\n%s", err, last(out, 5))
	result, waiting := "undone", "nothing"
	if err != nil {
		result, waiting = "not undone", "edge ("+f.notMounted(t)+")"
	}
	// Back to what the stack has deployed, whose configuration there is on every node.
	must(t, "kubectl", "--", "rollout", "undo", "--namespace", namespace, "deployment/edge")
	settled(t, namespace)
	all := l.settleDown(t, time.Minute)
	f.fault("`kubectl rollout undo` of the edge: "+result, all, since(begun).String(), waiting)
	none(t, "rollout undo", all)
}

// notMounted tells why a pod of the edge has no configuration.
func (f *fleet) notMounted(t *testing.T) string {
	t.Helper()
	events, err := cluster.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=FailedMount"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range slices.Backward(events.Items) {
		if strings.HasPrefix(e.InvolvedObject.Name, "edge-") && strings.Contains(e.Message, "not found") {
			t.Log(e.Message)
			return "its ConfigMap is gone"
		}
	}
	t.Error("no event tells that an edge pod lacks its configuration")
	return "not started"
}

// testQuota replaces all pods twice in a row at the largest scale, so that pods that
// terminate slowly and two revisions of new ones are there at the same time. All count.
func (f *fleet) testQuota(t *testing.T) {
	eventually(t, time.Minute, "the API at its largest scale", func(context.Context) (string, bool) {
		on := placement(t)["backend"]
		return fmt.Sprint(on), len(on) == 4
	})
	settled(t, namespace)
	l := startLoad(t, f.lb, f.out)
	begun := metav1.Now()
	for range 2 {
		for _, name := range replicated {
			roll(t, name)
		}
		time.Sleep(5 * time.Second)
	}
	settled(t, namespace)
	took := since(begun.Time)
	events, err := cluster.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, e := range events.Items {
		if strings.Contains(e.Message, "exceeded quota") && e.LastTimestamp.After(begun.Time) {
			refused += int(max(e.Count, 1))
		}
	}
	all := l.settleDown(t, time.Minute)
	f.fault(fmt.Sprintf("every replica replaced at the largest scale, and again 5 s later: the quota refused %d pods", refused), all, took.String(), "nothing")
	none(t, "two updates at once", all)
	if refused > 0 {
		t.Errorf("the quota refused %d pods while others terminated", refused)
	}
}
