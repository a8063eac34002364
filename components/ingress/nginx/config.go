// Package nginx renders the edge's nginx configuration from typed settings. Plain
// Go: the cluster's edge and the edge of the single Docker host render the same
// file, and tests run it in a real nginx.
//
// The rendered file needs nginx 1.28 or newer (re-resolved upstream names,
// keepalive_min_timeout and ssl_certificate_cache), and StartScript to start it.
package nginx

// Config is everything that the rendered file depends on.
type Config struct {
	// Domain is the part that every host has in common, e.g. "example.com" for
	// alphapulse.example.com, api.example.com and so on.
	Domain string
	// Upstreams are the services behind the edge.
	Upstreams Upstreams
	// HTTPPort and HTTPSPort are the ports that nginx listens on.
	HTTPPort, HTTPSPort int
	// ProxyProtocol says that every connection to HTTPPort and HTTPSPort begins with a
	// PROXY protocol header, which names the client where a trusted proxy sends it. Such a
	// proxy knows nothing of HTTP: X-Forwarded-* headers are believed of nobody then.
	ProxyProtocol bool
	// HealthPort serves HealthPath to whoever sends no such header; 0 for none.
	HealthPort int
	// HandshakePort serves TLS on the loopback address to whoever sends no such header,
	// as the other port does: for a look at the certificate; 0 for none.
	HandshakePort int
	// StatusPort serves stub_status on StatusAddress; "" is the loopback address.
	StatusPort    int
	StatusAddress string
	// PublicHTTPSPort is the port that clients use for HTTPS; plain HTTP is
	// redirected to it.
	PublicHTTPSPort int
	// Resolver is the DNS servers that upstream names are looked up with, again and
	// again: addresses, each optionally with a port, separated by blanks. "" takes
	// those of the container's /etc/resolv.conf, which StartScript puts in.
	Resolver string
	// TrustedProxies are the CIDRs of proxies in front of the edge. Their
	// X-Forwarded-For, X-Forwarded-Proto and X-Request-ID are believed; everyone
	// else's are overwritten.
	TrustedProxies []string
	// Limits bound what one client address may do.
	Limits Limits
	// CertificateFile and KeyFile are PEM files.
	CertificateFile, KeyFile string
	// UpstreamRootsFile is a PEM file of those who vouch for services that speak TLS; needed
	// where one does.
	UpstreamRootsFile string
	// ACMEAddress is host:port, as of an Upstream, of whoever answers the challenges by
	// which an issuer of certificates is shown that a host is ours (RFC 8555, HTTP-01);
	// "" for nobody. Each is asked until one knows the answer.
	ACMEAddress string
	// PasswordFile guards Prometheus, which has no login of its own. "" keeps
	// Prometheus unreachable from outside.
	PasswordFile string
	// Login is the edge's own, in front of every host; Prometheus and what else
	// PasswordFile guards ask for that password instead.
	Login Login
	// HSTSSeconds is how long a browser insists on HTTPS after a visit; 0 sends no
	// such header.
	HSTSSeconds int
	// HSTSPreload asks browsers' makers to insist from the first visit on, for the
	// hosts and all below them, which is hard to undo. It needs HSTSSeconds of a year.
	HSTSPreload bool
	// MaxBodyMegabytes bounds a request's body, in units of 1 MiB. Beyond: 413.
	MaxBodyMegabytes int
	// BodyPauseSeconds is how long a client may pause within a body; 0 means
	// DefaultBodyPauseSeconds. nginx knows no deadline for a whole body: what bounds
	// slow ones is this and how many Limits.Connections lets an address have.
	BodyPauseSeconds int
	// HeaderKilobytes bounds the request line and each header line of a request, and
	// four times as much all of them, in units of 1 KiB; 0 means
	// DefaultHeaderKilobytes. Beyond: 414 for the line, 431 for the header.
	HeaderKilobytes int
	// ResponseHeaderKilobytes bounds the header of a service's answer, in units of
	// 1 KiB; 0 means DefaultResponseHeaderKilobytes. Beyond: 502.
	ResponseHeaderKilobytes int
	// RequestTimeoutSeconds is how long an upstream may take to answer.
	RequestTimeoutSeconds int
	// ShutdownSeconds is how long a stopping worker lets connections, WebSockets
	// among them, go on.
	ShutdownSeconds int
	// Workers is the number of worker processes.
	Workers int
	// TempDir is writable: the completed configuration, pid file, request bodies.
	TempDir string
	// TraceSampling is the share of requests without a trace of their own whose new
	// trace asks to be kept, from 0 to 1 as CheckSampling wants it. All have an id.
	TraceSampling float64
	// LogAddress is where each line of the log goes beside the output of the process, as
	// a message of syslog over UDP: host:port of an address, which nobody has to listen
	// on. "" for nowhere.
	LogAddress string
	// CountAddress is where each request is counted, by lines of StatsD in a datagram:
	// host:port of an address, or "unix:" and the path of a socket; nobody has to listen
	// on it. "" for nowhere.
	CountAddress string
	// ErrorAddress is where nginx' log of errors goes beside the output of the process, with
	// what is no error of nginx' own, such as failed handshakes: as of LogAddress.
	ErrorAddress string
}

