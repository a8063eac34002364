//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbouncer"
	"github.com/alphapulse/alphapulse-infra/tests/e2e/internal/rows"
)

// waits is how long writers and users of the tests of data wait for an answer: a
// failover is latency to them, not an error.
const waits = 30 * time.Second

// data is the stack dev with three members, under writes through the pooler and requests
// through the edge.
type data struct {
	edited
	out  outputs
	rows [][]string
}

// TestData is one test because its parts follow one another on one database. It prints
// what each fault has cost; docs/data.md tells what is promised.
func TestData(t *testing.T) {
	d := &data{edited: editable(t), out: outputsOf(t, stack)}
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Grow", d.testGrow},
		{"WrongImage", d.testWrongImage},
		{"Readers", d.testReaders},
		{"Planned", d.testPlanned},
		{"Killed", d.testKilled},
		{"HalfEncrypted", d.testHalfEncrypted},
		{"Frozen", d.testFrozen},
		{"CutOff", d.testCutOff},
		{"ControlPlaneAway", d.testControlPlaneAway},
		{"Volume", d.testVolume},
		{"All", d.testAll},
		{"Shrink", d.testShrink},
	} {
		t.Run(part.name, func(t *testing.T) {
			picture(t, namespace)
			part.run(t)
		})
	}
	d.print()
}

// cost is what one event has cost those who wrote and asked meanwhile.
type cost struct {
	lost, failed int // rows, transactions
	requests     map[string]tally
	primaries    int // that said so at the same time, at most
}

// under has an event while rows are written and requests are sent. The event returns
// when the fault is there.
func (d *data) under(t *testing.T, what string, event func(ctx context.Context)) cost {
	t.Helper()
	settled(t, namespace)
	w := writers(t)
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := loadAverage(t)
	run := w.Start(t.Context())
	api := startLoad(t, &balancer{nodes: []string{"127.0.0.1"}, within: waits, failed: map[string]int{}}, d.out)
	look := watchPrimaries(t)
	time.Sleep(3 * time.Second)
	at := time.Now()
	event(t.Context())
	// A fault may take its time, and the writers have to outlast it.
	time.Sleep(8 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := run.After(ctx, time.Now(), 100); err != nil {
		t.Errorf("%s: writes did not come back: %v", what, err)
	}
	result := run.Stop()
	c := cost{failed: len(result.Failures), requests: api.settleDown(t, time.Minute), primaries: look()}
	lost, err := w.Verify(ctx, result)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	c.lost = len(lost)
	for i, f := range result.Failures {
		if i < 5 {
			t.Logf("a write failed %.1f s after the event, having waited for %.1f s: %v", f.At.Sub(at).Seconds(), f.Took.Seconds(), f.Err)
		}
	}
	sent, bad, example := 0, 0, ""
	for _, y := range c.requests {
		sent, bad = sent+y.sent, bad+y.failed
		if y.failed > 0 {
			example = " (" + reason(y.example) + ")"
		}
	}
	d.rows = append(d.rows, []string{
		what, fmt.Sprintf("%d of %d", c.lost, len(result.Acks)), fmt.Sprintf("%.0f", result.Rate()),
		fmt.Sprintf("%d, %d early", c.failed, len(result.Early(w.Timeout))), fmt.Sprintf("%d of %d%s", bad, sent, example),
		fmt.Sprintf("%.1f", result.Outage(at).Seconds()), before,
	})
	t.Log(strings.Join(d.rows[len(d.rows)-1], " | "))
	if c.lost > 0 {
		t.Errorf("%s: %d acknowledged rows are lost, the first %+v", what, c.lost, lost[0])
	}
	if c.primaries > 1 {
		t.Errorf("%s: %d members said at the same time that they are the primary", what, c.primaries)
	}
	return c
}

// nobody fails the test unless neither a write nor a request has failed.
func (c cost) nobody(t *testing.T) {
	t.Helper()
	if c.failed > 0 {
		t.Errorf("%d writes failed", c.failed)
	}
	none(t, "an event that was planned", c.requests)
}

func (d *data) print() {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	head := []string{"event", "acknowledged rows lost", "rows/s", "writes failed", "API requests failed", "s without a write", "load before"}
	for _, cells := range append([][]string{head, slices.Repeat([]string{"---"}, len(head))}, d.rows...) {
		_, _ = fmt.Fprintln(w, "|", strings.Join(cells, "\t| ")+"\t|")
	}
	_ = w.Flush()
	fmt.Printf("\n%s\n", b.String())
}

// writers write as the application does: with its login, through the pooler.
func writers(t *testing.T) *rows.Load {
	t.Helper()
	// About 200 rows a second: writers that never pause would take the whole machine.
	return &rows.Load{URL: login(t, database.Name), Dial: throughPooler, Writers: 6, Timeout: waits, Pause: 20 * time.Millisecond, Lifetime: 10 * time.Second}
}

// from connects from the network of a node, which its own pods let in: this machine is a
// stranger to them.
func from(ctx context.Context, node, address string) (net.Conn, error) {
	type made struct {
		conn net.Conn
		err  error
	}
	done := make(chan made)
	go func() {
		// Not unlocked: the thread, which is in another network then, ends with this.
		runtime.LockOSThread()
		conn, err := func() (net.Conn, error) {
			ns, err := os.Open("/run/netns/" + node)
			if err != nil {
				return nil, err
			}
			defer func() { _ = ns.Close() }()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return nil, fmt.Errorf("enter %s: %w", ns.Name(), err)
			}
			// An address needs no further thread.
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}()
		done <- made{conn, err}
	}()
	m := <-done
	return m.conn, m.err
}

