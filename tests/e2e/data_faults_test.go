//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
)

// testGrow makes three members of one by setting.
func (d *data) testGrow(t *testing.T) {
	// All users are one address here.
	d.deploy(t, "edgeApiRate=1000", "edgeApiBurst=1000", "edgeConnections=1000")
	d.under(t, "1 → 3 members by setting", func(context.Context) { d.deploy(t, "databaseInstances=3") }).nobody(t)
	if n := len(members(t)); n != 3 {
		t.Fatalf("%d members, want 3", n)
	}
	d.under(t, "nothing", func(context.Context) {}).nobody(t)
}

// testShrink takes two away again, which nothing else may go with.
func (d *data) testShrink(t *testing.T) {
	d.set(t, "databaseInstances=1", "databaseMaxConnections=57")
	out, err := try(t, "pulumi", "--", "preview", "--stack", stack, "--config-file", d.file)
	if want := "databaseInstances: from 3 to 1 while something else"; err == nil || !strings.Contains(out, want) {
		t.Errorf("a preview with fewer members and another number of connections: %v, want %q\n%s", err, want, last(out, 40))
	}
	d.set(t, "databaseMaxConnections=65")
	d.under(t, "3 → 1 members by setting", func(context.Context) { d.deploy(t, "databaseInstances=1") }).nobody(t)
	if n := len(members(t)); n != 1 {
		t.Errorf("%d members, want 1", n)
	}
	// The state is that of the cluster: an update of nothing has nothing to write.
	if out, err := try(t, "pulumi", "--", "preview", "--stack", stack, "--config-file", d.file, "--expect-no-changes", "--diff"); err != nil {
		t.Errorf("an update of nothing after it: %v\n%s", err, last(out, 40))
	}
}

// testReaders asks both endpoints of the pooler who answers. Who read from the primary while
// there was nothing else goes to the new standbys within seconds.
func (d *data) testReaders(t *testing.T) {
	for in, standby := range map[string]bool{database.Name: false, database.ReadName: true} {
		eventually(t, time.Minute, fmt.Sprintf("%s is answered by a standby: %v", in, standby), func(context.Context) (string, bool) {
			got := answer[bool](t, in, "SELECT pg_is_in_recovery()")
			return fmt.Sprint(got), got == standby
		})
	}
}

// answer asks through the pooler, with the application's login.
func answer[T any](t *testing.T, in, sql string) (got T) {
	t.Helper()
	config, err := pgx.ParseConfig(login(t, in))
	if err != nil {
		t.Fatal(err)
	}
	config.DialFunc = throughPooler
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.QueryRow(t.Context(), sql).Scan(&got), conn.Close(t.Context())); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
	return got
}

// testPlanned has what an operator does by day.
func (d *data) testPlanned(t *testing.T) {
	d.under(t, "planned switchover", func(context.Context) { handOver(t, primary(t)) }).nobody(t)

	d.under(t, "primary's pod deleted", func(context.Context) {
		remove(t, primary(t).Name)
		time.Sleep(5 * time.Second)
	}).nobody(t)

	d.under(t, "`databaseMaxConnections` changed to less, which needs a restart", func(context.Context) { d.deploy(t, "databaseMaxConnections=55") }).nobody(t)
	// Less takes hold on the primary first, which standbys follow.
	eventually(t, time.Minute, "fewer connections", func(context.Context) (string, bool) {
		got := answer[string](t, database.Name, "SHOW max_connections")
		return got, got == "55"
	})
	d.under(t, "the same, to more", func(context.Context) { d.deploy(t, "databaseMaxConnections=65") }).nobody(t)
	if got := answer[string](t, database.Name, "SHOW max_connections"); got != "65" {
		t.Errorf("max_connections is %s, want 65", got)
	}

	// Another minor version, as far as the program can tell: the same by another tag.
	image := primary(t).Spec.Containers[0].Image
	alias(t, image, image+"-next")
	d.under(t, "`databaseImage` changed to another of its major version", func(context.Context) { d.deploy(t, "databaseImage="+image+"-next") }).nobody(t)
	for _, p := range members(t) {
		if got := p.Spec.Containers[0].Image; got != image+"-next" {
			t.Errorf("%s runs %s", p.Name, got)
		}
	}

	d.under(t, "poolers replaced", func(context.Context) {
		roll(t, database.Pooler("database").Name)
		settled(t, namespace)
	}).nobody(t)
}