// The names that requests are counted under.
const (
	// CountRequests is a counter by host, route, status and outcome.
	CountRequests = "edge_requests"
	// CountSeconds is how long a request took that a service was asked for, in seconds by
	// host and route.
	CountSeconds = "edge_request_seconds"
	// CountUpstreamSeconds is how long the service took of it, the last one asked, in
	// seconds by route.
	CountUpstreamSeconds = "edge_upstream_seconds"
	// CountHandshakes is a counter of TLS handshakes that failed, by reason. nginx counts
	// none: who reads its log of errors does.
	CountHandshakes = "edge_tls_failures"
)

// Outcomes are what becomes of a request, as it is counted: a service answered it, a
// second one did, it failed, was late, or none could be reached; it was over a limit; or
// the edge itself answered it.
var Outcomes = []string{"answered", "retried", "failed", "late", "unreached", "limited", "edge"}

// Defaults of Config. Headers: identity providers split a session of 16 kB and more
// over cookies of 4 kB, and put signed requests of 8 kB and more into a URL.
const (
	DefaultBodyPauseSeconds        = 4
	DefaultHeaderKilobytes         = 16
	DefaultResponseHeaderKilobytes = 32
)

// Upstreams are the services behind the edge. UI and API are needed; a nil one of
// the others is not published.
type Upstreams struct {
	UI, API, Dashboard, Grafana, Prometheus, Logs, Traces *Upstream
}

// Upstream is one service.
type Upstream struct {
	// Address is host:port. The host resolves to one address for each pod that is
	// ready (a headless Service); the edge balances over those itself. A host that
	// ends with ".svc" is completed with the domain of the cluster that nginx runs in.
	Address string
	// TLSName is a name in the service's certificate, with which it speaks TLS at Address; ""
	// for one that does not.
	TLSName string
	// WebSockets are the paths whose connections may stay silent for an hour: an
	// exact path, or a prefix that ends with a slash. An upgrade works on every
	// other path too, with the time-out of a request.
	WebSockets []string
	// Hidden paths are answered 404, and so is what is below them: what is meant for
	// the cluster alone.
	Hidden []string
}

// Limits are per client and per edge replica. A client is an IPv4 address, or the
// network of 64 bits that an IPv6 address lies in, since that is what one gets.
type Limits struct {
	// APIRate is in requests per second, APIBurst in requests on top of it.
	APIRate, APIBurst int
	// LoginRate and LoginBurst hold for everything that a password can be tried on:
	// LoginPaths, Grafana's login, and requests with a user name and password (HTTP
	// basic authentication).
	LoginRate, LoginBurst int
	// LoginPaths of the API; what is below them and other spellings are meant, too.
	LoginPaths []string
	// WebSocketRate and WebSocketBurst count new connections.
	WebSocketRate, WebSocketBurst int
	// Connections is how many requests and WebSockets may be open at once on the API,
	// and how many requests with a body everywhere.
	Connections int
	// ExemptCIDRs are not limited: a load test, an office.
	ExemptCIDRs []string
}

// DefaultLimits are the numbers of the first manifests.
func DefaultLimits() Limits {
	return Limits{
		APIRate: 10, APIBurst: 20,
		LoginRate: 1, LoginBurst: 5, LoginPaths: []string{"/api/auth/login", "/api/login"},
		WebSocketRate: 5, WebSocketBurst: 10,
		Connections: 20,
	}
}

// HealthPath answers 200 on the plain HTTP port for any Host that is not one of the
// edge's own: for probes and load balancers. It is never limited or logged.
const HealthPath = "/edge/health"

// StatusPath is where StatusPort serves stub_status.
const StatusPath = "/stub_status"

// ACMEPath is where an issuer looks for the answer to a challenge.
const ACMEPath = "/.well-known/acme-challenge/"

// PrometheusPath is where Prometheus is served on the monitoring host; it must run
// with this as its route prefix.
const PrometheusPath = "/prometheus"

// LogsPath and TracesPath are where VictoriaLogs and Jaeger are served on the monitoring
// host; they must run with these as their prefixes.
const (
	LogsPath   = "/logs"
	TracesPath = "/jaeger"
)

// Hosts are the names that a certificate of the edge must cover.
type Hosts struct{ UI, API, Dashboard, Monitoring string }

// HostsOf gives the hosts of a domain.
func HostsOf(domain string) Hosts {
	return Hosts{
		UI:         "alphapulse." + domain,
		API:        "api." + domain,
		Dashboard:  "dashboard." + domain,
		Monitoring: "monitoring." + domain,
	}
}

// All lists the hosts in a fixed order.
func (h Hosts) All() []string { return []string{h.UI, h.API, h.Dashboard, h.Monitoring} }
