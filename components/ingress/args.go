package ingress

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Ports of the edge's pods.
const (
	// HTTPPort redirects to HTTPS, and serves what a trusted proxy received by HTTPS.
	HTTPPort = 8080
	// HTTPSPort terminates TLS.
	HTTPSPort = 8443
	// MetricsPort is the exporter's.
	MetricsPort = 9113
	// ProbePort is that of the prober, which looks at the certificate that is served.
	ProbePort = 9115
	// CountsPort is that of the counter, which says what nginx answered.
	CountsPort = 9102
	// HealthPort answers probes where the others expect a PROXY protocol header.
	HealthPort = 8082
	// StatusPort is nginx' own, on the loopback address of a pod.
	StatusPort = 8081
	// HandshakePort is where the prober looks when HTTPSPort expects a PROXY protocol
	// header, on the loopback address of a pod.
	HandshakePort = 8444
)

// User is the numeric uid of the nginx-unprivileged image.
const User = 101

// NoHSTS is a value of Args.HSTSSeconds.
const NoHSTS = -1

// Upstream is a service behind the edge.
type Upstream struct {
	// Host is the name of a headless Service in the same namespace: the edge
	// balances over the pods' addresses itself.
	Host pulumi.StringInput
	// Port of the pods.
	Port int
	// TLS says that Port speaks it, with a certificate for Host that Args.UpstreamRoots vouch
	// for.
	TLS bool
	// WebSockets are paths whose connections may stay silent: exact, or a prefix
	// that ends with a slash. Empty takes the route's default.
	WebSockets []string
	// Hidden paths are answered 404 from outside, e.g. "/metrics".
	Hidden []string
}

// Routes are the services behind the edge. UI and API are needed; a nil one of the
// others is not published.
type Routes struct {
	// UI is served on alphapulse.<domain>, with the API's /api and /ws beside it.
	UI *Upstream
	// API is served on api.<domain>. WebSockets: /ws and /ws/…
	API *Upstream
	// Dashboard is served on dashboard.<domain>. WebSockets: /ws, /ws/… and /socket.io/…
	Dashboard *Upstream
	// Grafana is served on monitoring.<domain>. WebSockets: /api/live/…
	Grafana *Upstream
	// Prometheus is served on monitoring.<domain>/prometheus behind PrometheusPassword;
	// it runs with that route prefix.
	Prometheus *Upstream
	// Logs (VictoriaLogs) and Traces (Jaeger) are served on monitoring.<domain>/logs and
	// /jaeger behind PrometheusPassword; they run with these prefixes.
	Logs, Traces *Upstream
}

// TLS says where the certificate comes from: from the user when Certificate is set, from
// somebody who renews it when Secret or Issuer is, else from a development CA.
type TLS struct {
	// Certificate is PEM, the leaf first, then its chain. It covers all four hosts.
	Certificate pulumi.StringInput
	// Key is the PEM key of Certificate.
	Key pulumi.StringInput
	// Secret is the name of one of type kubernetes.io/tls in the namespace. What is put
	// into it is served without a rollout.
	Secret pulumi.StringInput
	// Issuer has cert-manager keep a certificate for all four hosts.
	Issuer *Issuer
}

