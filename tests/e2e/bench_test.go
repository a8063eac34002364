//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	corev1 "k8s.io/api/core/v1"
)

// What one API process is wanted to do with a whole CPU. The backend's own benchmark
// (docker/backend/integration) measures the same without a cluster.
const (
	wantedRate = 1000                   // requests in a second
	wantedP95  = 100 * time.Millisecond // in which 95 of 100 are answered
)

const (
	// loadFor bounds each load: the autoscaler starts more pods after a minute of it.
	loadFor = 10 * time.Second
	// clients each send a request as soon as the one before is answered, or in turn.
	clients = 32
	// politeRate is below what dev's edge allows one address (edgeApiRate), and far
	// below what one pod answers.
	politeRate = 50
)

// BenchmarkAPI loads one API pod as the edge does: over connections that stay open,
// straight to its address. rate_ratio is to what its CPU limit ought to give, wanted
// to be at least 1; p95_ratio is wanted to be at most 1. The generator runs on the
// same node.
func BenchmarkAPI(b *testing.B) {
	t := target(b)
	for _, c := range t.paths {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				l := t.direct(b, c.path)
				b.ReportMetric(l.rate/(wantedRate*t.cpus), "rate_ratio")
				b.ReportMetric(l.p95.Seconds()/wantedP95.Seconds(), "p95_ratio")
				b.ReportMetric(l.rate, "requests/s")
				b.ReportMetric(milliseconds(l.p95), "p95_ms")
				b.ReportMetric(0, "ns/op") // one operation is a whole load
			}
		})
	}
}

