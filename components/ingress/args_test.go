package ingress

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

func valid() *Args {
	return &Args{
		Placement: workload.Placement{Namespace: pulumi.String("shop")}, Image: pulumi.String("nginx:1"), ExporterImage: pulumi.String("exporter:1"),
		Domain: "example.test", Exposure: ClusterIP,
		Routes: Routes{
			UI:         &Upstream{Host: pulumi.String("ui-pods"), Port: 3000},
			API:        &Upstream{Host: pulumi.String("api-pods"), Port: 8000, Hidden: []string{"/metrics"}},
			Dashboard:  &Upstream{Host: pulumi.String("dashboard-pods"), Port: 8050},
			Grafana:    &Upstream{Host: pulumi.String("grafana"), Port: 3000},
			Prometheus: &Upstream{Host: pulumi.String("prometheus"), Port: 9090},
		},
		PrometheusPassword: pulumi.String("password"),
	}
}

// configOf is the configuration as NewIngress renders it.
func configOf(a *Args) *nginx.Config {
	return a.withDefaults().config(a.withDefaults().onCluster("edge", "shop"), "ui-pods", "api-pods", "dashboard-pods", "grafana", "prometheus")
}

func TestNginxAcceptsEveryExposure(t *testing.T) {
	for _, exposure := range Exposures {
		for name, password := range map[string]pulumi.StringInput{"guarded": pulumi.String("password"), "unpublished": nil} {
			t.Run(string(exposure)+" "+name, func(t *testing.T) {
				a := valid()
				a.Exposure, a.PrometheusPassword = exposure, password
				if exposure == GatewayRoute {
					a.Gateway.Name = "shared"
				}
				require.NoError(t, a.withDefaults().validate())
				c := configOf(a)
				assert.Equal(t, "/etc/edge-tls/tls.crt", c.CertificateFile)
				assert.Equal(t, "/etc/edge-tls/tls.key", c.KeyFile)
				assert.Empty(t, c.Resolver)
				nginxtest.Files(t, c)    // the pod's paths do not exist here,
				c.Resolver = "127.0.0.1" // nor do its name servers
				text, err := c.Render()
				require.NoError(t, err)
				said, err := nginxtest.Check(t, text)
				require.NoError(t, err, said)
				assert.Contains(t, text, "server api-pods.shop.svc@domain@:8000 resolve ")
				assert.Equal(t, password != nil, a.URLs()["prometheus"] != "")
			})
		}
	}
}

func TestDefaults(t *testing.T) {
	a := valid()
	c := configOf(a)
	assert.Equal(t, nginx.DefaultLimits(), c.Limits)
	assert.Equal(t, 443, c.PublicHTTPSPort)
	assert.Empty(t, c.Resolver, "the container's own name servers")
	assert.Equal(t, "api-pods.shop.svc:8000", c.Upstreams.API.Address, "the cluster's domain is the container's to know")
	assert.Equal(t, []string{"/ws", "/ws/"}, c.Upstreams.API.WebSockets)
	assert.Empty(t, c.TrustedProxies)
	assert.Equal(t, 1, c.Workers)

	a.Exposure, a.Gateway = GatewayRoute, Gateway{Name: "shared"}
	assert.Equal(t, privateNetworks, configOf(a).TrustedProxies, "a Gateway that ends TLS names its clients")
	a.Gateway.Passthrough = true
	assert.Empty(t, configOf(a).TrustedProxies, "what one that does not passes on, clients wrote")
	a.Exposure, a.Gateway = IngressObject, Gateway{}
	assert.Equal(t, privateNetworks, configOf(a).TrustedProxies, "without them every request would be redirected for ever")
	a.TrustedProxies = []string{"10.9.0.0/16"}
	assert.Equal(t, a.TrustedProxies, configOf(a).TrustedProxies)

	a.Resources = room.ResourcesOf("1", "1Gi", "2500m", "1Gi")
	a.Routes.API.WebSockets = []string{"/stream"}
	assert.Equal(t, 3, configOf(a).Workers)
	assert.Equal(t, []string{"/stream"}, configOf(a).Upstreams.API.WebSockets)
	assert.Zero(t, a.Replicas, "the caller's value is not changed")
}

func TestURLs(t *testing.T) {
	a := valid()
	a.PublicHTTPSPort = 30443
	assert.Equal(t, map[string]string{
		"ui":         "https://alphapulse.example.test:30443",
		"api":        "https://api.example.test:30443",
		"dashboard":  "https://dashboard.example.test:30443",
		"grafana":    "https://monitoring.example.test:30443",
		"prometheus": "https://monitoring.example.test:30443/prometheus",
	}, a.URLs())
	a.PublicHTTPSPort = 443
	a.Routes.Dashboard, a.Routes.Grafana, a.Routes.Prometheus = nil, nil, nil
	assert.Equal(t, map[string]string{"ui": "https://alphapulse.example.test", "api": "https://api.example.test"}, a.URLs())
}

func TestFacts(t *testing.T) {
	facts := valid().Facts("edge", room.Kubernetes)
	require.Len(t, facts.Workloads, 1)
	w := facts.Workloads[0]
	assert.Equal(t, 3, w.Replicas+w.Surge, "two replicas and one that surges")
	assert.Equal(t, []room.Resources{Defaults().Resources, Defaults().ExporterResources, Defaults().ProberResources, Defaults().CounterResources, Defaults().AgentResources}, w.Containers)
	assert.Equal(t, []string{"edge"}, facts.Services)
	assert.Equal(t, Edge("edge"), w.Identity)
}

