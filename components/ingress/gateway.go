package ingress

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// gatewayAPI is the version of the objects of the Gateway API: HTTPRoute has it since 1.0,
// BackendTLSPolicy since 1.4, TLSRoute since 1.5.
const gatewayAPI = gatewayGroup + "/v1"

const gatewayGroup = "gateway.networking.k8s.io"

// authoritiesKey is where a BackendTLSPolicy expects authorities in a ConfigMap.
const authoritiesKey = "ca.crt"

// Gateway is one of the Gateway API that exists, and says how it leads to the edge.
type Gateway struct {
	// Name of it.
	Name string
	// Namespace of it; "" for the edge's own. The Gateway has to admit routes of the
	// edge's namespace.
	Namespace string
	// Listener is the name of the one for HTTPS; "" takes each that admits the route.
	Listener string
	// HTTPListener is the name of one for plain HTTP, which the edge redirects to HTTPS,
	// and over which it answers challenges; "" for none, or for that which an empty
	// Listener takes anyhow.
	HTTPListener string
	// Passthrough has the edge end TLS: the Gateway passes connections on by the name that
	// clients ask for (TLSRoute). Else the Gateway ends TLS with a certificate of its own,
	// and speaks TLS to the edge, whose certificate it verifies (HTTPRoute and
	// BackendTLSPolicy).
	Passthrough bool
	// Authorities (PEM) have issued the edge's certificate; "" for the development CA, and
	// with any other certificate for those that the Gateway trusts anyhow. They are not
	// asked for with Passthrough.
	Authorities string
}

// Kinds are the objects that lead to the edge.
func (g Gateway) Kinds() []string {
	switch {
	case !g.Passthrough:
		return []string{"HTTPRoute", "BackendTLSPolicy"}
	case g.HTTPListener != "":
		return []string{"TLSRoute", "HTTPRoute"}
	default:
		return []string{"TLSRoute"}
	}
}

// Plain tells whether plain HTTP reaches the edge.
func (g Gateway) Plain() bool { return g.HTTPListener != "" || !g.Passthrough && g.Listener == "" }

func (a *Args) validateGateway() error {
	g, t := a.Gateway, a.TLS
	if a.Exposure != GatewayRoute {
		if g != (Gateway{}) {
			return fmt.Errorf("it needs Exposure %q, not %q", GatewayRoute, a.Exposure)
		}
		return nil
	}
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf(format, v...)) }
	if list := validation.IsDNS1123Subdomain(g.Name); len(list) > 0 {
		problem("Name %q: %s", g.Name, list[0])
	}
	if list := validation.IsDNS1123Label(g.Namespace); g.Namespace != "" && len(list) > 0 {
		problem("Namespace %q: %s", g.Namespace, list[0])
	}
	for _, l := range []string{g.Listener, g.HTTPListener} {
		if list := validation.IsDNS1123Subdomain(l); l != "" && len(list) > 0 {
			problem("listener %q: %s", l, list[0])
		}
	}
	if g.HTTPListener != "" && g.HTTPListener == g.Listener {
		problem("HTTPListener %q is Listener, too: one is for plain HTTP, the other for HTTPS", g.HTTPListener)
	}
	if g.HTTPListener != "" && g.Listener == "" && !g.Passthrough {
		problem("HTTPListener %q needs Listener: without it the route takes every listener", g.HTTPListener)
	}
	if g.Authorities != "" && (g.Passthrough || t.development()) {
		problem("Authorities: with Passthrough, or with the development CA, nobody asks for them: leave them out")
	}
	if t.Issuer != nil && t.Issuer.HTTP01 && !g.Plain() {
		problem("HTTPListener is missing: challenges HTTP-01 come by plain HTTP")
	}
	if a.Balancer.ProxyProtocol && (!g.Passthrough || g.HTTPListener != "") {
		problem("Balancer.ProxyProtocol needs Passthrough, and no HTTPListener: over those a Gateway speaks HTTP to the edge")
	}
	if g.Passthrough && len(a.TrustedProxies) > 0 && !a.Balancer.ProxyProtocol {
		problem("TrustedProxies: with Passthrough all that comes from the Gateway is what clients wrote, X-Forwarded-For, too: leave them out")
	}
	return errors.Join(problems...)
}

