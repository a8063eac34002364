//go:build cluster

package database

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
)

// processes returns the processes of a pod that satisfy a condition. The node's run on
// this machine, in control groups that are named by the pod.
func processes(t *testing.T, pod *corev1.Pod, want func(command string) bool) []int {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	uid := string(pod.UID)
	var found []int
	for _, e := range entries {
		group, err := os.ReadFile(e + "/cgroup")
		if err != nil || !strings.Contains(string(group), uid) && !strings.Contains(string(group), strings.ReplaceAll(uid, "-", "_")) {
			continue // it has ended, or is another's
		}
		command, _ := os.ReadFile(e + "/cmdline")
		if pid, err := strconv.Atoi(filepath.Base(e)); err == nil && want(string(command)) {
			found = append(found, pid)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no process of %s", pod.Name)
	}
	return found
}

func signalAll(t *testing.T, pids []int, s syscall.Signal) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && err != syscall.ESRCH {
			t.Error(err)
		}
	}
}

// database is true of Patroni and of the server, false of the containers beside them.
func ofServer(command string) bool {
	return strings.Contains(command, "patroni") || strings.HasPrefix(command, "postgres")
}

// cut drops what a pod exchanges with an address range, until the function that it
// returns is called.
func cut(t *testing.T, pod *corev1.Pod, rules ...string) func() {
	t.Helper()
	pid := processes(t, pod, func(string) bool { return true })[0]
	run := func(script string) error {
		cmd := exec.Command("nsenter", "-t", strconv.Itoa(pid), "-n", "nft", "-f", "-")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nft in %s: %w: %s", pod.Name, err, out)
		}
		return nil
	}
	script := "table inet laboratory {\nchain in { type filter hook input priority -300;\n"
	for _, r := range rules {
		script += strings.ReplaceAll(strings.ReplaceAll(r, "PEER", "saddr"), "PORT", "sport") + " drop\n"
	}
	script += "}\nchain out { type filter hook output priority -300;\n"
	for _, r := range rules {
		script += strings.ReplaceAll(strings.ReplaceAll(r, "PEER", "daddr"), "PORT", "dport") + " drop\n"
	}
	if err := run(script + "}\n}\n"); err != nil {
		t.Fatal(err)
	}
	done := false
	heal := func() {
		if !done {
			done = true
			if err := run("delete table inet laboratory\n"); err != nil {
				t.Log(err) // the pod may have been replaced
			}
		}
	}
	t.Cleanup(heal)
	return heal
}

// moved waits until another pod than the one named has the primary's label.
func moved(ctx context.Context, t *testing.T, from string) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		pods, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: patroni.RoleLabel + "=" + patroni.Primary})
		if err == nil && len(pods.Items) == 1 && pods.Items[0].Name != from {
			return
		}
	}
	t.Error("no other primary after two minutes")
}

func TestPrimaryFrozen(t *testing.T) {
	pod := primary(t)
	frozen := processes(t, pod, ofServer)
	under(t, "primary frozen", func(ctx context.Context) {
		signalAll(t, frozen, syscall.SIGSTOP)
		moved(ctx, t, pod.Name)
		signalAll(t, frozen, syscall.SIGCONT)
	})
}

func TestPrimaryCutOffFromAPI(t *testing.T) {
	pod := primary(t)
	under(t, "primary cut off from the API server", func(context.Context) {
		heal := cut(t, pod, "ip PEER 10.96.0.1", "tcp PORT 6443")
		time.Sleep(45 * time.Second)
		heal()
	})
}

func TestPrimaryCutOffFromMembers(t *testing.T) {
	pod := primary(t)
	pods, err := cluster.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: patroni.ScopeLabel + "=" + name})
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, other := range pods.Items {
		if other.Name != pod.Name {
			rules = append(rules, "ip PEER "+other.Status.PodIP)
		}
	}
	under(t, "primary cut off from the other members", func(context.Context) {
		heal := cut(t, pod, rules...)
		time.Sleep(45 * time.Second)
		heal()
	})
}

func TestPrimaryCutOffFromAll(t *testing.T) {
	pod := primary(t)
	under(t, "primary cut off from everything", func(ctx context.Context) {
		heal := cut(t, pod, "ip PEER 0.0.0.0/0")
		moved(ctx, t, pod.Name)
		time.Sleep(10 * time.Second)
		heal()
	})
}

func TestAPIServerAway(t *testing.T) {
	out, err := exec.Command("pgrep", "-x", "kube-apiserver").Output()
	if err != nil {
		t.Fatal("no API server on this machine")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	f := under(t, "API server away for 60 s", func(context.Context) {
		signalAll(t, []int{pid}, syscall.SIGSTOP)
		defer signalAll(t, []int{pid}, syscall.SIGCONT)
		time.Sleep(60 * time.Second)
	})
	if f.failed > 0 {
		t.Errorf("%d failed", f.failed)
	}
}

func TestAllMembersKilled(t *testing.T) {
	pods, err := cluster.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: patroni.ScopeLabel + "=" + name})
	if err != nil {
		t.Fatal(err)
	}
	under(t, "all members killed at once", func(context.Context) {
		var all []int
		for _, pod := range pods.Items {
			all = append(all, processes(t, &pod, ofServer)...)
		}
		signalAll(t, all, syscall.SIGKILL)
	})
}

func TestStandbyLosesItsVolume(t *testing.T) {
	lead := primary(t).Name
	victim := name + "-0"
	if lead == victim {
		victim = name + "-1"
	}
	f := under(t, "a standby's volume lost", func(ctx context.Context) {
		if err := cluster.CoreV1().PersistentVolumeClaims(namespace).Delete(ctx, "data-"+victim, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if err := cluster.CoreV1().Pods(namespace).Delete(ctx, victim, *metav1.NewDeleteOptions(0)); err != nil {
			t.Error(err)
		}
	})
	if f.failed > 0 {
		t.Errorf("%d failed", f.failed)
	}
}
