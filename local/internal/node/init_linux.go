package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// InitCommand, ForwardCommand and ServeCommand are hidden sub-commands of the
// program: the first process of the node, the one that serves ForwardedPorts, and
// the one that is the engine's registry.
const (
	InitCommand    = "node-init"
	ForwardCommand = "node-forward"
	ServeCommand   = "node-serve"
)

// spec tells the node's first process what to run.
type spec struct {
	StateDir string            `json:"stateDir"`
	RunDir   string            `json:"runDir"`   // see runDir
	Programs map[string]string `json:"programs"` // name → path on the machine
	Folders  map[string]string `json:"folders"`  // likewise
}

// kernelSettings are what the kubelet wants to find in /proc/sys. They belong to
// the whole machine, so it is shown files that already say so, and changes none.
var kernelSettings = map[string]string{
	"kernel/keys/root_maxbytes": "25000000",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
}

// RunInit is the first process of a node of the named kind. It expects to be
// process 1 of new process and mount namespaces and to be in the node's network
// namespace. Its descriptors from 3 on are the listeners of the forwarded ports
// and a pipe on which it is told that it may begin. It returns after SIGTERM, when
// all pods have ended.
func RunInit(kindName, stateDir string) error {
	l := layout{kind(kindName), stateDir}
	if os.Getpid() != 1 {
		return fmt.Errorf("%s is run by `%s up`, as the first process of the node", InitCommand, l.kind.command())
	}
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	ports := l.kind.plan().ports
	recorded := os.NewFile(uintptr(3+len(ports)), "recorded")
	if _, err := recorded.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("the command that started the node ended too early: %w", err)
	}
	_ = recorded.Close()
	b, err := os.ReadFile(l.spec())
	if err != nil {
		return fmt.Errorf("what to run: %w", err)
	}
	var sp spec
	if err := json.Unmarshal(b, &sp); err != nil {
		return fmt.Errorf("what to run: %w", err)
	}
	if err := joinCgroups(); err != nil {
		return err
	}
	if err := l.mountAll(sp); err != nil {
		return fmt.Errorf("mounts of the node: %w", err)
	}
	// Otherwise lists of processes show it as "exe".
	_ = os.WriteFile("/proc/self/comm", []byte(InitCommand), 0)
	if err := networkSettings(); err != nil {
		return fmt.Errorf("network settings of the node: %w", err)
	}
	if err := unix.Sethostname([]byte(Name)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	var listeners []*os.File
	for i, port := range ports {
		listeners = append(listeners, os.NewFile(uintptr(3+i), strconv.Itoa(port)))
		unix.CloseOnExec(3 + i) // start hands them to the forwarder alone
	}
	return l.kind.run(listeners)
}

// run keeps everything running until SIGTERM, and then ends it in order: what
// would start pods again, the pods, and last what those need. A Docker engine ends
// its containers itself.
func (k kind) run(listeners []*os.File) error {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	s := &supervisor{
		reaper: newReaper(), logs: "/var/log",
		status: inOwn + "/components.json", state: map[string]*Component{},
	}
	tiers := map[tier]*group{agents: newGroup(), api: newGroup(), base: newGroup()}
	waits := newNeeds()
	for _, p := range k.plan().processes() {
		g := tiers[p.tier]
		argv := append([]string{inBin + "/" + p.name}, p.args...)
		if p.self != "" {
			argv = []string{"/proc/self/exe", p.self}
		}
		g.Go(func() {
			for _, n := range p.needs {
				if !waits.wait(g.ctx, n) {
					return
				}
			}
			s.keep(g.ctx, p.name, p.grace, argv, p.env)
		})
	}
	forward := []string{"/proc/self/exe", ForwardCommand}
	for _, f := range listeners {
		forward = append(forward, f.Name())
	}
	tiers[base].Go(func() { s.keep(tiers[base].ctx, "forwarder", stopGrace, forward, nil, listeners...) })

	<-stop.Done()
	log.Print("stopping")
	tiers[api].end() // takes a while, and needs its store meanwhile
	tiers[agents].end()
	tiers[agents].Wait()
	if k == cluster {
		if err := stopPods(); err != nil {
			log.Printf("pods did not end in order: %v", err)
		}
	}
	tiers[api].Wait()
	tiers[base].end()
	tiers[base].Wait()
	log.Print("stopped")
	return nil
}

// group is a set of goroutines that are ended together.
type group struct {
	sync.WaitGroup
	ctx context.Context
	end context.CancelFunc
}

func newGroup() *group {
	g := &group{}
	g.ctx, g.end = context.WithCancel(context.Background())
	return g
}

