package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/preflight"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

const (
	// apiTimeout and servicesTimeout bound the waits for the API server and for
	// the cluster's services. Both come within seconds on an idle machine; the
	// rest is for one that compiles beside it.
	apiTimeout      = 3 * time.Minute
	servicesTimeout = 5 * time.Minute
	// hopeless is how often a process may end before the wait for it is given up.
	hopeless = 5
	// killWait bounds the wait for killed processes to be gone.
	killWait = 20 * time.Second
	poll     = 100 * time.Millisecond
)

// errNodeEnded says that the node's first process is gone.
var errNodeEnded = errors.New("the node ended")

// Needs returns what Up needs of the machine, for callers that check it together
// with needs of their own. A cluster of this clone that runs already needs
// nothing.
func Needs(ctx context.Context) (preflight.Needs, error) {
	l, err := stateLayout(cluster)
	if err != nil {
		return preflight.Needs{}, err
	}
	return l.needs(ctx)
}

func (l layout) needs(ctx context.Context) (preflight.Needs, error) {
	p := l.kind.plan()
	m, err := loadMachine()
	if err != nil {
		return preflight.Needs{}, err
	}
	if m.alive() && m.StateDir == l.dir {
		return preflight.Needs{Root: true}, nil
	}
	root, err := paths.Root()
	if err != nil {
		return preflight.Needs{}, err
	}
	cache, err := paths.Cache()
	if err != nil {
		return preflight.Needs{}, err
	}
	n := preflight.Needs{
		For:  l.kind.words(),
		Root: true, Ports: p.ports, Ranges: append([]string{LinkCIDR}, p.ranges...), Link: HostLink,
		StateDir: l.dir, CacheDir: cache, Debian: p.missingCommands(),
	}
	if _, _, complete, err := l.kind.runtimeFiles(); err != nil {
		return preflight.Needs{}, err
	} else if !complete {
		n.Debian = append(n.Debian, p.packages...)
	}
	have, err := images.Have()
	if err != nil {
		return preflight.Needs{}, err
	}
	for _, i := range images.Table() {
		if _, ok := have[i.Name]; p.needed(i) && !ok {
			n.Debian = append(n.Debian, "those of image "+i.Name)
		}
	}
	missing := build.Missing(ctx, p.tools...)
	for _, t := range build.Tools() {
		dir := filepath.Join(root, filepath.FromSlash(t.Module))
		if slices.Contains(missing, t.Name) && !slices.Contains(n.GoModules, dir) {
			n.GoModules = append(n.GoModules, dir)
		}
	}
	return n, nil
}

// Up makes sure that the cluster runs and that its services answer: it installs
// and builds what is missing, removes what a crash left behind, and brings back
// stored state if there is some. A running cluster only gets images that it does
// not have yet. Errors include *preflight.Error and ErrForeign.
func Up(ctx context.Context, r *progress.Reporter, opts Options) error {
	l, err := stateLayout(cluster)
	if err != nil {
		return err
	}
	return l.bringUp(ctx, r, "up", l.cluster(opts))
}

// Start brings back a cluster that Stop has ended. Without a stored cluster it
// fails with ErrNotRunning; otherwise it is Up.
func Start(ctx context.Context, r *progress.Reporter, opts Options) error {
	l, err := stateLayout(cluster)
	if err != nil {
		return err
	}
	if !l.stored() {
		return fmt.Errorf("no cluster is stored in %s: %w", l.dir, ErrNotRunning)
	}
	return l.bringUp(ctx, r, "start", l.cluster(opts))
}

// stored reports whether there is state that a start would bring back.
func (l layout) stored() bool {
	_, err := os.Stat(filepath.Join(l.lib(), l.kind.plan().data))
	return err == nil
}

// A settler waits until the running node answers, and gives it what it has to
// have. A node that was just launched (fresh) is reported on step by step.
type settler func(ctx context.Context, r *progress.Reporter, m *machine, fresh bool) error

