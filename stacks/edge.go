package stacks

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/certs"
	"github.com/alphapulse/alphapulse-infra/components/telemetry"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// TLS says where the edge's certificate comes from.
type TLS struct {
	// Mode is one of the values of the setting tlsMode.
	Mode string
	// Certificate and Key are PEM.
	Certificate, Key string
	// Secret is the name of one that somebody else fills.
	Secret string
	// Issuer is one of cert-manager's.
	Issuer ingress.Issuer
}

// The values of the setting tlsMode.
const (
	TLSDevelopment = "development"
	TLSProvided    = "provided"
	TLSSecret      = "secret"
	TLSCertManager = "certManager"
)

// answerMargin is how much longer than a service the edge waits, in seconds: the
// service's own answer comes first.
const answerMargin = 5

func (s *Stack) edgeSettings(set *settings.Set) {
	a, l, only := s.Edge, s.Edge.Limits, settings.Only(room.Kubernetes)
	rate, choose := settings.Between(1, 100000), settings.OrZero("to let the cluster choose")
	g := set.Group("Edge", "nginx in front of every service.")
	g.Image(&a.Image, "edgeImage", "nginx that needs no root: user 101.",
		settings.Of(settings.Release{Product: "nginx", Repositories: []string{"nginx", "nginx-unprivileged"}, Least: ingress.LeastVersion}))
	g.Image(&a.ExporterImage, "edgeExporterImage", "Prometheus exporter of the edge.")
	g.Image(&a.ProberImage, "edgeProberImage", "Prometheus' blackbox exporter, which looks at the certificate that the edge serves.")
	g.Image(&a.CounterImage, "edgeCounterImage", "Prometheus' StatsD exporter, which counts what the edge answers.")
	g.Text((*string)(&a.Exposure), "edgeExposure", "Way in: nodePort, loadBalancer, ingress for a standard Ingress object of edgeIngressClass, or gateway for routes of the Gateway edgeGateway.",
		settings.OneOf(ingress.NodePort, ingress.LoadBalancer, ingress.IngressObject, ingress.GatewayRoute), only)
	g.Text(&a.IngressClass, "edgeIngressClass", "Class of the Ingress object; needed when edgeExposure is ingress.",
		settings.While(func() bool { return a.Exposure == ingress.IngressObject }, "edgeExposure is ingress"), only)
	s.gatewaySettings(g)
	s.balancerSettings(g)
	g.Int(&a.HTTPNodePort, "edgeHttpNodePort", "Node port of plain HTTP.", settings.Between(30000, 32767), choose, only)
	g.Int(&a.HTTPSNodePort, "edgeHttpsNodePort", "Node port of HTTPS.", settings.Between(30000, 32767), choose, only)
	g.Port(&a.PublicHTTPSPort, "edgePublicPort", "Port of HTTPS as users see it; the URLs and redirects carry it. A Docker host publishes it.")
	g.Int(&a.Replicas, "edgeReplicas", "nginx pods.", settings.Between(2, 50), only)
	g.Resources(&a.Resources, "edgeResources", "one nginx pod", settings.AtLeast(ingress.LeastMemory, "as limits.memory nginx does not start with it"))
	g.List(&a.TrustedProxies, "edgeTrustedProxies", "CIDRs of proxies in front of the edge whose X-Forwarded-For is believed.", settings.Each(settings.CIDR), settings.Each(trusted))
	g.Int(&l.APIRate, "edgeApiRate", "API requests a second from one address.", rate)
	g.Int(&l.APIBurst, "edgeApiBurst", "API requests from one address beyond the rate before they are refused.", settings.Between(0, 100000))
	g.Int(&l.LoginRate, "edgeLoginRate", "Login requests a second from one address.", rate)
	g.Int(&l.LoginBurst, "edgeLoginBurst", "Login requests from one address beyond the rate before they are refused.", settings.Between(0, 100000))
	g.Int(&l.WebSocketRate, "edgeWebsocketRate", "New WebSockets a second from one address.", rate)
	g.Int(&l.WebSocketBurst, "edgeWebsocketBurst", "New WebSockets from one address beyond the rate before they are refused.", settings.Between(0, 100000))
	g.Int(&l.Connections, "edgeConnections", "Connections at once from one address.", settings.Between(1, 65535))
	g.List(&l.ExemptCIDRs, "edgeUnlimitedCidrs", "Networks whose clients none of these limits holds for: an office, a load test.", settings.Each(settings.CIDR))
	g.List(&l.LoginPaths, "edgeLoginPaths", "Paths of the API on which a password can be tried, and what is below them, for edgeLoginRate. Grafana's, and every request with a user name and password, are meant anyway.",
		settings.Each(nginx.CheckLoginPath))
	s.loginSettings(g)
	g.Int(&a.HSTSSeconds, "edgeHstsSeconds", "How long a browser insists on HTTPS after a visit; 0 asks for nothing.", settings.Between(0, 63072000), settings.In("seconds"))
	g.Bool(&a.HSTSPreload, "edgeHstsPreload", "Ask the browsers' makers to insist on HTTPS from the first visit on, for the domain and all below it; hard to undo.")
	g.Int(&a.MaxBodyMegabytes, "edgeMaxBodyMegabytes", "Largest body of a request.", settings.Between(1, 10240), settings.In("MiB"))
	g.Int(&a.BodyPauseSeconds, "edgeBodyPauseSeconds", "How long a client may pause within a body.", settings.Between(1, 60), settings.In("seconds"))
	g.Int(&a.HeaderKilobytes, "edgeHeaderKilobytes", "Longest request line, and longest line of a request's header; four times as much in all.", settings.Between(1, 64), settings.In("KiB"))
	g.Int(&a.ResponseHeaderKilobytes, "edgeResponseHeaderKilobytes", "Longest header of a service's answer.", settings.Between(4, 256), settings.In("KiB"))
	g.Int(&a.LatencyMilliseconds, "edgeLatencyMilliseconds", "Within which 95 % of what services are asked for should have been answered through the edge, for the alert EdgeLatencyBudgetBurn.", settings.Between(1, 60000), settings.In("milliseconds"))
	g.Object("edgeAlertLimits", "From when on alerts on the edge fire: errors 0.01 and slow 0.05, the shares of what users ask that may fail, and may take longer than edgeLatencyMilliseconds; limited 0.05, that of the requests refused as too many; avoided 0.01, that of a route's requests for which a second pod had to be asked; handshakes 0.2, that of the connections whose TLS handshake failed.", limits(&a.AlertLimits))
	g.Fraction(&a.TraceSampling, "edgeTraceSampling", "Share of the requests that bring no trace of their own whose trace asks services to keep it; each has an id anyhow. tracesBackend says where they are kept; backendEnv may name another place.")
	g.Check(func(p *settings.Problems) {
		if err := nginx.CheckSampling(a.TraceSampling); err != nil {
			p.Add("edgeTraceSampling", "%v", err)
		}
	})
	g.Check(func(p *settings.Problems) { a.LookIntoImage = p.Untold("edgeImage") })
	g.Check(s.checkExposure)
	g.Check(s.checkBalancer)
}

