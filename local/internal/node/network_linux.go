package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	netnsDir = "/run/netns"
	// guardPriority is the place of the rule that refuses to forward what comes
	// from the node. It stands before every rule that the machine may have of its
	// own, and after the table of local addresses, so that answers to the machine
	// itself pass.
	guardPriority = 1
	nodeLink      = "eth0" // the node's end of the pair
)

func netnsPath() string { return filepath.Join(netnsDir, Name) }

// makeNetwork gives the node a network namespace that is joined to the machine
// by one pair of links, and closes both ways out of it: the node has no route
// but to the machine, and the machine forwards nothing that comes from the node,
// whatever net.ipv4.ip_forward says. The machine reaches the addresses in ranges
// over the node.
func makeNetwork(ranges []string) error {
	if err := inNewNetns(func(node netns.NsHandle) error { return setUpNode(node, ranges) }); err != nil {
		return fmt.Errorf("network of the node: %w", err)
	}
	// The guard comes before the link is up.
	guard := guardRule()
	if err := netlink.RuleAdd(guard); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("network: rule against forwarding from %s: %w", HostLink, err)
	}
	link, err := netlink.LinkByName(HostLink)
	if err != nil {
		return fmt.Errorf("network: link %s: %w", HostLink, err)
	}
	// Version 6 of IP is not used; an automatic address would be a second way.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+HostLink+"/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("network: %w", err)
	}
	addr, err := netlink.ParseAddr(HostIP + "/30")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("network: address %s on %s: %w", addr, HostLink, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("network: link %s: %w", HostLink, err)
	}
	for _, cidr := range ranges {
		_, dst, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Gw: net.ParseIP(NodeIP)}); err != nil {
			return fmt.Errorf("network: route to %s: %w", cidr, err)
		}
	}
	return nil
}

// guardRule drops whatever arrives from the node and is not for the machine.
func guardRule() *netlink.Rule {
	r := netlink.NewRule()
	r.Family = netlink.FAMILY_V4
	r.Priority = guardPriority
	r.IifName = HostLink
	r.Type = unix.RTN_BLACKHOLE
	return r
}

// inNewNetns makes the named network namespace and runs f in the machine's own
// with a handle of it.
func inNewNetns(f func(node netns.NsHandle) error) error {
	runtime.LockOSThread()
	host, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if netns.Set(host) == nil {
			runtime.UnlockOSThread()
		} // else the thread must not be used for anything else; it ends with its goroutine
		_ = host.Close()
	}()
	node, err := netns.NewNamed(Name) // also enters it
	if err != nil {
		return err
	}
	defer func() { _ = node.Close() }()
	if err := netns.Set(host); err != nil {
		return err
	}
	return f(node)
}

func setUpNode(node netns.NsHandle, ranges []string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = HostLink
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: nodeLink, PeerNamespace: netlink.NsFd(node)}
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
	eth, err := h.LinkByName(nodeLink)
	if err != nil {
		return fmt.Errorf("%s: %w", nodeLink, err)
	}
	addr, err := netlink.ParseAddr(NodeIP + "/30")
	if err != nil {
		return err
	}
	if err := h.AddrAdd(eth, addr); err != nil {
		return fmt.Errorf("address %s: %w", addr, err)
	}
	for _, l := range []netlink.Link{lo, eth} {
		if err := h.LinkSetUp(l); err != nil {
			return fmt.Errorf("%s: %w", l.Attrs().Name, err)
		}
	}
	_, world, err := net.ParseCIDR("0.0.0.0/0")
	if err != nil {
		return err
	}
	// An error at once is better than a time-out.
	routes := []*netlink.Route{{Dst: world, Type: unix.RTN_UNREACHABLE}}
	if slices.Contains(ranges, ServiceCIDR) {
		_, services, err := net.ParseCIDR(ServiceCIDR)
		if err != nil {
			return err
		}
		// Only for the kernel to find a route before kube-proxy's rules turn the
		// packet to a pod.
		routes = append(routes, &netlink.Route{LinkIndex: eth.Attrs().Index, Dst: services, Scope: netlink.SCOPE_LINK})
	}
	for _, route := range routes {
		if err := h.RouteAdd(route); err != nil {
			return fmt.Errorf("route %s: %w", route.Dst, err)
		}
	}
	return nil
}

// removeNetwork removes whatever there is of the node's network.
func removeNetwork(madeDir bool) error {
	var errs []error
	// Also removes the routes over it, and the node's end.
	if link, err := netlink.LinkByName(HostLink); err == nil {
		if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("remove link %s: %w", HostLink, err))
		}
	} else if !isLinkNotFound(err) {
		errs = append(errs, fmt.Errorf("link %s: %w", HostLink, err))
	}
	if err := unix.Unmount(netnsPath(), unix.MNT_DETACH); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		errs = append(errs, fmt.Errorf("unmount %s: %w", netnsPath(), err))
	}
	if err := os.Remove(netnsPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("network namespace: %w", err))
	}
	if madeDir {
		// Not empty: another program has put its own there meanwhile.
		if err := os.Remove(netnsDir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
			errs = append(errs, fmt.Errorf("remove %s: %w", netnsDir, err))
		}
	}
	rules, err := netlink.RuleList(netlink.FAMILY_V4)
	if err != nil {
		errs = append(errs, fmt.Errorf("routing rules: %w", err))
	}
	for _, rule := range rules {
		if rule.IifName != HostLink {
			continue
		}
		rule.Type = unix.RTN_BLACKHOLE // RuleList does not read it back
		rule.Family = netlink.FAMILY_V4
		if err := netlink.RuleDel(&rule); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("remove routing rule of %s: %w", HostLink, err))
		}
	}
	return errors.Join(errs...)
}

func isLinkNotFound(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound)
}
