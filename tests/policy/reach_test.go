package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// place is who is at the other end of a connection: a pod of a namespace, or an address.
type place struct {
	namespace string
	labels    labels.Set
	address   string
	// inside says that the address is that of a node or of a pod that is not named here.
	inside bool
}

// isPeer tells what a rule's peers mean to Cilium, which is the strictest: an ipBlock is
// for what is outside of the cluster alone. Whoever follows the letter of the API lets
// addresses of pods and nodes match, too.
func (x place) isPeer(t *testing.T, peers []networkingv1.NetworkPolicyPeer) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock != nil {
			if x.address == "" || x.inside {
				return false
			}
			in := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(netip.MustParseAddr(x.address)) }
			return in(p.IPBlock.CIDR) && !slices.ContainsFunc(p.IPBlock.Except, in)
		}
		if x.namespace == "" {
			return false
		}
		match := func(s *metav1.LabelSelector, l labels.Set) bool {
			selector, err := metav1.LabelSelectorAsSelector(s)
			return assert.NoError(t, err) && selector.Matches(l)
		}
		inNamespace := p.NamespaceSelector != nil && match(p.NamespaceSelector, labels.Set{"kubernetes.io/metadata.name": x.namespace})
		return inNamespace && (p.PodSelector == nil || match(p.PodSelector, x.labels))
	})
}

func onPort(ports []networkingv1.NetworkPolicyPort, protocol corev1.Protocol, number int32) bool {
	return slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		return *p.Protocol == protocol && p.Port.IntVal == number
	})
}

// policyOf is a policy of the stack by its name.
func (s stack) policyOf(t *testing.T, name string) networkingv1.NetworkPolicySpec {
	for _, p := range recorder.Of[*networkingv1.NetworkPolicy](s.objects) {
		if p.Name == name {
			return p.Spec
		}
	}
	t.Fatalf("no NetworkPolicy %s", name)
	return networkingv1.NetworkPolicySpec{}
}

func (s stack) asks(t *testing.T, server place, port int32) bool {
	rules := s.policyOf(t, "platform-dns").Egress
	for _, protocol := range []corev1.Protocol{"UDP", "TCP"} {
		if !slices.ContainsFunc(rules, func(r networkingv1.NetworkPolicyEgressRule) bool {
			return onPort(r.Ports, protocol, port) && server.isPeer(t, r.To)
		}) {
			return false
		}
	}
	return true
}

// TestNameServersOfEveryDistribution: whatever a pod's resolv.conf names is what it may
// ask, without a setting where the distribution is a common one.
func TestNameServersOfEveryDistribution(t *testing.T) {
	system := func(l labels.Set) place { return place{namespace: "kube-system", labels: l} }
	kubeDNS := labels.Set{"k8s-app": "kube-dns"}
	usual := recorded(t, "prod", nil)
	for name, c := range map[string]struct {
		server place
		port   int32
	}{
		"kubeadm, kind, k3s, AKS":              {system(kubeDNS), 53},
		"EKS":                                  {system(labels.Set{"k8s-app": "kube-dns", "eks.amazonaws.com/component": "coredns"}), 53},
		"GKE":                                  {system(kubeDNS), 53},
		"RKE2":                                 {system(labels.Set{"k8s-app": "kube-dns", "app.kubernetes.io/name": "rke2-coredns"}), 53},
		"OpenShift":                            {place{namespace: "openshift-dns", labels: labels.Set{"dns.operator.openshift.io/daemonset-dns": "default"}}, 5353},
		"CoreDNS' own chart":                   {place{namespace: "dns", labels: labels.Set{"k8s-app": "coredns", "app.kubernetes.io/name": "coredns"}}, 53},
		"kube-dns in a namespace of its own":   {place{namespace: "dns", labels: kubeDNS}, 53},
		"node-local cache":                     {place{address: "169.254.20.10"}, 53},
		"node-local cache of kubespray":        {place{address: "169.254.25.10"}, 53},
		"node-local cache that is a pod (GKE)": {system(labels.Set{"k8s-app": "node-local-dns"}), 53},
		"Cloud DNS for GKE":                    {place{address: "169.254.169.254"}, 53},
		"Amazon's own":                         {place{address: "169.254.169.253"}, 53},
	} {
		assert.True(t, usual.asks(t, c.server, c.port), "%s: no pod may resolve a name", name)
	}
	elsewhere := place{address: "198.51.100.53"}
	assert.False(t, usual.asks(t, elsewhere, 53), "any name server of the world")
	assert.False(t, usual.asks(t, place{namespace: "shop", labels: labels.Set{"app": "shop"}}, 53), "a stranger's pod")
	assert.False(t, usual.asks(t, system(kubeDNS), 443), "more than names")

	told := recorded(t, "prod", map[string]string{"dnsCidrs": `["198.51.100.53/32","fd00:233::3/128"]`, "dnsPorts": `["53","1053"]`})
	assert.True(t, told.asks(t, elsewhere, 53), "dnsCidrs")
	assert.True(t, told.asks(t, place{address: "fd00:233::3"}, 1053), "dnsPorts")
	assert.False(t, told.asks(t, place{namespace: "openshift-dns", labels: labels.Set{"dns.operator.openshift.io/daemonset-dns": "default"}}, 5353), "a port that is not among dnsPorts")

	any_ := recorded(t, "prod", map[string]string{"dnsCidrs": `["0.0.0.0/0"]`})
	assert.True(t, any_.asks(t, place{address: "169.254.25.10", inside: true}, 53), "a cache that is the node itself to Cilium")
	assert.False(t, any_.asks(t, place{address: "169.254.25.10", inside: true}, 443), "more than names")
}

