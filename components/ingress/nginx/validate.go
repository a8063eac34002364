package nginx

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// These keep anything out of the file that could end a directive.
var (
	domainPattern  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	addressPattern = regexp.MustCompile(`^[A-Za-z0-9._-]+:[0-9]{1,5}$`)
	pathPattern    = regexp.MustCompile(`^/[A-Za-z0-9._~/-]*$`)
	filePattern    = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)
)

// Validate reports everything that would make a wrong or unsafe file.
func (c *Config) Validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf(format, v...)) }
	if longest := HostsOf(c.Domain).UI; len(longest) > 253 {
		problem("Domain %q: the host %s is longer than the 253 characters that a name may have", c.Domain, longest)
	} else if !domainPattern.MatchString(c.Domain) {
		problem("Domain %q: want a domain name in lower case, e.g. \"example.com\"", c.Domain)
	}
	if !validResolver(c.Resolver) {
		problem("Resolver %q: want addresses of DNS servers, each optionally with :port, separated by blanks, e.g. \"10.96.0.10 [fd00::a]:53\"", c.Resolver)
	}
	problems = append(problems, c.validatePorts())
	problems = append(problems, CheckCIDRs("TrustedProxies", c.TrustedProxies))
	problems = append(problems, c.Limits.validate())
	for _, f := range []struct{ name, path string }{
		{"CertificateFile", c.CertificateFile}, {"KeyFile", c.KeyFile}, {"TempDir", c.TempDir},
	} {
		if !filePattern.MatchString(f.path) {
			problem("%s %q: want an absolute path of letters, digits and ._/-", f.name, f.path)
		}
	}
	if c.UpstreamRootsFile != "" && !filePattern.MatchString(c.UpstreamRootsFile) {
		problem("UpstreamRootsFile %q: want an absolute path of letters, digits and ._/-", c.UpstreamRootsFile)
	}
	if c.PasswordFile != "" && !filePattern.MatchString(c.PasswordFile) {
		problem("PasswordFile %q: want an absolute path of letters, digits and ._/-", c.PasswordFile)
	}
	if c.ACMEAddress != "" && !addressPattern.MatchString(c.ACMEAddress) {
		problem("ACMEAddress %q: want host:port", c.ACMEAddress)
	}
	problems = append(problems, c.validateNumbers())
	if c.Upstreams.UI == nil || c.Upstreams.API == nil {
		problem("Upstreams: UI and API are both needed")
	}
	for _, u := range c.named() {
		problems = append(problems, u.validate())
		if u.TLSName != "" && c.UpstreamRootsFile == "" {
			problem("UpstreamRootsFile is empty: %s speaks TLS, name the file of those who vouch for it", u.Name)
		}
	}
	problems = append(problems, c.validateReserved(), c.validateLogin())
	return errors.Join(problems...)
}

func (c *Config) validatePorts() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf(format, v...)) }
	listens := map[int]string{}
	for _, p := range []struct {
		name   string
		number int
	}{{"HTTPPort", c.HTTPPort}, {"HTTPSPort", c.HTTPSPort}, {"StatusPort", c.StatusPort}, {"HealthPort", c.HealthPort}} {
		switch other, taken := listens[p.number]; {
		case p.name == "HealthPort" && p.number == 0: // none
		case p.number < 1 || p.number > 65535:
			problem("%s %d: want a port from 1 to 65535", p.name, p.number)
		case taken:
			problem("%s %d: it is %s already: want another port", p.name, p.number, other)
		}
		listens[p.number] = p.name
	}
	if c.PublicHTTPSPort < 1 || c.PublicHTTPSPort > 65535 {
		problem("PublicHTTPSPort %d: want a port from 1 to 65535", c.PublicHTTPSPort)
	}
	if a, err := netip.ParseAddr(c.StatusAddress); c.StatusAddress != "" && (err != nil || a.Is6() && (a.Zone() != "" || a.IsLinkLocalUnicast())) {
		problem("StatusAddress %q: want an IP address of the host that nginx runs on, and none of one link alone", c.StatusAddress)
	}
	// A name would have to resolve before nginx starts.
	if _, err := netip.ParseAddrPort(c.LogAddress); c.LogAddress != "" && err != nil {
		problem("LogAddress %q: want an IP address and a port", c.LogAddress)
	}
	if _, err := netip.ParseAddrPort(c.ErrorAddress); c.ErrorAddress != "" && err != nil {
		problem("ErrorAddress %q: want an IP address and a port", c.ErrorAddress)
	}
	if path, socket := strings.CutPrefix(c.CountAddress, "unix:"); socket {
		if !filePattern.MatchString(path) {
			problem("CountAddress %q: want unix: and an absolute path of letters, digits and ._/-", c.CountAddress)
		}
	} else if _, err := netip.ParseAddrPort(c.CountAddress); c.CountAddress != "" && err != nil {
		problem("CountAddress %q: want an IP address and a port, or unix: and a path", c.CountAddress)
	}
	return errors.Join(problems...)
}

