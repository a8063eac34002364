package platform

import (
	"net/netip"
	"slices"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// networkPolicies refuses everything in both directions, then allows name
// resolution to every pod and to each workload what the links say.
func networkPolicies(ctx *pulumi.Context, name string, namespace pulumi.StringInput, i room.Identity, links []room.Link, dns NameServers, opts ...pulumi.ResourceOption) error {
	everyPod := &metav1.LabelSelectorArgs{}
	both := pulumi.ToStringArray([]string{"Ingress", "Egress"})
	if _, err := networkingv1.NewNetworkPolicy(ctx, name+"-default-deny", &networkingv1.NetworkPolicyArgs{
		Metadata: workload.Meta(name+"-default-deny", namespace, i),
		Spec:     &networkingv1.NetworkPolicySpecArgs{PodSelector: everyPod, PolicyTypes: both},
	}, opts...); err != nil {
		return err
	}
	if _, err := networkingv1.NewNetworkPolicy(ctx, name+"-dns", &networkingv1.NetworkPolicyArgs{
		Metadata: workload.Meta(name+"-dns", namespace, i),
		Spec: &networkingv1.NetworkPolicySpecArgs{
			PodSelector: everyPod,
			PolicyTypes: pulumi.ToStringArray([]string{"Egress"}),
			Egress:      networkingv1.NetworkPolicyEgressRuleArray{dns.rule()},
		},
	}, opts...); err != nil {
		return err
	}
	for _, p := range policiesOf(links) {
		own := i
		own.Name = p.workload.Name
		create := func(object string, spec *networkingv1.NetworkPolicySpecArgs) error {
			spec.PodSelector = &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(p.workload.Selector())}
			_, err := networkingv1.NewNetworkPolicy(ctx, object, &networkingv1.NetworkPolicyArgs{
				Metadata: workload.Meta(object, namespace, own),
				Spec:     spec,
			}, opts...)
			return err
		}
		var ingress networkingv1.NetworkPolicyIngressRuleArray
		for _, r := range p.ingress {
			ingress = append(ingress, &networkingv1.NetworkPolicyIngressRuleArgs{From: peers(r.end), Ports: ports(r.ports)})
		}
		var egress networkingv1.NetworkPolicyEgressRuleArray
		for _, r := range p.egress {
			egress = append(egress, &networkingv1.NetworkPolicyEgressRuleArgs{To: peers(r.end), Ports: ports(r.ports)})
		}
		object := name + "-" + p.workload.Name
		if acceptsNetwork(p) {
			// kube-router, which k3s enforces policies with, looks for a connection in
			// all rules of a policy, whatever their direction: one that says who may
			// come in from anywhere would let the workload's pods out to each other.
			if err := create(object+"-ingress", &networkingv1.NetworkPolicySpecArgs{
				PolicyTypes: pulumi.ToStringArray([]string{"Ingress"}), Ingress: ingress,
			}); err != nil {
				return err
			}
			ingress = nil
		}
		if err := create(object, &networkingv1.NetworkPolicySpecArgs{PolicyTypes: both, Ingress: ingress, Egress: egress}); err != nil {
			return err
		}
	}
	return nil
}

// acceptsNetwork tells whether a workload takes connections from addresses rather
// than from pods that it names.
func acceptsNetwork(p policy) bool {
	return slices.ContainsFunc(p.ingress, func(r rule) bool { return r.end.Network != nil })
}

// peers are what one end means; nil for everything. A rule without peers is the one form
// that means pods, nodes and the world to whoever enforces it: Cilium applies no ipBlock
// to addresses of pods and nodes, not 0.0.0.0/0 either.
func peers(e room.End) networkingv1.NetworkPolicyPeerArray {
	if e.Workload != nil {
		return networkingv1.NetworkPolicyPeerArray{&networkingv1.NetworkPolicyPeerArgs{
			PodSelector: &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(e.Workload.Selector())},
		}}
	}
	if e.Namespace != "" {
		return networkingv1.NetworkPolicyPeerArray{&networkingv1.NetworkPolicyPeerArgs{
			NamespaceSelector: &metav1.LabelSelectorArgs{MatchLabels: pulumi.StringMap{"kubernetes.io/metadata.name": pulumi.String(e.Namespace)}},
		}}
	}
	if e.Network.Everything() {
		return nil
	}
	var out networkingv1.NetworkPolicyPeerArray
	for _, cidr := range e.Network.CIDRs {
		// An ipBlock's exceptions must lie within it and be smaller, so each block takes
		// its own: a private block that is named is meant.
		block := netip.MustParsePrefix(cidr)
		var except []string
		for _, e := range e.Network.Except {
			if x := netip.MustParsePrefix(e); block.Overlaps(x) && x.Bits() > block.Bits() {
				except = append(except, e)
			}
		}
		args := &networkingv1.IPBlockArgs{Cidr: pulumi.String(cidr)}
		if len(except) > 0 {
			args.Except = pulumi.ToStringArray(except)
		}
		out = append(out, &networkingv1.NetworkPolicyPeerArgs{IpBlock: args})
	}
	return out
}

func ports(numbers []int) networkingv1.NetworkPolicyPortArray {
	var out networkingv1.NetworkPolicyPortArray
	for _, n := range numbers {
		out = append(out, &networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String("TCP"), Port: pulumi.Int(n)})
	}
	return out
}