// byGateway tells whether requests come from a Gateway that speaks HTTP to the edge.
func (a *Args) byGateway() bool { return a.Exposure == GatewayRoute && !a.Gateway.Passthrough }

// gatewayRoutes attaches the edge's hosts to the Gateway. Nothing of it is any
// implementation's own. root is the development CA's certificate, "" with any other.
func (a *Args) gatewayRoutes(ctx *pulumi.Context, i room.Identity, root pulumi.StringOutput, opts ...pulumi.ResourceOption) error {
	create := func(kind string, spec any) error {
		meta := workload.Meta(i.Name, a.Namespace, i)
		meta.Annotations = workload.Unawaited // a Gateway that is not there yet takes the route later
		_, err := apiextensions.NewCustomResource(ctx, i.Name, &apiextensions.CustomResourceArgs{
			ApiVersion: pulumi.String(gatewayAPI), Kind: pulumi.String(kind), Metadata: meta, OtherFields: map[string]any{"spec": spec},
		}, opts...)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		return nil
	}
	g := a.Gateway
	if g.Passthrough {
		if err := create("TLSRoute", a.route(i, 443, g.Listener)); err != nil || g.HTTPListener == "" {
			return err
		}
		return create("HTTPRoute", a.route(i, 80, g.HTTPListener))
	}
	listeners := []string{g.Listener}
	if g.HTTPListener != "" {
		listeners = append(listeners, g.HTTPListener)
	}
	if err := create("HTTPRoute", a.route(i, 443, listeners...)); err != nil {
		return err
	}
	policy, err := a.backendTLS(ctx, i, root, opts...)
	if err != nil {
		return err
	}
	return create("BackendTLSPolicy", policy)
}

// route leads the hosts of some listeners, where "" is each, to a port of the edge's
// Service.
func (a *Args) route(i room.Identity, port int, listeners ...string) map[string]any {
	var parents []any
	for _, l := range listeners {
		parent := map[string]any{"group": gatewayGroup, "kind": "Gateway", "name": a.Gateway.Name}
		if a.Gateway.Namespace != "" {
			parent["namespace"] = a.Gateway.Namespace
		}
		if l != "" {
			parent["sectionName"] = l
		}
		parents = append(parents, parent)
	}
	return map[string]any{
		"parentRefs": parents,
		"hostnames":  nginx.HostsOf(a.Domain).All(),
		"rules": []any{map[string]any{"backendRefs": []any{
			map[string]any{"group": "", "kind": "Service", "name": i.Name, "port": port},
		}}},
	}
}

// backendTLS has the Gateway speak TLS to the edge, and verify its certificate.
func (a *Args) backendTLS(ctx *pulumi.Context, i room.Identity, root pulumi.StringOutput, opts ...pulumi.ResourceOption) (any, error) {
	policy := func(authorities string, value any) map[string]any {
		return map[string]any{
			"targetRefs": []any{map[string]any{"group": "", "kind": "Service", "name": i.Name, "sectionName": "https"}},
			// One of the hosts that every certificate of the edge covers.
			"validation": map[string]any{"hostname": nginx.HostsOf(a.Domain).UI, authorities: value},
		}
	}
	var authorities pulumi.StringInput = root
	if !a.TLS.development() {
		if a.Gateway.Authorities == "" {
			return policy("wellKnownCACertificates", "System"), nil
		}
		authorities = pulumi.String(a.Gateway.Authorities)
	}
	name, err := content.ConfigMap(ctx, i.Name+"-authorities", a.Namespace, i, pulumi.StringMap{authoritiesKey: authorities}, opts...)
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	return name.ApplyT(func(name string) map[string]any {
		return policy("caCertificateRefs", []any{map[string]any{"group": "", "kind": "ConfigMap", "name": name}})
	}), nil
}