// validateReserved is about paths that a host has for something else.
func (c *Config) validateReserved() error {
	var problems []error
	for _, u := range c.named() {
		for _, p := range slices.Concat(u.Hidden, u.WebSockets) {
			switch path := strings.TrimSuffix(p, "/"); {
			case c.Login.Proxy != nil && strings.HasPrefix(p+"/", SignOnPath):
				problems = append(problems, fmt.Errorf("upstream %s: path %q is the login's: remove it", u.Name, p))
			case u.Name == "api" && path == "/api":
				problems = append(problems, fmt.Errorf("upstream api: path %q is the whole API: remove it", p))
			case c.ACMEAddress != "" && strings.HasPrefix(p+"/", ACMEPath):
				problems = append(problems, fmt.Errorf("upstream %s: path %q is where challenges are answered: remove it", u.Name, p))
			case u.Name == "grafana" && path == PrometheusPath && slices.Contains(u.WebSockets, p):
				problems = append(problems, fmt.Errorf("upstream grafana: path %q is Prometheus': remove it", p))
			}
		}
	}
	return errors.Join(problems...)
}

// preloadSeconds is the least that the preload list of browsers asks for: a year.
const preloadSeconds = 31536000

func (c *Config) validateNumbers() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf(format, v...)) }
	if c.HSTSSeconds < 0 {
		problem("HSTSSeconds %d: want 0 for none, or the seconds that a browser remembers it", c.HSTSSeconds)
	}
	if c.HSTSPreload && c.HSTSSeconds < preloadSeconds {
		problem("HSTSPreload needs HSTSSeconds of at least %d, a year, not %d", preloadSeconds, c.HSTSSeconds)
	}
	for _, n := range []struct {
		name             string
		number, min, max int
	}{
		{"MaxBodyMegabytes", c.MaxBodyMegabytes, 1, math.MaxInt32}, {"RequestTimeoutSeconds", c.RequestTimeoutSeconds, 1, math.MaxInt32},
		{"ShutdownSeconds", c.ShutdownSeconds, 1, math.MaxInt32}, {"Workers", c.Workers, 1, math.MaxInt32},
		{"BodyPauseSeconds", c.BodyPauseSeconds, 0, 60},
		// Each request may take four times, each answer three times as much memory.
		{"HeaderKilobytes", c.HeaderKilobytes, 0, 64}, {"ResponseHeaderKilobytes", c.ResponseHeaderKilobytes, 0, 256},
	} {
		switch {
		case n.number < n.min:
			problem("%s %d: want at least %d", n.name, n.number, n.min)
		case n.number > n.max:
			problem("%s %d: want at most %d", n.name, n.number, n.max)
		}
	}
	if c.ResponseHeaderKilobytes != 0 && c.ResponseHeaderKilobytes < 4 {
		problem("ResponseHeaderKilobytes %d: want at least 4", c.ResponseHeaderKilobytes)
	}
	if err := CheckSampling(c.TraceSampling); err != nil {
		problem("TraceSampling %w", err)
	}
	return errors.Join(problems...)
}

// CheckSampling reports a share of traces that is none, or that nginx cannot tell: it knows
// hundredths of a per cent.
func CheckSampling(share float64) error {
	if !(share >= 0 && share <= 1) || math.Abs(math.Round(share*1e4)/1e4-share) > 1e-12 {
		return fmt.Errorf("%v: want a share from 0 to 1 with at most four decimals, e.g. 0.05", share)
	}
	return nil
}

// validResolver accepts addresses, those of IPv6 in brackets, each optionally with a
// port. A name would have to resolve before nginx starts.
func validResolver(servers string) bool {
	for server := range strings.FieldsSeq(servers) {
		if strings.HasSuffix(server, "]") || !strings.Contains(server, ":") {
			server += ":53"
		}
		a, err := netip.ParseAddrPort(server)
		if err != nil || a.Port() == 0 || a.Addr().Zone() != "" {
			return false
		}
	}
	return servers == "" || strings.TrimSpace(servers) != ""
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
	if l.Connections > 65535 {
		problem("Connections %d: want at most 65535", l.Connections)
	}
	for _, p := range l.LoginPaths {
		if err := CheckLoginPath(p); err != nil {
			problem("LoginPaths: %w", err)
		}
	}
	if err := CheckCIDRs("ExemptCIDRs", l.ExemptCIDRs); err != nil {
		problem("%w", err)
	}
	return errors.Join(problems...)
}

// CheckLoginPath says why a path cannot be one of Limits.LoginPaths; nil where it can.
func CheckLoginPath(path string) error {
	if !isPath(path) || path == "/" || strings.HasSuffix(path, "/") {
		return fmt.Errorf("%q cannot be where passwords are tried: write a path below the root of letters, digits and ._~/-, without a slash at its end; what is below it is meant, too", path)
	}
	return nil
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

// longestPath is what fits into a directive with what else stands there.
const longestPath = 1024

func isPath(p string) bool { return pathPattern.MatchString(p) && len(p) <= longestPath }

// namedUpstream is an upstream under the name that the file gives it.
type namedUpstream struct {
	Name string
	*Upstream
}

func (u namedUpstream) validate() error {
	var problems []error
	_, port, _ := strings.Cut(u.Address, ":")
	if n, err := strconv.Atoi(port); !addressPattern.MatchString(u.Address) || err != nil || n < 1 || n > 65535 {
		problems = append(problems, fmt.Errorf("upstream %s: Address %q: want host:port, the port from 1 to 65535", u.Name, u.Address))
	}
	for _, p := range slices.Concat(u.WebSockets, u.Hidden) {
		if !isPath(p) || p == "/" {
			problems = append(problems, fmt.Errorf("upstream %s: path %q: want a path below the root that starts with a slash, without query, of at most %d characters", u.Name, p, longestPath))
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
		{"logs", c.Upstreams.Logs}, {"traces", c.Upstreams.Traces}, {"login", c.Login.Proxy},
	} {
		if u.Upstream != nil {
			list = append(list, u)
		}
	}
	return list
}
