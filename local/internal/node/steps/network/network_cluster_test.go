//go:build cluster && linux

package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/machine"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// inside tells this program that it is in namespaces of its own: there the test is
// the machine, and neither disturbs a running cluster nor needs one.
const inside = "ALPHAPULSE_TEST_MACHINE"

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		if err := ownMachine(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests make network namespaces, run them as root:", err)
		os.Exit(1)
	}
}

func ownMachine() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// world is a cluster of three nodes without anything in them.
type world struct {
	*steps.Bringup
	hosts []topology.Host
}

func newWorld(t *testing.T, dualStack bool) world {
	t.Helper()
	c, err := topology.Local().Apply(topology.Request{Nodes: 3, DualStack: dualStack})
	if err != nil {
		t.Fatal(err)
	}
	run := machine.Dir(t.TempDir())
	b := &steps.Bringup{Kind: plan.Cluster, Cluster: c, Nodes: c.Hosts(), State: state.Dir(t.TempDir()), RunDir: run, Record: run.New(plan.Cluster, "x")}
	return world{b, c.Hosts()}
}

// up makes the networks, with an address of a pod and a server in each node.
func (w world) up(t *testing.T, nodes ...topology.Host) {
	t.Helper()
	w.Nodes = nodes
	if err := (Step{}).Do(t.Context(), w.Bringup); err != nil {
		t.Fatal(err)
	}
	for _, h := range nodes {
		if err := Inside(h.Name(), func() error {
			lo, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			for _, a := range podsOf(h) {
				if err := netlink.AddrAdd(lo, address(netip.PrefixFrom(a, a.BitLen()))); err != nil {
					return err
				}
			}
			ln, err := net.Listen("tcp", ":80")
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = ln.Close() })
			go func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					// Whom it takes the client for.
					_, _ = fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP)
					_ = c.Close()
				}
			}()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// podsOf returns an address of the node's pods, of each version of IP.
func podsOf(h topology.Host) []netip.Addr {
	var all []netip.Addr
	for _, r := range h.PodRanges() {
		all = append(all, r.Addr().Next().Next())
	}
	return all
}

// ask returns as whom the server at an address knows somebody in a network namespace,
// or in the machine's if that is empty.
func ask(from string, to netip.Addr) (string, error) {
	var got string
	dial := func() error {
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(to, 80).String(), 2*time.Second)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		b := make([]byte, 64)
		n, err := c.Read(b)
		got = string(b[:n])
		return err
	}
	if from == "" {
		return got, dial()
	}
	// Dialling happens on this thread, as long as no name has to be resolved.
	err := Inside(from, dial)
	return got, err
}

func TestNodesReachEachOther(t *testing.T) {
	for _, dual := range []bool{false, true} {
		w := newWorld(t, dual)
		w.up(t, w.hosts...)
		for _, to := range w.hosts {
			for _, addr := range slices.Concat(to.IPs(), podsOf(to)) {
				is := func(all []netip.Addr) string { return alike(all, netip.PrefixFrom(addr, 0)).String() }
				if got, err := ask("", addr); err != nil || got != is(to.MachineIPs()) {
					t.Errorf("machine → %s: as %q, %v", addr, got, err)
				}
				for _, from := range w.hosts {
					// No address is translated.
					if got, err := ask(from.Name(), addr); err != nil || from.Number != to.Number && got != is(from.IPs()) {
						t.Errorf("%s → %s: as %q, %v", from.Name(), addr, got, err)
					}
				}
			}
		}
		for _, outside := range []string{"203.0.113.7", "2001:db8::7"} {
			if _, err := ask(w.hosts[1].Name(), netip.MustParseAddr(outside)); !errors.Is(err, unix.EHOSTUNREACH) && !errors.Is(err, unix.ENETUNREACH) {
				t.Errorf("%s, from a worker: %v", outside, err)
			}
		}
		if err := (Step{}).Undo(w.Bringup, w.hosts); err != nil {
			t.Fatal(err)
		}
		nothingLeft(t, w)
	}
}