// alias gives an image of the local node another name.
func alias(t *testing.T, image, name string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "pgrep", "--oldest", "--full", "/run/alphapulse/bin/containerd ").Output()
	if err != nil {
		t.Fatalf("the node's containerd: %v", err)
	}
	enter := []string{"--target=" + strings.TrimSpace(string(out)), "--mount", "/run/alphapulse/bin/ctr", "--namespace=k8s.io", "images", "tag", "--force", image, name}
	if out, err := exec.CommandContext(t.Context(), "nsenter", enter...).CombinedOutput(); err != nil {
		t.Fatalf("nsenter %v: %v\n%s", enter, err, out)
	}
}

// handOver has a primary give its role away, as its pod does before it stops.
func handOver(t *testing.T, p corev1.Pod) {
	t.Helper()
	before := p.Spec.Containers[0].Lifecycle.PreStop.Exec.Command
	if out, err := execute(t.Context(), namespace, p.Name, p.Spec.Containers[0].Name, before...); err != nil {
		t.Errorf("%v: %v: %s", before, err, out)
	}
	promoted(t, p.Name)
}

// testKilled takes the primary away without a word.
func (d *data) testKilled(t *testing.T) {
	d.under(t, "kill -9 of the primary's server", func(context.Context) {
		signal(t, syscall.SIGKILL, processes(t, primary(t), func(c string) bool { return strings.HasPrefix(c, "postgres") }))
	})
	d.under(t, "primary's pod deleted by force", func(context.Context) { remove(t, primary(t).Name, "--grace-period=0", "--force") })
}

// testHalfEncrypted turns TLS of Patroni's port off, and on again, and freezes the primary
// while one of three members speaks it: of who is left, one speaks each way, and each has to
// hear the other for one to be elected.
func (d *data) testHalfEncrypted(t *testing.T) {
	d.deploy(t, "wireEncryption=off")
	for _, p := range members(t) {
		if scheme := patroniScheme(p); scheme != "http" {
			t.Fatalf("%s is asked by %s", p.Name, scheme)
		}
	}
	d.under(t, "primary frozen, while one of three members' Patroni speaks TLS", func(ctx context.Context) {
		d.set(t, "wireEncryption=preferred")
		holdAt(t, len(members(t))-1)
		type ended struct {
			out string
			err error
		}
		update := make(chan ended, 1)
		go func() {
			out, err := try(t, "pulumi", "--", "up", "--stack", stack, "--config-file", d.file, "--yes", "--skip-preview", "--suppress-outputs")
			update <- ended{out, err}
		}()
		eventually(t, 4*time.Minute, "one of three members speaks TLS, and the primary does not", func(context.Context) (string, bool) {
			var ways []string
			var leads string
			var secure, plain int
			for _, p := range members(t) {
				scheme := patroniScheme(p)
				switch {
				case !ready(&p):
				case scheme == "https":
					secure++
				default:
					plain++
				}
				ways = append(ways, fmt.Sprintf("%s %s %s", p.Name, scheme, p.Labels[patroni.RoleLabel]))
				if p.Labels[patroni.RoleLabel] == patroni.Primary {
					leads = scheme
				}
			}
			return fmt.Sprint(ways), secure == 1 && plain == 2 && leads == "http"
		})
		freezePrimary(t)
		holdAt(t, 0)
		if u := <-update; u.err != nil {
			t.Errorf("the update: %v\n%s", u.err, last(u.out, 40))
		}
		settled(t, namespace)
	})
	for _, p := range members(t) {
		if scheme := patroniScheme(p); scheme != "https" {
			t.Errorf("%s is asked by %s", p.Name, scheme)
		}
	}
}

