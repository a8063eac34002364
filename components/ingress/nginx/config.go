// Package nginx renders the edge's nginx configuration from typed settings. Plain
// Go: the cluster's edge and the edge of the single Docker host render the same
// file, and tests run it in a real nginx.
//
// The rendered file needs nginx 1.28 or newer (re-resolved upstream names and
// keepalive_min_timeout).
package nginx

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// Config is everything that the rendered file depends on.
type Config struct {
	// Domain is the part that every host has in common, e.g. "example.com" for
	// alphapulse.example.com, api.example.com and so on.
	Domain string
	// Upstreams are the services behind the edge.
	Upstreams Upstreams
	// HTTPPort and HTTPSPort are the ports that nginx listens on.
	HTTPPort, HTTPSPort int
	// StatusPort serves stub_status on StatusAddress; "" is the loopback address.
	StatusPort    int
	StatusAddress string
	// PublicHTTPSPort is the port that clients use for HTTPS; plain HTTP is
	// redirected to it.
	PublicHTTPSPort int
	// Resolver is the DNS server that upstream names are looked up with, again and
	// again: a name, which is looked up once at start, or an address, each
	// optionally with a port.
	Resolver string
	// TrustedProxies are the CIDRs of proxies in front of the edge. Their
	// X-Forwarded-For, X-Forwarded-Proto and X-Request-ID are believed; everyone
	// else's are overwritten.
	TrustedProxies []string
	// Limits bound what one client address may do.
	Limits Limits
	// CertificateFile and KeyFile are PEM files.
	CertificateFile, KeyFile string
	// PasswordFile guards Prometheus, which has no login of its own. "" keeps
	// Prometheus unreachable from outside.
	PasswordFile string
	// HSTSSeconds is how long a browser insists on HTTPS after a visit; 0 sends no
	// such header.
	HSTSSeconds int
	// MaxBodyMegabytes bounds a request's body, in units of 1 MiB.
	MaxBodyMegabytes int
	// RequestTimeoutSeconds is how long an upstream may take to answer.
	RequestTimeoutSeconds int
	// ShutdownSeconds is how long a stopping worker lets connections, WebSockets
	// among them, go on.
	ShutdownSeconds int
	// Workers is the number of worker processes.
	Workers int
	// TempDir is writable: pid file, request bodies.
	TempDir string
}

// Upstreams are the services behind the edge. UI and API are needed; a nil one of
// the others is not published.
type Upstreams struct {
	UI, API, Dashboard, Grafana, Prometheus *Upstream
}

// Upstream is one service.
type Upstream struct {
	// Address is host:port. The host resolves to one address for each pod that is
	// ready (a headless Service); the edge balances over those itself.
	Address string
	// WebSockets are the paths whose connections may stay silent for an hour: an
	// exact path, or a prefix that ends with a slash. An upgrade works on every
	// other path too, with the time-out of a request.
	WebSockets []string
	// Hidden paths are answered 404: what is meant for the cluster alone.
	Hidden []string
}

// Limits are per client address and per edge replica.
type Limits struct {
	// APIRate is in requests per second, APIBurst in requests on top of it.
	APIRate, APIBurst int
	// LoginRate and LoginBurst hold for LoginPaths and for Grafana's login.
	LoginRate, LoginBurst int
	// LoginPaths of the API, exact.
	LoginPaths []string
	// WebSocketRate and WebSocketBurst count new connections.
	WebSocketRate, WebSocketBurst int
	// Connections is how many requests and WebSockets may be open at once on the API.
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

// PrometheusPath is where Prometheus is served on the monitoring host; it must run
// with this as its route prefix.
const PrometheusPath = "/prometheus"

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

// These keep anything out of the file that could end a directive.
var (
	domainPattern  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	addressPattern = regexp.MustCompile(`^[A-Za-z0-9._-]+(:[0-9]{1,5})?$`)
	pathPattern    = regexp.MustCompile(`^/[A-Za-z0-9._~/-]*$`)
	filePattern    = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)
)