// BenchmarkEdge asks for the same through the edge (TLS, limits, balancing, access
// log) and straight from the API pod, at a rate at which neither has to queue: the
// ratios are what the edge costs a user, and 1 is nothing.
func BenchmarkEdge(b *testing.B) {
	t := target(b)
	for _, c := range t.paths {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				direct := t.direct(b, c.path, "-rate", fmt.Sprint(politeRate))
				edge := t.throughEdge(b, c.path, "-rate", fmt.Sprint(politeRate))
				b.ReportMetric(edge.p50.Seconds()/direct.p50.Seconds(), "p50_ratio")
				b.ReportMetric(edge.p95.Seconds()/direct.p95.Seconds(), "p95_ratio")
				b.ReportMetric(milliseconds(direct.p95), "direct_p95_ms")
				b.ReportMetric(milliseconds(edge.p95), "edge_p95_ms")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// BenchmarkUpdate deploys the stack as it is: how long whoever changes one setting
// waits before anything of his own happens, and how much of that the preview is.
func BenchmarkUpdate(b *testing.B) {
	settled(b, namespace)
	timed := func(args ...string) time.Duration {
		begun := time.Now()
		pulumi(b, append(args, "--stack", stack, "--suppress-outputs", "--expect-no-changes")...)
		return time.Since(begun)
	}
	for b.Loop() {
		preview := timed("preview")
		up := timed("up", "--yes", "--skip-preview")
		b.ReportMetric(up.Seconds()/preview.Seconds(), "up/preview")
		b.ReportMetric(preview.Seconds(), "preview_s")
		b.ReportMetric(up.Seconds(), "up_s")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkPreview asks what an update would change where nothing has: of Pulumi, and of
// kubectl for the same objects. The ratio is what a user waits for his own program, the
// engine and its state, and is wanted to be at most 2.5. As in the container of a check,
// kubectl has to ask first what kinds the cluster knows, which Pulumi's provider does at
// each start; kubectl_again_s is with that answer on disk.
func BenchmarkPreview(b *testing.B) {
	settled(b, namespace)
	objects, cache := filepath.Join(b.TempDir(), "objects.json"), filepath.Join(b.TempDir(), "discovery")
	n := writeObjects(b, objects, "")
	pulumi(b, "preview", "--stack", stack, "--suppress-outputs", "--expect-no-changes") // links the program if a source is newer
	for b.Loop() {
		begun := time.Now()
		pulumi(b, "preview", "--stack", stack, "--suppress-outputs", "--expect-no-changes")
		preview := time.Since(begun)
		asked := func(begun time.Time) time.Duration {
			must(b, "kubectl", "--", "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename", objects, "--cache-dir", cache)
			return time.Since(begun)
		}
		must(b, "kubectl", "--", "version") // the command itself is in memory
		if err := os.RemoveAll(cache); err != nil {
			b.Fatal(err)
		}
		kubectl := asked(time.Now())
		b.ReportMetric(asked(time.Now()).Seconds(), "kubectl_again_s")
		b.ReportMetric(preview.Seconds()/kubectl.Seconds(), "preview/kubectl")
		b.ReportMetric(preview.Seconds(), "preview_s")
		b.ReportMetric(kubectl.Seconds(), "kubectl_s")
		b.ReportMetric(float64(n), "objects")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkUp deploys the stack from nothing until every workload is ready: with Pulumi,
// and with kubectl the same objects. The ratio is wanted to be at most 1.1. It leaves the
// stack deployed, without the data that it had.
func BenchmarkUp(b *testing.B) {
	settled(b, namespace)
	dir := b.TempDir()
	objects, belongings := filepath.Join(dir, "objects.json"), filepath.Join(dir, "belongings.json")
	n := writeObjects(b, objects, "")
	writeObjects(b, belongings, "Namespace") // it outlives the stack, and is found again
	for b.Loop() {
		pulumi(b, "destroy", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs")
		begun := time.Now()
		must(b, "kubectl", "--", "apply", "--server-side", "--force-conflicts", "--filename", objects)
		for _, kind := range []string{"deployment", "statefulset"} {
			must(b, "kubectl", "--", "rollout", "status", kind, "--selector", "app.kubernetes.io/part-of=alphapulse",
				"--namespace", namespace, "--timeout", "15m")
		}
		kubectl := time.Since(begun)
		must(b, "kubectl", "--", "delete", "--filename", belongings, "--wait", "--timeout", "5m")
		begun = time.Now()
		pulumi(b, "up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs")
		up := time.Since(begun)
		b.ReportMetric(up.Seconds()/kubectl.Seconds(), "up/kubectl")
		b.ReportMetric(up.Seconds(), "up_s")
		b.ReportMetric(kubectl.Seconds(), "kubectl_s")
		b.ReportMetric(float64(n), "objects")
		b.ReportMetric(0, "ns/op")
	}
}

// writeObjects writes the stack's objects of Kubernetes as the program asks for them, but
// those of one kind, and returns how many there are.
func writeObjects(b *testing.B, file, but string) int {
	b.Helper()
	var state struct {
		Deployment struct {
			Resources []struct {
				Type   string         `json:"type"`
				Inputs map[string]any `json:"inputs"`
			} `json:"resources"`
		} `json:"deployment"`
	}
	if err := json.Unmarshal(output(b, "pulumi", "--", "stack", "export", "--stack", stack, "--show-secrets"), &state); err != nil {
		b.Fatal(err)
	}
	var items []any
	for _, r := range state.Deployment.Resources {
		if r.Inputs["apiVersion"] != nil && strings.HasPrefix(r.Type, "kubernetes:") && (but == "" || r.Inputs["kind"] != but) {
			items = append(items, plain(b, r.Inputs))
		}
	}
	raw, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		b.Fatal(err)
	}
	return len(items)
}

// plain returns a value of a stack's state without what Pulumi adds: its own fields, and
// the wrapping of secrets.
func plain(b *testing.B, v any) any {
	b.Helper()
	switch v := v.(type) {
	case map[string]any:
		if text, ok := v["plaintext"].(string); ok && v[resource.SigKey] == resource.SecretSig {
			var secret any
			if err := json.Unmarshal([]byte(text), &secret); err != nil {
				b.Fatal(err)
			}
			return plain(b, secret)
		}
		out := map[string]any{}
		for key, field := range v {
			if !strings.HasPrefix(key, "__") {
				out[key] = plain(b, field)
			}
		}
		return out
	case []any:
		for i := range v {
			v[i] = plain(b, v[i])
		}
	}
	return v
}

// loadTarget is one API pod, with a generator for each way to it.
type loadTarget struct {
	// pod and edge are addresses; host is the API's name at the edge.
	pod, edge, host string
	// cpus is the pod's CPU limit.
	cpus  float64
	paths []struct{ name, path string }
}

const (
	directLoad = "bench-direct"
	edgeLoad   = "bench-edge"
)

// target starts the generators. By the network policies only the edge reaches the
// API and the edge itself reaches nothing else, so there is one that passes for the
// edge and one that stands outside.
func target(b *testing.B) loadTarget {
	b.Helper()
	settled(b, namespace)
	o := outputsOf(b, stack)
	symbol := someSymbol(b, browser(b, o.CACertificate), o)
	api, edge := onePod(b, autoscaled), onePod(b, "edge")
	u, err := url.Parse(o.URLs["api"])
	if err != nil {
		b.Fatal(err)
	}
	limit := api.Spec.Containers[0].Resources.Limits.Cpu()
	t := loadTarget{
		pod:  fmt.Sprintf("http://%s:%d", api.Status.PodIP, api.Spec.Containers[0].Ports[0].ContainerPort),
		host: u.Hostname(),
		cpus: limit.AsApproximateFloat64(),
		paths: []struct{ name, path string }{
			{"signals_latest", "/api/signals/latest"},
			{"candles", "/api/symbols/" + symbol + "/candles?limit=300"},
		},
	}
	for _, p := range edge.Spec.Containers[0].Ports {
		if p.Name == "https" {
			t.edge = fmt.Sprintf("https://%s:%d", edge.Status.PodIP, p.ContainerPort)
		}
	}
	if t.edge == "" || t.cpus == 0 {
		b.Fatalf("edge %q, CPU limit %s of the API: nothing to measure against", t.edge, limit)
	}
	createNamespace(b, otherNamespace)
	startProbeOf(b, namespace, directLoad, identity(edge.Labels), "1", "sleep")
	startProbeOf(b, otherNamespace, edgeLoad, map[string]string{"app": "stranger"}, "1", "sleep")
	// The enforcement on the node learns of a new pod by a watch.
	time.Sleep(2 * time.Second)
	return t
}

// onePod of a workload, ready.
func onePod(b *testing.B, name string) corev1.Pod {
	b.Helper()
	all := pods(b, namespace)[name]
	i := slices.IndexFunc(all, func(p corev1.Pod) bool { return ready(&p) })
	if i < 0 {
		b.Fatalf("%s: none of %d pods is ready", name, len(all))
	}
	return all[i]
}

func (t loadTarget) direct(b *testing.B, path string, flags ...string) measured {
	return measure(b, namespace, directLoad, append(flags, t.pod+path)...)
}

func (t loadTarget) throughEdge(b *testing.B, path string, flags ...string) measured {
	// It is the way that is measured; the certificate is checked by the tests.
	return measure(b, otherNamespace, edgeLoad, append(flags, "-insecure", "-host", t.host, t.edge+path)...)
}

// measured is what one load saw.
type measured struct {
	rate     float64
	p50, p95 time.Duration
}

func measure(b *testing.B, ns, pod string, args ...string) measured {
	b.Helper()
	command := append([]string{"/probe", "load", "-keep", "-clients", fmt.Sprint(clients), "-for", loadFor.String()}, args...)
	out, err := execute(b.Context(), ns, pod, "probe", command...)
	if err != nil {
		b.Fatalf("%v: %v\n%s", command, err, out)
	}
	var ok, bad int
	var half, most string
	if _, err := fmt.Sscanf(out, "ok %d bad %d p50 %s p95 %s", &ok, &bad, &half, &most); err != nil {
		b.Fatalf("%v printed %q: %v", command, out, err)
	}
	if ok == 0 || bad > 0 {
		b.Fatalf("%v: %s: a measurement with failures says nothing", command, out)
	}
	m := measured{rate: float64(ok) / loadFor.Seconds()}
	if m.p50, err = time.ParseDuration(half); err == nil {
		m.p95, err = time.ParseDuration(most)
	}
	if err != nil {
		b.Fatalf("%q: %v", out, err)
	}
	return m
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
