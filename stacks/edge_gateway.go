package stacks

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// The values of the setting edgeGatewayTls.
const (
	gatewayTerminate   = "terminate"
	gatewayPassthrough = "passthrough"
)

// gatewaySettings say which Gateway leads to the edge, and how.
func (s *Stack) gatewaySettings(g *settings.Group) {
	a, w, only := s.Edge, &s.Edge.Gateway, settings.Only(room.Kubernetes)
	on := settings.While(func() bool { return a.Exposure == ingress.GatewayRoute }, "edgeExposure is gateway")
	g.Text(&w.Name, "edgeGateway", "Name of the Gateway, which exists; needed when edgeExposure is gateway.", settings.Valid(objectName), on, only)
	g.Text(&w.Namespace, "edgeGatewayNamespace", "Namespace of the Gateway, which has to admit routes of the stack's; by default the stack's own.", settings.Valid(namespaceName), on, only)
	g.Text(&s.gatewayTLS, "edgeGatewayTls", "Where TLS of clients ends: terminate at the Gateway, which has a certificate of its own and encrypts again towards the edge (HTTPRoute and BackendTLSPolicy, Gateway API 1.4); "+
		"passthrough at the edge (TLSRoute, Gateway API 1.5).", settings.OneOf(gatewayTerminate, gatewayPassthrough), on, only)
	g.Text(&w.Listener, "edgeGatewayListener", "Name of the Gateway's listener for HTTPS; by default every one that admits the route.", settings.Valid(objectName), on, only)
	g.Text(&w.HTTPListener, "edgeGatewayHttpListener", "Name of the Gateway's listener for plain HTTP, which the edge redirects to HTTPS; by default none, or what an empty edgeGatewayListener takes anyhow.",
		settings.Valid(objectName), on, only)
	g.Text(&w.Authorities, "edgeGatewayAuthorities", "PEM certificates of who issued the edge's certificate, for the Gateway to verify it; by default the stack's own with tlsMode development, else those that the Gateway trusts anyhow.",
		settings.Valid(certificates), settings.While(func() bool {
			return a.Exposure == ingress.GatewayRoute && s.gatewayTLS == gatewayTerminate && s.TLS.Mode != TLSDevelopment
		}, "edgeExposure is gateway, edgeGatewayTls is terminate and tlsMode is not development"), only)
	g.Check(s.checkGateway)
}

// checkGateway reports what no Gateway could do.
func (s *Stack) checkGateway(p *settings.Problems) {
	a, w := s.Edge, &s.Edge.Gateway
	if a.Exposure != ingress.GatewayRoute || s.Target != room.Kubernetes {
		return
	}
	w.Passthrough = s.gatewayTLS == gatewayPassthrough
	if w.Name == "" {
		p.Add("edgeGateway", "it is not set, and edgeExposure is gateway: name the Gateway, as `kubectl get gateways --all-namespaces` shows it")
	}
	if w.HTTPListener != "" && w.HTTPListener == w.Listener {
		p.Add("edgeGatewayHttpListener", "%q is edgeGatewayListener, too: name the one for plain HTTP here, and the one for HTTPS there", w.HTTPListener)
	}
	if w.HTTPListener != "" && w.Listener == "" && !w.Passthrough {
		p.Add("edgeGatewayHttpListener", "%q: as edgeGatewayListener is not set the route takes every listener, this one, too: set both, or none", w.HTTPListener)
	}
	if s.TLS.Mode == TLSCertManager && s.TLS.Issuer.HTTP01 && !w.Plain() {
		p.Add("tlsHttp01", "true: challenges come by plain HTTP, and edgeGatewayHttpListener is not set: name the Gateway's listener for it")
	}
	if a.Balancer.ProxyProtocol && !w.Passthrough {
		p.Add("edgeProxyProtocol", "true: a Gateway that ends TLS speaks HTTP to the edge: remove it, and name the Gateway's networks in edgeTrustedProxies")
	}
	if a.Balancer.ProxyProtocol && w.Passthrough && w.HTTPListener != "" {
		p.Add("edgeProxyProtocol", "true: what edgeGatewayHttpListener takes comes by HTTP and without such a header: remove one of them")
	}
	if a.Balancer.Cluster {
		p.Add("edgeTrafficFromEveryNode", "true: a Gateway connects to the pods, and no node passes anything on: remove it")
	}
	if !w.Passthrough || a.Balancer.ProxyProtocol {
		return
	}
	if len(a.TrustedProxies) > 0 {
		p.Add("edgeTrustedProxies", "with edgeGatewayTls passthrough all that comes from the Gateway is what clients wrote, X-Forwarded-For, too, and anybody could be anybody: remove it, or choose terminate")
	}
	p.Warn("edgeGatewayTls", "passthrough hides the clients' addresses, so that all users behind the Gateway share the limits of one address (edgeApiRate and the others): "+
		"set edgeProxyProtocol where the Gateway sends that header, or terminate")
}

// gatewayServes refuses a cluster that knows no such routes.
func (s *Stack) gatewayServes(ctx context.Context, cluster *live.Cluster) error {
	if s.Target != room.Kubernetes || s.Edge.Exposure != ingress.GatewayRoute {
		return nil
	}
	missing, err := cluster.Unserved(ctx, s.Cluster.Namespace, slices.Values(s.Edge.Gateway.Kinds()))
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &refusal{fmt.Sprintf("edgeExposure: gateway, and the cluster knows no %s of gateway.networking.k8s.io/v1: "+
			"install the Gateway API (docs/addons.md), its version 1.5 or later where edgeGatewayTls is passthrough, or choose another way in", strings.Join(missing, " and no "))}
	}
	return nil
}

// gatewayMissing says that the Gateway is not there; "" where it is. It may come later, and
// takes the routes then.
func (s *Stack) gatewayMissing(ctx context.Context, cluster *live.Cluster) string {
	if s.Target != room.Kubernetes || s.Edge.Exposure != ingress.GatewayRoute {
		return ""
	}
	w := s.Edge.Gateway
	if w.Namespace == "" {
		w.Namespace = s.Cluster.Namespace
	}
	if found, err := cluster.Get(ctx, "Gateway", w.Namespace, w.Name); found != nil || err != nil {
		return ""
	}
	return fmt.Sprintf("edgeGateway: there is no Gateway %s in namespace %s, or it may not be seen: nobody reaches the edge until it is there", w.Name, w.Namespace)
}
