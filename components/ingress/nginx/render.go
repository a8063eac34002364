package nginx

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed *.tmpl
var sources embed.FS

var tmpl = template.Must(template.New("nginx.conf.tmpl").Funcs(template.FuncMap{
	"limit":           limit,
	"realm":           func() string { return Realm },
	"signOnPath":      func() string { return SignOnPath },
	"signOnLocations": func() []string { return signOnLocations },
	"exempted":        func(c *Config, onUIHost bool) exempted { return exempted{Config: c, Paths: exempt(c.Login, onUIHost)} },
	"hidden":          hidden,
	"webSockets":      webSockets,
	"quote":           regexp.QuoteMeta,
	"complete":        complete,
	"onUIHost":        onUIHost,
	"scope":           func(c *Config, name string, u *Upstream) scope { return scope{Config: c, Name: name, Upstream: u} },
}).ParseFS(sources, "*.tmpl"))

// scope is what the blocks that several servers share need to know.
type scope struct {
	*Config
	// Name of the upstream in the file.
	Name     string
	Upstream *Upstream
}

// exempted are the locations of the API that need no login.
type exempted struct {
	*Config
	Paths []string
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

// location gives the matching part of a location: a path that ends with a slash is a
// prefix, any other is exact.
func location(path string) string {
	if strings.HasSuffix(path, "/") {
		return "^~ " + path
	}
	return "= " + path
}

// webSockets gives the locations of an upstream's WebSockets.
func webSockets(u *Upstream) []string { return unique(u.WebSockets, nil) }

// hidden gives the locations of hidden paths and of what is below them, but for those
// that the server has for something else: nginx takes each once.
func hidden(paths, webSockets []string, fixed ...string) []string {
	var all []string
	for _, p := range paths {
		all = append(all, p)
		if !strings.HasSuffix(p, "/") {
			all = append(all, p+"/")
		}
	}
	return unique(all, slices.Concat(webSockets, fixed))
}

// unique gives the locations of paths once each, without those of other paths.
func unique(paths, but []string) []string {
	var all []string
	for _, p := range paths {
		if l := location(p); !slices.Contains(but, p) && !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all
}

// limit gives the parameters of a rate limit; nginx does not know a burst of 0.
func limit(zone string, burst int) string {
	if burst == 0 {
		return "zone=" + zone
	}
	return fmt.Sprintf("zone=%s burst=%d nodelay", zone, burst)
}

// complete leaves the cluster's domain of a Service's host to StartScript.
func complete(address string) string {
	host, port, _ := strings.Cut(address, ":")
	if strings.HasSuffix(host, ".svc") {
		host += "@domain@"
	}
	return host + ":" + port
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

// view adds what the templates derive.
type view struct {
	*Config
	Hosts Hosts
	All   []namedUpstream
}

// host is a public host of the edge.
type host struct {
	*Config
	Host string
}

// At gives the public host of a name.
func (v view) At(name string) host { return host{Config: v.Config, Host: name} }

// Proxied ends the listen directives of ports that expect a PROXY protocol header.
func (c *Config) Proxied() string {
	if c.ProxyProtocol {
		return " proxy_protocol"
	}
	return ""
}

// StatusListen is the address and port of stub_status.
func (c *Config) StatusListen() string {
	address := c.StatusAddress
	if address == "" {
		address = "127.0.0.1"
	}
	return net.JoinHostPort(address, strconv.Itoa(c.StatusPort))
}

// Servers are the DNS servers, or what StartScript puts them in for.
func (v view) Servers() string { return cmp.Or(v.Resolver, "@nameservers@") }

// BodyPause is BodyPauseSeconds or its default.
func (v view) BodyPause() int { return cmp.Or(v.BodyPauseSeconds, DefaultBodyPauseSeconds) }

// Header is HeaderKilobytes or its default.
func (v view) Header() int { return cmp.Or(v.HeaderKilobytes, DefaultHeaderKilobytes) }

// ResponseHeader is ResponseHeaderKilobytes or its default.
func (v view) ResponseHeader() int {
	return cmp.Or(v.ResponseHeaderKilobytes, DefaultResponseHeaderKilobytes)
}

// BodyBuffer is the size of each of the eight buffers of an answer's body: they must
// hold more than what a header may have.
func (v view) BodyBuffer() int { return max(4, (v.ResponseHeader()+3)/4) }

// HSTS is the value of Strict-Transport-Security.
func (v view) HSTS() string {
	value := fmt.Sprintf("max-age=%d", v.HSTSSeconds)
	if v.HSTSPreload {
		value += "; includeSubDomains; preload"
	}
	return value
}

// Sampling is TraceSampling as a percentage.
func (v view) Sampling() string {
	return strconv.FormatFloat(math.Round(v.TraceSampling*1e4)/100, 'f', -1, 64) + "%"
}

// Scheme is how the service is asked.
func (u *Upstream) Scheme() string {
	if u.TLSName != "" {
		return "https"
	}
	return "http"
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

// store is a server of the monitoring host that has no login of its own.
type store struct {
	// Name of its upstream, Path that it is served below, and Start, where its pages begin.
	Name, Path, Start string
	// Shown is what is served of it; the rest of Path is not.
	Shown string
}

// Stores are those that are published, behind the password. Of VictoriaLogs nothing is
// that writes.
func (c *Config) Stores() []store {
	var all []store
	if c.PasswordFile == "" {
		return nil
	}
	if c.Upstreams.Logs != nil {
		all = append(all, store{"logs", LogsPath, LogsPath + "/select/vmui/", LogsPath + "/select/"})
	}
	if c.Upstreams.Traces != nil {
		all = append(all, store{"traces", TracesPath, TracesPath + "/search", TracesPath + "/"})
	}
	return all
}

// Guarded is whether Prometheus is published, behind a password.
func (c *Config) Guarded() bool { return c.Upstreams.Prometheus != nil && c.PasswordFile != "" }