// holdAt lets an update replace only the members from that one on.
func holdAt(t *testing.T, first int) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"updateStrategy":{"rollingUpdate":{"partition":%d}}}}`, first)
	if _, err := cluster.AppsV1().StatefulSets(namespace).Patch(t.Context(), member, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// testFrozen stops the primary's processes, which still hold every connection.
func (d *data) testFrozen(t *testing.T) {
	d.under(t, "primary frozen (SIGSTOP), later going on", func(context.Context) { freezePrimary(t) })
}

// freezePrimary stops the primary's processes until there is another one.
func freezePrimary(t *testing.T) {
	t.Helper()
	p := primary(t)
	frozen := processes(t, p, ofServer)
	signal(t, syscall.SIGSTOP, frozen)
	defer signal(t, syscall.SIGCONT, frozen)
	promoted(t, p.Name)
}

// testCutOff separates the primary from the API server, then from the other members.
func (d *data) testCutOff(t *testing.T) {
	service, err := cluster.CoreV1().Services(metav1.NamespaceDefault).Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.under(t, "primary cut off from the API server for 45 s", func(context.Context) {
		defer cut(t, primary(t), "ip PEER "+service.Spec.ClusterIP, "tcp PORT 6443")()
		time.Sleep(45 * time.Second)
	})
	d.under(t, "primary cut off from the other members for 45 s", func(context.Context) {
		p := primary(t)
		var others []string
		for _, other := range members(t) {
			if other.Name != p.Name {
				others = append(others, "ip PEER "+other.Status.PodIP)
			}
		}
		defer cut(t, p, others...)()
		time.Sleep(45 * time.Second)
	})
}

// testControlPlaneAway takes the API server away, which members elect their primary by: it
// refuses every connection, and then it hangs, and carries out afterwards what has waited.
func (d *data) testControlPlaneAway(t *testing.T) {
	only := func(name string) int {
		out, err := exec.Command("pgrep", "-x", name).Output()
		if err != nil {
			t.Fatalf("the process %s: %v", name, err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	pid := only("kube-apiserver")
	away := func(leave, back func()) func(context.Context) {
		return func(context.Context) {
			leave()
			defer back()
			// It has a lease in other clusters, ends when it cannot renew that, and knows nothing
			// of the nodes when it starts anew. Here it would take every node for lost.
			signal(t, syscall.SIGKILL, []int{only("kube-controller")})
			time.Sleep(60 * time.Second)
		}
	}
	table := func(script string) {
		if err := nft(pid, script); err != nil {
			t.Error(err)
		}
	}
	d.under(t, "API server away for 60 s", away(func() {
		table("table inet away { chain input { type filter hook input priority -300; tcp dport 6443 reject with tcp reset; }; }")
	}, func() { table("delete table inet away") })).nobody(t)
	d.under(t, "API server hangs for 60 s, then does what has waited", away(
		func() { signal(t, syscall.SIGSTOP, []int{pid}) }, func() { signal(t, syscall.SIGCONT, []int{pid}) }))
}

// testVolume takes a standby's volume away.
func (d *data) testVolume(t *testing.T) {
	lead := primary(t).Name
	all := members(t)
	victim := all[slices.IndexFunc(all, func(p corev1.Pod) bool { return p.Name != lead })]
	claim, _ := stays(victim)
	d.under(t, "a standby's volume lost", func(context.Context) {
		must(t, "kubectl", "--", "delete", "persistentvolumeclaim", claim, "--namespace", namespace, "--wait=false")
		remove(t, victim.Name, "--grace-period=0", "--force")
		d.deploy(t) // makes the claim anew
	}).nobody(t)
}

// testAll kills every member at once.
func (d *data) testAll(t *testing.T) {
	d.under(t, "all members killed at once", func(context.Context) {
		var all []int
		for _, p := range members(t) {
			all = append(all, processes(t, p, ofServer)...)
		}
		signal(t, syscall.SIGKILL, all)
	})
}

func remove(t testing.TB, pod string, flags ...string) {
	t.Helper()
	must(t, append([]string{"kubectl", "--", "delete", "pod", pod, "--namespace", namespace, "--wait=false"}, flags...)...)
}

// ofServer is true of Patroni and of the server, false of the containers beside them.
func ofServer(command string) bool {
	return strings.Contains(command, "patroni") || strings.HasPrefix(command, "postgres")
}

// processes returns the processes of a pod that satisfy a condition. The node's run on
// this machine, in control groups that are named by the pod.
func processes(t testing.TB, pod corev1.Pod, want func(command string) bool) []int {
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

func signal(t testing.TB, s syscall.Signal, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
}

// cut drops what a pod exchanges with others, until the function that it returns is
// called.
func cut(t testing.TB, pod corev1.Pod, rules ...string) (heal func()) {
	t.Helper()
	pid := processes(t, pod, func(c string) bool { return strings.Contains(c, "patroni") })[0] // it stays as long as the pod does
	run := func(script string) error {
		if err := nft(pid, script); err != nil {
			return fmt.Errorf("%s: %w", pod.Name, err)
		}
		return nil
	}
	chain := func(hook, peer, port string) string {
		text := "chain " + hook + " { type filter hook " + hook + " priority -300;\n"
		for _, r := range rules {
			text += strings.NewReplacer("PEER", peer, "PORT", port).Replace(r) + " drop\n"
		}
		return text + "}\n"
	}
	if err := run("table inet apart {\n" + chain("input", "saddr", "sport") + chain("output", "daddr", "dport") + "}\n"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := run("delete table inet apart\n"); err != nil {
			t.Errorf("what was cut stays cut, unless the pod was replaced: %v", err)
		}
	}
}

// nft carries a script out in the network of a process.
func nft(pid int, script string) error {
	cmd := exec.Command("nsenter", "-t", strconv.Itoa(pid), "-n", "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}