func (l layout) bringUp(ctx context.Context, r *progress.Reporter, command string, settle settler) error {
	if os.Geteuid() != 0 {
		return l.check(ctx, r) // tells this and all else that is in the way
	}
	unlock, err := l.lock(ctx, r, command)
	if err != nil {
		return err
	}
	defer unlock()
	m, err := loadMachine()
	if err != nil {
		return err
	}
	if err := l.foreign(m); err != nil {
		return err
	}
	if m.alive() {
		// A node that was killed a moment ago still looks alive.
		if err := settle(ctx, r, m, false); !errors.Is(err, errNodeEnded) {
			return err
		}
	}
	if m, err = l.launch(ctx, r); err != nil {
		return err
	}
	err = settle(ctx, r, m, true)
	if err != nil && ctx.Err() == nil {
		// What could not start must not be taken for a running cluster later on.
		return errors.Join(err, teardown(m))
	}
	return err
}

// lock is lock, by the name of the command that the user gave.
func (l layout) lock(ctx context.Context, r *progress.Reporter, command string) (func(), error) {
	return lock(ctx, r, strings.TrimPrefix(l.kind.command()+" "+command, "local "))
}

// foreign returns what to do about a running node that is not this one; nil if
// there is none.
func (l layout) foreign(m *machine) error {
	if !m.alive() || m.StateDir == l.dir {
		return nil
	}
	where := "with its state in " + m.StateDir
	if filepath.Dir(m.StateDir) == filepath.Dir(l.dir) {
		where = "of this clone"
	}
	return fmt.Errorf("%w, and the %s %s is running: `%[4]s stop` ends it and keeps what it stores, `%[4]s down` erases that, too",
		ErrForeign, m.Kind.words(), where, m.Kind.command())
}

func (l layout) check(ctx context.Context, r *progress.Reporter) error {
	s := r.Step("check this machine")
	n, err := l.needs(ctx)
	if err == nil {
		err = preflight.Run(ctx, n)
	}
	return s.Done(err)
}

// launch starts the node and returns its record. It returns as soon as the
// node's first process runs.
func (l layout) launch(ctx context.Context, r *progress.Reporter) (*machine, error) {
	// First, because what is left may still hold the ports.
	if err := clearLeftovers(r); err != nil {
		return nil, err
	}
	if err := l.check(ctx, r); err != nil {
		return nil, err
	}
	p := l.kind.plan()
	var programs map[string]string
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		// One after the other: they share apt's lock.
		if err := p.installCommands(gctx, r); err != nil {
			return err
		}
		return l.kind.unpackRuntime(gctx, r)
	})
	g.Go(func() (err error) {
		programs, err = build.Ensure(gctx, r, p.tools...)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	debian, folders, _, err := l.kind.runtimeFiles()
	if err != nil {
		return nil, err
	}
	maps.Copy(programs, debian)
	if l.kind == engine {
		if folders["modules"], err = moduleCache(ctx); err != nil {
			return nil, err
		}
	}

	s := r.Step("start the node")
	m, err := l.start(ctx, spec{StateDir: l.dir, RunDir: runDir, Programs: programs, Folders: folders})
	if err != nil {
		return nil, s.Done(errors.Join(err, teardown(m)))
	}
	return m, s.Done(nil)
}

// clearLeftovers removes what a node that ended without `stop` left behind.
func clearLeftovers(r *progress.Reporter) error {
	m, err := loadMachine()
	if err != nil {
		return err
	}
	if len(leftovers(m)) == 0 {
		return nil
	}
	s := r.Step("remove what a crash left behind")
	return s.Done(teardown(m))
}

// start makes everything that the node consists of. On error the caller tears
// down; the record is never nil.
func (l layout) start(ctx context.Context, sp spec) (*machine, error) {
	m := &machine{Kind: l.kind, StateDir: l.dir, Started: time.Now()}
	if _, err := os.Stat(netnsDir); errors.Is(err, fs.ErrNotExist) {
		m.NetnsDir = true
	}
	if err := m.save(); err != nil {
		return m, err
	}
	if err := l.write(sp); err != nil {
		return m, err
	}
	if err := makeNetwork(l.kind.plan().ranges); err != nil {
		return m, err
	}
	var err error
	if m.Controllers, err = makeCgroups(); err != nil {
		return m, errors.Join(err, m.save())
	}
	pid, recorded, err := l.spawn(ctx)
	if err != nil {
		return m, err
	}
	defer func() { _ = recorded.Close() }()
	if m.InitStart, err = startTime(pid); err != nil {
		return m, fmt.Errorf("first process of the node: %w", err)
	}
	m.InitPID = pid
	if err := m.save(); err != nil {
		return m, err
	}
	if _, err := recorded.Write([]byte{1}); err != nil {
		return m, fmt.Errorf("first process of the node: %w", err)
	}
	return m, nil
}

// write puts keys, certificates and configuration where the node finds them.
func (l layout) write(sp spec) error {
	for _, dir := range []string{l.lib(), l.log(), l.own()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("state folder: %w", err)
		}
	}
	// Volumes and keys are for root alone, whoever may read the clone.
	if err := os.Chmod(l.lib(), 0o711); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := rotateLogs(l.log()); err != nil {
		return err
	}
	if l.kind == cluster {
		if err := l.writeIdentities(); err != nil {
			return err
		}
	}
	if err := writeConfig(l.config(), l.kind.plan().config); err != nil {
		return err
	}
	_ = os.Remove(l.components()) // of the last run
	b, err := json.MarshalIndent(sp, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(l.spec(), b, 0o644)
}

// writeIdentities makes the cluster's keys and certificates, and what its users
// present them with.
func (l layout) writeIdentities() error {
	if err := writePKI(l.pki(), time.Now()); err != nil {
		return err
	}
	for _, id := range identities() {
		if id.user {
			if err := writeKubeconfig(l.pki(), id.name, l.pki()+"/"+id.name+".kubeconfig"); err != nil {
				return err
			}
		}
	}
	return writeKubeconfig(l.pki(), "admin", l.kubeconfig())
}

// rotateLogs keeps the logs of one run before this one.
func rotateLogs(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return err
	}
	for _, f := range logs {
		if err := os.Rename(f, f+".old"); err != nil {
			return fmt.Errorf("logs: %w", err)
		}
	}
	return nil
}

