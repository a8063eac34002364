package ingress

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// IssuerKind is a kind of cert-manager's.
type IssuerKind string

// The kinds of issuers.
const (
	// NamespacedIssuer is in the edge's own namespace.
	NamespacedIssuer IssuerKind = "Issuer"
	// ClusterIssuer is the cluster's.
	ClusterIssuer IssuerKind = "ClusterIssuer"
)

// IssuerKinds lists them.
var IssuerKinds = []IssuerKind{NamespacedIssuer, ClusterIssuer}

// Issuer is one of cert-manager's that exists.
type Issuer struct {
	Name string
	Kind IssuerKind
	// HTTP01 says that it proves by ACME's challenge HTTP-01 that the hosts are its
	// user's: cert-manager then runs a pod in the namespace that answers one request,
	// which the edge passes on to it; with an Ingress object in front its controller does.
	HTTP01 bool
}

// SolverPort is that of cert-manager's pods which answer a challenge.
const SolverPort = 8089

// solverLabels are those of cert-manager's pods which answer a challenge.
var solverLabels = map[string]string{"acme.cert-manager.io/http01-solver": "true"}

// ErrDocker is for a certificate that only a cluster can keep.
var ErrDocker = errors.New("TLS: a Docker host has no Secrets and no cert-manager: give Certificate and Key, or neither for a development CA")

func (t TLS) validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("TLS: "+format, v...)) }
	if (t.Certificate == nil) != (t.Key == nil) {
		problem("Certificate and Key go together: give both, or neither for a development CA")
	}
	given := 0
	for _, is := range []bool{t.Certificate != nil, t.Secret != nil, t.Issuer != nil} {
		if is {
			given++
		}
	}
	if given > 1 {
		problem("Certificate, Secret and Issuer exclude each other: give one of them")
	}
	if i := t.Issuer; i != nil {
		if i.Name == "" {
			problem("Issuer: Name is missing")
		}
		if !slices.Contains(IssuerKinds, i.Kind) {
			problem("Issuer: Kind %q: want one of %q", i.Kind, IssuerKinds)
		}
	}
	return errors.Join(problems...)
}

// renewed says that somebody else puts new certificates into a Secret.
func (t TLS) renewed() bool { return t.Secret != nil || t.Issuer != nil }

// development says that the development CA issues the certificate.
func (t TLS) development() bool { return !t.renewed() && t.Certificate == nil }

// solves says that the answers to challenges go through the edge.
func (a *Args) solves() bool {
	return a.TLS.Issuer != nil && a.TLS.Issuer.HTTP01 && a.Exposure != IngressObject
}

// solver is the name of the Service of the pods that answer challenges.
func solver(name string) string { return name + "-acme" }

// solversAtOnce is one for each host.
var solversAtOnce = len(nginx.HostsOf("").All())

// solvers are cert-manager's pods as it makes them by default: they have to find room
// under a quota, or no challenge is answered.
func solvers(name string) room.Workload {
	return room.Workload{
		Identity: room.Identity{Name: solver(name), Instance: name, Component: "acme"}, Replicas: solversAtOnce, Ordered: true,
		Containers: []room.Resources{room.ResourcesOf("10m", "64Mi", "100m", "64Mi")},
	}
}

// issued has cert-manager keep the certificate, and returns the name of its Secret.
func (a *Args) issued(ctx *pulumi.Context, i room.Identity, opts ...pulumi.ResourceOption) (pulumi.StringInput, error) {
	secret := i.Name + "-certificate"
	meta := workload.Meta(i.Name, a.Namespace, i)
	// The edge has to run before a challenge can be answered through it.
	meta.Annotations = pulumi.StringMap{"cert-manager.io/issue-temporary-certificate": pulumi.String("true")}
	_, err := apiextensions.NewCustomResource(ctx, i.Name, &apiextensions.CustomResourceArgs{
		ApiVersion: pulumi.String("cert-manager.io/v1"),
		Kind:       pulumi.String("Certificate"),
		Metadata:   meta,
		OtherFields: map[string]any{"spec": map[string]any{
			"secretName": secret,
			"dnsNames":   nginx.HostsOf(a.Domain).All(),
			"issuerRef":  map[string]any{"group": "cert-manager.io", "kind": string(a.TLS.Issuer.Kind), "name": a.TLS.Issuer.Name},
			// A key that was read once opens nothing for longer than one certificate.
			"privateKey":           map[string]any{"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
			"usages":               []string{"digital signature", "server auth"},
			"revisionHistoryLimit": 1,
		}},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if !a.TLS.Issuer.HTTP01 {
		return pulumi.String(secret), nil
	}
	return pulumi.String(secret), a.admitSolver(ctx, i, opts...)
}

// admitSolver lets challenges through to whoever answers them: cert-manager's pods, which
// have names of their own each time, behind one name; and where nothing is allowed that
// is not stated, the way to them.
func (a *Args) admitSolver(ctx *pulumi.Context, i room.Identity, opts ...pulumi.ResourceOption) error {
	name := solver(i.Name)
	if a.solves() {
		meta := workload.Meta(name, a.Namespace, i)
		meta.Annotations = workload.Unawaited // there is a pod only now and then
		if _, err := corev1.NewService(ctx, name, &corev1.ServiceArgs{Metadata: meta, Spec: &corev1.ServiceSpecArgs{
			ClusterIP:      pulumi.String("None"),
			IpFamilyPolicy: workload.BothFamilies,
			Selector:       pulumi.ToStringMap(solverLabels),
			Ports:          corev1.ServicePortArray{&corev1.ServicePortArgs{Name: pulumi.String("http"), Port: pulumi.Int(SolverPort)}},
		}}, opts...); err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
	}
	solvers := &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(solverLabels)}
	edge := &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(i.Selector())}
	ports := networkingv1.NetworkPolicyPortArray{&networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String("TCP"), Port: pulumi.Int(SolverPort)}}
	in := &networkingv1.NetworkPolicyIngressRuleArgs{Ports: ports} // a controller may be anywhere
	if a.solves() {
		in.From = networkingv1.NetworkPolicyPeerArray{&networkingv1.NetworkPolicyPeerArgs{PodSelector: edge}}
		if _, err := networkingv1.NewNetworkPolicy(ctx, name, &networkingv1.NetworkPolicyArgs{
			Metadata: workload.Meta(name, a.Namespace, i),
			Spec: &networkingv1.NetworkPolicySpecArgs{
				PodSelector: edge, PolicyTypes: pulumi.ToStringArray([]string{"Egress"}),
				Egress: networkingv1.NetworkPolicyEgressRuleArray{&networkingv1.NetworkPolicyEgressRuleArgs{
					To: networkingv1.NetworkPolicyPeerArray{&networkingv1.NetworkPolicyPeerArgs{PodSelector: solvers}}, Ports: ports,
				}},
			},
		}, opts...); err != nil {
			return fmt.Errorf("network policy %s: %w", name, err)
		}
	}
	_, err := networkingv1.NewNetworkPolicy(ctx, name+"-solver", &networkingv1.NetworkPolicyArgs{
		Metadata: workload.Meta(name+"-solver", a.Namespace, i),
		Spec: &networkingv1.NetworkPolicySpecArgs{
			PodSelector: solvers, PolicyTypes: pulumi.ToStringArray([]string{"Ingress"}),
			Ingress: networkingv1.NetworkPolicyIngressRuleArray{in},
		},
	}, opts...)
	if err != nil {
		return fmt.Errorf("network policy %s-solver: %w", name, err)
	}
	return nil
}