// TestSolversFindRoom under the quota, which counts each pod and each Service.
func TestSolversFindRoom(t *testing.T) {
	a := valid()
	a.TLS.Issuer = &Issuer{Name: "letsencrypt", Kind: ClusterIssuer}
	plain := a.Facts("edge", room.Kubernetes)
	require.Len(t, plain.Workloads, 1)
	a.TLS.Issuer.HTTP01 = true
	facts := a.Facts("edge", room.Kubernetes)
	require.Len(t, facts.Workloads, 2)
	assert.Equal(t, 4, facts.Workloads[1].Replicas, "a challenge for each host")
	assert.Nil(t, facts.Workloads[1].Scrape)
	assert.Len(t, facts.Services, len(plain.Services)+5, "the edge's, and one for each that cert-manager makes")
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for want, spoil := range map[string]func(*Args){
		"Namespace is missing":           func(a *Args) { a.Namespace = nil },
		`Exposure "window": want one of`: func(a *Args) { a.Exposure = "window" },
		`Gateway: it needs Exposure`:     func(a *Args) { a.Gateway.Name = "shared" },
		`Gateway: Name ""`:               func(a *Args) { a.Exposure = GatewayRoute },
		`Namespace "A"`:                  func(a *Args) { a.Exposure, a.Gateway = GatewayRoute, Gateway{Name: "a", Namespace: "A"} },
		`listener "a b"`:                 func(a *Args) { a.Exposure, a.Gateway = GatewayRoute, Gateway{Name: "a", Listener: "a b"} },
		`HTTPListener "a" is Listener`: func(a *Args) {
			a.Exposure, a.Gateway = GatewayRoute, Gateway{Name: "a", Listener: "a", HTTPListener: "a"}
		},
		`HTTPListener "a" needs Listener`: func(a *Args) { a.Exposure, a.Gateway = GatewayRoute, Gateway{Name: "a", HTTPListener: "a"} },
		"nobody asks for them":            func(a *Args) { a.Exposure, a.Gateway = GatewayRoute, Gateway{Name: "a", Authorities: "x"} },
		"challenges HTTP-01 come by": func(a *Args) {
			a.Exposure, a.Gateway = GatewayRoute, Gateway{Name: "a", Passthrough: true}
			a.TLS.Issuer = &Issuer{Name: "x", Kind: ClusterIssuer, HTTP01: true}
		},
		"ProxyProtocol needs Passthrough": func(a *Args) {
			a.Exposure, a.Gateway, a.Balancer.ProxyProtocol = GatewayRoute, Gateway{Name: "a"}, true
		},
		"what clients wrote": func(a *Args) {
			a.Exposure, a.Gateway, a.TrustedProxies = GatewayRoute, Gateway{Name: "a", Passthrough: true}, []string{"10.0.0.0/8"}
		},
		"no node passes anything on": func(a *Args) {
			a.Exposure, a.Gateway, a.Balancer.Cluster = GatewayRoute, Gateway{Name: "a"}, true
		},
		"HTTPNodePort 30080":              func(a *Args) { a.HTTPNodePort = 30080 },
		"HTTPNodePort 70000: want":        func(a *Args) { a.Exposure, a.HTTPNodePort = NodePort, 70000 },
		"are both 30080":                  func(a *Args) { a.Exposure, a.HTTPNodePort, a.HTTPSNodePort = NodePort, 30080, 30080 },
		`IngressClass "traefik" needs`:    func(a *Args) { a.IngressClass = "traefik" },
		"Certificate and Key go together": func(a *Args) { a.TLS.Certificate = pulumi.String("x") },
		"Secret and Issuer exclude each": func(a *Args) {
			a.TLS = TLS{Secret: pulumi.String("x"), Issuer: &Issuer{Name: "x", Kind: ClusterIssuer}}
		},
		"Issuer: Name is missing":          func(a *Args) { a.TLS.Issuer = &Issuer{Kind: ClusterIssuer} },
		`Kind "Any": want one of`:          func(a *Args) { a.TLS.Issuer = &Issuer{Name: "x", Kind: "Any"} },
		"ProberResources: requests":        func(a *Args) { a.ProberResources = room.ResourcesOf("2", "1Gi", "1", "1Gi") },
		"ExpiryWarningDays -1":             func(a *Args) { a.ExpiryWarningDays = -1 },
		"Replicas -1":                      func(a *Args) { a.Replicas = -1 },
		"Resources: requests.cpu":          func(a *Args) { a.Resources = room.ResourcesOf("2", "1Gi", "1", "1Gi") },
		"ExporterResources: requests.cpu":  func(a *Args) { a.ExporterResources = room.ResourcesOf("2", "1Gi", "1", "1Gi") },
		"Routes.UI is missing":             func(a *Args) { a.Routes.UI = nil },
		"Routes.Grafana: Host is missing":  func(a *Args) { a.Routes.Grafana.Host = nil },
		"Routes.Dashboard: Port 0":         func(a *Args) { a.Routes.Dashboard.Port = 0 },
		`Domain "Example"`:                 func(a *Args) { a.Domain = "Example" },
		`TrustedProxies: "10.0.0.1"`:       func(a *Args) { a.TrustedProxies = []string{"10.0.0.1"} },
		"RequestTimeoutSeconds -1":         func(a *Args) { a.RequestTimeoutSeconds = -1 },
		`upstream api: path "/metrics?x=1`: func(a *Args) { a.Routes.API.Hidden = []string{"/metrics?x=1"} },
	} {
		a := valid()
		require.NoError(t, a.withDefaults().validate())
		spoil(a)
		assert.ErrorContains(t, a.withDefaults().validate(), want)
	}
	err := (&Args{}).withDefaults().validate()
	for _, want := range []string{"Namespace", "Routes.UI", "Routes.API"} {
		assert.ErrorContains(t, err, want, "all problems are reported at once")
	}
}
