package stacks

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// balancerSettings are what the cluster's load balancer, or whoever else leads clients to
// the edge, is told.
func (s *Stack) balancerSettings(g *settings.Group) {
	a, b, only := s.Edge, &s.Edge.Balancer, settings.Only(room.Kubernetes)
	while := func(e ingress.Exposure) settings.Option {
		return settings.While(func() bool { return a.Exposure == e }, "edgeExposure is "+string(e))
	}
	g.Object("edgeAnnotations", "Annotations of the edge's Service, or of its Ingress object: what a controller of load balancers is told.", s.readAnnotations, only)
	g.Text(&b.Class, "edgeLoadBalancerClass", "loadBalancerClass of the edge's Service; by default the cluster's. It cannot change later.",
		settings.Valid(balancerClass), while(ingress.LoadBalancer), only)
	g.List(&b.SourceRanges, "edgeSourceRanges", "Networks of the clients that the load balancer lets in; by default everybody.",
		settings.Each(settings.CIDR), while(ingress.LoadBalancer), only)
	g.Bool(&b.Cluster, "edgeTrafficFromEveryNode", "Let every node take connections and pass them on (externalTrafficPolicy Cluster), which hides the clients' addresses; "+
		"else only nodes with an edge pod do.", only)
	g.Int(&b.HealthCheckNodePort, "edgeHealthCheckNodePort", "Node port on which a load balancer asks whether a node has an edge pod.",
		settings.Between(30000, 32767), settings.OrZero("to let the cluster choose"), while(ingress.LoadBalancer), only)
	g.Bool(&b.ProxyProtocol, "edgeProxyProtocol", "Whoever connects begins with a PROXY protocol header that names the client; any other connection is refused. "+
		"The header of edgeTrustedProxies is believed, by default of every private address.", only)
	g.Bool(&b.NodePorts, "edgeIngressNodePorts", "Give the Service behind the Ingress object ports of the nodes, for controllers that reach nodes only (an ALB in instance mode).",
		while(ingress.IngressObject), only)
}

func (s *Stack) readAnnotations(raw string) error {
	var given map[string]any
	if err := settings.Decode(raw, &given); err != nil {
		return errors.New("it is not an object of texts: set it in the stack file, or with `pulumi config set --path 'edgeAnnotations[\"KEY\"]' VALUE`")
	}
	s.Edge.Balancer.Annotations = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if list := validation.IsQualifiedName(key); len(list) > 0 {
			return fmt.Errorf("%q cannot be an annotation: %s", key, list[0])
		}
		switch given[key].(type) {
		case map[string]any, []any, nil:
			return fmt.Errorf("the value of %s is no text", key)
		}
		// The command line makes a number or a truth of what looks like one.
		s.Edge.Balancer.Annotations[key] = fmt.Sprint(given[key])
	}
	return nil
}

// balancerClass is for settings.Valid.
func balancerClass(v string) error {
	if list := validation.IsQualifiedName(v); len(list) > 0 {
		return fmt.Errorf("%q cannot be a class: %s; write e.g. service.k8s.aws/nlb", v, list[0])
	}
	return nil
}

// checkBalancer reports what contradicts itself, and says where all users would be one.
func (s *Stack) checkBalancer(p *settings.Problems) {
	a, b := s.Edge, s.Edge.Balancer
	if s.Target != room.Kubernetes {
		return
	}
	if b.HealthCheckNodePort != 0 && b.Cluster {
		p.Add("edgeHealthCheckNodePort", "%d: with edgeTrafficFromEveryNode true every node is healthy and there is no such port: remove one of them", b.HealthCheckNodePort)
	}
	if b.HealthCheckNodePort != 0 && (b.HealthCheckNodePort == a.HTTPNodePort || b.HealthCheckNodePort == a.HTTPSNodePort) {
		p.Add("edgeHealthCheckNodePort", "%d is a node port of the edge, too: choose another", b.HealthCheckNodePort)
	}
	if b.ProxyProtocol && a.Exposure == ingress.IngressObject {
		p.Add("edgeProxyProtocol", "true: a controller of Ingress objects speaks HTTP to the edge: remove it, and name the controller's networks in edgeTrustedProxies")
	}
	said := sendsProxyHeader(b.Annotations)
	if said != "" && !b.ProxyProtocol {
		p.Add("edgeAnnotations", "%s has the balancer send PROXY protocol headers, which nginx takes for a broken request: set edgeProxyProtocol true, or remove the annotation", said)
	}
	if key := hidesClients(b.Annotations); key != "" && !b.ProxyProtocol && len(a.TrustedProxies) == 0 {
		p.Warn("edgeAnnotations", "a balancer that %s is for connects in its own name, so that all users share the limits of one address (edgeApiRate and the others): "+
			"have it send the PROXY protocol header and set edgeProxyProtocol true", key)
	}
	if b.Cluster && a.Exposure != ingress.IngressObject && !b.ProxyProtocol && len(a.TrustedProxies) == 0 {
		p.Warn("edgeTrafficFromEveryNode", "it hides the clients' addresses, so that all users behind one node share the limits of one address (edgeApiRate and the others): "+
			"set edgeProxyProtocol where the balancer can, or false")
	}
}

// proxyProtocol is the key of an annotation by which a balancer is told to send PROXY
// protocol headers: each cloud has its own, and all are called alike.
var proxyProtocol = regexp.MustCompile(`(?i)proxy-?protocol`)

// sendsProxyHeader is the annotation that has a balancer send PROXY protocol headers; ""
// where there is none.
func sendsProxyHeader(annotations map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		v := strings.ToLower(strings.TrimSpace(annotations[key]))
		switch {
		case proxyProtocol.MatchString(key):
			if !slices.Contains([]string{"", "false", "none", "0", "off", "no", "disabled"}, v) {
				return key
			}
		case strings.HasSuffix(key, "target-group-attributes"):
			if strings.Contains(strings.ReplaceAll(v, " ", ""), "proxy_protocol_v2.enabled=true") {
				return key
			}
		}
	}
	return ""
}

// hiding are the beginnings of annotations for balancers that end the connections of
// clients and make their own.
var hiding = []string{
	"service.beta.kubernetes.io/do-loadbalancer-", "load-balancer.hetzner.cloud/", "loadbalancer.openstack.org/",
	"service.beta.kubernetes.io/linode-loadbalancer-", "service.beta.kubernetes.io/scw-loadbalancer-",
	"service.beta.kubernetes.io/vultr-loadbalancer-", "loadbalancer.ovhcloud.com/", "kubernetes.civo.com/loadbalancer-",
	// Of AWS the classic one alone has these.
	"service.beta.kubernetes.io/aws-load-balancer-connection-", "service.beta.kubernetes.io/aws-load-balancer-backend-protocol",
}

// hidesClients is an annotation for balancers that end the connections of clients; "" where
// there is none, or where it says that addresses are preserved.
func hidesClients(annotations map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if slices.ContainsFunc(hiding, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			return key
		}
		if key == "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type" && annotations[key] == "ip" &&
			!strings.Contains(annotations["service.beta.kubernetes.io/aws-load-balancer-target-group-attributes"], "preserve_client_ip.enabled=true") {
			return key
		}
	}
	return ""
}
