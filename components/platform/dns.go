package platform

import (
	"errors"
	"fmt"
	"net/netip"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// NameServers are where pods may resolve names, beside the places where the common
// distributions have their name servers.
type NameServers struct {
	// CIDRs of further name servers. One that holds every address, e.g. 0.0.0.0/0, lets
	// pods ask any, a cache on the node's own addresses under Cilium, too.
	CIDRs []string
	// Ports of the name servers' pods; nil for DefaultDNSPorts.
	Ports []int
}

// DefaultDNSPorts are those of CoreDNS and kube-dns, and of OpenShift's CoreDNS.
var DefaultDNSPorts = []int{53, 5353}

// linkLocal is where caches on the nodes answer (169.254.20.10, kubespray's 169.254.25.10)
// and clouds' own name servers (169.254.169.254, AWS' 169.254.169.253): RFC 3927.
const linkLocal = "169.254.0.0/16"

func (n NameServers) validate() error {
	var problems []error
	for _, c := range n.CIDRs {
		if p, err := netip.ParsePrefix(c); err != nil || p.Masked() != p {
			problems = append(problems, fmt.Errorf("platform: NameServers: %q is not a network: write e.g. 10.96.0.10/32", c))
		}
	}
	for _, p := range n.Ports {
		if p < 1 || p > 65535 {
			problems = append(problems, fmt.Errorf("platform: NameServers: port %d: want one from 1 to 65535", p))
		}
	}
	return errors.Join(problems...)
}

// rule lets pods ask. Who serves names is told by the labels that the distributions give
// their pods, wherever they run; a stranger's pod of such a label gets questions on these
// ports and no more.
func (n NameServers) rule() *networkingv1.NetworkPolicyEgressRuleArgs {
	numbers := n.Ports
	if numbers == nil {
		numbers = DefaultDNSPorts
	}
	rule := &networkingv1.NetworkPolicyEgressRuleArgs{}
	var ports networkingv1.NetworkPolicyPortArray
	for _, number := range numbers {
		for _, protocol := range []string{"UDP", "TCP"} {
			ports = append(ports, &networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String(protocol), Port: pulumi.Int(number)})
		}
	}
	rule.Ports = ports
	if (room.Network{CIDRs: n.CIDRs}).Everything() {
		return rule
	}
	pods := func(key string, values ...string) *networkingv1.NetworkPolicyPeerArgs {
		is := &metav1.LabelSelectorRequirementArgs{Key: pulumi.String(key), Operator: pulumi.String("Exists")}
		if len(values) > 0 {
			is.Operator, is.Values = pulumi.String("In"), pulumi.ToStringArray(values)
		}
		return &networkingv1.NetworkPolicyPeerArgs{
			NamespaceSelector: &metav1.LabelSelectorArgs{},
			PodSelector:       &metav1.LabelSelectorArgs{MatchExpressions: metav1.LabelSelectorRequirementArray{is}},
		}
	}
	to := networkingv1.NetworkPolicyPeerArray{
		&networkingv1.NetworkPolicyPeerArgs{NamespaceSelector: &metav1.LabelSelectorArgs{
			MatchLabels: pulumi.StringMap{"kubernetes.io/metadata.name": pulumi.String("kube-system")},
		}},
		// kubeadm and all that follow it, the clouds' too; a cache that is no host's.
		pods("k8s-app", "kube-dns", "coredns", "node-local-dns", "nodelocaldns"),
		pods("app.kubernetes.io/name", "coredns", "rke2-coredns"), // CoreDNS' own chart
		pods("dns.operator.openshift.io/daemonset-dns"),
	}
	for _, cidr := range append([]string{linkLocal}, n.CIDRs...) {
		to = append(to, &networkingv1.NetworkPolicyPeerArgs{IpBlock: &networkingv1.IPBlockArgs{Cidr: pulumi.String(cidr)}})
	}
	rule.To = to
	return rule
}
