package custom

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v3"
)

// Target is an address that Prometheus scrapes.
type Target struct {
	// Host is a name or an IP address, without a port.
	Host string
	// Port is TCP's, from 1 to 65535.
	Port int

	located
}

// scrapeFile is a file of scrape configurations.
type scrapeFile struct {
	ScrapeConfigs []scrapeConfig `yaml:"scrape_configs"`
}

// scrapeConfig is what users may say of a scrape: what network policies and mounted files
// follow from, and what goes with it.
type scrapeConfig struct {
	JobName              yaml.Node           `yaml:"job_name"`
	Interval             model.Duration      `yaml:"scrape_interval"`
	Timeout              model.Duration      `yaml:"scrape_timeout"`
	Path                 string              `yaml:"metrics_path"`
	Scheme               yaml.Node           `yaml:"scheme"`
	Params               map[string][]string `yaml:"params"`
	HonorLabels          bool                `yaml:"honor_labels"`
	HonorTimestamps      *bool               `yaml:"honor_timestamps"`
	SampleLimit          uint                `yaml:"sample_limit"`
	LabelLimit           uint                `yaml:"label_limit"`
	TargetLimit          uint                `yaml:"target_limit"`
	Protocols            []string            `yaml:"scrape_protocols"`
	Fallback             string              `yaml:"fallback_scrape_protocol"`
	Static               []staticConfig      `yaml:"static_configs"`
	DNS                  []dnsConfig         `yaml:"dns_sd_configs"`
	Relabel              []relabel.Config    `yaml:"relabel_configs"`
	MetricRelabel        []relabel.Config    `yaml:"metric_relabel_configs"`
	BasicAuth            *basicAuth          `yaml:"basic_auth"`
	Authorization        *authorization      `yaml:"authorization"`
	BearerToken          yaml.Node           `yaml:"bearer_token"`
	TLS                  *tlsConfig          `yaml:"tls_config"`
	FollowRedirects      *bool               `yaml:"follow_redirects"`
	EnableHTTP2          *bool               `yaml:"enable_http2"`
	EnableCompression    *bool               `yaml:"enable_compression"`
	BodySizeLimit        string              `yaml:"body_size_limit"`
	AlwaysClassic        *bool               `yaml:"always_scrape_classic_histograms"`
	NativeHistograms     *bool               `yaml:"scrape_native_histograms"`
	HonorTimestampsTrack *bool               `yaml:"track_timestamps_staleness"`
}

type staticConfig struct {
	Targets []yaml.Node       `yaml:"targets"`
	Labels  map[string]string `yaml:"labels"`
}

type dnsConfig struct {
	Names           []yaml.Node    `yaml:"names"`
	Type            string         `yaml:"type"`
	Port            int            `yaml:"port"`
	RefreshInterval model.Duration `yaml:"refresh_interval"`
}

type basicAuth struct {
	Username     string    `yaml:"username"`
	Password     yaml.Node `yaml:"password"`
	PasswordFile yaml.Node `yaml:"password_file"`
}

type authorization struct {
	Type        string    `yaml:"type"`
	Credentials yaml.Node `yaml:"credentials"`
	File        yaml.Node `yaml:"credentials_file"`
}

type tlsConfig struct {
	CA         string    `yaml:"ca"`
	CAFile     yaml.Node `yaml:"ca_file"`
	Cert       string    `yaml:"cert"`
	CertFile   yaml.Node `yaml:"cert_file"`
	Key        yaml.Node `yaml:"key"`
	KeyFile    yaml.Node `yaml:"key_file"`
	ServerName string    `yaml:"server_name"`
	Insecure   bool      `yaml:"insecure_skip_verify"`
	MinVersion string    `yaml:"min_version"`
}

// scrapes reads a file of scrape configurations.
func (r *reader) scrapes(file string, content []byte) {
	var read scrapeFile
	if !r.decode(file, content, &read) {
		return
	}
	if len(read.ScrapeConfigs) == 0 {
		r.problem(file, 0, "it has no scrape configuration: begin with scrape_configs:")
	}
	for _, c := range read.ScrapeConfigs {
		if c.JobName.Value == "" {
			r.problem(file, 0, "a scrape configuration has no job_name: add one")
		}
		r.jobs = append(r.jobs, located{c.JobName.Value, file, c.JobName.Line})
		if s := c.Scheme.Value; s != "" && s != "http" && s != "https" {
			r.problem(file, c.Scheme.Line, "scheme %q: write http or https", s)
		}
		if c.Timeout > c.Interval && c.Interval > 0 {
			r.problem(file, c.JobName.Line, "scrape_timeout %s is longer than scrape_interval %s: shorten it", c.Timeout, c.Interval)
		}
		if len(c.Static)+len(c.DNS) == 0 {
			r.problem(file, c.JobName.Line, "%s has no target: add static_configs or dns_sd_configs", c.JobName.Value)
		}
		r.secrets(file, c)
		r.targets(file, c)
		for _, all := range [][]relabel.Config{c.Relabel, c.MetricRelabel} {
			for _, rule := range all {
				if err := rule.Validate(model.UTF8Validation); err != nil {
					r.problem(file, c.JobName.Line, "%s: %v", c.JobName.Value, err)
				}
			}
		}
	}
	r.Scrapes[path.Base(file)] = string(content)
}

