//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// killed ends the first update of a stack as a lost machine would, in the middle of it,
// and goes on by the commands of docs/interrupted-update.md as they stand there.
func killed(t *testing.T, name, ns string) {
	t.Helper()
	cmd := command(t.Context(), []string{"pulumi", "--", "up", "--stack", name, "--yes", "--skip-preview", "--suppress-outputs"})
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Minute, "an update that is under way", func(ctx context.Context) (string, bool) {
		_, err := cluster.AppsV1().StatefulSets(ns).Get(ctx, "database-g1", metav1.GetOptions{})
		// A node port whose request is cut off stays taken until the API server looks for
		// such ports, every three minutes: the page tells that, and nobody waits for it here.
		_, ports := cluster.CoreV1().Services(ns).Get(ctx, "edge", metav1.GetOptions{})
		return fmt.Sprintf("the database's StatefulSet: %v, the edge's Service: %v", err, ports), err == nil && ports == nil
	})
	// Stopped first, so that none sees another one's end and gives the lock back.
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, pid := range descendants(t, cmd.Process.Pid) {
			if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatalf("the update ended before it was killed:\n%s", last(out.String(), 10))
	}

	again := func() (string, error) {
		return try(t, "pulumi", "--", "up", "--stack", name, "--yes", "--skip-preview")
	}
	answer, err := again()
	if strings.Contains(answer, "failed to load checkpoint") {
		// It was killed while it wrote the state; the page says what to do then.
		state := filepath.Join(root, ".local", "state", ".pulumi", "stacks", "alphapulse", name+".json")
		t.Logf("the state was torn: %s.bak is put in its place", state)
		if err := os.Rename(state+".bak", state); err != nil {
			t.Fatal(err)
		}
		answer, err = again()
	}
	if err == nil || !strings.Contains(answer, "currently locked") {
		t.Fatalf("after a kill: %v, want a lock\n%s", err, last(answer, 20))
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "interrupted-update.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```\n")
	block, _, _ := strings.Cut(rest, "```")
	commands := strings.Split(strings.TrimSpace(block), "\n")
	if len(commands) < 3 {
		t.Fatalf("docs/interrupted-update.md has the commands %q", commands)
	}
	for _, line := range commands {
		line, _, _ = strings.Cut(line, "#")
		args, ours := strings.CutPrefix(strings.TrimSpace(line), "pulumi ")
		if !ours {
			t.Fatalf("docs/interrupted-update.md: %q is no command of Pulumi", line)
		}
		t.Log(last(pulumi(t, append(strings.Fields(args), "--stack", name)...), 4))
	}
	if out := pulumi(t, "preview", "--stack", name, "--expect-no-changes"); strings.Contains(out, "pending") {
		t.Errorf("operations are still pending:\n%s", last(out, 20))
	}
}

// descendants are a process and all that it has started.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	all := []int{pid}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, child := range strings.Fields(string(raw)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, descendants(t, n)...)
		}
	}
	return all
}
