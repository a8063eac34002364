package nginx_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// minimal is the smallest edge: UI and API, nothing trusted, nothing private.
func minimal() nginx.Config {
	return nginx.Config{
		Domain: "example.test",
		Upstreams: nginx.Upstreams{
			UI:  &nginx.Upstream{Address: "ui.test:3000"},
			API: &nginx.Upstream{Address: "api.test:8000", WebSockets: []string{"/ws", "/ws/"}},
		},
		HTTPPort: 8080, HTTPSPort: 8443, StatusPort: 8081, PublicHTTPSPort: 443,
		Resolver: "127.0.0.1:53", Limits: nginx.DefaultLimits(),
		CertificateFile: "/tls.crt", KeyFile: "/tls.key", TempDir: "/tmp",
		MaxBodyMegabytes: 1, RequestTimeoutSeconds: 5, ShutdownSeconds: 5, Workers: 2,
	}
}

// full uses every setting.
func full() nginx.Config {
	c := minimal()
	c.Upstreams.API.Hidden = []string{"/metrics", "/api/internal/"}
	c.Upstreams.UI.Hidden = []string{"/metrics", "/api/ui-metrics", "/ws"}
	c.Upstreams.Dashboard = &nginx.Upstream{Address: "dashboard.test:8050", WebSockets: []string{"/ws", "/socket.io/"}}
	c.Upstreams.Grafana = &nginx.Upstream{Address: "grafana.test:3000", WebSockets: []string{"/api/live/"}, Hidden: []string{"/metrics"}}
	c.Upstreams.Prometheus = &nginx.Upstream{Address: "prometheus.test:9090"}
	c.PasswordFile = "/htpasswd"
	c.TrustedProxies = []string{"127.0.0.9/32", "2001:db8::/32"}
	c.Limits.ExemptCIDRs = []string{"127.0.0.8/32", "2001:db8:1::/48"}
	c.HSTSSeconds = 31536000
	c.HSTSPreload = true
	c.TraceSampling = 0.125
	c.LogAddress = "127.0.0.1:5514"
	c.CountAddress = "127.0.0.1:9125"
	c.PublicHTTPSPort = 30443
	return c
}