// Args configure an Ingress. What is zero takes the value of Defaults.
type Args struct {
	workload.Placement
	// Image of nginx-unprivileged, 1.28 or newer. Its stop signal is SIGQUIT, by
	// which nginx finishes what it is doing.
	Image pulumi.StringInput
	// LookIntoImage runs the image once, before a Docker host replaces what runs, to see
	// which nginx it has: for one whose tag does not tell. The pods of a cluster find out
	// themselves, while those before them serve.
	LookIntoImage bool
	// ExporterImage of nginx-prometheus-exporter.
	ExporterImage pulumi.StringInput
	// ProberImage of Prometheus' blackbox exporter.
	ProberImage pulumi.StringInput
	// CounterImage of Prometheus' StatsD exporter.
	CounterImage pulumi.StringInput
	// AgentImage is the project's agent, which finds handshakes that failed in nginx' log of
	// errors for the counter. A Docker host has none.
	AgentImage pulumi.StringInput
	// Domain that the hosts are below.
	Domain string
	Routes Routes
	TLS    TLS

	// Exposure is the way in. NodePort and LoadBalancer keep the client's address
	// (externalTrafficPolicy Local), since limits are per address: only nodes that
	// run an edge pod answer on the NodePort.
	Exposure Exposure
	// HTTPNodePort and HTTPSNodePort with exposure nodePort; 0 lets Kubernetes choose.
	HTTPNodePort, HTTPSNodePort int
	// Balancer is what the cloud's load balancer, or the controller of the Ingress object,
	// is told.
	Balancer Balancer
	// IngressClass of the Ingress object; "" takes the cluster's default class.
	IngressClass string
	// Gateway is what GatewayRoute attaches to.
	Gateway Gateway
	// PublicHTTPSPort is the port that clients use for HTTPS.
	PublicHTTPSPort int
	// TrustedProxies are the CIDRs whose X-Forwarded-* headers are believed. Empty
	// trusts nobody, but with exposure ingress, a Gateway that ends TLS or the PROXY
	// protocol every private address: the controller or the balancer has one.
	TrustedProxies []string
	// AlertLimits are those of the alerts.
	AlertLimits observe.Limits
	// Limits per client address and edge pod; nil takes the default.
	Limits *nginx.Limits
	// HSTSSeconds is how long a browser insists on HTTPS after a visit; NoHSTS sends no such
	// header. A browser that remembers it insists on every port of the host.
	HSTSSeconds int
	// MaxBodyMegabytes bounds a request's body.
	MaxBodyMegabytes int
	// RequestTimeoutSeconds is how long a service may take to answer.
	RequestTimeoutSeconds int
	// UpstreamRoots are the CAs, PEM, of the services that speak TLS; needed where one does.
	UpstreamRoots pulumi.StringInput
	// PrometheusPassword is for user "admin" of /prometheus, which has no login of
	// its own; nil keeps Prometheus unreachable from outside.
	PrometheusPassword pulumi.StringInput
	// Login of the edge, in front of every host.
	Login Login
	// HSTSPreload, BodyPauseSeconds, HeaderKilobytes, ResponseHeaderKilobytes and
	// TraceSampling are those of nginx.Config.
	HSTSPreload                                                bool
	BodyPauseSeconds, HeaderKilobytes, ResponseHeaderKilobytes int
	TraceSampling                                              float64
	// Logs is where the log goes beside the pod's own; on a cluster only.
	Logs Forwarding

	// After is what has to be there before the pods are changed: those that they ask at a new
	// port.
	After []pulumi.Resource
	// Replicas of the pod.
	Replicas int
	// Resources of nginx.
	Resources room.Resources
	// ExporterResources of the exporter, ProberResources of the prober, CounterResources of
	// the counter.
	ExporterResources, ProberResources, CounterResources, AgentResources room.Resources
	// LatencyMilliseconds is within what 95 % of the answers of services should have gone
	// out: the objective of what users see.
	LatencyMilliseconds int
	// ExpiryWarningDays is how many days before the end of the certificate a warning is
	// sent; in the last seventh of them it is critical. A renewal has to come earlier.
	ExpiryWarningDays int
	// SpreadRequired is workload.SpreadRequired.
	SpreadRequired bool
}

// privateNetworks are where a controller's pods and nodes are (RFC 1918, 6598, 4193).
var privateNetworks = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"}

// Validated is a copy with every default filled in, or all that is wrong.
func (a *Args) Validated() (*Args, error) {
	d := a.withDefaults()
	return d, d.validate()
}

// withDefaults gives a copy with every default filled in.
func (a *Args) withDefaults() *Args {
	d := room.Fill(*a, Defaults())
	if len(d.TrustedProxies) == 0 && (d.Exposure == IngressObject || d.byGateway() || d.Balancer.ProxyProtocol) {
		d.TrustedProxies = privateNetworks
	}
	d.Login.SignOn = d.Login.SignOn.filled()
	return &d
}

