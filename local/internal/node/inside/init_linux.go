// Package inside is what this program does inside a node: it is the node's first
// process, and the one that serves the machine's ports.
package inside

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/containerd"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/cgroup"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/files"
)

// RunInit is the first process of the node whose state lies in dir. It expects to be
// process 1 of new process and mount namespaces and to be in the node's network
// namespace. Its descriptors from 3 on are the listeners of the machine's ports and a
// pipe on which it is told that it may begin. It returns after SIGTERM, when all pods
// have ended.
func RunInit(dir string) error {
	if os.Getpid() != 1 {
		return fmt.Errorf("%s is run by `local up` and `local engine up`, as the first process of a node", plan.InitCommand)
	}
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	spec, err := files.ReadSpec(state.Dir(dir))
	if err != nil {
		return err
	}
	p := spec.Kind.Of(spec.Host)
	recorded := os.NewFile(uintptr(3+len(p.Ports)), "recorded")
	if _, err := recorded.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("the command that started the node ended too early: %w", err)
	}
	_ = recorded.Close()
	if err := cgroup.Join(spec.Host.Name()); err != nil {
		return err
	}
	if err := mountAll(state.Dir(dir), spec); err != nil {
		return fmt.Errorf("mounts of the node: %w", err)
	}
	// Otherwise lists of processes show it as "exe".
	_ = os.WriteFile("/proc/self/comm", []byte(plan.InitCommand), 0)
	if err := networkSettings(spec.Host.Cluster); err != nil {
		return fmt.Errorf("network settings of the node: %w", err)
	}
	if err := unix.Sethostname([]byte(spec.Host.Name())); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	var listeners []*os.File
	for i, port := range p.Ports {
		listeners = append(listeners, os.NewFile(uintptr(3+i), netip.AddrPortFrom(spec.Host.IP(), uint16(port)).String()))
		unix.CloseOnExec(3 + i) // start hands them to the forwarder alone
	}
	run(spec.Kind, p, listeners)
	return nil
}

// run keeps everything running until SIGTERM, and then ends it in order: what
// would start pods again, the pods, and last what those need. A Docker engine ends
// its containers itself.
func run(k plan.Kind, p plan.Plan, listeners []*os.File) {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	s := &supervisor{
		reaper: newReaper(), logs: "/var/log",
		status: plan.Components, state: map[string]*plan.Component{},
	}
	tiers := map[plan.Tier]*group{plan.Agents: newGroup(), plan.API: newGroup(), plan.Base: newGroup()}
	waits := newNeeds(p.Host)
	for _, proc := range p.Processes {
		g := tiers[proc.Tier]
		argv := append([]string{plan.Bin + "/" + proc.Name}, proc.Args...)
		if proc.Self != "" {
			argv = []string{"/proc/self/exe", proc.Self}
		}
		g.Go(func() {
			for _, n := range proc.Needs {
				if !waits.wait(g.ctx, n) {
					return
				}
			}
			s.keep(g.ctx, proc.Name, proc.Grace, argv, proc.Env)
		})
	}
	if len(listeners) > 0 {
		forward := []string{"/proc/self/exe", plan.ForwardCommand}
		for _, f := range listeners {
			forward = append(forward, f.Name())
		}
		tiers[plan.Base].Go(func() { s.keep(tiers[plan.Base].ctx, "forwarder", plan.StopGrace, forward, nil, listeners...) })
	}

	<-stop.Done()
	log.Print("stopping")
	tiers[plan.API].end() // takes a while, and needs its store meanwhile
	tiers[plan.Agents].end()
	tiers[plan.Agents].Wait()
	if k == plan.Cluster {
		if err := containerd.StopPods(plan.Containerd, plan.PodGrace); err != nil {
			log.Printf("pods did not end in order: %v", err)
		}
	}
	tiers[plan.API].Wait()
	tiers[plan.Base].end()
	tiers[plan.Base].Wait()
	log.Print("stopped")
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

// RunForward serves the listeners that it got as descriptors from 3 on, each with one
// of the targets, until SIGTERM.
func RunForward(targets []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	failed := make(chan error, len(targets))
	for i, target := range targets {
		f := os.NewFile(uintptr(3+i), target)
		l, err := net.FileListener(f)
		if err != nil {
			return fmt.Errorf("%s is run by the first process of a node: listener for %s: %w", plan.ForwardCommand, target, err)
		}
		_ = f.Close()
		go func() { failed <- Forward(ctx, l, target) }()
	}
	for range targets {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}
