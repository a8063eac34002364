package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

const (
	bridge   = "switch" // in the switch's namespace
	peerLink = "eth1"   // a node's end of the pair that joins it to the switch
)

// connect joins the nodes that have a network to each other, over a switch that
// stands in a namespace of its own, and tells each the way to the addresses of all
// others. Pods' addresses are routed and never translated. As with the cable of a
// real switch, packets to a node that is cut off or lost get no answer.
func connect(c topology.Cluster) error {
	if len(c.Nodes) < 2 {
		return nil
	}
	if err := makeSwitch(c); err != nil {
		return err
	}
	if err := keepInside(c); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return inSwitch(c, func(sw *netlink.Handle) error {
		for _, h := range c.Hosts() {
			ns, err := netns.GetFromName(h.Name())
			if errors.Is(err, fs.ErrNotExist) {
				continue // it does not run
			}
			if err == nil {
				err = errors.Join(plug(sw, ns, h), ns.Close())
			}
			if err != nil {
				return fmt.Errorf("network between nodes: %s: %w", h.Name(), err)
			}
		}
		return nil
	})
}

// keepInside lets the machine send what is for a node that is lost to the first one,
// where it gets no answer, as with a machine without power; and what is for the first
// one nowhere. Without these routes it would leave over the machine's own.
func keepInside(c topology.Cluster) error {
	for _, r := range ranges(c) {
		if err := netlink.RouteReplace(nowhere(r)); err != nil {
			return fmt.Errorf("route %s: %w", r, err)
		}
	}
	first := c.First()
	link, err := netlink.LinkByName(first.Link())
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, r := range c.LinkRanges() {
		if err := netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(r), Gw: alike(first.IPs(), r).AsSlice()}); err != nil {
			return fmt.Errorf("route %s: %w", r, err)
		}
	}
	return nil
}

// ranges are all addresses of the cluster.
func ranges(c topology.Cluster) []netip.Prefix {
	return slices.Concat(c.LinkRanges(), c.PodRanges(), c.ServiceRanges())
}

// possible are all addresses that a cluster of this name can have had.
func possible(c topology.Cluster) []netip.Prefix {
	if dual, err := c.Apply(topology.Request{DualStack: true}); err == nil {
		c = dual
	}
	return ranges(c)
}

// nowhere is a route that refuses, where no other one leads.
func nowhere(r netip.Prefix) *netlink.Route {
	return &netlink.Route{Dst: ipNet(r), Type: unix.RTN_UNREACHABLE, Priority: 1 << 16}
}

// openAgain removes what keepInside has made and is not gone with a link.
func openAgain(c topology.Cluster) error {
	var errs []error
	for _, r := range possible(c) {
		if err := netlink.RouteDel(nowhere(r)); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EAFNOSUPPORT) {
			errs = append(errs, fmt.Errorf("remove route %s: %w", r, err))
		}
	}
	return errors.Join(errs...)
}

// closed reports whether there is a route that keepInside has made.
func closed(c topology.Cluster) bool {
	for _, r := range possible(c) {
		found, _ := netlink.RouteListFiltered(netlink.FAMILY_ALL, nowhere(r), netlink.RT_FILTER_DST|netlink.RT_FILTER_TYPE|netlink.RT_FILTER_PRIORITY)
		if len(found) > 0 {
			return true
		}
	}
	return false
}

// makeSwitch makes the namespace of the switch and the bridge in it, whichever is not
// there.
func makeSwitch(c topology.Cluster) error {
	if _, err := os.Stat(Netns(c.Switch())); err != nil {
		if err := inNewNetns(c.Switch(), func(netns.NsHandle) error { return nil }); err != nil {
			return fmt.Errorf("network between nodes: %w", err)
		}
	}
	return inSwitch(c, func(sw *netlink.Handle) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = bridge
		br := &netlink.Bridge{LinkAttrs: attrs}
		if err := sw.LinkAdd(br); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("network between nodes: bridge (CONFIG_BRIDGE of the kernel): %w", err)
		}
		return sw.LinkSetUp(br)
	})
}

