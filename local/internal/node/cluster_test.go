//go:build cluster && linux

// The tests with this tag start and end the real cluster and the real Docker
// engine of this clone. They are run by `go test -tags cluster ./internal/node` as
// root, and erase what a cluster or an engine of this clone stores.
package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
)

// What a cluster of one node, or an engine, is called.
var (
	nodeName  = topology.Local().First().Name()
	nodeIP    = topology.Local().First().IP().String()
	machineIP = topology.Local().First().MachineIP().String()
	ports     = topology.Local().Ports
)

// program is the path of the program under test.
var program string

// pristine is what was on the machine before the program's first run.
var pristine traces

// ownMounts tells the test that it runs in a mount namespace of its own, so
// that what other programs mount meanwhile is not taken for the cluster's.
const ownMounts = "ALPHAPULSE_TEST_OWN_MOUNTS"

func TestMain(m *testing.M) {
	if os.Getenv(ownMounts) != "" {
		os.Exit(run(m))
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests start a cluster: run them as root")
		os.Exit(1)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), ownMounts+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(m *testing.M) int {
	fail := func(format string, args ...any) int {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
		return 1
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fail("mounts: %v", err)
	}
	st, err := node.Status(context.Background())
	if err != nil {
		return fail("status: %v", err)
	}
	if st.Running {
		return fail("a local cluster or engine is running, and these tests would erase it: run `local down` or `local engine down` first")
	}
	// Whatever loses its parent becomes a child of this process, so that none is
	// missed when looking for processes that are left.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fail("subreaper: %v", err)
	}
	dir, err := os.MkdirTemp("", "alphapulse-test-")
	if err != nil {
		return fail("%v", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "local")
	build := exec.Command("go", "build", "-o", program, "github.com/alphapulse/alphapulse-infra/local")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fail("build: %v\n%s", err, out)
	}
	if pristine, err = look(); err != nil {
		return fail("%v", err)
	}
	// Packages and programs that stay are there before the other comparisons.
	for _, args := range [][]string{{"up"}, {"down"}, {"engine", "up"}, {"engine", "down"}} {
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			return fail("local %v: %v\n%s", args, err, out)
		}
	}
	reap()
	code := m.Run()
	for _, args := range [][]string{{"down"}, {"engine", "down"}} {
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			return fail("local %v: %v\n%s", args, err, out)
		}
	}
	return code
}

// reap collects ended orphans and returns how many children still run.
func reap() (alive bool) {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.ECHILD) {
			return false
		}
		if err == nil && pid == 0 {
			return true
		}
	}
}

// local runs the program to its end and returns what it printed.
func local(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	t.Logf("local %s: %v\n%s", strings.Join(args, " "), err, out)
	if err != nil {
		t.Fatalf("local %v: %v", args, err)
	}
	return string(out)
}

func client(t *testing.T) kubernetes.Interface {
	t.Helper()
	path, err := node.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// until waits for a condition that comes, or for the test's own deadline.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not come: %s", what)
		}
	}
}

// initPID returns the first node's first process, or 0.
func initPID() int {
	if all := initPIDs(); len(all) > 0 {
		return all[0]
	}
	return 0
}

// initPIDs returns the nodes' first processes.
func initPIDs() (all []int) {
	b, err := os.ReadFile("/run/" + nodeName + "/machine.json")
	if err != nil {
		return nil
	}
	var m struct{ Nodes []struct{ InitPID int } }
	if json.Unmarshal(b, &m) != nil {
		return nil
	}
	for _, n := range m.Nodes {
		all = append(all, n.InitPID)
	}
	return all
}

// killComponent kills the node's process whose program has that name.
func killComponent(t *testing.T, name string) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range dirs {
		b, _ := os.ReadFile(f)
		argv0, rest, _ := strings.Cut(string(b), "\x00")
		if argv0 == "/run/"+nodeName+"/bin/"+name || strings.HasPrefix(rest, name) {
			var pid int
			if _, err := fmt.Sscanf(f, "/proc/%d/", &pid); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatalf("kill %s: %v", name, err)
			}
			return
		}
	}
	t.Fatalf("no process %s", name)
}

