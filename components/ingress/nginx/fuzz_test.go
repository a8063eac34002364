package nginx_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// texts are the parts of a configuration that a fuzz test changes.
type texts struct {
	domain, address, webSocket, hidden, login, resolver, trusted, exempt, status string
}

// FuzzConfig: whatever a configuration holds, it is refused, or the real nginx reads it.
//
//	go test ./components/ingress/nginx -run '^$' -fuzz FuzzConfig -fuzztime 10m
func FuzzConfig(f *testing.F) {
	long := strings.Repeat(strings.Repeat("d", 60)+".", 3) + strings.Repeat("d", 60)
	usual := texts{"example.com", "api.shop.svc:8000", "/ws", "/metrics", "/api/login", "10.96.0.10 [fd00::a]:53", "10.0.0.0/8", "2001:db8::/32", "127.0.0.1"}
	add := func(change func(*texts), kind uint16, small, large int) {
		t := usual
		change(&t)
		f.Add(t.domain, t.address, t.webSocket, t.hidden, t.login, t.resolver, t.trusted, t.exempt, t.status, kind, small, large)
	}
	for _, change := range []func(*texts){
		func(*texts) {},
		func(t *texts) { t.domain = long },
		func(t *texts) { t.domain = strings.Repeat("d", 63) + "." + strings.Repeat("e", 20) },
		func(t *texts) { t.domain = "a" },
		func(t *texts) { t.address = "api:0" },
		func(t *texts) { t.address = "api:99999" },
		func(t *texts) { t.address = "-:1" },
		func(t *texts) { t.address = "127.0.0.1:80" },
		func(t *texts) { t.address = "unix:1" },
		func(t *texts) { t.webSocket, t.hidden = "/ws/", "/ws" },
		func(t *texts) { t.webSocket = "/api/" },
		func(t *texts) { t.hidden = "//" },
		func(t *texts) { t.hidden = "/api/" },
		func(t *texts) { t.hidden = "/" + strings.Repeat("p", 5000) },
		func(t *texts) { t.login = "/" },
		func(t *texts) { t.login = "/api/login/~." },
		func(t *texts) { t.resolver = "" },
		func(t *texts) { t.resolver = "dns.example.com" },
		func(t *texts) { t.resolver = "10.96.0.10:99999" },
		func(t *texts) { t.resolver = "[::1]:0" },
		func(t *texts) { t.trusted, t.exempt = "0.0.0.0/0", "::/0" },
		func(t *texts) { t.trusted, t.exempt = "::ffff:10.0.0.0/104", "::ffff:10.0.0.0/104" },
		func(t *texts) { t.status = "::1" },
		func(t *texts) { t.status = "fe80::1%eth0" },
		func(t *texts) { t.status = "fe80::1" },
	} {
		for _, kind := range []uint16{0x10, 0xc010} {
			add(change, kind, 60, 60)
		}
	}
	for field := range uint16(len(numbersOf(&nginx.Config{}))) {
		for _, n := range []int{-1, 0, 4, 8443, 65535, 65536, 1<<31 - 1, 1 << 62} {
			add(func(*texts) {}, field|field<<4, n, n)
		}
	}
	f.Fuzz(func(t *testing.T, domain, address, webSocket, hidden, login, resolver, trusted, exempt, status string, kind uint16, small, large int) {
		c := configOf(texts{domain, address, webSocket, hidden, login, resolver, trusted, exempt, status}, kind, small, large)
		if _, err := c.Render(); err != nil {
			return
		}
		if a, err := netip.ParseAddr(c.StatusAddress); err == nil && !a.IsLoopback() && !a.IsUnspecified() {
			c.StatusAddress = "127.0.0.1" // which this machine has
		}
		dir, err := os.MkdirTemp("", "edge") // nginx makes folders there
		if err != nil {
			t.Fatal(err)
		}
		c.TempDir = dir
		defer os.RemoveAll(c.TempDir) //nolint:errcheck // a leftover of a test
		text, err := c.Render()
		if err != nil {
			t.Fatal(err)
		}
		if said, err := nginxtest.Check(t, text); err != nil {
			t.Errorf("it was rendered, and then: %s", said)
		}
	})
}

// numbersOf are the numbers of a configuration.
func numbersOf(c *nginx.Config) []*int {
	return []*int{
		&c.Limits.APIRate, &c.Limits.APIBurst, &c.Limits.LoginRate, &c.Limits.WebSocketBurst, &c.Limits.Connections,
		&c.MaxBodyMegabytes, &c.BodyPauseSeconds, &c.HeaderKilobytes, &c.ResponseHeaderKilobytes, &c.RequestTimeoutSeconds,
		&c.ShutdownSeconds, &c.HSTSSeconds, &c.Workers, &c.HTTPPort, &c.PublicHTTPSPort,
	}
}

// configOf is the minimal configuration with the given parts: kind says which two of the
// numbers, and by its last bits whether the rest of the services and the proxies.
func configOf(t texts, kind uint16, small, large int) nginx.Config {
	c := minimal()
	numbers := numbersOf(&c)
	*numbers[int(kind>>4&15)%len(numbers)] = large
	*numbers[int(kind&15)%len(numbers)] = small
	c.Domain, c.Resolver = t.domain, t.resolver
	c.Upstreams.API.Address, c.Upstreams.API.WebSockets = t.address, []string{t.webSocket, t.webSocket + "/"}
	c.Upstreams.API.Hidden, c.Limits.LoginPaths = []string{t.hidden}, []string{t.login}
	if kind>>14&1 == 1 {
		c.Upstreams.Dashboard = &nginx.Upstream{Address: t.address, WebSockets: []string{t.webSocket}, Hidden: []string{t.hidden}}
		c.Upstreams.Grafana = &nginx.Upstream{Address: t.address, Hidden: []string{t.hidden}}
		c.Upstreams.Prometheus, c.PasswordFile = &nginx.Upstream{Address: t.address}, "/htpasswd"
		c.TrustedProxies, c.Limits.ExemptCIDRs = []string{t.trusted, t.exempt}, []string{t.exempt}
	}
	if kind>>15 == 1 {
		c.StatusAddress, c.ProxyProtocol, c.HealthPort = t.status, true, 8082
		c.HSTSPreload, c.TraceSampling = c.HSTSSeconds >= 31536000, float64(kind%10000)/10000
	}
	return c
}