// trusted is for settings.Each: whoever is believed can be anybody else, so that it is
// some network and never the world. Private networks of IPv6 (fc00::/7) are the largest.
func trusted(v string) error {
	p, err := netip.ParsePrefix(v)
	if err == nil && p.Addr().Is4In6() && p.Bits() >= 96 { // IPv4 in the form of IPv6
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if err == nil && (p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 7) {
		return fmt.Errorf("%q trusts everybody: whoever sends X-Forwarded-For would choose the address that limits count; name the networks of the proxies", v)
	}
	return nil
}

// hidden is for paths of metrics, which the edge keeps from the outside of a route.
func hidden(route string) settings.Option {
	return settings.Valid(func(path string) error { return ingress.CheckHidden(route, path) })
}

// checkExposure reports a way in that its details do not fit.
func (s *Stack) checkExposure(p *settings.Problems) {
	a := s.Edge
	if a.Exposure == ingress.IngressObject && a.IngressClass == "" {
		p.Add("edgeIngressClass", "it is not set: name the class of the cluster's controller, or choose another edgeExposure")
	}
	if a.Exposure != ingress.NodePort && (a.HTTPNodePort != 0 || a.HTTPSNodePort != 0) {
		p.Add("edgeHttpsNodePort", "node ports are used only when edgeExposure is nodePort, and it is %q: remove them", a.Exposure)
	}
	if a.HSTSPreload && a.HSTSSeconds < 31536000 {
		p.Add("edgeHstsPreload", "true needs edgeHstsSeconds of a year, 31536000, at least, and it is %d", a.HSTSSeconds)
	}
	if a.HTTPNodePort != 0 && a.HTTPNodePort == a.HTTPSNodePort {
		p.Add("edgeHttpNodePort", "%d is edgeHttpsNodePort too: choose two ports", a.HTTPNodePort)
	}
}

func (s *Stack) tlsSettings(set *settings.Set) {
	t := &s.TLS
	g := set.Group("Certificate", "Where the edge's certificate comes from.")
	g.Text(&t.Mode, "tlsMode", "development: a certificate authority of the stack's own, stable across runs; provided: tlsCertificate and tlsPrivateKey; "+
		"secret: the Secret that tlsSecret names, whoever renews it; certManager: cert-manager's issuer that tlsIssuer names.",
		settings.OneOf(TLSDevelopment, TLSProvided, TLSSecret, TLSCertManager))
	g.Int(&s.Edge.ExpiryWarningDays, "tlsExpiryWarningDays", "Days before the end of the served certificate at which a warning is sent; in the last seventh of them it is critical. "+
		"Whoever renews it has to be earlier.", settings.Between(1, 365), settings.In("days"))
	provided := settings.While(func() bool { return t.Mode == TLSProvided }, "tlsMode is provided")
	g.Text(&t.Certificate, "tlsCertificate", "PEM certificate chain for the four hosts: the server's first, then its issuers'.", provided)
	g.Text(&t.Key, "tlsPrivateKey", "PEM private key of tlsCertificate.", settings.Secret, provided)
	g.Text(&t.Secret, "tlsSecret", "Name of a Secret of type kubernetes.io/tls in the namespace; what is put into it is served as soon as the kubelet has passed it on, within 90 seconds, without a rollout.",
		settings.Valid(objectName), settings.While(func() bool { return t.Mode == TLSSecret }, "tlsMode is secret"), settings.Only(room.Kubernetes))
	issued := settings.While(func() bool { return t.Mode == TLSCertManager }, "tlsMode is certManager")
	g.Text(&t.Issuer.Name, "tlsIssuer", "Name of cert-manager's issuer, which keeps a certificate for the four hosts.", settings.Valid(objectName), issued, settings.Only(room.Kubernetes))
	g.Text((*string)(&t.Issuer.Kind), "tlsIssuerKind", "Kind of the issuer: ClusterIssuer, or Issuer in the namespace.",
		settings.OneOf(ingress.ClusterIssuer, ingress.NamespacedIssuer), issued, settings.Only(room.Kubernetes))
	g.Bool(&t.Issuer.HTTP01, "tlsHttp01", "The issuer asks by ACME's challenge HTTP-01: the edge passes what is below /.well-known/acme-challenge/ on to cert-manager's solvers, "+
		"and the network policies let it.", issued, settings.Only(room.Kubernetes))
	g.Check(s.checkCertificate)
	g.Check(func(p *settings.Problems) {
		if strings.Contains(t.Certificate, "PRIVATE KEY-----") && !p.Encrypted("tlsCertificate") {
			p.Add("tlsCertificate", "it holds a private key, in plain text: set the certificates alone, the key with `cat FILE | pulumi config set --secret tlsPrivateKey`, and renew both")
		}
		if t.Mode != TLSProvided {
			return
		}
		for _, key := range []string{"tlsCertificate", "tlsPrivateKey"} {
			if p.Value(key) == "" {
				p.Add(key, "it is not set, and tlsMode is provided: `cat FILE | pulumi config set --secret %s`", key)
			}
		}
		if t.Certificate == "" || t.Key == "" {
			return
		}
		if _, err := certs.Provided(t.Certificate, t.Key, nginx.HostsOf(s.Edge.Domain).All(), time.Now()); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				p.Add("tlsCertificate", "%s", line)
			}
		}
	})
}

