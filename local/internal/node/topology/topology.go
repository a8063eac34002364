// Package topology says which nodes a local cluster has and what they are called:
// names, addresses and ports follow from a Cluster alone, so that nothing else
// assumes them and two clusters can be told apart.
package topology

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	// Product is the part of names that does not depend on the cluster: of folders
	// inside nodes, of users in certificates.
	Product = "alphapulse"
	// Domain is the DNS domain of every cluster.
	Domain = "cluster.local"
	// MaxNodes is how many nodes a cluster can have: more would be of no use on one
	// machine.
	MaxNodes = 9

	apiPort = 6443
)

// A Cluster is what one cluster, or the node of a Docker engine, consists of.
type Cluster struct {
	// Name is the name of the first node; those of other nodes, of network
	// namespaces, links and cgroups begin with it. At most 14 bytes, because a link
	// has it with a digit.
	Name string `json:"name"`
	// Links are the addresses of the links that join the machine to the nodes, four
	// for each node.
	Links netip.Prefix `json:"links"`
	// Pods and Services are routed from the machine to the nodes, so that tests reach
	// every pod and every Service. Each node has 256 addresses of Pods.
	Pods     netip.Prefix `json:"pods"`
	Services netip.Prefix `json:"services"`
	// Links6, Pods6 and Services6 are the same for version 6 of IP. A cluster has all
	// of them or, with version 4 alone, none.
	Links6    netip.Prefix `json:"links6,omitzero"`
	Pods6     netip.Prefix `json:"pods6,omitzero"` // 2^64 addresses for each node
	Services6 netip.Prefix `json:"services6,omitzero"`
	// Ports are the NodePorts, or the ports that a container publishes, that also
	// answer on 127.0.0.1 of the machine, HTTPS first, so that names below localhost
	// lead to the first node.
	Ports []int `json:"ports"`
	// Nodes are numbered from 1 on, without gaps. The first has the control plane.
	Nodes []Node `json:"nodes"`
}

// A Node is what was asked for of one node.
type Node struct {
	Number int `json:"number"`
	// Zone is the value of its label topology.kubernetes.io/zone.
	Zone   string            `json:"zone"`
	Labels map[string]string `json:"labels,omitempty"`
	Taints []corev1.Taint    `json:"taints,omitempty"`
}

// Local is the cluster of this machine with one node.
func Local() Cluster {
	return Cluster{
		Name:     Product,
		Links:    netip.MustParsePrefix("10.250.0.0/26"),
		Pods:     netip.MustParsePrefix("10.244.0.0/16"),
		Services: netip.MustParsePrefix("10.96.0.0/16"),
		Ports:    []int{30443, 30080},
		Nodes:    []Node{newNode(1)},
	}
}

// withVersion6 returns the cluster with addresses of both versions of IP. They are of a
// block for local use (RFC 4193).
func (c Cluster) withVersion6() Cluster {
	c.Links6 = netip.MustParsePrefix("fd61:6c70:6861::/120")
	c.Pods6 = netip.MustParsePrefix("fd61:6c70:6861:100::/56")
	c.Services6 = netip.MustParsePrefix("fd61:6c70:6861:1::/112")
	return c
}

// DualStack reports whether the cluster has addresses of both versions of IP.
func (c Cluster) DualStack() bool { return c.Links6.IsValid() }

// newNode is a node of which nothing was asked: each has a zone of its own, so that
// pods that ask to be spread over zones find them.
func newNode(number int) Node {
	return Node{Number: number, Zone: "local-" + string(rune('a'+number-1))}
}

// Check returns everything that keeps the cluster from being made.
func (c Cluster) Check() error {
	var errs []error
	if c.Name == "" || len(c.Name) > 14 {
		errs = append(errs, fmt.Errorf("cluster name %q: want 1 to 14 bytes", c.Name))
	}
	if len(c.Nodes) < 1 || len(c.Nodes) > MaxNodes {
		errs = append(errs, fmt.Errorf("%d nodes: want 1 to %d", len(c.Nodes), MaxNodes))
	}
	for i, n := range c.Nodes {
		if n.Number != i+1 {
			errs = append(errs, fmt.Errorf("node %d has number %d", i+1, n.Number))
		}
	}
	for name, p := range map[string]netip.Prefix{"links": c.Links, "pods": c.Pods, "services": c.Services} {
		if !p.IsValid() || !p.Addr().Is4() || p.Masked() != p {
			errs = append(errs, fmt.Errorf("range %s of %s: want an IPv4 network", p, name))
		}
	}
	for name, p := range map[string]netip.Prefix{"links": c.Links6, "pods": c.Pods6, "services": c.Services6} {
		if p.IsValid() != c.DualStack() || p.IsValid() && (!p.Addr().Is6() || p.Masked() != p) {
			errs = append(errs, fmt.Errorf("range %s of %s: want an IPv6 network", p, name))
		}
	}
	return errors.Join(errs...)
}

// Hosts returns the cluster's nodes.
func (c Cluster) Hosts() []Host {
	hosts := make([]Host, len(c.Nodes))
	for i, n := range c.Nodes {
		hosts[i] = Host{Cluster: c, Node: n}
	}
	return hosts
}