// TestAnywhereIsAnywhere: whoever enforces the policies, a controller's pods, a gateway of
// another namespace, nodes (which ask after the health of their load balancer's targets)
// and the world reach the edge, on its two ports; and what asks the API server reaches it
// wherever it is.
func TestAnywhereIsAnywhere(t *testing.T) {
	everybody := map[string]place{
		"an Ingress controller's pod":       {namespace: "ingress-nginx", labels: labels.Set{"app.kubernetes.io/name": "ingress-nginx"}},
		"a gateway's pod":                   {namespace: "istio-system", labels: labels.Set{"istio": "ingressgateway"}},
		"a node, whose health checks count": {address: "10.0.0.7", inside: true},
		"a node by IPv6":                    {address: "fd00::7", inside: true},
		"the world":                         {address: "203.0.113.9"},
		"the world by IPv6":                 {address: "2001:db8::9"},
	}
	eachStack(t, func(t *testing.T, s stack) {
		in, out := s.policyOf(t, "platform-edge-ingress").Ingress, s.policyOf(t, "platform-monitoring-prometheus").Egress
		for who, x := range everybody {
			reaches := func(port int32) bool {
				return slices.ContainsFunc(in, func(r networkingv1.NetworkPolicyIngressRule) bool {
					return onPort(r.Ports, "TCP", port) && x.isPeer(t, r.From)
				})
			}
			asks := func(port int32) bool {
				return slices.ContainsFunc(out, func(r networkingv1.NetworkPolicyEgressRule) bool {
					return onPort(r.Ports, "TCP", port) && x.isPeer(t, r.To)
				})
			}
			assert.True(t, reaches(8443) && reaches(8080), "%s does not reach the edge", who)
			assert.False(t, reaches(8081), "%s reaches nginx' own figures", who)
			assert.True(t, asks(6443), "Prometheus does not reach an API server at the address of: %s", who)
			assert.False(t, asks(22), "Prometheus may open any port of: %s", who)
		}
	})
}

// TestBothFamiliesOfIP: Services ask for both where the cluster has both, and nobody is
// told to listen on addresses of IPv4 alone.
func TestBothFamiliesOfIP(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		for _, o := range recorder.Of[*corev1.Service](s.objects) {
			if assert.NotNil(t, o.Spec.IPFamilyPolicy, "Service %s", o.Name) {
				assert.Equal(t, corev1.IPFamilyPolicyPreferDualStack, *o.Spec.IPFamilyPolicy, "Service %s", o.Name)
			}
		}
		for _, w := range s.workloads {
			for _, c := range recorder.Containers(w.Template.Spec) {
				for _, arg := range c.Args {
					assert.NotContains(t, arg, "listen-address=0.0.0.0", "%s container %s", w.Object, c.Name)
				}
				if strings.Contains(c.Image, "redis_exporter") {
					assert.Contains(t, c.Env, corev1.EnvVar{Name: "REDIS_EXPORTER_WEB_LISTEN_ADDRESS", Value: ":9121"}, "its default is IPv4 alone")
				}
			}
		}
	})
}
