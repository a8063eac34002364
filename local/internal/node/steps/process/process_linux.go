// Package process starts the first process of nodes, which starts all others, and
// ends it.
package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/machine"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/cgroup"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/network"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// killWait bounds the wait for killed processes to be gone.
const killWait = 20 * time.Second

// Step starts the nodes' first processes.
type Step struct{}

// Do starts them. It does not wait for what they start.
func (Step) Do(ctx context.Context, b *steps.Bringup) error {
	for _, h := range b.Nodes {
		if err := start(ctx, b, h); err != nil {
			return fmt.Errorf("first process of node %s: %w", h.Name(), err)
		}
	}
	return nil
}

func start(ctx context.Context, b *steps.Bringup, h topology.Host) error {
	pid, recorded, err := spawn(ctx, b, h)
	if err != nil {
		return err
	}
	defer func() { _ = recorded.Close() }()
	n := machine.Node{Name: h.Name(), Started: time.Now(), InitPID: pid}
	if n.InitStart, err = machine.StartTime(pid); err != nil {
		return err
	}
	if err := b.Record.Put(n); err != nil {
		return err
	}
	_, err = recorded.Write([]byte{1})
	return err
}

// spawn starts a node's first process and returns its number. The process waits for
// a byte on the returned file before it does anything, and ends if that is closed
// first: a node that is in no record would not be found again.
func spawn(ctx context.Context, b *steps.Bringup, h topology.Host) (int, *os.File, error) {
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for _, port := range b.Plan(h).Ports {
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
		return 0, nil, err
	}
	files = append(files, recorded)
	dir := b.State.Of(h)
	out, err := os.OpenFile(dir.Log()+"/node.log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		_ = tell.Close()
		return 0, nil, err
	}
	defer func() { _ = out.Close() }()
	// It outlives this command and its terminal.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/proc/self/exe", plan.InitCommand, string(dir))
	cmd.Args[0] = "local"
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = out, out, files
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := network.Inside(h.Name(), cmd.Start); err != nil {
		_ = tell.Close()
		return 0, nil, err
	}
	go func() { _ = cmd.Wait() }()
	return cmd.Process.Pid, tell, nil
}

// Undo kills the nodes' processes, waits until they are gone, and forgets them. A
// first process takes all others with it; the cgroup tells of it even if the record
// does not.
func (Step) Undo(b *steps.Bringup, nodes []topology.Host) error {
	deadline := time.Now().Add(killWait)
	for {
		var pids []int
		for _, h := range nodes {
			own, err := cgroup.PIDs(h.Name())
			if err != nil {
				return err
			}
			pids = append(append(pids, own...), unrecorded(h)...)
			if n := b.Record.Node(h.Name()); n.Alive() {
				pids = append(pids, n.InitPID)
			}
		}
		if len(pids) == 0 {
			break
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
	if err := os.Remove(filepath.Join(string(b.RunDir), plan.SocketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("socket of the engine: %w", err)
	}
	return nil
}

// Traces tells of processes.
func (Step) Traces(b *steps.Bringup, nodes []topology.Host) []string {
	var found []string
	for _, h := range nodes {
		if n := b.Record.Node(h.Name()); n.Alive() {
			found = append(found, fmt.Sprintf("process %d", n.InitPID))
		} else if pids, err := cgroup.PIDs(h.Name()); err == nil && len(pids) > 0 {
			found = append(found, fmt.Sprintf("%d processes", len(pids)))
		}
	}
	return found
}

// unrecorded returns first processes of a node that have not come so far as to join
// its cgroup, by the namespace that they are in.
func unrecorded(h topology.Host) []int {
	var st unix.Stat_t
	if unix.Stat(network.Netns(h.Name()), &st) != nil {
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
		if args := strings.Split(string(b), "\x00"); len(args) < 2 || args[1] != plan.InitCommand {
			continue // someone looks around in the namespace
		}
		if pid, err := strconv.Atoi(filepath.Base(proc)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// AskToEnd lets the nodes end in order, within the grace that their kind gives. What
// is left then is killed by Undo.
func AskToEnd(ctx context.Context, b *steps.Bringup, nodes []topology.Host) error {
	timeout := time.After(b.Kind.Grace() + 3*plan.StopGrace)
	for _, h := range nodes {
		n := b.Record.Node(h.Name())
		if !n.Alive() {
			continue
		}
		if err := syscall.Kill(n.InitPID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ask node %s to end: %w", h.Name(), err)
		}
	}
	for slices.ContainsFunc(nodes, func(h topology.Host) bool { return b.Record.Node(h.Name()).Alive() }) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timeout:
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}
