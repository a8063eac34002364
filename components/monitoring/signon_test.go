package monitoring

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

func signedOn() *SignOn {
	return &SignOn{
		AuthURL: "https://login.example.com/auth", TokenURL: "https://login.example.com:8443/token", APIURL: "https://login.example.com/userinfo",
		ClientID: "grafana", ClientSecret: pulumi.String("known-to-both"), Scopes: []string{"openid", "groups"},
	}
}

// TestGrafanaIsToldOfTheProvider: the secret in a file, and of roles and groups only what is
// asked for.
func TestGrafanaIsToldOfTheProvider(t *testing.T) {
	plain := signedOn().environment()
	for name, want := range map[string]string{
		"ENABLED": "true", "AUTH_URL": "https://login.example.com/auth", "TOKEN_URL": "https://login.example.com:8443/token",
		"API_URL": "https://login.example.com/userinfo", "CLIENT_ID": "grafana", "SCOPES": "openid groups",
		"CLIENT_SECRET__FILE": "/etc/grafana-signon/client-secret", "USE_PKCE": "true", "ALLOW_ASSIGN_GRAFANA_ADMIN": "false",
	} {
		if got := plain["GF_AUTH_GENERIC_OAUTH_"+name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	unasked := []string{"ROLE", "GROUPS", "DOMAINS", "_CA"}
	for name, value := range plain {
		if strings.Contains(value, "known-to-both") || slices.ContainsFunc(unasked, func(s string) bool { return strings.Contains(name, s) }) {
			t.Errorf("%s: %s", name, value)
		}
	}
	s := signedOn()
	s.Roles, s.Groups, s.Domains, s.Authority = "role", []string{"traders", "admins"}, []string{"example.com", "example.org"}, "PEM"
	for name, want := range map[string]string{
		"ROLE_ATTRIBUTE_PATH": "role", "ROLE_ATTRIBUTE_STRICT": "true", "GROUPS_ATTRIBUTE_PATH": "groups", "ALLOWED_GROUPS": "traders,admins",
		"ALLOWED_DOMAINS": "example.com,example.org", "TLS_CLIENT_CA": "/etc/grafana-signon/ca.crt",
	} {
		if got := s.environment()["GF_AUTH_GENERIC_OAUTH_"+name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if (*SignOn)(nil).environment() != nil {
		t.Error("nobody asked for it")
	}
	env := (&Args{ExternalURL: pulumi.String("https://monitoring.example.com"), Grafana: Grafana{SignOn: signedOn()}}).GrafanaEnvironment()
	if env["GF_AUTH_GENERIC_OAUTH_ENABLED"] != pulumi.String("true") || env["GF_SECURITY_ADMIN_USER"] == nil {
		t.Errorf("%v", env)
	}
}

// TestGrafanaReachesTheProvider on the ports of what it asks itself, and nothing without one.
func TestGrafanaReachesTheProvider(t *testing.T) {
	exits := func(a *Args) (ports []int) {
		for _, l := range a.Facts("monitoring", room.Kubernetes).Links {
			if l.Zone == room.Exit && l.From.Workload != nil && *l.From.Workload == GrafanaOf("monitoring") {
				ports = append(ports, l.Ports...)
			}
		}
		return ports
	}
	a := &Args{}
	if got := exits(a); len(got) > 0 {
		t.Errorf("without a provider Grafana reaches %v", got)
	}
	a.Grafana.SignOn = signedOn()
	if got := exits(a); !slices.Equal(got, []int{8443, 443}) {
		t.Errorf("Grafana reaches %v", got)
	}
}

// TestAProviderIsChecked, all of it at once.
func TestAProviderIsChecked(t *testing.T) {
	var said []string
	problem := func(format string, v ...any) { said = append(said, fmt.Errorf(format, v...).Error()) }
	signedOn().validate(problem)
	(*SignOn)(nil).validate(problem)
	if len(said) > 0 {
		t.Errorf("%q", said)
	}
	(&SignOn{AuthURL: "http://login.example.com", Roles: "$(X)"}).validate(problem)
	for _, want := range []string{"AuthURL", "TokenURL", "APIURL", `"$(X)"`, "ClientID and ClientSecret"} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("%q does not say %s", said, want)
		}
	}
}