// podRuns reports whether the node has a cgroup of a pod.
func podRuns() bool {
	v1, _ := filepath.Glob("/sys/fs/cgroup/*/" + nodeName + "/kubepods/*/pod*")
	v2, _ := filepath.Glob("/sys/fs/cgroup/" + nodeName + "/kubepods/*/pod*")
	return len(v1)+len(v2) > 0
}

// traces is what a cluster could leave on the machine, by kind.
type traces map[string][]string

func look() (traces, error) {
	tr := traces{}
	add := func(kind, format string, args ...any) { tr[kind] = append(tr[kind], fmt.Sprintf(format, args...)) }
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		add("link", "%s %s", l.Attrs().Name, l.Type())
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			add("address", "%s", a)
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			add("route", "%s", r)
		}
		rules, err := netlink.RuleList(family)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			add("routing rule", "%d %s iif %s", family, r, r.IifName)
		}
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		add("mount", "%s %s", f[4], strings.Join(f[slices.Index(f, "-")+1:], " "))
	}
	for kind, cmd := range map[string][]string{"nft rule": {"nft", "list", "ruleset"}, "IP set": {"ipset", "list", "-name"}} {
		out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput()
		if err != nil && !errors.Is(err, exec.ErrNotFound) { // the first `up` installs it
			return nil, fmt.Errorf("%v: %w: %s", cmd, err, out)
		}
		for line := range strings.Lines(string(out)) {
			add(kind, "%s", strings.TrimSpace(line))
		}
	}
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return ignoreGone(err)
		}
		// Other cgroups of the machine come and go with what runs in them.
		if rel := strings.Split(strings.TrimPrefix(path, "/sys/fs/cgroup/"), "/"); len(rel) <= 2 || strings.Contains(path, nodeName) || strings.Contains(path, "kubepods") {
			add("cgroup", "%s", path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir("/proc/sys", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || volatile(path) {
			return ignoreGone(err)
		}
		if b, err := os.ReadFile(path); err == nil {
			add("sysctl", "%s = %s", path, bytes.TrimSpace(b))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"/", "/dev/shm", "/etc", "/etc/cni", "/opt", "/run", "/run/lock", "/run/netns", "/tmp", "/usr/libexec", "/var/lib", "/var/log", "/var/run"} {
		entries, err := os.ReadDir(dir)
		if ignoreGone(err) != nil {
			return nil, err
		}
		for _, e := range entries {
			// What other programs have in these two comes and goes.
			if dir != "/tmp" && dir != "/run/netns" || strings.HasPrefix(e.Name(), nodeName) && dir == "/run/netns" || strings.HasPrefix(e.Name(), "alphapulse-preflight-") {
				add("file", "%s/%s", strings.TrimSuffix(dir, "/"), e.Name())
			}
		}
	}
	for _, port := range append([]int{plan.RegistryPort}, ports...) {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			add("listener", "%v", err)
			continue
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	if reap() {
		b, _ := exec.Command("ps", "-o", "pid,args", "--ppid", fmt.Sprint(os.Getpid())).Output()
		add("process", "%s", b)
	}
	return tr, nil
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// volatile says of a kernel setting that it is a reading.
func volatile(path string) bool {
	for _, p := range []string{
		"/proc/sys/kernel/random/", "/proc/sys/kernel/ns_last_pid", "/proc/sys/kernel/pty/nr", "/proc/sys/fs/dentry-state", "/proc/sys/fs/file-nr",
		"/proc/sys/fs/inode-", "/proc/sys/fs/aio-nr", "/proc/sys/fs/quota/", "/proc/sys/net/netfilter/nf_conntrack_count", "/proc/sys/vm/stat_refresh",
		"/proc/sys/vm/nr_hugepages", "/proc/sys/kernel/perf_event_max_sample_rate",
	} {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// same fails the test for everything that differs.
func same(t *testing.T, before, after traces) {
	t.Helper()
	kinds := map[string]bool{}
	for k := range before {
		kinds[k] = true
	}
	for k := range after {
		kinds[k] = true
	}
	for k := range kinds {
		for _, x := range after[k] {
			if !slices.Contains(before[k], x) {
				t.Errorf("left behind: %s %s", k, x)
			}
		}
		for _, x := range before[k] {
			if !slices.Contains(after[k], x) {
				t.Errorf("gone: %s %s", k, x)
			}
		}
	}
	if !t.Failed() {
		n := 0
		for _, v := range after {
			n += len(v)
		}
		t.Logf("nothing left: %d things compared", n)
	}
}

// under names the commands that a kind of node is started and ended by.
type under struct {
	prefix []string // before up, stop and down
	flags  []string // of up
	state  string   // folder of what it stores
	status func(context.Context) (node.State, error)
}

var (
	clusterNode = under{nil, nil, "cluster", node.Status}
	engineNode  = under{[]string{"engine"}, nil, "engine", node.EngineStatus}
)

func (u under) args(command string) []string {
	if command == "up" {
		return append(append(slices.Clone(u.prefix), command), u.flags...)
	}
	return append(slices.Clone(u.prefix), command)
}

func (u under) run(t *testing.T, command string) string {
	t.Helper()
	return local(t, u.args(command)...)
}

// crash kills `up` as soon as there is something.
func (u under) crash(t *testing.T, what string, when func() bool) {
	t.Helper()
	up := exec.Command(program, u.args("up")...)
	var out bytes.Buffer
	up.Stdout, up.Stderr = &out, &out
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, what, when)
	if err := up.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = up.Wait()
	t.Logf("killed `local %s` when there was %s; it had printed:\n%s", strings.Join(u.args("up"), " "), what, out.String())
}

// life is what happens to a node before its end.
type life struct {
	name string
	live func(t *testing.T)
}

// crashes are lives of both kinds that end while the node still comes up.
func (u under) crashes() []life {
	return []life{
		{"kill -9 of up at once", func(t *testing.T) {
			u.crash(t, "a lock", func() bool { _, err := os.Stat("/run/" + nodeName + "/lock"); return err == nil })
		}},
		{"kill -9 of up with a network", func(t *testing.T) {
			u.crash(t, "a network namespace", func() bool { _, err := os.Stat("/run/netns/" + nodeName); return err == nil })
		}},
		{"kill -9 of up with a node", func(t *testing.T) { u.crash(t, "a first process", func() bool { return initPID() != 0 }) }},
		{"kill -9 of up with containerd", func(t *testing.T) {
			u.crash(t, "a socket of containerd", func() bool {
				_, err := os.Stat(fmt.Sprintf("/proc/%d/root/run/containerd/containerd.sock", initPID()))
				return err == nil
			})
		}},
	}
}

// leavesNothing asserts what `down` promises, after each of the lives.
func (u under) leavesNothing(t *testing.T, lives []life) {
	for _, c := range lives {
		t.Run(c.name, func(t *testing.T) {
			before, err := look()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { u.run(t, "down") }) // if it ends early; otherwise there is nothing left to do
			c.live(t)
			u.run(t, "down")
			after, err := look()
			if err != nil {
				t.Fatal(err)
			}
			same(t, before, after)
			if st, err := u.status(t.Context()); err != nil || st.Running || st.Stored || len(st.Leftovers) > 0 {
				t.Errorf("status after down: %+v, %v", st, err)
			}
			state, err := paths.State(u.state)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s after down: %v", state, err)
			}
		})
	}
}

// TestCluster asserts what `down` promises after an orderly life of a cluster and
// after crashes at every stage. What else a cluster promises is asserted in these
// lives, because to start and to end one is what takes the time.
func TestCluster(t *testing.T) {
	t.Run("the first run", func(t *testing.T) {
		after, err := look()
		if err != nil {
			t.Fatal(err)
		}
		// Installed packages keep some folders.
		delete(pristine, "file")
		delete(after, "file")
		same(t, pristine, after)
	})
	clusterNode.leavesNothing(t, append(append(clusterNode.crashes(), several()...),
		life{"kill -9 of up with a pod", func(t *testing.T) { clusterNode.crash(t, "a pod", podRuns) }},
		life{"interrupted up, kill -9 of the first process", upGoesOn},
		life{"up, stop, start, stop", stateSurvivesStop},
		life{"up twice at once, all that it enforces, kill -9 of many", func(t *testing.T) {
			upTwice(t)
			enforces(t)
			t.Run("no packet leaves", noPacketLeaves)
			t.Run("one node a machine", func(t *testing.T) {
				for _, args := range [][]string{{"engine", "up"}, {"engine", "stop"}, {"engine", "status"}} {
					refused(t, "the cluster of this clone is running", args...)
				}
			})
			for _, name := range []string{"kubelet", "containerd", "containerd-shim-runc-v2", "etcd", "kube-proxy", plan.ForwardCommand} {
				killComponent(t, name)
			}
		}},
	))
}

// refused runs the program, which has to fail and to say why.
func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("local %v: %v\n%s", args, err, out)
	}
	t.Logf("local %v:\n%s", args, out)
}

// upGoesOn interrupts `up` and kills the node, and expects the next `up` to
// finish what was begun, with what was stored. It ends with another kill.
func upGoesOn(t *testing.T) {
	for _, stage := range []struct {
		what string
		when func() bool
	}{
		{"network namespace", func() bool { _, err := os.Stat("/run/netns/" + nodeName); return err == nil }},
		{"pod", podRuns},
	} {
		up := exec.Command(program, "up")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, stage.what, stage.when)
		if err := up.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		t.Logf("interrupted when there was a %s: %v", stage.what, up.Wait())
	}
	local(t, "up")
	local(t, "status")
	mark := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mark", Namespace: "default"}}
	if _, err := client(t).CoreV1().ConfigMaps("default").Create(t.Context(), mark, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	killInit(t)
	if out := local(t, "up"); !strings.Contains(out, "remove what a crash left behind") {
		t.Error("up did not tell that it removed leftovers")
	}
	if _, err := client(t).CoreV1().ConfigMaps("default").Get(t.Context(), "mark", metav1.GetOptions{}); err != nil {
		t.Errorf("what was stored before the crash: %v", err)
	}
	killInit(t)
}

// killInit kills the node's first process, and so all.
func killInit(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(initPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// upTwice starts two at once: the second waits, and both end well.
func upTwice(t *testing.T) {
	var outs [2]bytes.Buffer
	var ups [2]*exec.Cmd
	for i := range ups {
		ups[i] = exec.Command(program, "up")
		ups[i].Stdout, ups[i].Stderr = &outs[i], &outs[i]
		if err := ups[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	waited := 0
	for i := range ups {
		if err := ups[i].Wait(); err != nil {
			t.Errorf("up %d: %v", i, err)
		}
		t.Logf("up %d:\n%s", i, outs[i].String())
		if strings.Contains(outs[i].String(), "is working on the local node") {
			waited++
		}
	}
	if waited != 1 {
		t.Errorf("%d of the two said that they wait, want 1", waited)
	}
	local(t, "status")
}

// stateSurvivesStop writes an object and a file on a volume, and reads both after
// `stop` and `start`. The cluster ends stopped.
func stateSurvivesStop(t *testing.T) {
	local(t, "up")
	if st, err := node.Status(t.Context()); err != nil {
		t.Error(err)
	} else {
		for _, p := range st.Components {
			if p.Restarts > 0 {
				t.Errorf("%s was restarted %d times in a first start: %s", p.Name, p.Restarts, p.LastExit)
			}
		}
	}
	c := client(t)
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
	}}
	if _, err := c.CoreV1().PersistentVolumeClaims("default").Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "writer"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{
			Name: "c", Image: plan.HelperImage, Command: []string{"sh", "-c", "echo started >> /data/log; cat /data/log; trap 'exit 0' TERM; sleep 100000 & wait"},
			VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
		}},
		Volumes:                       []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}},
		TerminationGracePeriodSeconds: new(int64(1)),
	}}
	if _, err := c.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	log := func() string {
		b, err := c.CoreV1().Pods("default").GetLogs("writer", &corev1.PodLogOptions{}).DoRaw(t.Context())
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	until(t, "the pod's first start", func() bool { return log() == "started\n" })
	// A larger claim is accepted.
	grow := []byte(`{"spec":{"resources":{"requests":{"storage":"2Mi"}}}}`)
	if _, err := c.CoreV1().PersistentVolumeClaims("default").Patch(t.Context(), "data", "application/merge-patch+json", grow, metav1.PatchOptions{}); err != nil {
		t.Errorf("grow the claim: %v", err)
	}
	local(t, "stop")
	local(t, "start")
	c = client(t) // certificates are new
	until(t, "the pod's second start", func() bool { return log() == "started\nstarted\n" })
	local(t, "stop")
}

