// Package netedge turns one list of edges (who talks to whom on which port) into
// network policies. Plain Go: the same list feeds the policies, their tests and
// the reachability matrix of the live test.
package netedge

import (
	"fmt"
	"slices"
	"strings"
)

// Workload is one set of pods.
type Workload struct {
	// Name of the workload, unique in its namespace.
	Name string
	// Selector matches the workload's pods.
	Selector map[string]string
}

// Network is a part of the world outside the namespace.
type Network struct {
	// CIDRs that belong to the network.
	CIDRs []string
	// Except are CIDRs within CIDRs that do not.
	Except []string
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

// Peer is one end of an edge: a workload or a network, exactly one of them.
type Peer struct {
	Workload *Workload
	Network  *Network
}

// Pods makes a peer of a workload.
func Pods(w Workload) Peer { return Peer{Workload: &w} }

// Outside makes a peer of a network.
func Outside(n Network) Peer { return Peer{Network: &n} }

// Edge allows TCP connections from one peer to another. Replies need no edge.
type Edge struct {
	From, To Peer
	// Ports are the TCP ports of the receiving pods (not of a Service).
	Ports []int
}

// Rule is one direction of one edge, as seen from a workload.
type Rule struct {
	Peer  Peer
	Ports []int
}

// Policy is everything that one workload may receive and send.
type Policy struct {
	Workload Workload
	Ingress  []Rule
	Egress   []Rule
}

// Policies groups the edges by workload, sorted by name. An edge between two
// workloads appears twice, as egress of one and ingress of the other, because
// both ends deny by default.
func Policies(edges []Edge) []Policy {
	byName := map[string]*Policy{}
	of := func(w *Workload) *Policy {
		p := byName[w.Name]
		if p == nil {
			p = &Policy{Workload: *w}
			byName[w.Name] = p
		}
		return p
	}
	for _, e := range edges {
		if e.From.Workload != nil {
			p := of(e.From.Workload)
			p.Egress = append(p.Egress, Rule{Peer: e.To, Ports: e.Ports})
		}
		if e.To.Workload != nil {
			p := of(e.To.Workload)
			p.Ingress = append(p.Ingress, Rule{Peer: e.From, Ports: e.Ports})
		}
	}
	policies := make([]Policy, 0, len(byName))
	for _, p := range byName {
		policies = append(policies, *p)
	}
	slices.SortFunc(policies, func(a, b Policy) int { return strings.Compare(a.Workload.Name, b.Workload.Name) })
	return policies
}

// Validate reports an edge that allows nothing or that no policy could express.
func (e Edge) Validate() error {
	for _, end := range []struct {
		side string
		peer Peer
	}{{"from", e.From}, {"to", e.To}} {
		if (end.peer.Workload == nil) == (end.peer.Network == nil) {
			return fmt.Errorf("edge: %q needs exactly one of workload and network", end.side)
		}
	}
	if e.From.Workload == nil && e.To.Workload == nil {
		return fmt.Errorf("edge: one end must be a workload of this namespace")
	}
	if len(e.Ports) == 0 {
		return fmt.Errorf("edge: name at least one port")
	}
	return nil
}