// spawn starts the node's first process and returns its number. The process
// waits for a byte on the returned file before it does anything, and ends if that
// is closed first: a node that is in no record would not be found again.
func (l layout) spawn(ctx context.Context) (int, *os.File, error) {
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for _, port := range l.kind.plan().ports {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return 0, nil, fmt.Errorf("port %d: %w", port, err)
		}
		// The file is another descriptor of the same socket.
		f, err := ln.(*net.TCPListener).File()
		_ = ln.Close()
		if err != nil {
			return 0, nil, fmt.Errorf("port %d: %w", port, err)
		}
		files = append(files, f)
	}
	recorded, tell, err := os.Pipe()
	if err != nil {
		return 0, nil, fmt.Errorf("first process of the node: %w", err)
	}
	files = append(files, recorded)
	out, err := os.OpenFile(l.log()+"/node.log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		_ = tell.Close()
		return 0, nil, fmt.Errorf("log of the node: %w", err)
	}
	defer func() { _ = out.Close() }()
	// It outlives this command and its terminal.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/proc/self/exe", InitCommand, "--kind", string(l.kind), "--state", l.dir)
	cmd.Args[0] = "local"
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = out, out, files
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := inNetns(cmd.Start); err != nil {
		_ = tell.Close()
		return 0, nil, fmt.Errorf("first process of the node: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	return cmd.Process.Pid, tell, nil
}

// inNetns runs f on a thread that is in the node's network namespace.
func inNetns(f func() error) error {
	runtime.LockOSThread()
	host, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if netns.Set(host) == nil {
			runtime.UnlockOSThread()
		}
		_ = host.Close()
	}()
	node, err := netns.GetFromName(Name)
	if err != nil {
		return err
	}
	defer func() { _ = node.Close() }()
	if err := netns.Set(node); err != nil {
		return err
	}
	return f()
}

// cluster returns the settler of a cluster: it waits until the services answer,
// and meanwhile loads images.
func (l layout) cluster(opts Options) settler {
	return func(ctx context.Context, r *progress.Reporter, m *machine, fresh bool) error {
		return l.settleCluster(ctx, r, m, fresh, opts)
	}
}