// checkCertificate reports a certificate that nobody would put there.
func (s *Stack) checkCertificate(p *settings.Problems) {
	t := s.TLS
	if s.Target == room.DockerHost && (t.Mode == TLSSecret || t.Mode == TLSCertManager) {
		p.Add("tlsMode", "%q needs a cluster's Secrets, and target is docker: choose development, or provided with a certificate and its key", t.Mode)
		return
	}
	if t.Mode == TLSSecret && t.Secret == "" {
		p.Add("tlsSecret", "it is not set, and tlsMode is secret: name the Secret of type kubernetes.io/tls that holds the certificate for %s",
			strings.Join(nginx.HostsOf(s.Edge.Domain).All(), ", "))
	}
	if t.Mode == TLSCertManager && t.Issuer.Name == "" {
		p.Add("tlsIssuer", "it is not set, and tlsMode is certManager: name the issuer, as `kubectl get clusterissuers` shows it")
	}
}

// certificateMissing says that the Secret which the edge is to read is not there; "" where
// it is. The first update of a stack makes the namespace that it comes into.
func (s *Stack) certificateMissing(ctx context.Context, cluster *live.Cluster) string {
	if s.TLS.Mode != TLSSecret {
		return ""
	}
	if found, err := cluster.Get(ctx, "Secret", s.Cluster.Namespace, s.TLS.Secret); found != nil || err != nil {
		return ""
	}
	return fmt.Sprintf("tlsSecret: there is no Secret %s in namespace %s, or it may not be seen: the edge's pods start once it is there", s.TLS.Secret, s.Cluster.Namespace)
}