// Validate reports everything that would make a wrong or unsafe file.
func (c *Config) Validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf(format, v...)) }
	if !domainPattern.MatchString(c.Domain) {
		problem("Domain %q: want a domain name in lower case, e.g. \"example.com\"", c.Domain)
	}
	if !addressPattern.MatchString(c.Resolver) {
		problem("Resolver %q: want a name or an address of a DNS server, optionally with :port", c.Resolver)
	}
	for _, p := range []struct {
		name   string
		number int
	}{{"HTTPPort", c.HTTPPort}, {"HTTPSPort", c.HTTPSPort}, {"StatusPort", c.StatusPort}, {"PublicHTTPSPort", c.PublicHTTPSPort}} {
		if p.number < 1 || p.number > 65535 {
			problem("%s %d: want a port from 1 to 65535", p.name, p.number)
		}
	}
	if c.StatusAddress != "" {
		if _, err := netip.ParseAddr(c.StatusAddress); err != nil {
			problem("StatusAddress %q: want an IP address of the host that nginx runs on", c.StatusAddress)
		}
	}
	problems = append(problems, CheckCIDRs("TrustedProxies", c.TrustedProxies))
	problems = append(problems, c.Limits.validate())
	for _, f := range []struct{ name, path string }{
		{"CertificateFile", c.CertificateFile}, {"KeyFile", c.KeyFile}, {"TempDir", c.TempDir},
	} {
		if !filePattern.MatchString(f.path) {
			problem("%s %q: want an absolute path of letters, digits and ._/-", f.name, f.path)
		}
	}
	if c.PasswordFile != "" && !filePattern.MatchString(c.PasswordFile) {
		problem("PasswordFile %q: want an absolute path of letters, digits and ._/-", c.PasswordFile)
	}
	if c.HSTSSeconds < 0 {
		problem("HSTSSeconds %d: want 0 for none, or the seconds that a browser remembers it", c.HSTSSeconds)
	}
	for _, n := range []struct {
		name   string
		number int
	}{
		{"MaxBodyMegabytes", c.MaxBodyMegabytes}, {"RequestTimeoutSeconds", c.RequestTimeoutSeconds},
		{"ShutdownSeconds", c.ShutdownSeconds}, {"Workers", c.Workers},
	} {
		if n.number < 1 {
			problem("%s %d: want at least 1", n.name, n.number)
		}
	}
	if c.Upstreams.UI == nil || c.Upstreams.API == nil {
		problem("Upstreams: UI and API are both needed")
	}
	for _, u := range c.named() {
		problems = append(problems, u.validate())
	}
	if c.Upstreams.API != nil {
		for _, p := range c.Upstreams.API.Hidden {
			if p == "/api" || p == "/api/" {
				problem("upstream api: hidden path %q is the whole API: remove it", p)
			}
		}
	}
	return errors.Join(problems...)
}

func (l *Limits) validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("Limits: "+format, v...)) }
	for _, n := range []struct {
		name        string
		number, min int
	}{
		{"APIRate", l.APIRate, 1}, {"APIBurst", l.APIBurst, 0}, {"LoginRate", l.LoginRate, 1}, {"LoginBurst", l.LoginBurst, 0},
		{"WebSocketRate", l.WebSocketRate, 1}, {"WebSocketBurst", l.WebSocketBurst, 0}, {"Connections", l.Connections, 1},
	} {
		if n.number < n.min {
			problem("%s %d: want at least %d", n.name, n.number, n.min)
		}
	}
	for _, p := range l.LoginPaths {
		if !pathPattern.MatchString(p) {
			problem("LoginPaths: %q: want a path that starts with a slash, without query", p)
		}
	}
	if err := CheckCIDRs("ExemptCIDRs", l.ExemptCIDRs); err != nil {
		problem("%w", err)
	}
	return errors.Join(problems...)
}

// CheckCIDRs reports every entry that is not a network in CIDR notation.
func CheckCIDRs(name string, cidrs []string) error {
	var problems []error
	for _, c := range cidrs {
		if p, err := netip.ParsePrefix(c); err != nil {
			problems = append(problems, fmt.Errorf("%s: %q is not a network: write it as address/bits, e.g. \"10.0.0.0/8\"", name, c))
		} else if p.Masked() != p {
			problems = append(problems, fmt.Errorf("%s: %q has bits beyond its mask: write %q", name, c, p.Masked()))
		}
	}
	return errors.Join(problems...)
}