func TestCutIsSilentAndEnds(t *testing.T) {
	w := newWorld(t, false)
	w.up(t, w.hosts...)
	first, second, third := w.hosts[0], w.hosts[1], w.hosts[2]
	reaches := func(from, to topology.Host) error { _, err := ask(from.Name(), to.IP()); return err }
	for range 2 { // idempotent
		if err := Cut(second, true); err != nil {
			t.Fatal(err)
		}
	}
	if !IsCut(second) || IsCut(first) || IsCut(third) {
		t.Errorf("cut off: %v %v %v", IsCut(first), IsCut(second), IsCut(third))
	}
	var wg sync.WaitGroup
	for _, pair := range [][2]topology.Host{{first, second}, {second, first}, {third, second}} {
		wg.Go(func() {
			var timeout net.Error
			if err := reaches(pair[0], pair[1]); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s → %s: %v, want silence", pair[0].Name(), pair[1].Name(), err)
			}
		})
	}
	wg.Wait()
	if err := reaches(first, third); err != nil {
		t.Errorf("two that are not cut off: %v", err)
	}
	if _, err := ask("", second.IP()); err != nil {
		t.Errorf("the machine does not reach the node that is cut off: %v", err)
	}
	for range 2 {
		if err := Cut(second, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := reaches(first, second); err != nil || IsCut(second) {
		t.Errorf("joined again: %v", err)
	}
	if err := (Step{}).Undo(w.Bringup, w.hosts); err != nil {
		t.Fatal(err)
	}
}

// TestNodeGoesAndComesBack takes one node's network away while the others run.
func TestNodeGoesAndComesBack(t *testing.T) {
	w := newWorld(t, false)
	w.up(t, w.hosts...)
	start, err := machine.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range w.hosts[:2] {
		if err := w.Record.Put(machine.Node{Name: h.Name(), InitPID: os.Getpid(), InitStart: start}); err != nil {
			t.Fatal(err)
		}
	}
	third := w.hosts[2]
	if err := (Step{}).Undo(w.Bringup, []topology.Host{third}); err != nil {
		t.Fatal(err)
	}
	if got := (Step{}).Traces(w.Bringup, []topology.Host{third}); len(got) > 0 {
		t.Errorf("left of it: %v", got)
	}
	if _, err := ask(w.hosts[0].Name(), w.hosts[1].IP()); err != nil {
		t.Errorf("the others: %v", err)
	}
	// Nobody answers in its place: neither at once nor from elsewhere.
	for _, from := range []string{"", w.hosts[0].Name()} {
		var timeout net.Error
		if _, err := ask(from, third.IP()); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%q → the node that is lost: %v, want silence", from, err)
		}
	}
	w.up(t, third)
	for _, from := range w.hosts[:2] {
		if _, err := ask(from.Name(), podsOf(third)[0]); err != nil {
			t.Errorf("%s → the node that came back: %v", from.Name(), err)
		}
	}
	for _, h := range w.hosts {
		if err := w.Record.Forget(h.Name()); err != nil {
			t.Fatal(err)
		}
	}
	if err := (Step{}).Undo(w.Bringup, w.hosts); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, w)
}

// TestOneNodeHasNoSwitch: what a single node costs does not grow, and a cluster grows
// around one that runs.
func TestOneNodeHasNoSwitch(t *testing.T) {
	w := newWorld(t, false)
	three := w.Cluster
	w.Cluster = topology.Local()
	w.up(t, w.Cluster.Hosts()...)
	if _, err := os.Stat(Netns(w.Cluster.Switch())); err == nil {
		t.Error("a single node has a switch")
	}
	w.Cluster = three
	w.up(t, w.hosts[1:]...)
	for _, to := range w.hosts[1:] {
		if _, err := ask(w.hosts[0].Name(), to.IP()); err != nil {
			t.Errorf("the first → %s: %v", to.Name(), err)
		}
	}
	if err := (Step{}).Undo(w.Bringup, w.hosts); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, w)
}

func nothingLeft(t *testing.T, w world) {
	t.Helper()
	if got := (Step{}).Traces(w.Bringup, w.Cluster.Possible()); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, topology.Product) {
			t.Errorf("left: link %s", l.Attrs().Name)
		}
	}
	rules, err := netlink.RuleList(netlink.FAMILY_ALL)
	if err != nil || slices.ContainsFunc(rules, func(r netlink.Rule) bool { return r.IifName != "" }) {
		t.Errorf("left: rules %v, %v", rules, err)
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Type: unix.RTN_UNREACHABLE}, netlink.RT_FILTER_TYPE)
	if err != nil || slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Priority == 1<<16 }) {
		t.Errorf("left: routes %v, %v", routes, err)
	}
	if entries, err := os.ReadDir(netnsDir); err == nil {
		t.Errorf("left: %s with %v", netnsDir, entries)
	}
}