// validate expects the defaults to be filled in.
func (a *Args) validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("ingress: "+format, v...)) }
	if a.Namespace == nil {
		problem("Namespace is missing: pass the namespace to create the objects in")
	}
	if !slices.Contains(Exposures, a.Exposure) {
		problem("Exposure %q: want one of %q", a.Exposure, Exposures)
	}
	if (a.HTTPNodePort != 0 || a.HTTPSNodePort != 0) && a.Exposure != NodePort {
		problem("HTTPNodePort %d and HTTPSNodePort %d need Exposure %q, not %q", a.HTTPNodePort, a.HTTPSNodePort, NodePort, a.Exposure)
	}
	for _, p := range []struct {
		name   string
		number int
	}{{"HTTPNodePort", a.HTTPNodePort}, {"HTTPSNodePort", a.HTTPSNodePort}} {
		if p.number < 0 || p.number > 65535 {
			problem("%s %d: want a port that the cluster allows for nodes (30000 to 32767 by default), or 0 for any", p.name, p.number)
		}
	}
	if a.HTTPNodePort != 0 && a.HTTPNodePort == a.HTTPSNodePort {
		problem("HTTPNodePort and HTTPSNodePort are both %d: give them different ports", a.HTTPNodePort)
	}
	if err := a.Balancer.validate(a.Exposure); err != nil {
		problem("Balancer: %w", err)
	}
	if a.IngressClass != "" && a.Exposure != IngressObject {
		problem("IngressClass %q needs Exposure %q, not %q", a.IngressClass, IngressObject, a.Exposure)
	}
	if err := a.validateGateway(); err != nil {
		problem("Gateway: %w", err)
	}
	if err := a.TLS.validate(); err != nil {
		problem("%w", err)
	}
	if a.Replicas < 1 {
		problem("Replicas %d: want at least 1", a.Replicas)
	}
	if err := a.Resources.Validate(); err != nil {
		problem("Resources: %w", err)
	}
	if err := a.ExporterResources.Validate(); err != nil {
		problem("ExporterResources: %w", err)
	}
	if err := a.ProberResources.Validate(); err != nil {
		problem("ProberResources: %w", err)
	}
	if err := a.CounterResources.Validate(); err != nil {
		problem("CounterResources: %w", err)
	}
	if err := a.AgentResources.Validate(); err != nil {
		problem("AgentResources: %w", err)
	}
	if a.LatencyMilliseconds < 1 {
		problem("LatencyMilliseconds %d: want at least 1", a.LatencyMilliseconds)
	}
	a.Logs.validate(problem)
	a.Login.validate(problem)
	if a.ExpiryWarningDays < 1 {
		problem("ExpiryWarningDays %d: want at least 1", a.ExpiryWarningDays)
	}
	for _, r := range a.routes() {
		if r.upstream == nil {
			if r.needed {
				problem("Routes.%s is missing", r.name)
			}
			continue
		}
		if r.upstream.Host == nil {
			problem("Routes.%s: Host is missing: pass the name of its headless Service", r.name)
		}
		if r.upstream.Port < 1 || r.upstream.Port > 65535 {
			problem("Routes.%s: Port %d: want a port from 1 to 65535", r.name, r.upstream.Port)
		}
	}
	if len(problems) == 0 {
		// The rest is the file's own to judge. Hosts are known only later; they
		// are Service names, checked again when the file is rendered.
		if err := a.config(a.onCluster("edge", "namespace"), "ui", "api", "dashboard", "grafana", "prometheus", "logs", "traces").Validate(); err != nil {
			problem("%w", err)
		}
	}
	return errors.Join(problems...)
}

type route struct {
	name     string
	upstream *Upstream
	needed   bool
	// webSockets is the default.
	webSockets []string
}

// routes in the order of Routes' fields.
func (a *Args) routes() []route {
	return []route{
		{"UI", a.Routes.UI, true, nil},
		{"API", a.Routes.API, true, []string{"/ws", "/ws/"}},
		{"Dashboard", a.Routes.Dashboard, false, []string{"/ws", "/ws/", "/socket.io/"}},
		{"Grafana", a.Routes.Grafana, false, []string{"/api/live/"}},
		{"Prometheus", a.Routes.Prometheus, false, nil},
		{"Logs", a.Routes.Logs, false, nil},
		{"Traces", a.Routes.Traces, false, nil},
	}
}