// known are the poolers that were seen last: as a Service does, they stay the same while
// the API server is away.
var known struct {
	sync.Mutex
	poolers []corev1.Pod
}

// throughPooler connects to one of the poolers' pods, as their Service does.
func throughPooler(ctx context.Context, _, _ string) (net.Conn, error) {
	asking, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	list, err := cluster.CoreV1().Pods(namespace).List(asking, metav1.ListOptions{LabelSelector: nameLabel + "=" + database.Pooler("database").Name})
	known.Lock()
	if err == nil {
		known.poolers = list.Items
	}
	poolers := known.poolers
	known.Unlock()
	err = errors.New("no pooler is ready")
	for _, i := range rand.Perm(len(poolers)) {
		p := poolers[i]
		if !ready(&p) || p.DeletionTimestamp != nil {
			continue
		}
		var conn net.Conn
		if conn, err = from(ctx, p.Spec.NodeName, net.JoinHostPort(p.Status.PodIP, strconv.Itoa(pgbouncer.Port))); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// login is the application's own, as it is written into the pods, from this machine.
func login(t testing.TB, in string) string {
	t.Helper()
	d, err := cluster.AppsV1().Deployments(namespace).Get(t.Context(), "backend", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range d.Spec.Template.Spec.Containers[0].EnvFrom {
		if from.SecretRef == nil {
			continue
		}
		s, err := cluster.CoreV1().Secrets(namespace).Get(t.Context(), from.SecretRef.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(string(s.Data["DATABASE_URL"]))
		if err != nil || u.Host == "" {
			continue
		}
		// Any address: the poolers' pods are found one by one.
		// HalfEncrypted turns TLS off; that it is there otherwise is the group wire's to see.
		u.Host, u.Path, u.RawQuery = "127.0.0.1:5432", "/"+in, "sslmode=prefer&connect_timeout=30"
		return u.String()
	}
	t.Fatal("no pod of the API is given DATABASE_URL")
	return ""
}

// members are the pods of the database.
func members(t testing.TB) []corev1.Pod {
	t.Helper()
	return pods(t, namespace)[database.Server("database").Name]
}

// primary is the member that has the primary's label.
func primary(t testing.TB) corev1.Pod {
	t.Helper()
	var found []corev1.Pod
	for _, p := range members(t) {
		if p.Labels[patroni.RoleLabel] == patroni.Primary {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d members have the primary's label", len(found))
	}
	return found[0]
}

// promoted waits until another member than the one named is the primary.
func promoted(t testing.TB, was string) {
	t.Helper()
	eventually(t, 2*time.Minute, "another primary", func(ctx context.Context) (string, bool) {
		list, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: patroni.RoleLabel + "=" + patroni.Primary})
		if err != nil {
			return err.Error(), false
		}
		var names []string
		for _, p := range list.Items {
			names = append(names, p.Name)
		}
		return fmt.Sprint(names), len(names) == 1 && names[0] != was
	})
}

// patroniScheme is how a member's Patroni is asked, http or https.
func patroniScheme(p corev1.Pod) string {
	for _, c := range p.Spec.Containers {
		if c.Name == "postgresql" {
			return strings.ToLower(string(c.ReadinessProbe.HTTPGet.Scheme))
		}
	}
	return ""
}

// watchPrimaries asks every member, many times a second, whether it is the primary, and
// returns how many said so at the same time at most.
func watchPrimaries(t testing.TB) (most func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	found := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			list, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: nameLabel + "=database"})
			if err != nil {
				list = &corev1.PodList{}
			}
			var asking sync.WaitGroup
			var mu sync.Mutex
			now := 0
			for _, p := range list.Items {
				asking.Go(func() {
					client := &http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{
						DisableKeepAlives: true,
						TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // who it is follows from the address
						DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
							return from(ctx, p.Spec.NodeName, address)
						},
					}}
					res, err := client.Get(patroniScheme(p) + "://" + net.JoinHostPort(p.Status.PodIP, fmt.Sprint(patroni.Port)) + "/primary")
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					mu.Lock()
					defer mu.Unlock()
					if res.StatusCode == http.StatusOK {
						now++
					}
				})
			}
			asking.Wait()
			found = max(found, now)
			time.Sleep(200 * time.Millisecond)
		}
	})
	return func() int { cancel(); wg.Wait(); return found }
}

func loadAverage(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(raw), " ")
	return first
}
