package ingress

import (
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Exposure is the way in.
type Exposure string

// The ways in.
const (
	// NodePort opens a port on each node.
	NodePort Exposure = "nodePort"
	// LoadBalancer asks the cloud for an address. It is not awaited: Address is ""
	// until a later refresh finds one.
	LoadBalancer Exposure = "loadBalancer"
	// ClusterIP is reachable within the cluster only: something else is in front.
	ClusterIP Exposure = "clusterIP"
	// IngressObject puts a standard Ingress of any class in front. Its controller
	// terminates TLS with the edge's certificate and forwards plain HTTP with
	// X-Forwarded-Proto, which the edge believes of TrustedProxies.
	IngressObject Exposure = "ingress"
	// GatewayRoute attaches the edge to a Gateway of the Gateway API: Args.Gateway.
	GatewayRoute Exposure = "gateway"
)

// Exposures lists the ways in.
var Exposures = []Exposure{NodePort, LoadBalancer, ClusterIP, IngressObject, GatewayRoute}

// expose creates the way in and returns its address, "" as long as there is none, and where
// it is a Gateway's. root is the development CA's certificate, "" with any other.
func expose(ctx *pulumi.Context, i room.Identity, args *Args, tlsSecret pulumi.StringInput, root pulumi.StringOutput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	port := func(name string, number, node int) *corev1.ServicePortArgs {
		p := &corev1.ServicePortArgs{Name: pulumi.String(name), Port: pulumi.Int(number), TargetPort: pulumi.String(name)}
		if node != 0 {
			p.NodePort = pulumi.Int(node)
		}
		return p
	}
	spec := &corev1.ServiceSpecArgs{
		Type:           pulumi.String("ClusterIP"),
		IpFamilyPolicy: workload.BothFamilies,
		Selector:       pulumi.ToStringMap(i.Selector()),
		Ports:          corev1.ServicePortArray{port("http", 80, args.HTTPNodePort), port("https", 443, args.HTTPSNodePort)},
	}
	args.Balancer.service(args.Exposure, spec)
	meta := workload.Meta(i.Name, args.Namespace, i)
	meta.Annotations = workload.Unawaited
	if args.Exposure != IngressObject {
		meta.Annotations = args.Balancer.annotations()
	}
	service, err := corev1.NewService(ctx, i.Name, &corev1.ServiceArgs{Metadata: meta, Spec: spec}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("service: %w", err)
	}
	switch args.Exposure {
	case LoadBalancer:
		return service.Status.ApplyT(func(s *corev1.ServiceStatus) string {
			if s == nil || s.LoadBalancer == nil || len(s.LoadBalancer.Ingress) == 0 {
				return ""
			}
			return either(s.LoadBalancer.Ingress[0].Hostname, s.LoadBalancer.Ingress[0].Ip)
		}).(pulumi.StringOutput), nil
	case IngressObject:
		return ingressObject(ctx, i, args, service.Metadata.Name().Elem(), tlsSecret, opts...)
	case GatewayRoute:
		return pulumi.String("").ToStringOutput(), args.gatewayRoutes(ctx, i, root, opts...)
	default:
		return pulumi.String("").ToStringOutput(), nil
	}
}

// ingressObject puts an Ingress in front. It needs no annotation of any controller:
// every host goes to the edge, which does the rest.
func ingressObject(ctx *pulumi.Context, i room.Identity, args *Args, service pulumi.StringOutput, tlsSecret pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	hosts := nginx.HostsOf(args.Domain).All()
	var rules networkingv1.IngressRuleArray
	for _, h := range hosts {
		rules = append(rules, &networkingv1.IngressRuleArgs{
			Host: pulumi.String(h),
			Http: &networkingv1.HTTPIngressRuleValueArgs{Paths: networkingv1.HTTPIngressPathArray{&networkingv1.HTTPIngressPathArgs{
				Path:     pulumi.String("/"),
				PathType: pulumi.String("Prefix"),
				Backend: &networkingv1.IngressBackendArgs{Service: &networkingv1.IngressServiceBackendArgs{
					Name: service,
					Port: &networkingv1.ServiceBackendPortArgs{Name: pulumi.String("http")},
				}},
			}}},
		})
	}
	spec := &networkingv1.IngressSpecArgs{
		Rules: rules,
		Tls:   networkingv1.IngressTLSArray{&networkingv1.IngressTLSArgs{Hosts: pulumi.ToStringArray(hosts), SecretName: tlsSecret.ToStringOutput()}},
	}
	if args.IngressClass != "" {
		spec.IngressClassName = pulumi.String(args.IngressClass)
	}
	meta := workload.Meta(i.Name, args.Namespace, i)
	meta.Annotations = args.Balancer.annotations()
	object, err := networkingv1.NewIngress(ctx, i.Name, &networkingv1.IngressArgs{Metadata: meta, Spec: spec}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("ingress: %w", err)
	}
	return object.Status.ApplyT(func(s *networkingv1.IngressStatus) string {
		if s == nil || s.LoadBalancer == nil || len(s.LoadBalancer.Ingress) == 0 {
			return ""
		}
		return either(s.LoadBalancer.Ingress[0].Hostname, s.LoadBalancer.Ingress[0].Ip)
	}).(pulumi.StringOutput), nil
}

func either(values ...*string) string {
	for _, v := range values {
		if v != nil && *v != "" {
			return *v
		}
	}
	return ""
}
