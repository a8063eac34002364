//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

// gate is the stack dev with two API pods behind its edge, and users in front.
type gate struct {
	edited
	out  outputs
	pair *certs.Pair // what the edge serves
	*crowd
	rows [][]string
}

// manager is who sets fields that are the stack's.
const manager = "e2e-edge"

// edgeSecret is the certificate that somebody else than the stack renews.
const edgeSecret = "e2e-certificate"

// TestEdge is one test because its parts follow one another under the same load. It
// prints what each event has cost; docs/edge.md has the table.
func TestEdge(t *testing.T) {
	g := newGate(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Counted", g.testCounted},
		{"Handshakes", g.testHandshakes},
		{"Rollouts", g.testRollouts},
		{"Deletions", g.testDeletions},
		{"Scale", g.testScale},
		{"Renewal", g.testRenewal},
		{"Setting", g.testSetting},
		{"KubeProxy", g.testKubeProxy},
		{"Killed", g.testKilled},
		{"Slow", g.testSlow},
		{"Hanging", g.testHanging},
		{"Storm", g.testStorm},
	} {
		t.Run(part.name, func(t *testing.T) {
			picture(t, namespace)
			part.run(t)
		})
	}
	g.print()
}

// newGate deploys the stack with limits that the load does not meet.
func newGate(t *testing.T) *gate {
	t.Helper()
	settled(t, namespace)
	g := &gate{out: outputsOf(t, stack), edited: editable(t)}
	g.pair = g.issue(t, time.Now().Add(-365*24*time.Hour)) // of the year before: still valid
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: edgeSecret}, Type: corev1.SecretTypeTLS,
		StringData: map[string]string{corev1.TLSCertKey: g.pair.Certificate, corev1.TLSPrivateKeyKey: g.pair.Key},
	}
	if _, err := cluster.CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The stack's own certificate again, so that its pods need the Secret no longer.
		g.disown(t)
		pulumi(t, "up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs")
		if err := cluster.CoreV1().Secrets(namespace).Delete(context.Background(), edgeSecret, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	g.deploy(t, "tlsMode=secret", "tlsSecret="+edgeSecret, "backendMinReplicas=2", "edgeApiRate=100000", "edgeApiBurst=100000",
		"edgeWebsocketRate=1000", "edgeWebsocketBurst=1000", "edgeConnections=10000")
	g.limit(t, 2, 2) // the load alone must not change how many there are
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(g.pair.Root)) {
		t.Fatal("the CA certificate is not PEM")
	}
	node := nodeAddress(t)
	g.crowd = &crowd{roots: roots, out: g.out, dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{Timeout: patient}).DialContext(ctx, network, net.JoinHostPort(node, port))
	}}
	return g
}