// joinCgroups moves this process, and so all that it starts, below the node's
// cgroup: there it is counted, and there it is found after a crash.
func joinCgroups() error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.WriteFile(filepath.Join(root, Name, "node", "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

// mountAll gives the node its own /proc, /run, /tmp, /var/lib and /var/log. What it
// needs of the machine is opened first, because those hide wherever the clone
// or the cache may lie.
func (l layout) mountAll(sp spec) error {
	type bind struct {
		from int
		to   string
		file bool
	}
	var binds []bind
	add := func(from, to string, file bool) error {
		fd, err := unix.Open(from, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		binds = append(binds, bind{fd, to, file})
		return nil
	}
	if err := errors.Join(add(l.lib(), "/var/lib", false), add(l.log(), "/var/log", false)); err != nil {
		return err
	}
	for name, path := range sp.Programs {
		if err := add(path, inBin+"/"+name, true); err != nil {
			return err
		}
	}
	for name, path := range sp.Folders {
		if err := add(path, inBin+"/"+name, false); err != nil {
			return err
		}
	}
	if l.kind == engine {
		if err := add(sp.RunDir, inMachine, false); err != nil {
			return err
		}
	}

	// Nothing that is mounted here may reach the machine; pods, below, may share.
	for _, flags := range []uintptr{unix.MS_REC | unix.MS_PRIVATE, unix.MS_REC | unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", flags, ""); err != nil {
			return fmt.Errorf("propagation: %w", err)
		}
	}
	const secure = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("proc", "/proc", "proc", secure, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("/run: %w", err)
	}
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return fmt.Errorf("/tmp: %w", err)
	}
	for _, dir := range []string{inBin, "/run/lock", "/run/cni"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, b := range binds {
		if b.file {
			if err := os.WriteFile(b.to, nil, 0o755); err != nil {
				return err
			}
		} else if err := os.MkdirAll(b.to, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", b.from), b.to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", b.to, err)
		}
		_ = unix.Close(b.from)
	}
	if l.kind == engine {
		return privateEtc()
	}
	for _, dir := range []string{"/var/lib/kubelet", "/var/lib/etcd", inVolumes, "/var/log/pods"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	// Pods name their own users; the folder of volumes is theirs to enter.
	if err := os.Chmod(inVolumes, 0o711); err != nil {
		return err
	}
	if err := os.WriteFile(inResolvConf, nil, 0o644); err != nil {
		return err
	}
	for key, value := range kernelSettings {
		fake := filepath.Join(inRun, "sysctl", strings.ReplaceAll(key, "/", "."))
		if err := os.MkdirAll(filepath.Dir(fake), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(fake, []byte(value+"\n"), 0o444); err != nil {
			return err
		}
		if err := unix.Mount(fake, "/proc/sys/"+key, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("/proc/sys/%s: %w", key, err)
		}
	}
	return nil
}

// privateEtc lets the node's programs read the machine's /etc and write to it
// without changing it: dockerd writes a key to /etc/docker.
func privateEtc() error {
	const upper, work = inRun + "/etc/upper", inRun + "/etc/work"
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("/etc: %w", err)
	}
	return nil
}

// networkSettings are those of the node's own network namespace.
func networkSettings() error {
	for key, value := range map[string]string{
		"ipv4/ip_forward":                "1",
		"ipv6/conf/all/disable_ipv6":     "1",
		"ipv6/conf/default/disable_ipv6": "1",
	} {
		err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0)
		if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(key, "ipv6/") {
			continue // a kernel without it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// needs tells processes when what they need is there.
type needs struct {
	checks map[need]func(context.Context) bool
}

func newNeeds() *needs {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		// Read at each attempt's connection: cheap, and the files are surely there.
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			cert, err := tls.LoadX509KeyPair(inPKI+"/admin.crt", inPKI+"/admin.key")
			if err != nil {
				return nil, err
			}
			ca, err := os.ReadFile(inPKI + "/ca.crt")
			if err != nil {
				return nil, err
			}
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(ca)
			d := tls.Dialer{Config: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}}
			return d.DialContext(ctx, network, addr)
		},
	}}
	get := func(ctx context.Context, path string) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:6443"+path, nil)
		if err != nil {
			return false
		}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	return &needs{checks: map[need]func(context.Context) bool{
		needAPI:  func(ctx context.Context) bool { return get(ctx, "/readyz") },
		needNode: func(ctx context.Context) bool { return get(ctx, "/api/v1/nodes/"+Name) },
		needContainerd: func(ctx context.Context) bool {
			c, err := (&net.Dialer{}).DialContext(ctx, "unix", inContainerd)
			if err != nil {
				return false
			}
			return c.Close() == nil
		},
	}}
}

// wait returns true when the need is met and false when ctx has ended.
func (n *needs) wait(ctx context.Context, what need) bool {
	for !n.checks[what](ctx) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return true
}

// RunForward serves the listeners that it got as descriptors from 3 on, one for
// each of the ports, each with the node's port of the same number, until SIGTERM.
func RunForward(ports []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	failed := make(chan error, len(ports))
	for i, port := range ports {
		f := os.NewFile(uintptr(3+i), port)
		l, err := net.FileListener(f)
		if err != nil {
			return fmt.Errorf("%s is run by `local up`: listener of port %s: %w", ForwardCommand, port, err)
		}
		_ = f.Close()
		go func() { failed <- Forward(ctx, l, net.JoinHostPort(NodeIP, port)) }()
	}
	for range ports {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}