// objectName is for settings.Valid.
func objectName(v string) error {
	if list := validation.IsDNS1123Subdomain(v); len(list) > 0 {
		return fmt.Errorf("%q cannot be an object's name: %s", v, list[0])
	}
	return nil
}

// arrangeEdge leads to what is behind the edge. Hosts follow where the stack runs;
// those of monitoring are constants, for it needs the edge's certificate itself.
// leadTo is a workload behind the edge, which is asked over TLS where it speaks it.
func (s *Stack) leadTo(port, tlsPort int, metricsPath string) *ingress.Upstream {
	u := &ingress.Upstream{Port: port, Hidden: hide(metricsPath)}
	if tlsPort != 0 && s.Wire.Encryption != room.Unencrypted {
		u.Port, u.TLS = tlsPort, true
	}
	return u
}

func (s *Stack) arrangeEdge() {
	a := s.Edge
	a.SpreadRequired = s.Cluster.SpreadRequired
	if a.HSTSSeconds == 0 {
		a.HSTSSeconds = ingress.NoHSTS
	}
	a.AgentImage = s.Database.AgentImage
	a.RequestTimeoutSeconds = s.Backend.RequestTimeoutSeconds + answerMargin
	a.Routes = ingress.Routes{
		UI:      s.leadTo(frontend.DefaultPort, s.Frontend.TLSPort, s.Frontend.MetricsPath),
		API:     s.leadTo(s.Backend.API.Port, s.Backend.API.TLSPort, s.Backend.API.MetricsPath),
		Grafana: &ingress.Upstream{Host: pulumi.String(monitoring.GrafanaOf(monitoringName).Name), Port: monitoring.GrafanaPort, Hidden: hide("/metrics")},
	}
	if s.Monitoring.Operator == nil {
		a.Routes.Prometheus = &ingress.Upstream{Host: pulumi.String(monitoring.PrometheusOf(monitoringName).Name), Port: monitoring.PrometheusPort}
	}
	if s.Telemetry.Logs.Backend == telemetry.Local {
		a.Routes.Logs = &ingress.Upstream{Host: pulumi.String(telemetry.LogsOf(telemetryName).Name), Port: telemetry.LogsPort}
	}
	if s.Telemetry.RunsJaeger() {
		a.Routes.Traces = &ingress.Upstream{Host: pulumi.String(telemetry.TracesOf(telemetryName).Name), Port: telemetry.TracesPort}
	}
	if d := s.Backend.Dashboard; d != nil {
		a.Routes.Dashboard = s.leadTo(d.Port, d.TLSPort, d.MetricsPath)
	}
	switch s.TLS.Mode {
	case TLSProvided:
		a.TLS = ingress.TLS{Certificate: pulumi.String(s.TLS.Certificate), Key: optionalSecret(s.TLS.Key)}
	case TLSSecret:
		a.TLS = ingress.TLS{Secret: pulumi.String(s.TLS.Secret)}
	case TLSCertManager:
		a.TLS = ingress.TLS{Issuer: &s.TLS.Issuer}
	}
}

// routes tells the edge where what is behind it is.
func (s *Stack) routes(ui, api, dashboard pulumi.StringInput) {
	s.Edge.Routes.UI.Host, s.Edge.Routes.API.Host = ui, api
	if d := s.Edge.Routes.Dashboard; d != nil {
		d.Host = dashboard
	}
}

// edgeCredentials gives the edge the password that it asks for in front of Prometheus.
func (s *Stack) edgeCredentials(c *platform.Credentials) {
	s.Edge.PrometheusPassword = c.PrometheusAdmin
}

// hide keeps a metrics path from the outside.
func hide(path string) []string {
	if path == "" {
		return nil
	}
	return []string{path}
}
