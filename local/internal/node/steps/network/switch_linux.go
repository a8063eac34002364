package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"

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
