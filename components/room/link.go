package room

import (
	"fmt"
	"net/netip"
	"slices"
)

// Network is a part of the world outside of the stack.
type Network struct {
	// CIDRs that belong to the network.
	CIDRs []string
	// Except are CIDRs within CIDRs that do not.
	Except []string
}

// Everything tells whether every address of one or of both families belongs to the
// network, whoever has it: a pod, a node, or something outside of the cluster.
func (n Network) Everything() bool {
	return len(n.Except) == 0 && slices.ContainsFunc(n.CIDRs, func(cidr string) bool {
		p, err := netip.ParsePrefix(cidr)
		return err == nil && p.Bits() == 0
	})
}

// Anywhere is every address.
var Anywhere = Network{CIDRs: []string{"0.0.0.0/0", "::/0"}}

// Internet is every address that is not private, link-local or shared
// (RFC 1918, RFC 3927, RFC 6598, RFC 4193, RFC 4291): the cluster's own pods,
// nodes and metadata services are not in it.
var Internet = Network{
	CIDRs: []string{"0.0.0.0/0", "::/0"},
	Except: []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
		"fc00::/7", "fe80::/10",
	},
}

// End is one end of a link: a workload, a network or another namespace, exactly one of them.
type End struct {
	Workload *Identity
	Network  *Network
	// Namespace is the name of one whose pods are meant; "" for none.
	Namespace string
}

// Of makes an end of a workload.
func Of(i Identity) End { return End{Workload: &i} }

// Within makes an end of the pods of another namespace.
func Within(namespace string) End { return End{Namespace: namespace} }

// Outside makes an end of a network.
func Outside(n Network) End { return End{Network: &n} }

// Zone is one of the networks of a Docker host. A host has room for some thirty networks
// by default, so links of one kind share one. Kubernetes has no use for it.
type Zone string

// The zones.
const (
	// Entry is where ports are published.
	Entry Zone = "entry"
	// Web is between the edge and what is behind it.
	Web Zone = "web"
	// Data is between the application and its stores.
	Data Zone = "data"
	// Watch is between Prometheus and what it scrapes.
	Watch Zone = "watch"
	// Exit leads to the Internet.
	Exit Zone = "exit"
	// Peers is between the pods of one workload, which a Docker host has none of.
	Peers Zone = "peers"
)

// Zones in a fixed order.
var Zones = []Zone{Entry, Web, Data, Watch, Exit}

// Internal tells whether the zone has no way in or out of the host.
func (z Zone) Internal() bool { return z != Entry && z != Exit }

// Link allows TCP connections from one end to another. Replies need no link. From the one
// list of links follow the network policies of both ends, or the networks of a host.
type Link struct {
	From, To End
	// Ports are the TCP ports of the receiving pods (not of a Service).
	Ports []int
	Zone  Zone
}

// Validate reports a link that allows nothing, or that no policy and no network could
// express.
func (l Link) Validate() error {
	for _, end := range []struct {
		side string
		end  End
	}{{"from", l.From}, {"to", l.To}} {
		ends := 0
		for _, is := range []bool{end.end.Workload != nil, end.end.Network != nil, end.end.Namespace != ""} {
			if is {
				ends++
			}
		}
		if ends != 1 {
			return fmt.Errorf("link: %q needs exactly one of workload, network and namespace", end.side)
		}
	}
	outside := l.From.Workload == nil || l.To.Workload == nil
	switch {
	case l.From.Workload == nil && l.To.Workload == nil:
		return fmt.Errorf("link: one end must be a workload of the stack")
	case !outside && l.Zone != Peers && l.From.Workload.Name == l.To.Workload.Name:
		return fmt.Errorf("link from %s to itself: name two workloads", l.From.Workload.Name)
	case l.Zone == Peers && (outside || l.From.Workload.Name != l.To.Workload.Name):
		return fmt.Errorf("link over zone %q: it is for the pods of one workload", l.Zone)
	case len(l.Ports) == 0:
		return fmt.Errorf("link: name at least one port")
	case outside == l.Zone.Internal():
		return fmt.Errorf("link over zone %q: %s and %s are for links with the world, and only they are", l.Zone, Entry, Exit)
	}
	return nil
}