// inSwitch runs f with a handle of the switch's namespace.
func inSwitch(c topology.Cluster, f func(sw *netlink.Handle) error) error {
	ns, err := netns.GetFromName(c.Switch())
	if err != nil {
		return fmt.Errorf("network between nodes: %w", err)
	}
	defer func() { _ = ns.Close() }()
	sw, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("network between nodes: %w", err)
	}
	defer sw.Close()
	return f(sw)
}

// plug joins a node to the switch if it is not, and makes its routes to all others.
func plug(sw *netlink.Handle, ns netns.NsHandle, h topology.Host) error {
	node, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer node.Close()
	if _, err := sw.LinkByName(h.Port()); err != nil {
		br, err := sw.LinkByName(bridge)
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MasterIndex = h.Port(), br.Attrs().Index
		port := &netlink.Veth{LinkAttrs: attrs, PeerName: peerLink, PeerNamespace: netlink.NsFd(ns)}
		if err := sw.LinkAdd(port); err != nil {
			return fmt.Errorf("pair of links: %w", err)
		}
		if err := sw.LinkSetUp(port); err != nil {
			return err
		}
	}
	eth, err := node.LinkByName(peerLink)
	if err != nil {
		return err
	}
	// The same addresses as towards the machine: a node has one, whoever asks.
	for _, a := range h.IPs() {
		if err := node.AddrReplace(eth, address(netip.PrefixFrom(a, a.BitLen()))); err != nil {
			return fmt.Errorf("address: %w", err)
		}
	}
	if err := node.LinkSetUp(eth); err != nil {
		return err
	}
	for _, peer := range h.Cluster.Hosts() {
		if peer.Number == h.Number {
			continue
		}
		for _, r := range routes(h, peer, eth.Attrs().Index) {
			if err := node.RouteReplace(r); err != nil {
				return fmt.Errorf("route %s: %w", r.Dst, err)
			}
		}
	}
	return nil
}

// routes lead from a node to another and to that one's pods, over the link of that
// index.
func routes(h, peer topology.Host, link int) []*netlink.Route {
	var all []*netlink.Route
	for i, to := range peer.IPs() {
		from := h.IPs()[i].AsSlice()
		all = append(all,
			&netlink.Route{LinkIndex: link, Dst: ipNet(netip.PrefixFrom(to, to.BitLen())), Src: from, Scope: netlink.SCOPE_LINK},
			&netlink.Route{LinkIndex: link, Dst: ipNet(peer.PodRanges()[i]), Gw: to.AsSlice(), Src: from, Flags: int(netlink.FLAG_ONLINK)})
	}
	return all
}

// unplug removes the node's port of the switch, if there is one.
func unplug(h topology.Host) error {
	if _, err := os.Stat(Netns(h.Cluster.Switch())); err != nil {
		return nil
	}
	return inSwitch(h.Cluster, func(sw *netlink.Handle) error {
		port, err := sw.LinkByName(h.Port())
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil
		}
		if err == nil {
			err = sw.LinkDel(port)
		}
		if err != nil {
			return fmt.Errorf("network between nodes: %s: %w", h.Name(), err)
		}
		return nil
	})
}

// Cut separates a running node from the others, or joins it to them again. The
// machine reaches it in either case.
func Cut(h topology.Host, cut bool) error {
	return inSwitch(h.Cluster, func(sw *netlink.Handle) error {
		port, err := sw.LinkByName(h.Port())
		switch {
		case err != nil:
		case cut:
			err = sw.LinkSetDown(port)
		default:
			err = sw.LinkSetUp(port)
		}
		if err != nil {
			return fmt.Errorf("network between nodes: %s: %w", h.Name(), err)
		}
		return nil
	})
}

// IsCut reports whether the node was separated from the others.
func IsCut(h topology.Host) bool {
	cut := false
	_ = inSwitch(h.Cluster, func(sw *netlink.Handle) error {
		port, err := sw.LinkByName(h.Port())
		cut = err == nil && port.Attrs().Flags&net.FlagUp == 0
		return nil
	})
	return cut
}
