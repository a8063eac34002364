package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// machine stands for what commands do: it notes them, keeps whether a cluster is up,
// and fails those that contain a word.
type machine struct {
	mu    sync.Mutex
	ran   []string
	up    bool
	fails map[string]bool
}

func (m *machine) start(_ context.Context, _ string, env []string, w io.Writer, args ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	line := strings.Join(append(slices.Clone(env), args...), " ")
	if strings.HasSuffix(line, "local status") {
		if m.up {
			return nil
		}
		return errors.New("exit status 1")
	}
	m.ran = append(m.ran, line)
	_, _ = io.WriteString(w, "--- PASS: TestX\nnoise\n")
	switch {
	case strings.HasSuffix(line, "local down"):
		m.up = false
	case strings.HasSuffix(line, "local deploy"):
		m.up = true
	}
	for word := range m.fails {
		if strings.Contains(line, word) {
			return errors.New("exit status 1")
		}
	}
	return nil
}

func newRunner(t *testing.T, m *machine) (*runner, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	return &runner{root: t.TempDir(), local: "local", logs: t.TempDir(), out: &out, start: m.start}, &out
}

// seen gives the commands by what tells them apart.
func (m *machine) seen() string {
	var short []string
	for _, line := range m.ran {
		for _, word := range []string{"local deploy", "TestCore", "TestData", "TestNodes", "TestDestroy", "local down", "single", "integration", "internal/node"} {
			if strings.Contains(line, word) {
				short = append(short, word)
				break
			}
		}
	}
	return strings.Join(short, ", ")
}

func data() group { return onDev("data", "d", time.Minute) }

func find(name string) group {
	return groups[slices.IndexFunc(groups, func(g group) bool { return g.name == name })]
}

func TestGroupsShareACluster(t *testing.T) {
	m := &machine{}
	r, _ := newRunner(t, m)
	r.run(t.Context(), []group{find(core), find("node"), data()})
	if got, want := m.seen(), "local deploy, TestCore, TestData, TestDestroy, local down, internal/node"; got != want {
		t.Errorf("ran %s; want %s", got, want)
	}
	if err := r.report(false); err != nil {
		t.Error(err)
	}

	m = &machine{up: true}
	r, _ = newRunner(t, m)
	r.keep = true
	r.run(t.Context(), []group{find(core), find("backend"), data()})
	if got, want := m.seen(), "local deploy, TestCore, TestData, integration"; got != want {
		t.Errorf("with a kept cluster %s; want %s", got, want)
	}
}

func TestAnOccupiedMachineIsRefused(t *testing.T) {
	m := &machine{up: true}
	r, _ := newRunner(t, m)
	if err := r.vacant(t.Context(), []group{find(core)}); err == nil || !strings.Contains(err.Error(), "KEEP=1") {
		t.Errorf("error %v; want one that names the way out", err)
	}
	if err := r.vacant(t.Context(), []group{find("backend")}); err != nil {
		t.Errorf("the backend's tests need no cluster: %v", err)
	}
	r.keep = true
	if err := r.vacant(t.Context(), []group{find(core)}); err != nil {
		t.Errorf("a kept cluster: %v", err)
	}
}

func TestFailuresAreCollected(t *testing.T) {
	m := &machine{fails: map[string]bool{"TestCore": true}}
	r, out := newRunner(t, m)
	r.run(t.Context(), []group{find(core), data()})
	err := r.report(true)
	if err == nil || !strings.Contains(err.Error(), "group core") || strings.Contains(err.Error(), "data") {
		t.Errorf("error %v; want it to name core alone", err)
	}
	if m.seen() != "local deploy, TestCore, TestData, TestDestroy, local down" {
		t.Errorf("ran %s: a failed group must not stop the others", m.seen())
	}
	if s := out.String(); strings.Contains(s[strings.Index(s, "== results"):], "noise") {
		t.Errorf("the report repeats more than results:\n%s", s)
	}
}

// A cluster that did not come up, or broke, is not waited for by every group.
func TestABrokenClusterEndsItsGroups(t *testing.T) {
	m := &machine{fails: map[string]bool{"TestCore": true}}
	r, out := newRunner(t, m)
	start := r.start
	r.start = func(ctx context.Context, dir string, env []string, w io.Writer, args ...string) error {
		err := start(ctx, dir, env, w, args...)
		m.up = m.up && err == nil
		return err
	}
	r.run(t.Context(), []group{find(core), data(), find("node")})
	if got, want := m.seen(), "local deploy, TestCore, local down, internal/node"; got != want {
		t.Errorf("ran %s; want %s", got, want)
	}
	err := r.report(false)
	if err == nil || !strings.Contains(err.Error(), "group core, group data") {
		t.Errorf("error %v; want core and data", err)
	}
	if !strings.Contains(out.String(), "group data: group core has left no cluster that is ready") {
		t.Errorf("not told why data did not run:\n%s", out)
	}
}