func (l layout) settleCluster(ctx context.Context, r *progress.Reporter, m *machine, fresh bool, opts Options) error {
	g, ctx := errgroup.WithContext(ctx)
	clusterImages := make(chan struct{})
	g.Go(func() error {
		im, err := l.importer(ctx, m)
		if err != nil {
			return err
		}
		archives, err := clusterArchives(ctx, r)
		if err != nil {
			return err
		}
		if err := im.step(ctx, r, "load the cluster's images", archives); err != nil {
			return err
		}
		close(clusterImages)
		if opts.Archives == nil {
			return nil
		}
		if archives, err = opts.Archives(ctx, r); err != nil {
			return err
		}
		return im.step(ctx, r, "load the application's images", archives)
	})
	g.Go(func() error {
		cfg, err := restConfig(l)
		if err != nil {
			return err
		}
		client, err := kubernetes.NewForConfig(cfg)
		if err != nil {
			return err
		}
		if err := starting(r, fresh, "start the API server", func() error {
			if err := l.waitAPI(ctx, m, client); err != nil {
				return err
			}
			return applyAddons(ctx, cfg, rightFiles)
		}); err != nil {
			return err
		}
		select { // a pod that comes before its image would try to pull it
		case <-clusterImages:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return starting(r, fresh, "start the cluster's services", func() error {
			if err := applyAddons(ctx, cfg, serviceFiles); err != nil {
				return err
			}
			return l.waitServices(ctx, m, client)
		})
	})
	return g.Wait()
}

// starting is do as a step, which is silent if it ran already or will be started.
func starting(r *progress.Reporter, fresh bool, name string, do func() error) error {
	s := r.Step(name)
	err := do()
	if !fresh && (err == nil || errors.Is(err, errNodeEnded)) {
		s.Skip()
		return err
	}
	return s.Done(err)
}

// importer returns the way to the running node's containerd, once that answers.
func (l layout) importer(ctx context.Context, m *machine) (importer, error) {
	programs, _, _, err := l.kind.runtimeFiles()
	if err != nil {
		return importer{}, err
	}
	im := importer{ctr: programs["ctr"], socket: socketOf(m.InitPID, inContainerd)}
	err = l.wait(ctx, m, apiTimeout, "containerd", func(ctx context.Context) string {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", im.socket)
		if err != nil {
			return err.Error()
		}
		_ = c.Close()
		return ""
	})
	return im, err
}

// step is load as a step, which is silent if there is nothing to import.
func (im importer) step(ctx context.Context, r *progress.Reporter, name string, archives []string) error {
	s := r.Step(name)
	n, err := im.load(ctx, archives, s.Writer())
	if err == nil && n == 0 {
		s.Skip()
		return nil
	}
	return s.Done(err)
}

func (l layout) waitAPI(ctx context.Context, m *machine, client kubernetes.Interface) error {
	return l.wait(ctx, m, apiTimeout, "kube-apiserver", func(ctx context.Context) string {
		b, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		switch {
		case err != nil:
			return lastLine(err.Error())
		case string(b) != "ok":
			return string(b)
		}
		return ""
	})
}

func (l layout) waitServices(ctx context.Context, m *machine, client kubernetes.Interface) error {
	return l.wait(ctx, m, servicesTimeout, "kubelet", func(ctx context.Context) string {
		problems, err := unready(ctx, client, m.Started)
		if err != nil {
			return err.Error()
		}
		return strings.Join(problems, "; ")
	})
}

// wait asks why until there is no reason left to wait. It gives up early when
// the node is gone or one of its processes ends again and again, and its error
// leads to the log of whom to blame; by default that is suspect.
func (l layout) wait(ctx context.Context, m *machine, limit time.Duration, suspect string, why func(context.Context) string) error {
	timeout := time.After(limit)
	for {
		reason := why(ctx)
		if reason == "" {
			return nil
		}
		if !m.alive() {
			return progress.Explain(errNodeEnded, l.log()+"/node.log", fmt.Sprintf("Run it again; if that fails too, erase it with `%s down` first.", l.kind.command()))
		}
		for _, c := range l.readComponents() {
			if c.Restarts >= hopeless && c.PID == 0 {
				return progress.Explain(fmt.Errorf("%s ended %d times: %s", c.Name, c.Restarts, c.LastExit), l.log()+"/"+c.Name+".log",
					fmt.Sprintf("If the stored state is broken, erase it with `%s down` and run this again.", l.kind.command()))
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timeout:
			return progress.Explain(fmt.Errorf("not ready after %s: %s", limit, reason), l.log()+"/"+suspect+".log",
				fmt.Sprintf("`%[1]s status` tells more; `%[1]s down` erases the %[2]s.", l.kind.command(), l.kind.words()))
		case <-time.After(poll):
		}
	}
}

func (l layout) readComponents() []Component {
	b, err := os.ReadFile(l.components())
	if err != nil {
		return nil // not written yet
	}
	var list []Component
	if json.Unmarshal(b, &list) != nil {
		return nil
	}
	return list
}

// Import loads those images of the OCI archives into the running cluster that it
// does not have. It fails with ErrNotRunning if there is no running cluster of
// this clone.
func Import(ctx context.Context, r *progress.Reporter, archives []string) error {
	l, err := stateLayout(cluster)
	if err != nil {
		return err
	}
	m, err := l.running()
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	im, err := l.importer(ctx, m)
	if err != nil {
		return err
	}
	return im.step(ctx, r, "load images into the cluster", archives)
}

// running returns the record of the node if it runs.
func (l layout) running() (*machine, error) {
	m, err := loadMachine()
	if err != nil {
		return nil, err
	}
	if err := l.foreign(m); err != nil {
		return nil, err
	}
	switch {
	case m.alive():
		return m, nil
	case l.kind == engine:
		return nil, ErrNoEngine
	}
	return nil, ErrNotRunning
}

// Stop ends the running cluster in order and keeps what it stores. A cluster
// that does not run is no error.
func Stop(ctx context.Context, r *progress.Reporter) error {
	return end(ctx, r, cluster, "stop", false)
}

// Down ends the cluster at once and erases what it stores. What a crash left
// behind goes too.
func Down(ctx context.Context, r *progress.Reporter) error {
	return end(ctx, r, cluster, "down", true)
}

func end(ctx context.Context, r *progress.Reporter, k kind, command string, erase bool) error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	l, err := stateLayout(k)
	if err != nil {
		return err
	}
	unlock, err := l.lock(ctx, r, command)
	if err != nil {
		return err
	}
	defer unlock()
	m, err := loadMachine()
	if err != nil {
		return err
	}
	other := l.foreign(m)
	switch {
	case other != nil:
		if !erase {
			return other
		}
		r.Infof("left alone: the %s with its state in %s", m.Kind.words(), m.StateDir)
	case len(leftovers(m)) > 0:
		s := r.Step("end the node")
		if !erase && m.alive() {
			err = askToEnd(ctx, m)
		}
		if err := s.Done(errors.Join(err, teardown(m))); err != nil {
			return err
		}
	}
	if erase {
		if _, err := os.Stat(l.dir); err == nil {
			s := r.Step(fmt.Sprintf("erase the %s's state", l.kind.words()))
			if err := s.Done(os.RemoveAll(l.dir)); err != nil {
				return err
			}
		}
	}
	return nil
}

// askToEnd lets the node end in order. Whatever is left is killed by the caller.
func askToEnd(ctx context.Context, m *machine) error {
	if err := syscall.Kill(m.InitPID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ask the node to end: %w", err)
	}
	grace := podGrace * time.Second
	if m.Kind == engine {
		grace = dockerGrace
	}
	timeout := time.After(grace + 3*stopGrace)
	for m.alive() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timeout:
			return nil
		case <-time.After(poll):
		}
	}
	return nil
}