// secrets stand in files of their own.
func (r *reader) secrets(file string, c scrapeConfig) {
	plain := func(field, instead string, n yaml.Node) {
		if n.Value != "" {
			r.problem(file, n.Line, "%s holds a secret in plain text: renew it, and name it by %s: %s/NAME", field, instead, CredentialsPath)
		}
	}
	plain("bearer_token", "authorization.credentials_file", c.BearerToken)
	files := []yaml.Node{}
	if a := c.BasicAuth; a != nil {
		plain("basic_auth.password", "password_file", a.Password)
		files = append(files, a.PasswordFile)
	}
	if a := c.Authorization; a != nil {
		plain("authorization.credentials", "credentials_file", a.Credentials)
		files = append(files, a.File)
	}
	if t := c.TLS; t != nil {
		plain("tls_config.key", "key_file", t.Key)
		files = append(files, t.CAFile, t.CertFile, t.KeyFile)
	}
	for _, n := range files {
		if n.Value != "" {
			r.credentials = append(r.credentials, located{n.Value, file, n.Line})
		}
	}
}

// CredentialsPath is the folder of the secrets that scrape configurations name.
const CredentialsPath = "/etc/prometheus-credentials"

// targets are what network policies have to let Prometheus reach.
func (r *reader) targets(file string, c scrapeConfig) {
	instead, replaced := redirected(c.Relabel)
	if replaced && strings.Contains(instead, "$") {
		r.problem(file, c.JobName.Line, "%s sets __address__ from other labels, so that no network policy can follow from it: write the targets as they are reached", c.JobName.Value)
		return
	}
	if replaced {
		r.target(file, c.JobName.Line, instead)
		return
	}
	for _, s := range c.Static {
		for _, n := range s.Targets {
			r.target(file, n.Line, n.Value)
		}
	}
	for _, d := range c.DNS {
		if (d.Type != "A" && d.Type != "AAAA") || d.Port == 0 {
			r.problem(file, c.JobName.Line, "%s: dns_sd_configs needs type: A or AAAA and port:, by which the network policy is made", c.JobName.Value)
			continue
		}
		for _, n := range d.Names {
			r.target(file, n.Line, net.JoinHostPort(n.Value, strconv.Itoa(d.Port)))
		}
	}
}

// redirected is the address that a relabelling puts in the place of the targets', as one
// through an exporter of many targets does.
func redirected(rules []relabel.Config) (address string, is bool) {
	for _, rule := range rules {
		if rule.TargetLabel == model.AddressLabel && rule.Action == relabel.Replace {
			address, is = rule.Replacement, true
		}
	}
	return address, is
}

// target adds host:port.
func (r *reader) target(file string, line int, address string) {
	host, digits, err := net.SplitHostPort(address)
	port, convErr := strconv.Atoi(digits)
	if err != nil || convErr != nil || host == "" || port < 1 || port > 65535 {
		r.problem(file, line, "target %q: write host:port without scheme and path, e.g. db.example.com:9100", address)
		return
	}
	if ip, err := netip.ParseAddr(host); err == nil && (ip.IsLoopback() || ip.IsUnspecified()) || host == "localhost" {
		r.problem(file, line, "target %q is Prometheus itself: name the address by which others reach it", address)
		return
	}
	if !slices.ContainsFunc(r.Targets, func(t Target) bool { return t.Host == host && t.Port == port }) {
		r.Targets = append(r.Targets, Target{Host: host, Port: port, located: located{fmt.Sprint(address), file, line}})
	}
}

// Inside is the name of the Service of the namespace that the target means; "" for one
// outside of it.
func (t Target) Inside(namespace string) string {
	if _, err := netip.ParseAddr(t.Host); err == nil {
		return ""
	}
	name, rest, dotted := strings.Cut(strings.TrimSuffix(t.Host, "."), ".")
	if !dotted || namespace != "" && (rest == namespace || rest == namespace+".svc" || strings.HasPrefix(rest, namespace+".svc.")) {
		return name
	}
	return ""
}