// Place is what the configuration depends on where the edge runs.
type Place struct {
	// StatusAddress is where the exporter reaches nginx' own figures; "" is the
	// loopback address.
	StatusAddress string
	// Name of the edge.
	Name string
	// Suffix is what the names of the routes' hosts end with.
	Suffix string
	// Solver is the name of the host of those that answer challenges.
	Solver string
	// Forwards says that there is a forwarder of the log beside nginx.
	Forwards bool
	// Counts is where the counter listens, as of nginx.Config, and Handshakes where what
	// looks for failed handshakes does; "" for nothing.
	Counts, Handshakes string
}

// onCluster is the edge called name in a namespace of a cluster, whose domain the
// container itself knows.
func (a *Args) onCluster(name, namespace string) Place {
	return Place{Name: name, Suffix: "." + namespace + ".svc", Solver: solver(name), Forwards: true, Counts: countAddress, Handshakes: handshakesAddress}
}

// config is the nginx configuration at a place for the names of the routes' hosts, in
// the routes' order.
func (a *Args) config(place Place, hosts ...string) *nginx.Config {
	var upstreams [7]*nginx.Upstream
	for i, r := range a.routes() {
		if r.upstream == nil {
			continue
		}
		webSockets := r.upstream.WebSockets
		if len(webSockets) == 0 {
			webSockets = r.webSockets
		}
		upstreams[i] = &nginx.Upstream{
			Address:    fmt.Sprintf("%s%s:%d", hosts[i], place.Suffix, r.upstream.Port),
			WebSockets: webSockets,
			Hidden:     r.upstream.Hidden,
		}
		if r.upstream.TLS {
			upstreams[i].TLSName = hosts[i]
		}
	}
	c := &nginx.Config{
		Domain: a.Domain,
		Upstreams: nginx.Upstreams{
			UI: upstreams[0], API: upstreams[1], Dashboard: upstreams[2], Grafana: upstreams[3], Prometheus: upstreams[4],
			Logs: upstreams[5], Traces: upstreams[6],
		},
		HTTPPort: HTTPPort, HTTPSPort: HTTPSPort, StatusPort: StatusPort, StatusAddress: place.StatusAddress,
		PublicHTTPSPort: a.PublicHTTPSPort,
		TrustedProxies:  a.TrustedProxies,
		Limits:          *a.Limits,
		CertificateFile: TLSDir + "/" + CertificateKey, KeyFile: TLSDir + "/" + PrivateKey,
		ProxyProtocol:    a.Balancer.ProxyProtocol,
		HealthPort:       a.healthPort(),
		HandshakePort:    a.handshakePort(),
		HSTSSeconds:      max(0, a.HSTSSeconds),
		HSTSPreload:      a.HSTSPreload,
		BodyPauseSeconds: a.BodyPauseSeconds,
		HeaderKilobytes:  a.HeaderKilobytes, ResponseHeaderKilobytes: a.ResponseHeaderKilobytes,
		TraceSampling:         a.TraceSampling,
		MaxBodyMegabytes:      a.MaxBodyMegabytes,
		RequestTimeoutSeconds: a.RequestTimeoutSeconds,
		ShutdownSeconds:       a.RequestTimeoutSeconds,
		// One for each core that the limit lets it use; "auto" would count the node's.
		Workers:      max(1, int(math.Ceil(a.Resources.Limits.CPU.AsApproximateFloat64()))),
		TempDir:      tempDir,
		CountAddress: place.Counts,
		ErrorAddress: place.Handshakes,
	}
	if a.Logs.On() && place.Forwards {
		c.LogAddress = forwarderAddress
	}
	if a.solves() {
		c.ACMEAddress = fmt.Sprintf("%s%s:%d", place.Solver, place.Suffix, SolverPort)
	}
	if a.UpstreamRoots != nil {
		c.UpstreamRootsFile = RootsDir + "/" + workload.RootsFile
	}
	if a.PrometheusPassword != nil {
		c.PasswordFile = PasswordDir + "/" + PasswordKey
	}
	c.Login = a.Login.config(place.Name, place.Suffix)
	return c
}
