// Package network gives nodes network namespaces that lead to the machine and to
// each other, and nowhere else.
package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/machine"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

const (
	netnsDir = "/run/netns"
	// guardPriority is the place of the rule that refuses to forward what comes
	// from a node. It stands before every rule that the machine may have of its own,
	// and after the table of local addresses, so that answers to the machine itself
	// pass.
	guardPriority = 1
	uplink        = "eth0" // a node's end of the pair that joins it to the machine
)

// Step makes the nodes' networks.
type Step struct{}

// Do gives each node a network namespace that is joined to the machine by one pair
// of links, and closes both ways out of it: the node has no route but to the machine,
// and the machine forwards nothing that comes from the node, whatever
// net.ipv4.ip_forward says. Nodes of one cluster are joined to each other besides.
func (Step) Do(_ context.Context, b *steps.Bringup) error {
	if _, err := os.Stat(netnsDir); errors.Is(err, fs.ErrNotExist) {
		if err := b.Record.Change(func(r *machine.Record) { r.NetnsDir = true }); err != nil {
			return err
		}
	}
	for _, h := range b.Nodes {
		if err := create(b.Plan(h)); err != nil {
			return err
		}
	}
	return connect(b.Cluster)
}

// Undo removes whatever there is of the nodes' networks.
func (Step) Undo(b *steps.Bringup, nodes []topology.Host) error {
	var errs []error
	for _, h := range nodes {
		// Also removes the routes over it, and the node's end.
		errs = append(errs, removeLink(h.Link()), unplug(h), removeNetns(h.Name()), removeGuard(h.Link()))
	}
	if b.Record.Alive() {
		return errors.Join(errs...)
	}
	errs = append(errs, removeNetns(b.Cluster.Switch()), openAgain(b.Cluster))
	if b.Record.NetnsDir {
		// Not empty: another program has put its own there meanwhile.
		if err := os.Remove(netnsDir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
			errs = append(errs, fmt.Errorf("remove %s: %w", netnsDir, err))
		}
	}
	return errors.Join(errs...)
}

// Traces tells of links, namespaces and rules.
func (Step) Traces(b *steps.Bringup, nodes []topology.Host) []string {
	var found []string
	rules, _ := netlink.RuleList(netlink.FAMILY_ALL)
	for _, h := range nodes {
		if _, err := netlink.LinkByName(h.Link()); err == nil {
			found = append(found, "link "+h.Link())
		}
		if _, err := os.Stat(Netns(h.Name())); err == nil {
			found = append(found, "network namespace "+h.Name())
		}
		if slices.ContainsFunc(rules, func(rule netlink.Rule) bool { return rule.IifName == h.Link() }) {
			found = append(found, "routing rule of "+h.Link())
		}
	}
	if _, err := os.Stat(Netns(b.Cluster.Switch())); err == nil && !b.Record.Alive() {
		found = append(found, "network namespace "+b.Cluster.Switch())
	}
	if closed(b.Cluster) && !b.Record.Alive() {
		found = append(found, "routes to nowhere")
	}
	return found
}

// create makes one node's network. The machine reaches the plan's ranges over it.
func create(p plan.Plan) error {
	h := p.Host
	if err := inNewNetns(h.Name(), func(node netns.NsHandle) error { return setUpNode(node, p) }); err != nil {
		return fmt.Errorf("network of node %s: %w", h.Name(), err)
	}
	// The guard comes before the link is up.
	for _, f := range families(h.Cluster) {
		if err := netlink.RuleAdd(guardRule(f, h.Link())); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("network: rule against forwarding from %s: %w", h.Link(), err)
		}
	}
	link, err := netlink.LinkByName(h.Link())
	if err != nil {
		return fmt.Errorf("network: link %s: %w", h.Link(), err)
	}
	if !h.Cluster.DualStack() {
		// An automatic address of version 6 would be a second way.
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+h.Link()+"/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("network: %w", err)
		}
	}
	for i, a := range h.MachineIPs() {
		if err := netlink.AddrAdd(link, address(netip.PrefixFrom(a, h.LinkRanges()[i].Bits()))); err != nil {
			return fmt.Errorf("network: address %s on %s: %w", a, h.Link(), err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("network: link %s: %w", h.Link(), err)
	}
	for _, r := range p.Ranges {
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(r), Gw: alike(h.IPs(), r).AsSlice()}); err != nil {
			return fmt.Errorf("network: route to %s: %w", r, err)
		}
	}
	return nil
}

// families are those of the versions of IP that the cluster has.
func families(c topology.Cluster) []int {
	if c.DualStack() {
		return []int{netlink.FAMILY_V4, netlink.FAMILY_V6}
	}
	return []int{netlink.FAMILY_V4}
}

// alike returns the one of the addresses that is of the same version as the range.
func alike(all []netip.Addr, r netip.Prefix) netip.Addr {
	return all[slices.IndexFunc(all, func(a netip.Addr) bool { return a.Is4() == r.Addr().Is4() })]
}

// address is one that can be used at once: nobody else can have it.
func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// guardRule drops whatever arrives over a link and is not for the machine.
func guardRule(family int, link string) *netlink.Rule {
	r := netlink.NewRule()
	r.Family = family
	r.Priority = guardPriority
	r.IifName = link
	r.Type = unix.RTN_BLACKHOLE
	return r
}

func setUpNode(node netns.NsHandle, p plan.Plan) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = p.Host.Link()
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: uplink, PeerNamespace: netlink.NsFd(node)}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("pair of links: %w", err)
	}
	h, err := netlink.NewHandleAt(node)
	if err != nil {
		return err
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	eth, err := h.LinkByName(uplink)
	if err != nil {
		return fmt.Errorf("%s: %w", uplink, err)
	}
	for i, a := range p.Host.IPs() {
		if err := h.AddrAdd(eth, address(netip.PrefixFrom(a, p.Host.LinkRanges()[i].Bits()))); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	for _, l := range []netlink.Link{lo, eth} {
		if err := h.LinkSetUp(l); err != nil {
			return fmt.Errorf("%s: %w", l.Attrs().Name, err)
		}
	}
	// An error at once is better than a time-out.
	var routes []*netlink.Route
	for _, a := range p.Host.IPs() {
		world, _ := a.Prefix(0)
		routes = append(routes, &netlink.Route{Dst: ipNet(world), Type: unix.RTN_UNREACHABLE})
	}
	if p.Services {
		// Only for the kernel to find a route before kube-proxy's rules turn the
		// packet to a pod.
		for _, r := range p.Host.Cluster.ServiceRanges() {
			routes = append(routes, &netlink.Route{LinkIndex: eth.Attrs().Index, Dst: ipNet(r), Scope: netlink.SCOPE_LINK})
		}
	}
	for _, route := range routes {
		if err := h.RouteAdd(route); err != nil {
			return fmt.Errorf("route %s: %w", route.Dst, err)
		}
	}
	return nil
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove link %s: %w", name, err)
	}
	return nil
}

func removeGuard(link string) error {
	var errs []error
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rules, err := netlink.RuleList(family)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
			continue // a kernel without it
		}
		if err != nil {
			return fmt.Errorf("routing rules: %w", err)
		}
		for _, rule := range rules {
			if rule.IifName != link {
				continue
			}
			rule.Type = unix.RTN_BLACKHOLE // RuleList does not read it back
			rule.Family = family
			if err := netlink.RuleDel(&rule); err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, fmt.Errorf("remove routing rule of %s: %w", link, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Netns is the path of the network namespace of that name.
func Netns(name string) string { return filepath.Join(netnsDir, name) }