// issue makes a certificate for the stack's hosts, of one authority at any time.
func (g *gate) issue(t *testing.T, now time.Time) *certs.Pair {
	t.Helper()
	pair, err := certs.Development("the seed of an authority that only the test of the edge knows", nginx.HostsOf("dev.localhost").All(), now)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// limit lets the autoscaler run so many API pods, and waits for them.
func (g *gate) limit(t *testing.T, least, most int32) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"minReplicas":%d,"maxReplicas":%d}}`, least, most)
	if _, err := cluster.AutoscalingV2().HorizontalPodAutoscalers(namespace).Patch(t.Context(), autoscaled, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, fmt.Sprintf("%d to %d API pods", least, most), func(ctx context.Context) (string, bool) {
		d, err := cluster.AppsV1().Deployments(namespace).Get(ctx, autoscaled, metav1.GetOptions{})
		if err != nil {
			return err.Error(), false
		}
		s := d.Status
		return fmt.Sprintf("%d, %d available", s.Replicas, s.AvailableReplicas), s.Replicas >= least && s.Replicas <= most && s.AvailableReplicas == s.Replicas
	})
}

// disown gives the fields that limit has set back to whoever declares them.
func (g *gate) disown(t *testing.T) {
	t.Helper()
	scalers, ctx := cluster.AutoscalingV2().HorizontalPodAutoscalers(namespace), context.Background()
	if err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		h, err := scalers.Get(ctx, autoscaled, metav1.GetOptions{})
		if err != nil {
			return err
		}
		h.ManagedFields = slices.DeleteFunc(h.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == manager })
		_, err = scalers.Update(ctx, h, metav1.UpdateOptions{FieldManager: manager})
		return err
	}); err != nil {
		t.Error(err)
	}
}

// left waits until the pods of a workload that are on their way out are gone.
func (g *gate) left(t *testing.T, workload string) {
	t.Helper()
	eventually(t, 3*time.Minute, "no pod of "+workload+" is stopping", func(ctx context.Context) (string, bool) {
		list, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: nameLabel + "=" + workload})
		if err != nil {
			return err.Error(), false
		}
		n := 0
		for _, p := range list.Items {
			if p.DeletionTimestamp != nil {
				n++
			}
		}
		return fmt.Sprintf("%d are", n), n == 0
	})
}

// under has an event while users ask, until they have asked often enough.
func (g *gate) under(t *testing.T, what string, event func()) {
	t.Helper()
	g.start(t)
	begun := time.Now()
	event()
	took := time.Since(begun)
	eventually(t, 5*time.Minute, "enough requests", func(context.Context) (string, bool) {
		n := g.sent()
		return fmt.Sprintf("%d of %d", n, enough), n >= enough
	})
	g.stop()
	total, failed := 0, []string{}
	slowest := time.Duration(0)
	for _, name := range sortedKeys(g.tallies) {
		y := g.tallies[name]
		total, slowest = total+y.sent, max(slowest, y.slowest)
		if y.failed > 0 {
			failed = append(failed, fmt.Sprintf("%d of %d %ss (%s)", y.failed, y.sent, name, reason(y.example)))
		}
	}
	cost := "0"
	if len(failed) > 0 {
		cost = strings.Join(failed, ", ")
		t.Errorf("%s: failed were %s", what, cost)
	}
	g.rows = append(g.rows, []string{what, fmt.Sprintf("%.0f", took.Seconds()), strconv.Itoa(total), cost, fmt.Sprintf("%.1f", slowest.Seconds()), g.closed()})
	t.Log(strings.Join(g.rows[len(g.rows)-1], " | "))
	if g.opened < sockets {
		t.Errorf("%s: %d WebSockets were opened, want at least %d", what, g.opened, sockets)
	}
}

// rollout replaces every pod of a workload, as an update does.
func (g *gate) rollout(t *testing.T, workload string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"alphapulse.io/e2e-replaced":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
	if _, err := cluster.AppsV1().Deployments(namespace).Patch(t.Context(), workload, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: manager}); err != nil {
		t.Fatal(err)
	}
	settled(t, namespace)
	g.left(t, workload)
}

func (g *gate) testRollouts(t *testing.T) {
	for _, r := range []struct{ workload, what string }{
		{"backend", "rolling update of the API"}, {"frontend", "rolling update of the UI"},
		{"backend-dashboard", "rolling update of the dashboard"}, {"edge", "rolling update of the edge"},
	} {
		g.under(t, r.what, func() { g.rollout(t, r.workload) })
		if r.workload != "backend" {
			continue
		}
		if g.codes[-1] > 0 || len(g.codes) == 0 {
			t.Errorf("sockets of API pods that stop were closed by %v, want a code", g.codes)
		}
	}
}

func (g *gate) testDeletions(t *testing.T) {
	for workload, what := range map[string]string{"backend": "deletion of an API pod", "edge": "deletion of an edge pod"} {
		g.under(t, what, func() {
			name := pods(t, namespace)[workload][0].Name
			if err := cluster.CoreV1().Pods(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			g.left(t, workload)
			settled(t, namespace)
		})
	}
}

func (g *gate) testScale(t *testing.T) {
	g.limit(t, 1, 1)
	g.left(t, "backend")
	g.under(t, "API from 1 pod to 4 and back", func() {
		g.limit(t, 4, 4)
		g.limit(t, 1, 1)
		g.left(t, "backend")
	})
	g.limit(t, 2, 2)
}

func (g *gate) testRenewal(t *testing.T) {
	renewed := g.issue(t, time.Now())
	if renewed.Certificate == g.pair.Certificate || renewed.Root != g.pair.Root {
		t.Fatal("the renewed certificate is the old one, or of another authority")
	}
	g.under(t, "renewal of the certificate", func() {
		data, err := json.Marshal(map[string]any{"stringData": map[string]string{corev1.TLSCertKey: renewed.Certificate, corev1.TLSPrivateKeyKey: renewed.Key}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cluster.CoreV1().Secrets(namespace).Patch(t.Context(), edgeSecret, types.MergePatchType, data, metav1.PatchOptions{FieldManager: manager}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := g.served(ctx, nginx.HostsOf("dev.localhost").UI, "30443", func(c *x509.Certificate) bool { return c.NotAfter.Equal(renewed.NotAfter) }); err != nil {
			t.Errorf("the renewed certificate: %v", err)
		}
	})
	g.pair = renewed
}

func (g *gate) testSetting(t *testing.T) {
	g.under(t, "`pulumi up` with another edge setting", func() {
		g.deploy(t, "edgeBodyPauseSeconds=5")
		g.left(t, "edge")
	})
}

// running finds the processes of the node that run a program.
func running(t *testing.T, program string) []int {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, e := range entries {
		raw, _ := os.ReadFile(e) // it may have ended
		first, _, _ := strings.Cut(string(raw), "\x00")
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(e))); err == nil && filepath.Base(first) == program {
			found = append(found, pid)
		}
	}
	return found
}

func (g *gate) testKubeProxy(t *testing.T) {
	g.under(t, "restart of the node's kube-proxy", func() {
		before := running(t, "kube-proxy")
		if len(before) == 0 {
			t.Fatal("no kube-proxy runs")
		}
		signal(t, syscall.SIGKILL, before)
		eventually(t, time.Minute, "another kube-proxy", func(context.Context) (string, bool) {
			now := running(t, "kube-proxy")
			return fmt.Sprintf("%v, was %v", now, before), len(now) > 0 && !slices.Contains(now, before[0])
		})
		time.Sleep(5 * time.Second) // it looks at everything anew
	})
}

// anAPIPod is one of two, with its processes.
func (g *gate) anAPIPod(t *testing.T) (corev1.Pod, []int) {
	t.Helper()
	settled(t, namespace)
	all := pods(t, namespace)["backend"]
	if len(all) != 2 {
		t.Fatalf("%d API pods, want two", len(all))
	}
	return all[0], processes(t, all[0], func(command string) bool { return !strings.Contains(command, "pause") })
}

func (g *gate) testKilled(t *testing.T) {
	_, of := g.anAPIPod(t)
	g.under(t, "kill -9 of an API pod's process", func() {
		signal(t, syscall.SIGKILL, of)
		settled(t, namespace)
	})
}

// testSlow lets a pod work a tenth of the time.
func (g *gate) testSlow(t *testing.T) {
	slow, of := g.anAPIPod(t)
	begun, note := metav1.Now(), ""
	g.under(t, "an API pod at a tenth of its speed", func() {
		defer signal(t, syscall.SIGCONT, of)
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
			signal(t, syscall.SIGSTOP, of)
			time.Sleep(90 * time.Millisecond)
			signal(t, syscall.SIGCONT, of)
			time.Sleep(10 * time.Millisecond)
		}
		to := g.asked(t, begun)
		most := 0
		for _, n := range to {
			most = max(most, n)
		}
		t.Logf("requests by API pod: %v, the slow one is %s", to, slow.Status.PodIP)
		// How much less is a matter of how busy the machine is with other things.
		if n := to[slow.Status.PodIP]; n == 0 || n >= most {
			t.Errorf("the slow pod got %d requests, the other %d: want some, and less", n, most)
		}
		note = fmt.Sprintf("an API pod at a tenth of its speed: asked %d times, the other one %d", to[slow.Status.PodIP], most)
	})
	g.rows[len(g.rows)-1][0] = note
}

// asked counts the requests that the edge's logs say each API pod got.
func (g *gate) asked(t *testing.T, since metav1.Time) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, p := range pods(t, namespace)["edge"] {
		stream, err := cluster.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: "nginx", SinceTime: &since}).Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stream)
		for lines.Scan() {
			var line struct{ Route, Upstream string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Route == "api" {
				if host, _, err := net.SplitHostPort(line.Upstream); err == nil {
					all[host]++
				}
			}
		}
		_ = stream.Close()
	}
	return all
}

// testHanging stops a pod for a while that ends before the edge gives a request up.
func (g *gate) testHanging(t *testing.T) {
	_, of := g.anAPIPod(t)
	g.under(t, "an API pod that hangs for 15 s", func() {
		signal(t, syscall.SIGSTOP, of)
		time.Sleep(15 * time.Second)
		signal(t, syscall.SIGCONT, of)
		settled(t, namespace)
	})
	settled(t, namespace)
}

// testCounted compares what Prometheus says of the edge with what was sent.
func (g *gate) testCounted(t *testing.T) {
	var names []string
	for _, p := range pods(t, namespace)["edge"] {
		names = append(names, p.Name)
	}
	sum := fmt.Sprintf(`sum(edge_requests_total{job="edge",pod=~%q,host="api.dev.localhost",route="api",status="200",outcome="answered"}) or vector(0)`, strings.Join(names, "|"))
	count := func() (n float64) {
		c := browser(t, g.pair.Root)
		eventually(t, time.Minute, "Prometheus answers", func(context.Context) (string, bool) {
			values, err := ofPrometheus(t, c, g.out, sum)
			if err != nil || len(values) != 1 {
				return fmt.Sprint(values, err), false
			}
			n = values[0]
			return "", true
		})
		return n
	}
	const asked = 1000
	before := count()
	client := g.client(false)
	for range asked {
		if status, body, err := request(t, client, http.MethodGet, g.out.URLs["api"]+"/api/market/status", nil, nil); err != nil || status != http.StatusOK {
			t.Fatalf("%d %.120q %v", status, body, err)
		}
	}
	// Nobody else asks the API's own host.
	eventually(t, time.Minute, "what was asked is counted", func(context.Context) (string, bool) {
		n := count() - before
		return fmt.Sprintf("%.0f of %d", n, asked), n >= asked*99/100
	})
	if n := count() - before; n > asked {
		t.Errorf("%.0f requests are counted, and %d were sent", n, asked)
	} else {
		t.Logf("%.0f of %d requests are counted", n, asked)
	}
}

func (g *gate) print() {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	head := []string{"event", "seconds", "requests", "failed", "slowest, s", "WebSockets"}
	for _, cells := range append([][]string{head, slices.Repeat([]string{"---"}, len(head))}, g.rows...) {
		_, _ = fmt.Fprintln(w, "|", strings.Join(cells, "\t| ")+"\t|")
	}
	_ = w.Flush()
	fmt.Printf("\n%s\n", b.String())
}