func TestAStackThatIsNotDeployedHasNoTests(t *testing.T) {
	m := &machine{fails: map[string]bool{"local deploy": true}}
	r, _ := newRunner(t, m)
	r.run(t.Context(), []group{find(core), data(), find("node")})
	if got, want := m.seen(), "local deploy, local down, internal/node"; got != want {
		t.Errorf("ran %s; want %s", got, want)
	}
	if err := r.report(false); err == nil || !strings.Contains(err.Error(), "deploy, group core, group data") {
		t.Errorf("error %v; want the step and both groups", err)
	}
}

// What changes the cluster for good is followed by a new one.
func TestAGroupThatSpoilsTheClusterIsItsLast(t *testing.T) {
	m := &machine{}
	r, _ := newRunner(t, m)
	nodes, other := onDev("nodes", "n", time.Minute), data()
	nodes.last, other.last = true, true
	r.run(t.Context(), []group{nodes, find(core), other})
	if got, want := m.seen(), "local deploy, TestCore, TestNodes, TestDestroy, local down, local deploy, TestData, TestDestroy, local down"; got != want {
		t.Errorf("ran %s; want %s", got, want)
	}
}

func TestACommandThatLeavesTheClusterRunningFails(t *testing.T) {
	m := &machine{}
	r, _ := newRunner(t, m)
	start := r.start
	r.start = func(ctx context.Context, dir string, env []string, w io.Writer, args ...string) error {
		err := start(ctx, dir, env, w, args...)
		m.up = true
		return err
	}
	r.run(t.Context(), []group{find(core)})
	if err := r.report(false); err == nil || !strings.Contains(err.Error(), "down") {
		t.Errorf("error %v; want one about down", err)
	}
}

func TestWhatDidNotRunIsSaid(t *testing.T) {
	m := &machine{}
	r, out := newRunner(t, m)
	r.deadline = time.Now().Add(reserve + 10*time.Minute)
	always := find(core)
	always.need = 0
	r.run(t.Context(), []group{always, find("node"), find("backend")})
	if got, want := m.seen(), "local deploy, TestCore, integration, TestDestroy, local down"; got != want {
		t.Errorf("ran %s; want %s", got, want)
	}
	if err := r.report(true); err != nil {
		t.Errorf("what there was no time for is no failure: %v", err)
	}
	for _, want := range []string{"NOT RUN", "group node: it takes about 15 min"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not said:\n%s", want, out)
		}
	}
}

func TestCommand(t *testing.T) {
	env, args := find("backend").command(time.Hour)
	if got, want := strings.Join(append(env, args...), " "), "CGO_ENABLED=1 go test -C docker/backend -tags integration -count=1 -v -timeout 1h0m0s -race ./integration"; got != want {
		t.Errorf("backend: %s; want %s", got, want)
	}
	env, args = find(core).command(90*time.Second + time.Millisecond)
	if got, want := strings.Join(append(env, args...), " "), "go test -C . -tags e2e -count=1 -v -timeout 1m30s -run ^TestCore$ ./tests/e2e"; got != want {
		t.Errorf("core: %s; want %s", got, want)
	}
}

// Two at once print whole lines, and each tells whose it is.
func TestLines(t *testing.T) {
	r, out := newRunner(t, &machine{})
	a, b := &lines{r: r, prefix: "a | "}, &lines{r: r, prefix: "b | "}
	for _, w := range []struct {
		l *lines
		s string
	}{{a, "one\ntw"}, {b, "three\n"}, {a, "o\nend"}} {
		_, _ = io.WriteString(w.l, w.s)
	}
	a.flush()
	if got, want := out.String(), "a | one\nb | three\na | two\na | end\n"; got != want {
		t.Errorf("printed %q; want %q", got, want)
	}
}

func TestStartCommand(t *testing.T) {
	var out bytes.Buffer
	err := startCommand(t.Context(), t.TempDir(), []string{"GREETING=hello"}, &out, "sh", "-c", "echo $GREETING; exit 3")
	if err == nil || out.String() != "hello\n" {
		t.Errorf("%v, printed %q", err, out.String())
	}
}