// namedUpstream is an upstream under the name that the file gives it.
type namedUpstream struct {
	Name string
	*Upstream
}

func (u namedUpstream) validate() error {
	var problems []error
	if !addressPattern.MatchString(u.Address) || !strings.Contains(u.Address, ":") {
		problems = append(problems, fmt.Errorf("upstream %s: Address %q: want host:port", u.Name, u.Address))
	}
	for _, p := range slices.Concat(u.WebSockets, u.Hidden) {
		if !pathPattern.MatchString(p) || p == "/" {
			problems = append(problems, fmt.Errorf("upstream %s: path %q: want a path below the root that starts with a slash, without query", u.Name, p))
		}
	}
	for _, p := range u.WebSockets {
		if slices.Contains(u.Hidden, p) {
			problems = append(problems, fmt.Errorf("upstream %s: path %q is both hidden and a WebSocket: name it once", u.Name, p))
		}
	}
	return errors.Join(problems...)
}

func (c *Config) named() []namedUpstream {
	var list []namedUpstream
	for _, u := range []namedUpstream{
		{"ui", c.Upstreams.UI}, {"api", c.Upstreams.API},
		{"dashboard", c.Upstreams.Dashboard}, {"grafana", c.Upstreams.Grafana}, {"prometheus", c.Upstreams.Prometheus},
	} {
		if u.Upstream != nil {
			list = append(list, u)
		}
	}
	return list
}

//go:embed nginx.conf.tmpl
var source string

var tmpl = template.Must(template.New("nginx.conf").Funcs(template.FuncMap{
	"location": location,
	"onUIHost": onUIHost,
	"scope":    func(c *Config, name string, u *Upstream) scope { return scope{Config: c, Name: name, Upstream: u} },
}).Parse(source))

// scope is what the blocks that several servers share need to know.
type scope struct {
	*Config
	// Name of the upstream in the file.
	Name     string
	Upstream *Upstream
}

// onUIHost gives the hidden paths that matter on the UI's host: of the API those
// that the host passes to it, of the UI the others, which alone it can reach there.
func onUIHost(ui, api *Upstream) []string {
	isAPI := func(p string) bool {
		return p == "/api" || strings.HasPrefix(p, "/api/") || slices.Contains(api.WebSockets, p)
	}
	var paths []string
	for _, p := range ui.Hidden {
		if !isAPI(p) {
			paths = append(paths, p)
		}
	}
	for _, p := range api.Hidden {
		if isAPI(p) {
			paths = append(paths, p)
		}
	}
	return paths
}

// location renders the matching part of a location: a path that ends with a slash is
// a prefix, any other is exact.
func location(path string) string {
	if strings.HasSuffix(path, "/") {
		return "^~ " + path
	}
	return "= " + path
}

// Render gives the file's text.
func (c *Config) Render() (string, error) {
	if err := c.Validate(); err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, view{Config: c, Hosts: HostsOf(c.Domain), All: c.named()}); err != nil {
		return "", fmt.Errorf("render nginx.conf: %w", err)
	}
	return out.String(), nil
}

// view adds what the template derives.
type view struct {
	*Config
	Hosts Hosts
	All   []namedUpstream
}

// StatusListen is the address and port of stub_status.
func (c *Config) StatusListen() string {
	address := c.StatusAddress
	if address == "" {
		address = "127.0.0.1"
	}
	return fmt.Sprintf("%s:%d", address, c.StatusPort)
}

// PublicPort is what follows the host in a public URL: nothing for the default port.
func (c *Config) PublicPort() string { return PublicPort(c.PublicHTTPSPort) }

// PublicPort is what follows the host in an HTTPS URL of the given port.
func PublicPort(port int) string {
	if port == 443 {
		return ""
	}
	return fmt.Sprintf(":%d", port)
}

// Guarded is whether Prometheus is published, behind a password.
func (c *Config) Guarded() bool { return c.Upstreams.Prometheus != nil && c.PasswordFile != "" }