// Possible returns a host for every node that a cluster of this name can have,
// also for those that this one does not: what is left of one is found by its names.
func (c Cluster) Possible() []Host {
	hosts := c.Hosts()
	for n := len(hosts) + 1; n <= MaxNodes; n++ {
		hosts = append(hosts, Host{Cluster: c, Node: newNode(n)})
	}
	return hosts
}

// First is the node with the control plane.
func (c Cluster) First() Host { return Host{Cluster: c, Node: c.Nodes[0]} }

// Find returns the node of that name. The error names those that there are.
func (c Cluster) Find(name string) (Host, error) {
	var names []string
	for _, h := range c.Hosts() {
		if h.Name() == name {
			return h, nil
		}
		names = append(names, h.Name())
	}
	return Host{}, fmt.Errorf("there is no node %q in the cluster: it has %s", name, strings.Join(names, ", "))
}

// Switch is the name of the network namespace that joins the nodes to each other.
func (c Cluster) Switch() string { return c.Name + "-switch" }

// APIServer is the address of the Kubernetes API.
func (c Cluster) APIServer() string {
	return fmt.Sprintf("https://%s", netip.AddrPortFrom(c.First().IP(), apiPort))
}

// LinkRanges are Links of each version of IP that the cluster has.
func (c Cluster) LinkRanges() []netip.Prefix { return both(c.Links, c.Links6) }

// PodRanges are Pods, likewise.
func (c Cluster) PodRanges() []netip.Prefix { return both(c.Pods, c.Pods6) }

// ServiceRanges are Services, likewise.
func (c Cluster) ServiceRanges() []netip.Prefix { return both(c.Services, c.Services6) }

func both(v4, v6 netip.Prefix) []netip.Prefix {
	if v6.IsValid() {
		return []netip.Prefix{v4, v6}
	}
	return []netip.Prefix{v4}
}

// APIService is the address of the API inside the cluster: by definition the first
// one of Services.
func (c Cluster) APIService() netip.Addr { return nth(c.Services, 1) }

// DNSService is the address at which pods ask for names.
func (c Cluster) DNSService() netip.Addr { return nth(c.Services, 10) }

// A Host is a node in its cluster.
type Host struct {
	Cluster Cluster
	Node
}

// Name is the name of the node, of its network namespace and of its cgroup.
func (h Host) Name() string {
	if h.ControlPlane() {
		return h.Cluster.Name
	}
	return fmt.Sprintf("%s-%d", h.Cluster.Name, h.Number)
}

// ControlPlane reports whether the node runs the API server and what belongs to it.
func (h Host) ControlPlane() bool { return h.Number == 1 }

// Link is the machine's end of the pair of links that joins it to the node.
func (h Host) Link() string {
	if h.ControlPlane() {
		return h.Cluster.Name + "0"
	}
	return fmt.Sprintf("%s%d", h.Cluster.Name, h.Number)
}

// Port is the switch's end of the pair of links that joins the node to the others.
func (h Host) Port() string { return fmt.Sprintf("node%d", h.Number) }

// LinkRange holds MachineIP and IP and nothing else.
func (h Host) LinkRange() netip.Prefix { return h.LinkRanges()[0] }

// LinkRanges is LinkRange of each version of IP.
func (h Host) LinkRanges() []netip.Prefix {
	four := func(p netip.Prefix, bits int) netip.Prefix {
		if !p.IsValid() {
			return p
		}
		return netip.PrefixFrom(nth(p, 4*(h.Number-1)), bits)
	}
	return both(four(h.Cluster.Links, 30), four(h.Cluster.Links6, 126))
}

// MachineIP is the machine, as the node sees it.
func (h Host) MachineIP() netip.Addr { return nth(h.LinkRange(), 1) }

// IP is the node, as the machine and other nodes see it.
func (h Host) IP() netip.Addr { return nth(h.LinkRange(), 2) }

// IPs is IP of each version.
func (h Host) IPs() []netip.Addr {
	var all []netip.Addr
	for _, r := range h.LinkRanges() {
		all = append(all, nth(r, 2))
	}
	return all
}

// MachineIPs is MachineIP of each version.
func (h Host) MachineIPs() []netip.Addr {
	var all []netip.Addr
	for _, r := range h.LinkRanges() {
		all = append(all, nth(r, 1))
	}
	return all
}

// Pods are the addresses of the node's pods.
func (h Host) Pods() netip.Prefix {
	return netip.PrefixFrom(nth(h.Cluster.Pods, 256*(h.Number-1)), 24)
}

// PodRanges is Pods of each version of IP.
func (h Host) PodRanges() []netip.Prefix {
	if !h.Cluster.DualStack() {
		return []netip.Prefix{h.Pods()}
	}
	b := h.Cluster.Pods6.Addr().As16()
	b[7] += byte(h.Number - 1)
	return []netip.Prefix{h.Pods(), netip.PrefixFrom(netip.AddrFrom16(b), 64)}
}

// nth returns the address that is n after the first one of the network.
func nth(p netip.Prefix, n int) netip.Addr {
	b := p.Addr().AsSlice()
	for i := len(b) - 1; i >= 0 && n > 0; i-- {
		n += int(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