// enforces looks at everything that a real cluster refuses or provides.
func enforces(t *testing.T) {
	c := client(t)
	ctx := t.Context()
	const ns, other = "guarded", "other"
	for name, labels := range map[string]map[string]string{ns: {"pod-security.kubernetes.io/enforce": "restricted"}, other: nil} {
		if _, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// pod is what the restricted level allows.
	pod := func(name, namespace string, command ...string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"app": name}}, Spec: corev1.PodSpec{
			SecurityContext:               &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(1000)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			AutomountServiceAccountToken:  new(false),
			TerminationGracePeriodSeconds: new(int64(0)),
			Containers: []corev1.Container{{
				Name: "c", Image: plan.HelperImage, Command: command,
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
		}}
	}
	create := func(t *testing.T, p *corev1.Pod) {
		t.Helper()
		if _, err := c.CoreV1().Pods(p.Namespace).Create(ctx, p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// A port below 1024 without a capability.
	create(t, pod("server", ns, "nc", "-ll", "-p", "80", "-e", "echo", "served"))
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "server"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": "server"},
		Ports: []corev1.ServicePort{{Port: 8080, TargetPort: intstr.FromInt32(80), NodePort: int32(ports[1])}},
	}}
	if _, err := c.CoreV1().Services(ns).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// client runs nc until it says what is wanted, and tells what it said last.
	tries := 0
	reach := func(t *testing.T, label, namespace, target, want string) {
		t.Helper()
		tries++
		p := pod(fmt.Sprintf("client-%d", tries), namespace, "sh", "-c", "echo $(nc -w 2 "+target+" 8080 </dev/null 2>&1)")
		p.Labels["app"] = label
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		until(t, fmt.Sprintf("%q from %s to %s in namespace %s", want, label, target, namespace), func() bool {
			_ = c.CoreV1().Pods(namespace).Delete(ctx, p.Name, metav1.DeleteOptions{})
			until(t, "the end of the last client", func() bool {
				_, err := c.CoreV1().Pods(namespace).Get(ctx, p.Name, metav1.GetOptions{})
				return apierrors.IsNotFound(err)
			})
			create(t, p)
			until(t, "the end of a client", func() bool {
				got, err := c.CoreV1().Pods(namespace).Get(ctx, p.Name, metav1.GetOptions{})
				return err == nil && (got.Status.Phase == corev1.PodSucceeded || got.Status.Phase == corev1.PodFailed)
			})
			b, err := c.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
			t.Logf("from %s in %s to %s: %q, %v", label, namespace, target, bytes.TrimSpace(b), err)
			return err == nil && bytes.Contains(b, []byte(want))
		})
	}

	t.Run("Pod Security", func(t *testing.T) {
		p := pod("bad", ns, "true")
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
		_, err := c.CoreV1().Pods(ns).Create(ctx, p, metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
			t.Errorf("a privileged pod in a restricted namespace: %v", err)
		}
	})
	t.Run("RBAC", func(t *testing.T) {
		path, _ := node.Kubeconfig()
		cfg, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Impersonate.UserName = "system:serviceaccount:" + ns + ":default"
		as, err := kubernetes.NewForConfig(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := as.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("an account without rights reads secrets: %v", err)
		}
	})
	t.Run("DNS and Services", func(t *testing.T) {
		reach(t, "friend", ns, "server", "served")
		reach(t, "stranger", other, "server."+ns+".svc.cluster.local", "served")
	})
	t.Run("ports of the machine", func(t *testing.T) {
		for _, host := range []string{"127.0.0.1", nodeIP} {
			addr := net.JoinHostPort(host, fmt.Sprint(ports[1]))
			until(t, addr, func() bool {
				conn, err := net.DialTimeout("tcp", addr, time.Second)
				if err != nil {
					return false
				}
				defer func() { _ = conn.Close() }()
				b, _ := io.ReadAll(conn)
				return string(b) == "served\n"
			})
		}
	})
	t.Run("NetworkPolicy", func(t *testing.T) {
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "server"}, Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "server"}},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "friend"}}}}}},
		}}
		if _, err := c.NetworkingV1().NetworkPolicies(ns).Create(ctx, policy, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		reach(t, "stranger", ns, "server", "refused")
		reach(t, "friend", other, "server."+ns+".svc.cluster.local", "refused") // the label alone, in another namespace
		reach(t, "friend", ns, "server", "served")
		if err := c.NetworkingV1().NetworkPolicies(ns).Delete(ctx, "server", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		reach(t, "stranger", ns, "server", "served")
	})
	t.Run("metrics", func(t *testing.T) {
		until(t, "figures of the node", func() bool {
			b, err := c.Discovery().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/nodes/" + nodeName).DoRaw(ctx)
			return err == nil && strings.Contains(string(b), `"memory"`)
		})
	})
	t.Run("a killed process comes back", func(t *testing.T) {
		for _, name := range []string{"kube-apiserver", "etcd", "kubelet", "containerd", "kube-proxy", "netpol"} {
			killComponent(t, name)
		}
		until(t, "a status that tells of it", func() bool {
			st, err := node.Status(ctx)
			if err != nil {
				return false
			}
			restarted := 0
			for _, k := range st.Components {
				if k.Restarts > 0 {
					restarted++
				}
			}
			return restarted >= 6 && st.Ready
		})
		reach(t, "friend", ns, "server", "served")
	})
}