// leftovers tells, in words, what of a node is on this machine.
func leftovers(m *machine) []string {
	var found []string
	if m.alive() {
		found = append(found, fmt.Sprintf("process %d", m.InitPID))
	} else if m != nil {
		found = append(found, "record "+machineFile())
	}
	if pids, err := cgroupPIDs(); err == nil && len(pids) > 0 && !m.alive() {
		found = append(found, fmt.Sprintf("%d processes", len(pids)))
	}
	if _, err := netlink.LinkByName(HostLink); err == nil {
		found = append(found, "link "+HostLink)
	}
	if _, err := os.Stat(netnsPath()); err == nil {
		found = append(found, "network namespace "+Name)
	}
	rules, _ := netlink.RuleList(netlink.FAMILY_V4)
	if slices.ContainsFunc(rules, func(rule netlink.Rule) bool { return rule.IifName == HostLink }) {
		found = append(found, "routing rule of "+HostLink)
	}
	roots, _ := cgroupRoots()
	if slices.ContainsFunc(roots, func(root string) bool {
		_, err := os.Stat(filepath.Join(root, Name))
		return err == nil
	}) {
		found = append(found, "cgroup "+Name)
	}
	return found
}

// teardown kills the node's processes and removes everything that it had on the
// machine, but not its state. The record may be nil, or tell of less than there
// is. It goes last, so that a teardown that failed can be repeated.
func teardown(m *machine) error {
	if m == nil {
		m = &machine{}
	}
	errs := []error{killAll(m), removeNetwork(m.NetnsDir), removeCgroups()}
	for _, c := range m.Controllers {
		// Another program may use it by now.
		if err := os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("-"+c), 0); err != nil && !errors.Is(err, syscall.EBUSY) {
			errs = append(errs, fmt.Errorf("cgroup controller %s: %w", c, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(runDir, socketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("socket of the engine: %w", err)
	}
	if err := os.Remove(machineFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("record of the node: %w", err)
	}
	return nil
}

// killAll kills the node's processes and waits until they are gone. The first
// process takes all others with it; the cgroup tells of it even if the record
// does not.
func killAll(m *machine) error {
	deadline := time.Now().Add(killWait)
	for {
		pids, err := cgroupPIDs()
		if err != nil {
			return err
		}
		pids = append(pids, unrecorded()...)
		if m.alive() {
			pids = append(pids, m.InitPID)
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of the node do not end", pids)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// unrecorded returns first processes of nodes that have not come so far as to
// join their cgroup, by the namespace that they are in.
func unrecorded() []int {
	var st unix.Stat_t
	if unix.Stat(netnsPath(), &st) != nil {
		return nil
	}
	own := fmt.Sprintf("net:[%d]", st.Ino)
	var pids []int
	links, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, link := range links {
		if ns, err := os.Readlink(link); err != nil || ns != own {
			continue
		}
		proc := filepath.Dir(filepath.Dir(link))
		b, _ := os.ReadFile(proc + "/cmdline")
		if args := strings.Split(string(b), "\x00"); len(args) < 2 || args[1] != InitCommand {
			continue // someone looks around in the namespace
		}
		if pid, err := strconv.Atoi(filepath.Base(proc)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Status tells what there is of the cluster. It changes nothing.
func Status(ctx context.Context) (State, error) {
	l, err := stateLayout(cluster)
	if err != nil {
		return State{}, err
	}
	st, m, err := l.status()
	if err != nil || !st.Running || st.Foreign != nil {
		return st, err
	}
	cfg, err := restConfig(l)
	if errors.Is(err, fs.ErrPermission) {
		return st, ErrNotRoot
	}
	if err != nil {
		return st, err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return st, err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		problems, err := unready(ctx, client, m.Started)
		if err != nil {
			problems = []string{"the API server does not answer: " + err.Error()}
		}
		st.Problems = append(st.Problems, problems...)
	})
	wg.Go(func() {
		pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
		if err == nil {
			st.Pods = len(pods.Items)
		}
	})
	wg.Wait()
	st.Ready = len(st.Problems) == 0
	return st, nil
}

// status is what there is to tell of either kind of node. The record is nil unless
// the node runs.
func (l layout) status() (State, *machine, error) {
	m, err := loadMachine()
	if err != nil {
		return State{}, nil, err
	}
	st := State{Stored: l.stored(), Running: m.alive()}
	if !st.Running {
		st.Leftovers = leftovers(m)
		return st, nil, nil
	}
	st.Owner, st.Foreign, st.Uptime = m.StateDir, l.foreign(m), time.Since(m.Started).Round(time.Second)
	if st.Foreign != nil {
		return st, m, nil
	}
	st.Components = l.readComponents()
	for _, c := range st.Components {
		if c.PID == 0 {
			st.Problems = append(st.Problems, c.Name+" is not running: "+c.LastExit)
		}
	}
	return st, m, nil
}
