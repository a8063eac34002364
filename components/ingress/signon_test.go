package ingress

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// signedOn is an edge whose users a provider knows.
func signedOn() *Args {
	a := valid()
	a.Login.SignOn = &SignOn{Issuer: "https://login.example.com:8443/dex", ClientID: "edge", ClientSecret: pulumi.String("known-to-both")}
	return a
}

func TestSignOnFacts(t *testing.T) {
	for on, want := range map[room.Target]struct {
		pods     int
		services []string
	}{
		room.Kubernetes: {3, []string{"edge-login", "edge-login-pods"}},
		room.DockerHost: {1, []string{"edge-login"}},
	} {
		f := signedOn().Facts("edge", on)
		w, found := f.Workload("edge-login")
		require.True(t, found, on)
		assert.Equal(t, want.pods, w.Replicas+w.Surge, on)
		assert.Equal(t, &room.Scrape{Port: 44180, Path: "/metrics"}, w.Scrape)
		assert.Equal(t, want.services, f.Services[len(f.Services)-len(want.services):], on)
		_, found = valid().Facts("edge", on).Workload("edge-login")
		assert.False(t, found, "nobody is asked")
	}
}

func TestSignOnIsAskedOverTLS(t *testing.T) {
	a := signedOn()
	assert.Equal(t, &nginx.Upstream{Address: "edge-login-pods.shop.svc:4180"}, configOf(a).Login.Proxy)
	a.Login.SignOn.TLS, a.Login.SignOn.Own = true, workload.Authority{Seed: pulumi.String(strings.Repeat("s", 32))}
	a.UpstreamRoots = pulumi.String("roots")
	assert.Equal(t, &nginx.Upstream{Address: "edge-login-pods.shop.svc:4443", TLSName: "edge-login-pods"}, configOf(a).Login.Proxy)
	filled, err := a.Validated()
	require.NoError(t, err)
	args := filled.signOnArgs()
	assert.Contains(t, args, "--https-address=:4443")
	for _, arg := range args {
		assert.NotContains(t, arg, "--http-address")
		assert.NotContains(t, arg, "known-to-both")
	}
}

// TestSignOnArguments: who may pass, and for how long, and that a redirect leads to no other
// host.
func TestSignOnArguments(t *testing.T) {
	a := signedOn()
	a.PublicHTTPSPort = 30443
	filled, err := a.Validated()
	require.NoError(t, err)
	args := filled.signOnArgs()
	for _, want := range []string{
		"--email-domain=*", "--cookie-expire=12h", "--cookie-domain=.example.test", "--cookie-name=" + nginx.SessionCookie("example.test", 30443),
		"--redirect-url=https://alphapulse.example.test:30443/oauth2/callback", "--whitelist-domain=monitoring.example.test:30443", "--http-address=:4180",
	} {
		assert.Contains(t, args, want)
	}
	assert.NotEqual(t, nginx.SessionCookie("example.test", 443), nginx.SessionCookie("dev.example.test", 443), "cookies of a domain reach the hosts below it")

	a.Login.SignOn.Domains, a.Login.SignOn.Groups, a.Login.SignOn.SessionHours = []string{"example.com"}, []string{"traders"}, 8
	filled, err = a.Validated()
	require.NoError(t, err)
	args = filled.signOnArgs()
	assert.Contains(t, args, "--email-domain=example.com")
	assert.Contains(t, args, "--allowed-group=traders")
	assert.Contains(t, args, "--cookie-expire=8h")
	assert.NotContains(t, args, "--email-domain=*")
}

func TestSignOnNamesWhatIsWrong(t *testing.T) {
	for want, spoil := range map[string]func(*Args){
		"is not the https address of a provider": func(a *Args) { a.Login.SignOn.Issuer = "http://login.example.com" },
		"ClientSecret is missing":                func(a *Args) { a.Login.SignOn.ClientSecret = nil },
		`"" is empty`:                            func(a *Args) { a.Login.SignOn.ClientID = "" },
		`"$(HOSTNAME)" is empty, or holds`:       func(a *Args) { a.Login.SignOn.Groups = []string{"$(HOSTNAME)"} },
		"SessionHours -1":                        func(a *Args) { a.Login.SignOn.SessionHours = -1 },
		"TLS needs Own":                          func(a *Args) { a.Login.SignOn.TLS, a.UpstreamRoots = true, pulumi.String("roots") },
		"exclude each other":                     func(a *Args) { a.Login.Users = pulumi.String("ada:x") },
		"is the login's own":                     func(a *Args) { a.Login.Exempt = []string{"/oauth2/auth"} },
		"is the login's: remove it":              func(a *Args) { a.Routes.API.WebSockets = []string{"/oauth2/"} },
	} {
		a := signedOn()
		spoil(a)
		assert.ErrorContains(t, a.withDefaults().validate(), want)
	}
	for issuer, port := range map[string]int{"https://login.example.com": 443, "https://login.example.com:8443/dex": 8443, "https://[fd00::1]:9443": 9443} {
		assert.Equal(t, port, IssuerPort(issuer), issuer)
	}
}