func TestNginxAcceptsTheConfiguration(t *testing.T) {
	for name, c := range map[string]nginx.Config{
		"minimal": minimal(),
		"full":    full(),
		"without Grafana": func() nginx.Config {
			c := full()
			c.Upstreams.Grafana = nil
			return c
		}(),
		"with logs and traces": func() nginx.Config {
			c := full()
			c.Upstreams.Logs, c.Upstreams.Traces = &nginx.Upstream{Address: "logs.test:9428"}, &nginx.Upstream{Address: "traces.test:16686"}
			return c
		}(),
		"without a password": func() nginx.Config {
			c := full()
			c.PasswordFile = ""
			return c
		}(),
		"with the container's resolver": func() nginx.Config {
			c := full()
			c.Resolver = ""
			c.Upstreams.API.Address = "api.shop.svc:8000"
			return c
		}(),
		"several resolvers": func() nginx.Config {
			c := full()
			c.Resolver = "10.96.0.10 [fd00::a] [fd00::b]:5353"
			return c
		}(),
		"smallest buffers": func() nginx.Config {
			c := full()
			c.HeaderKilobytes, c.ResponseHeaderKilobytes, c.BodyPauseSeconds = 1, 4, 1
			return c
		}(),
		"largest buffers": func() nginx.Config {
			c := full()
			c.HeaderKilobytes, c.ResponseHeaderKilobytes, c.TraceSampling = 64, 256, 1
			return c
		}(),
		"without bursts": func() nginx.Config {
			c := full()
			c.Limits.APIBurst, c.Limits.LoginBurst, c.Limits.WebSocketBurst = 0, 0, 0
			return c
		}(),
		"without logins": func() nginx.Config {
			c := full()
			c.Limits.LoginPaths = nil
			return c
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			nginxtest.Files(t, &c)
			text, err := c.Render()
			require.NoError(t, err)
			said, err := nginxtest.Check(t, text)
			require.NoError(t, err, said)
			assert.NotContains(t, said, "[warn]")

			said, err = nginxtest.Check(t, text+"\nunknown on;\n")
			require.Error(t, err, "nginx must really have read the file")
			assert.Contains(t, said, `unknown directive "unknown"`)
		})
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for want, spoil := range map[string]func(*nginx.Config){
		`Domain "Example.test; return 200"`:           func(c *nginx.Config) { c.Domain = "Example.test; return 200" },
		`Resolver "a;b"`:                              func(c *nginx.Config) { c.Resolver = "a;b" },
		`Resolver "fd00::a"`:                          func(c *nginx.Config) { c.Resolver = "fd00::a" },
		`Resolver "[fe80::1%eth0;]"`:                  func(c *nginx.Config) { c.Resolver = "[fe80::1%eth0;]" },
		`Resolver "10.0.0.1 [fd00::a]:x"`:             func(c *nginx.Config) { c.Resolver = "10.0.0.1 [fd00::a]:x" },
		`Resolver " "`:                                func(c *nginx.Config) { c.Resolver = " " },
		"HSTSPreload needs":                           func(c *nginx.Config) { c.HSTSPreload, c.HSTSSeconds = true, 300 },
		"BodyPauseSeconds 61":                         func(c *nginx.Config) { c.BodyPauseSeconds = 61 },
		"HeaderKilobytes -1":                          func(c *nginx.Config) { c.HeaderKilobytes = -1 },
		"ResponseHeaderKilobytes 3":                   func(c *nginx.Config) { c.ResponseHeaderKilobytes = 3 },
		"TraceSampling 1e-05":                         func(c *nginx.Config) { c.TraceSampling = 0.00001 },
		`ErrorAddress "agent:9126"`:                   func(c *nginx.Config) { c.ErrorAddress = "agent:9126" },
		`LogAddress "collector:5514"`:                 func(c *nginx.Config) { c.LogAddress = "collector:5514" },
		`CountAddress "counter:9125"`:                 func(c *nginx.Config) { c.CountAddress = "counter:9125" },
		`CountAddress "unix:counts"`:                  func(c *nginx.Config) { c.CountAddress = "unix:counts" },
		"TraceSampling 1.01":                          func(c *nginx.Config) { c.TraceSampling = 1.01 },
		"PublicHTTPSPort 0":                           func(c *nginx.Config) { c.PublicHTTPSPort = 0 },
		"HTTPPort 65536":                              func(c *nginx.Config) { c.HTTPPort = 65536 },
		"HTTPSPort 8080: it is HTTPPort already":      func(c *nginx.Config) { c.HTTPSPort = c.HTTPPort },
		"HealthPort 8081: it is StatusPort already":   func(c *nginx.Config) { c.HealthPort = c.StatusPort },
		`StatusAddress "fe80::1"`:                     func(c *nginx.Config) { c.StatusAddress = "fe80::1" },
		`Resolver "dns.example.com"`:                  func(c *nginx.Config) { c.Resolver = "dns.example.com" },
		`Resolver "10.0.0.1:0"`:                       func(c *nginx.Config) { c.Resolver = "10.0.0.1:0" },
		"is longer than the 253 characters":           func(c *nginx.Config) { c.Domain = strings.Repeat("d.", 121) + "d" },
		"Limits: Connections 65536":                   func(c *nginx.Config) { c.Limits.Connections = 65536 },
		`upstream api: Address "api:65536"`:           func(c *nginx.Config) { c.Upstreams.API.Address = "api:65536" },
		"of at most 1024 characters":                  func(c *nginx.Config) { c.Upstreams.API.Hidden = []string{"/" + strings.Repeat("p", 1024)} },
		`TrustedProxies: "10.0.0.1" is not a network`: func(c *nginx.Config) { c.TrustedProxies = []string{"10.0.0.1"} },
		`write "10.0.0.0/8"`:                          func(c *nginx.Config) { c.TrustedProxies = []string{"10.1.0.0/8"} },
		`Limits: ExemptCIDRs: "x"`:                    func(c *nginx.Config) { c.Limits.ExemptCIDRs = []string{"x"} },
		"Limits: APIRate 0":                           func(c *nginx.Config) { c.Limits.APIRate = 0 },
		"Limits: APIBurst -1":                         func(c *nginx.Config) { c.Limits.APIBurst = -1 },
		"Limits: LoginRate 0":                         func(c *nginx.Config) { c.Limits.LoginRate = 0 },
		"Limits: WebSocketRate 0":                     func(c *nginx.Config) { c.Limits.WebSocketRate = 0 },
		"Limits: Connections 0":                       func(c *nginx.Config) { c.Limits.Connections = 0 },
		`Limits: LoginPaths: "login"`:                 func(c *nginx.Config) { c.Limits.LoginPaths = []string{"login"} },
		`CertificateFile "tls.crt"`:                   func(c *nginx.Config) { c.CertificateFile = "tls.crt" },
		`PasswordFile "/a b"`:                         func(c *nginx.Config) { c.PasswordFile = "/a b" },
		"HSTSSeconds -1":                              func(c *nginx.Config) { c.HSTSSeconds = -1 },
		"MaxBodyMegabytes 0":                          func(c *nginx.Config) { c.MaxBodyMegabytes = 0 },
		"Workers 0":                                   func(c *nginx.Config) { c.Workers = 0 },
		"UI and API are both needed":                  func(c *nginx.Config) { c.Upstreams.UI = nil },
		`upstream api: Address "api"`:                 func(c *nginx.Config) { c.Upstreams.API.Address = "api" },
		`upstream dashboard: path "/a;b"`:             func(c *nginx.Config) { c.Upstreams.Dashboard.Hidden = []string{"/a;b"} },
		`upstream api: path "/ws" is both`:            func(c *nginx.Config) { c.Upstreams.API.Hidden = []string{"/ws"} },
		`upstream api: path "/api/" is the whole API`: func(c *nginx.Config) { c.Upstreams.API.Hidden = []string{"/api/"} },
		`upstream api: path "/api" is the whole API`:  func(c *nginx.Config) { c.Upstreams.API.WebSockets = []string{"/api"} },
		`upstream grafana: path "/prometheus" is`:     func(c *nginx.Config) { c.Upstreams.Grafana.WebSockets = []string{"/prometheus"} },
	} {
		c := full()
		require.NoError(t, c.Validate())
		spoil(&c)
		assert.ErrorContains(t, c.Validate(), want)
		_, err := c.Render()
		assert.ErrorContains(t, err, want, "an invalid configuration must not be rendered")
	}
	c := full()
	c.Domain, c.Workers = "", 0
	err := c.Validate()
	assert.ErrorContains(t, err, "Domain")
	assert.ErrorContains(t, err, "Workers", "all problems are reported at once")
}