// noPacketLeaves sends from inside the node, also with a route to the machine that a
// privileged pod could make and with forwarding switched on, and sees none of it on
// any other link of the machine.
func noPacketLeaves(t *testing.T) {
	gateway, uplink := defaultGateway(t)
	capture := listenOn(t, uplink)
	const marker = "alphapulse: this must not leave the machine"
	targets := []net.IP{net.IPv4(203, 0, 113, 7), gateway} // a public address, of documentation, and the nearest router
	send := func() {
		inNode(t, func() {
			for _, ip := range targets {
				c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: ip, Port: 9})
				if err != nil {
					t.Logf("from the node to %s: %v", ip, err)
					continue
				}
				_, err = c.Write([]byte(marker))
				t.Logf("from the node to %s: %v", ip, err)
				_ = c.Close()
			}
		})
	}
	send()
	const forward = "/proc/sys/net/ipv4/ip_forward"
	old, err := os.ReadFile(forward)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(forward, old, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(forward, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	_, world, _ := net.ParseCIDR("0.0.0.0/0")
	inNode(t, func() {
		if err := netlink.RouteReplace(&netlink.Route{Dst: world, Gw: net.ParseIP(machineIP), Priority: 0}); err != nil {
			t.Errorf("route: %v", err)
		}
		routes, err := netlink.RouteGet(targets[0])
		if err != nil || len(routes) != 1 || !routes[0].Gw.Equal(net.ParseIP(machineIP)) {
			t.Fatalf("the node does not send to the machine: %v, %v", routes, err)
		}
	})
	send()
	// The machine's own packet comes last and must be seen: then all before it
	// would have been, too.
	const last = "alphapulse: the machine's own packet"
	c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: gateway, Port: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte(last)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	frames := 0
	for {
		n, err := unix.Read(capture, buf)
		if err != nil {
			t.Fatalf("the machine's own packet was not seen on its link: %v", err)
		}
		frames++
		if bytes.Contains(buf[:n], []byte(marker)) {
			t.Fatal("a packet of the node left the machine")
		}
		if bytes.Contains(buf[:n], []byte(last)) {
			t.Logf("%d frames seen, none from the node", frames)
			return
		}
	}
}

func defaultGateway(t *testing.T) (net.IP, int) {
	t.Helper()
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if ones, _ := r.Dst.Mask.Size(); r.Gw != nil && ones == 0 {
			return r.Gw, r.LinkIndex
		}
	}
	t.Fatal("this machine has no default route, so that it cannot be seen that nothing takes it")
	return nil, 0
}

// listenOn returns a socket that reads every frame of a link, and gives up
// after half a minute of silence.
func listenOn(t *testing.T, link int) int {
	t.Helper()
	all := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// inNode runs f in the node's network namespace.
func inNode(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Close() }()
	ns, err := netns.GetFromName(nodeName)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ns.Close() }()
	if err := netns.Set(ns); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := netns.Set(host); err == nil {
			runtime.UnlockOSThread()
		}
	}()
	f()
}
