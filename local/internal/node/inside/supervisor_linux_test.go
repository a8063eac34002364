package inside

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
)

// supervised makes this test binary a supervisor of two processes, in a process
// of its own because a reaper collects every child. It runs until its input
// ends.
const supervised = "ALPHAPULSE_TEST_SUPERVISOR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(supervised); dir != "" {
		s := &supervisor{reaper: newReaper(), logs: dir, status: filepath.Join(dir, "components.json"), state: map[string]*plan.Component{}}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			s.keep(ctx, "good", plan.StopGrace, []string{"/bin/sh", "-c", "trap 'echo asked; exit 3' TERM; echo begun; while :; do sleep 0.01; done"}, nil)
		})
		wg.Go(func() { s.keep(ctx, "bad", plan.StopGrace, []string{"/bin/sh", "-c", "echo tried; exit 7"}, nil) })
		wg.Go(func() { s.keep(ctx, "missing", plan.StopGrace, []string{"/no/such/program"}, nil) })
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
	components := func() map[string]plan.Component {
		all := map[string]plan.Component{}
		b, _ := os.ReadFile(filepath.Join(dir, "components.json"))
		var list []plan.Component
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