// Whatever Validate lets pass, nginx takes: paths in every combination, above all those
// that meet each other or what a host has anyway.
func TestNginxAcceptsWhatIsValid(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	paths := []string{"/ws", "/ws/", "/api", "/api/", "/api/ws", "/api/ws/", "/prometheus", "/prometheus/", "/login", "/metrics", "/metrics/", "/edge/health", "/a~b/", "/A"}
	some := func() (list []string) {
		for range random.IntN(5) {
			list = append(list, paths[random.IntN(len(paths))])
		}
		return list
	}
	taken := 0
	for range 150 {
		c := full()
		for _, u := range []*nginx.Upstream{c.Upstreams.UI, c.Upstreams.API, c.Upstreams.Dashboard, c.Upstreams.Grafana} {
			u.Hidden, u.WebSockets = some(), some()
		}
		c.Limits.LoginPaths = some()
		if random.IntN(3) == 0 {
			c.PasswordFile = ""
		}
		if c.Validate() != nil {
			continue
		}
		taken++
		nginxtest.Files(t, &c)
		text, err := c.Render()
		require.NoError(t, err)
		said, err := nginxtest.Check(t, text)
		require.NoError(t, err, "%s\n%+v", said, c.Upstreams)
	}
	assert.Greater(t, taken, 5)
}

func TestPasswordLine(t *testing.T) {
	line, err := nginx.PasswordLine("seed", "secret")
	require.NoError(t, err)
	again, err := nginx.PasswordLine("seed", "secret")
	require.NoError(t, err)
	assert.Equal(t, line, again, "a run without a change changes nothing")
	assert.NotContains(t, line, "secret")
	other, err := nginx.PasswordLine("another seed", "secret")
	require.NoError(t, err)
	assert.NotEqual(t, line, other)
	for _, bad := range []string{"", "two\nlines"} {
		_, err := nginx.PasswordLine("seed", bad)
		assert.Error(t, err)
	}
}

func TestTheHostsOfADomain(t *testing.T) {
	assert.Equal(t, []string{"alphapulse.example.test", "api.example.test", "dashboard.example.test", "monitoring.example.test"},
		nginx.HostsOf("example.test").All())
}
