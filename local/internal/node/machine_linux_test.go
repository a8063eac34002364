//go:build !cluster

package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func TestLockIsHeldByOne(t *testing.T) {
	runDir = filepath.Join(t.TempDir(), "run")
	t.Cleanup(func() { runDir = defaultRunDir })
	var out syncBuffer
	r := progress.New(&out, false, "")
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 8 {
		wg.Go(func() {
			unlock, err := lock(t.Context(), r, "up")
			if err != nil {
				t.Error(err)
				return
			}
			if !mu.TryLock() {
				t.Error("two hold the lock")
			} else {
				mu.Unlock()
			}
			unlock()
		})
	}
	wg.Wait()
	if _, err := os.Stat(runDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock's folder was left: %v", err)
	}

	unlock, err := lock(t.Context(), r, "down")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, r, "up"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a held lock: %v", err)
	}
	if want := fmt.Sprintf("waiting: process %d (local down) is working on the local node\n", os.Getpid()); !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if err := (&machine{StateDir: "x"}).save(); err != nil {
		t.Fatal(err)
	}
	unlock()
	if m, err := loadMachine(); err != nil || m == nil || m.StateDir != "x" {
		t.Errorf("the record went with the lock: %+v, %v", m, err)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestAlive(t *testing.T) {
	var none *machine
	if none.alive() || (&machine{}).alive() {
		t.Error("a record without a process is alive")
	}
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := startTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{InitPID: cmd.Process.Pid, InitStart: start}
	if !m.alive() {
		t.Error("a running process is not alive")
	}
	if (&machine{InitPID: m.InitPID, InitStart: start + "0"}).alive() {
		t.Error("another process of the same number is taken for the node")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Not collected yet: a zombie.
	if err := unix.Waitid(unix.P_PID, m.InitPID, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if m.alive() {
		t.Error("a zombie is alive")
	}
	_ = cmd.Wait()
	if m.alive() {
		t.Error("an ended process is alive")
	}
}

func TestCgroupsOfVersion2(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("cgroup.controllers", "cpuset cpu io memory pids rdma misc")
	write("cgroup.subtree_control", "cpu memory pids")
	enabled, err := makeCgroup2(root)
	if err != nil {
		t.Fatal(err)
	}
	// Only what was off is remembered, and so switched off again.
	if want := []string{"cpuset", "io"}; !slices.Equal(enabled, want) {
		t.Errorf("switched on %v, want %v", enabled, want)
	}
	if b, err := os.ReadFile(filepath.Join(root, Name, "cgroup.subtree_control")); err != nil || string(b) != "+cpu +cpuset +io +memory +pids" {
		t.Errorf("the node's controllers: %q, %v", b, err)
	}
	// Processes must be in a leaf.
	if fi, err := os.Stat(filepath.Join(root, Name, "node")); err != nil || !fi.IsDir() {
		t.Errorf("the node's leaf: %v", err)
	}
}

// supervised makes this test binary a supervisor of two processes, in a process
// of its own because a reaper collects every child. It runs until its input
// ends.
const supervised = "ALPHAPULSE_TEST_SUPERVISOR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(supervised); dir != "" {
		s := &supervisor{reaper: newReaper(), logs: dir, status: filepath.Join(dir, "components.json"), state: map[string]*Component{}}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			s.keep(ctx, "good", stopGrace, []string{"/bin/sh", "-c", "trap 'echo asked; exit 3' TERM; echo begun; while :; do sleep 0.01; done"}, nil)
		})
		wg.Go(func() { s.keep(ctx, "bad", stopGrace, []string{"/bin/sh", "-c", "echo tried; exit 7"}, nil) })
		wg.Go(func() { s.keep(ctx, "missing", stopGrace, []string{"/no/such/program"}, nil) })
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
		wg.Wait()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestSupervisor(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), supervised+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	components := func() map[string]Component {
		all := map[string]Component{}
		b, _ := os.ReadFile(filepath.Join(dir, "components.json"))
		var list []Component
		_ = json.Unmarshal(b, &list)
		for _, c := range list {
			all[c.Name] = c
		}
		return all
	}
	log := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(dir, name+".log"))
		return string(b)
	}
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s did not come: %+v", what, components())
			}
		}
	}
	wait("a restart of bad", func() bool { c := components(); return c["bad"].Restarts >= 2 && c["missing"].Restarts >= 1 })
	wait("the start of good", func() bool { return log("good") == "begun\n" })
	c := components()
	if c["bad"].LastExit != "exit status 7" || !strings.HasPrefix(log("bad"), "tried\ntried\n") {
		t.Errorf("bad: %+v, log %q", c["bad"], log("bad"))
	}
	if !strings.Contains(c["missing"].LastExit, "no such file") || !strings.Contains(log("missing"), "no such file") {
		t.Errorf("missing: %+v, log %q", c["missing"], log("missing"))
	}
	if c["good"].PID == 0 || c["good"].Restarts != 0 {
		t.Errorf("good: %+v", c["good"])
	}
	if err := syscall.Kill(c["good"].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait("good again", func() bool { return log("good") == "begun\nbegun\n" })
	if c := components()["good"]; c.Restarts != 1 || !strings.Contains(c.LastExit, "killed") {
		t.Errorf("good after kill -9: %+v", c)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the supervisor: %v", err)
	}
	if got := log("good"); got != "begun\nbegun\nasked\n" {
		t.Errorf("good was not asked to end: %q", got)
	}
	if c := components()["good"]; c.PID != 0 || c.LastExit != "exit status 3" {
		t.Errorf("good at the end: %+v", c)
	}
}

func TestWaitBlamesWhoEnds(t *testing.T) {
	l := layout{cluster, t.TempDir()}
	if err := os.MkdirAll(l.own(), 0o755); err != nil {
		t.Fatal(err)
	}
	start, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{InitPID: os.Getpid(), InitStart: start}
	never := func(context.Context) string { return "not yet" }
	if err := os.WriteFile(l.components(), []byte(`[{"name":"kubelet","pid":1},{"name":"etcd","pid":0,"restarts":5,"lastExit":"exit status 1"}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	err = l.wait(t.Context(), m, time.Hour, "kube-apiserver", never)
	if err == nil || !strings.Contains(err.Error(), "etcd ended 5 times: exit status 1") {
		t.Errorf("got %v", err)
	}
	var out bytes.Buffer
	_ = progress.New(&out, false, t.TempDir()).Step("x").Done(err)
	if !strings.Contains(out.String(), "log: "+l.log()+"/etcd.log") || !strings.Contains(out.String(), "local down") {
		t.Errorf("printed %q", out.String())
	}
	if err := os.Remove(l.components()); err != nil {
		t.Fatal(err)
	}
	if err := l.wait(t.Context(), m, time.Millisecond, "kubelet", never); err == nil || !strings.Contains(err.Error(), "not ready after 1ms: not yet") {
		t.Errorf("got %v", err)
	}
	if err := l.wait(t.Context(), &machine{}, time.Hour, "kubelet", never); err == nil || !strings.Contains(err.Error(), "the node ended") {
		t.Errorf("got %v", err)
	}
	calls := 0
	if err := l.wait(t.Context(), m, time.Hour, "kubelet", func(context.Context) string {
		calls++
		return []string{"no", "no", ""}[calls-1]
	}); err != nil || calls != 3 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}
