//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	corev1 "k8s.io/api/core/v1"
)

const (
	// users each have a WebSocket and ask for the latest signals every pollEvery, as the
	// reference user interface does.
	users     = 1000
	pollEvery = 5 * time.Second
	// They come within arrival and stay for stay.
	arrival, stay = 30 * time.Second, 60 * time.Second
)

// audience is what the users see.
type audience struct {
	opened, refused, broken, messages, later, failed atomic.Int64

	mu    sync.Mutex
	polls []time.Duration
}

// BenchmarkUsers has a thousand users of three thousand symbols on the stack dev, its
// autoscaler free to add pods. Whoever is told to come again does so, and counts as
// refused once. API and edge are what their pods took of a CPU and of memory while all
// were there; the generator shares the machine with them.
func BenchmarkUsers(b *testing.B) {
	d := editable(b)
	for b.Loop() {
		d.deploy(b, "maxSymbols=3000", "edgeWebsocketRate=10000", "edgeWebsocketBurst=10000", "edgeConnections=5000",
			"edgeApiRate=10000", "edgeApiBurst=10000")
		o := outputsOf(b, stack)
		b.Logf("load average before: %s", loadAverage(b))
		c := &audience{}
		ctx, stop := context.WithTimeout(b.Context(), arrival+stay)
		var all sync.WaitGroup
		for range users {
			all.Go(func() { c.user(ctx, b, o) })
		}
		time.Sleep(arrival)
		before := usage(b)
		time.Sleep(stay / 2)
		after := usage(b)
		all.Wait()
		stop()
		slices.Sort(c.polls)
		if len(c.polls) == 0 {
			b.Fatal("no poll was answered: a measurement with failures says nothing")
		}
		b.Logf("load average after: %s; %d API pods; CPU and memory while all were there: %s", loadAverage(b), len(pods(b, namespace)[autoscaled]), after.since(before))
		b.ReportMetric(float64(c.opened.Load()), "opened")
		b.ReportMetric(float64(c.refused.Load()), "told_to_wait")
		b.ReportMetric(float64(c.broken.Load()), "broken")
		b.ReportMetric(float64(c.messages.Load())/stay.Seconds(), "messages/s")
		b.ReportMetric(float64(len(c.polls)), "polls")
		b.ReportMetric(float64(c.later.Load()), "polls_told_to_wait")
		b.ReportMetric(float64(c.failed.Load()), "polls_failed")
		b.ReportMetric(milliseconds(c.polls[len(c.polls)/2]), "p50_ms")
		b.ReportMetric(milliseconds(c.polls[len(c.polls)*95/100]), "p95_ms")
		b.ReportMetric(0, "ns/op")
	}
}

// user comes at a moment of the arrival, and stays until ctx ends.
func (c *audience) user(ctx context.Context, b *testing.B, o outputs) {
	if !pause(ctx, rand.N(arrival)) {
		return
	}
	client := browser(b, o.CACertificate)
	defer client.CloseIdleConnections()
	var both sync.WaitGroup
	both.Go(func() { c.listen(ctx, client, o) })
	both.Go(func() { c.poll(ctx, client, o) })
	both.Wait()
}

// listen opens the socket, as often as it is told to wait, and reads until ctx ends.
func (c *audience) listen(ctx context.Context, client *http.Client, o outputs) {
	patient := *client
	patient.Timeout = 0
	for {
		conn, res, err := websocket.Dial(ctx, strings.Replace(o.URLs["ui"], "https:", "wss:", 1)+"/ws/streaming", &websocket.DialOptions{HTTPClient: &patient})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && res != nil && comesAgain(res) > 0:
			c.refused.Add(1)
			if !pause(ctx, comesAgain(res)) {
				return
			}
			continue
		case err != nil:
			c.broken.Add(1)
			return
		}
		c.opened.Add(1)
		conn.SetReadLimit(-1)
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				if ctx.Err() == nil {
					c.broken.Add(1)
				}
				_ = conn.CloseNow()
				return
			}
			c.messages.Add(1)
		}
	}
}

func (c *audience) poll(ctx context.Context, client *http.Client, o outputs) {
	for pause(ctx, pollEvery/2+rand.N(pollEvery)) {
		begun := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URLs["api"]+"/api/signals/latest", nil)
		if err != nil {
			c.failed.Add(1)
			return
		}
		res, err := client.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && res.StatusCode == http.StatusOK:
			c.mu.Lock()
			c.polls = append(c.polls, time.Since(begun))
			c.mu.Unlock()
		case err == nil && comesAgain(res) > 0:
			c.later.Add(1)
		default:
			c.failed.Add(1)
		}
	}
}

// pause waits, and tells whether there is time left.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// used is what the pods of workloads have used until a moment, and take of memory then.
type used struct {
	at     time.Time
	cpu    map[string]time.Duration
	memory map[string]int64 // bytes
}

// usage reads the control groups of the API's and the edge's pods, which run on this
// machine.
func usage(b *testing.B) used {
	b.Helper()
	u := used{time.Now(), map[string]time.Duration{}, map[string]int64{}}
	for _, name := range []string{autoscaled, "edge", "cache", "database"} {
		for _, p := range pods(b, namespace)[name] {
			cpu, memory := ofPod(b, podGroup(b, p))
			u.cpu[name] += cpu
			u.memory[name] += memory
		}
	}
	return u
}

func (u used) since(before used) string {
	var all []string
	for _, name := range sortedKeys(u.cpu) {
		all = append(all, fmt.Sprintf("%s %.2f CPUs and %d MiB", name, (u.cpu[name]-before.cpu[name]).Seconds()/u.at.Sub(before.at).Seconds(), u.memory[name]>>20))
	}
	return strings.Join(all, ", ")
}

// ofPod is what a control group has taken of a CPU, and has of memory, by either version of
// them.
func ofPod(b *testing.B, group string) (cpu time.Duration, memory int64) {
	b.Helper()
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cpuacct")); err == nil {
		return time.Duration(number(b, strings.TrimSpace(read(b, filepath.Join(root, "cpuacct", group, "cpuacct.usage"))))),
			int64(number(b, strings.TrimSpace(read(b, filepath.Join(root, "memory", group, "memory.usage_in_bytes")))))
	}
	for line := range strings.Lines(read(b, filepath.Join(root, group, "cpu.stat"))) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "usage_usec" {
			cpu = time.Duration(number(b, f[1])) * time.Microsecond
		}
	}
	return cpu, int64(number(b, strings.TrimSpace(read(b, filepath.Join(root, group, "memory.current")))))
}

// podGroup is the control group of a pod: the one above those of its containers.
func podGroup(b *testing.B, p corev1.Pod) string {
	b.Helper()
	pid := processes(b, p, func(string) bool { return true })[0]
	_, group, found := strings.Cut(strings.TrimSpace(read(b, "/proc/"+strconv.Itoa(pid)+"/cgroup")), "::")
	if !found {
		b.Fatalf("process %d has no control group", pid)
	}
	return filepath.Dir(group)
}

func read(b *testing.B, file string) string {
	b.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	return string(raw)
}
