package topology

import (
	"net/netip"
	"strings"
	"testing"
)

// grown is the local cluster with as many nodes as a cluster can have, and with both
// versions of IP.
func grown() Cluster {
	c := Local().withVersion6()
	for n := 2; n <= MaxNodes; n++ {
		c.Nodes = append(c.Nodes, newNode(n))
	}
	return c
}

func TestAddressesFitTogether(t *testing.T) {
	c := grown()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if a := c.First().IP().String() + " " + c.APIServer() + " " + c.APIService().String() + " " + c.DNSService().String(); a != "10.250.0.2 https://10.250.0.2:6443 10.96.0.1 10.96.0.10" {
		t.Errorf("addresses that stored clusters have: %s", a)
	}
	var ranges []netip.Prefix
	for _, h := range c.Hosts() {
		for _, a := range []netip.Addr{h.MachineIP(), h.IP()} {
			if !h.LinkRange().Contains(a) || !c.Links.Contains(a) {
				t.Errorf("%s: %s is not in %s and %s", h.Name(), a, h.LinkRange(), c.Links)
			}
		}
		if !c.Pods.Contains(h.Pods().Addr()) || h.Pods().Masked() != h.Pods() {
			t.Errorf("%s: pods %s", h.Name(), h.Pods())
		}
		ranges = append(append(ranges, h.LinkRanges()...), h.PodRanges()...)
		if len(h.IPs()) != 2 || len(h.MachineIPs()) != 2 || !h.LinkRanges()[1].Contains(h.IPs()[1]) || !c.Links6.Contains(h.MachineIPs()[1]) || !c.Pods6.Contains(h.PodRanges()[1].Addr()) {
			t.Errorf("%s: version 6: %v %v %v %v", h.Name(), h.LinkRanges(), h.IPs(), h.MachineIPs(), h.PodRanges())
		}
	}
	disjoint(t, append(ranges, c.ServiceRanges()...))
	if one := Local(); one.DualStack() || len(one.First().IPs()) != 1 || len(one.First().PodRanges()) != 1 || len(one.ServiceRanges()) != 1 {
		t.Error("version 6 is there without being asked for")
	}
}

func disjoint(t *testing.T, ranges []netip.Prefix) {
	t.Helper()
	for i, a := range ranges {
		for _, b := range ranges[:i] {
			if a.Overlaps(b) {
				t.Errorf("%s overlaps %s", a, b)
			}
		}
	}
}

// TestTwoClustersShareNothing is what lets two run side by side: everything that a
// cluster has on the machine follows from its parameters.
func TestTwoClustersShareNothing(t *testing.T) {
	a, b := grown(), grown()
	b.Name, b.Ports = "second", []int{31443, 31080}
	b.Links6, b.Pods6, b.Services6 = netip.MustParsePrefix("fd00::/120"), netip.MustParsePrefix("fd00:0:0:100::/56"), netip.MustParsePrefix("fd00:0:0:1::/112")
	b.Links, b.Pods, b.Services = netip.MustParsePrefix("10.251.0.0/26"), netip.MustParsePrefix("10.245.0.0/16"), netip.MustParsePrefix("10.97.0.0/16")
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	var ranges []netip.Prefix
	for _, c := range []Cluster{a, b} {
		for _, h := range c.Hosts() {
			for _, name := range []string{"name " + h.Name(), "link " + h.Link()} {
				if names[name] || len(h.Link()) > 15 {
					t.Errorf("%s twice, or too long", name)
				}
				names[name] = true
			}
			ranges = append(append(ranges, h.LinkRanges()...), h.PodRanges()...)
		}
		ranges = append(ranges, c.ServiceRanges()...)
	}
	disjoint(t, ranges)
	if a.APIServer() == b.APIServer() {
		t.Errorf("both APIs are at %s", a.APIServer())
	}
}

func TestPossibleNamesAreThoseOfNodes(t *testing.T) {
	all, has := Local().Possible(), grown().Hosts()
	if len(all) != len(has) {
		t.Fatalf("%d possible nodes, %d nodes", len(all), len(has))
	}
	for i := range all {
		if all[i].Name() != has[i].Name() || all[i].Link() != has[i].Link() {
			t.Errorf("%s, %s: want %s, %s", all[i].Name(), all[i].Link(), has[i].Name(), has[i].Link())
		}
	}
}

func TestCheckNamesAllProblems(t *testing.T) {
	c := Cluster{Name: "much-too-long-name", Links: netip.MustParsePrefix("10.0.0.1/8"), Pods: Local().Pods, Services: netip.MustParsePrefix("fd00::/64"), Nodes: []Node{{Number: 2}}, Links6: netip.MustParsePrefix("fd00::/120")}
	err := c.Check()
	for _, want := range []string{`"much-too-long-name"`, "10.0.0.1/8 of links", "fd00::/64 of services", "node 1 has number 2", "of pods: want an IPv6"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
}
