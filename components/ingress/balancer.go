package ingress

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Balancer is what is said to whoever leads clients to the edge: the controller of load
// balancers, or that of Ingress objects.
type Balancer struct {
	// Annotations of the Service, or with an Ingress object of that. They are the controller's own.
	Annotations map[string]string
	// Class of the load balancer; "" for the cluster's default. It can never change.
	Class string
	// SourceRanges are the networks of the clients that the balancer lets in; nil for all.
	SourceRanges []string
	// Cluster lets every node take connections and pass them on, which hides the client's
	// address. Else only nodes with an edge pod do, and it stays.
	Cluster bool
	// HealthCheckNodePort of a load balancer; 0 lets Kubernetes choose. It needs Cluster
	// to be false.
	HealthCheckNodePort int
	// ProxyProtocol says that whoever connects to HTTPSPort and HTTPPort begins with a
	// PROXY protocol header that names the client; one that does not is refused.
	ProxyProtocol bool
	// NodePorts gives the Service behind an Ingress object ports of the nodes, where the
	// controller reaches nodes only (an ALB in instance mode).
	NodePorts bool
}

func (b Balancer) validate(exposure Exposure) error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf(format, v...)) }
	for _, key := range slices.Sorted(maps.Keys(b.Annotations)) {
		if list := validation.IsQualifiedName(key); len(list) > 0 {
			problem("annotation %q: %s", key, list[0])
		}
	}
	if exposure != LoadBalancer && (b.Class != "" || len(b.SourceRanges) > 0 || b.HealthCheckNodePort != 0) {
		problem("Class, SourceRanges and HealthCheckNodePort need Exposure %q, not %q", LoadBalancer, exposure)
	}
	if exposure == IngressObject && b.ProxyProtocol {
		problem("ProxyProtocol: a controller of Ingress objects speaks HTTP to the edge: leave it out")
	}
	if exposure == GatewayRoute && b.Cluster {
		problem("Cluster: a Gateway connects to pods, and no node passes anything on: leave it out")
	}
	if exposure != IngressObject && b.NodePorts {
		problem("NodePorts needs Exposure %q, not %q", IngressObject, exposure)
	}
	if b.HealthCheckNodePort != 0 && b.Cluster {
		problem("HealthCheckNodePort %d: with Cluster there is no such port: remove one of them", b.HealthCheckNodePort)
	}
	if b.HealthCheckNodePort < 0 || b.HealthCheckNodePort > 65535 {
		problem("HealthCheckNodePort %d: want a port of the nodes", b.HealthCheckNodePort)
	}
	if list := validation.IsQualifiedName(b.Class); b.Class != "" && len(list) > 0 {
		problem("Class %q: %s", b.Class, list[0])
	}
	return errors.Join(append(problems, nginx.CheckCIDRs("SourceRanges", b.SourceRanges))...)
}

// healthPort is where probes ask; 0 for the port that clients use.
func (a *Args) healthPort() int {
	if a.Balancer.ProxyProtocol {
		return HealthPort
	}
	return 0
}

// annotations are the given ones on top of those of every way in.
func (b Balancer) annotations() pulumi.StringMap {
	all := maps.Clone(workload.Unawaited) // a cluster without a load balancer or controller never gives an address
	for key, value := range b.Annotations {
		all[key] = pulumi.String(value)
	}
	return all
}

// service completes the Service of the edge.
func (b Balancer) service(exposure Exposure, spec *corev1.ServiceSpecArgs) {
	switch {
	case exposure == LoadBalancer:
		spec.Type = pulumi.String("LoadBalancer")
	case exposure == NodePort, b.NodePorts:
		spec.Type = pulumi.String("NodePort")
	default:
		return
	}
	spec.ExternalTrafficPolicy = pulumi.String("Local")
	if b.Cluster {
		spec.ExternalTrafficPolicy = pulumi.String("Cluster")
	}
	if b.Class != "" {
		spec.LoadBalancerClass = pulumi.String(b.Class)
	}
	if len(b.SourceRanges) > 0 {
		spec.LoadBalancerSourceRanges = pulumi.ToStringArray(b.SourceRanges)
	}
	if b.HealthCheckNodePort != 0 {
		spec.HealthCheckNodePort = pulumi.Int(b.HealthCheckNodePort)
	}
}
