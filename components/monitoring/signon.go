package monitoring

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// SignOn lets users of a provider of OpenID Connect log in to Grafana beside its own user
// "admin". The provider leads them back to /login/generic_oauth.
type SignOn struct {
	// AuthURL, TokenURL and APIURL are the provider's endpoints for browsers, for tokens
	// and for what it knows of a user, all https.
	AuthURL, TokenURL, APIURL string
	// ClientID and ClientSecret are what the provider has for Grafana; the secret is one.
	ClientID     string
	ClientSecret pulumi.StringInput
	// Scopes that are asked for.
	Scopes []string
	// Groups of which a user has to be in one, as the provider's claim "groups" has them,
	// and Domains of which his address has to be of one; nil for any.
	Groups, Domains []string
	// Roles is a JMESPath over what the provider tells of a user that gives Viewer, Editor
	// or Admin, and nothing for who may not log in; "" makes everybody a Viewer.
	Roles string
	// Authority is PEM by which the provider's certificate is trusted; "" for those of the
	// image.
	Authority string
}

// Where Grafana finds what it knows of the provider.
const (
	signOnPath      = "/etc/grafana-signon"
	signOnSecret    = "client-secret"
	signOnAuthority = "ca.crt"
)

// CheckSignOnURL reports an address that is not one of a provider's endpoints.
func CheckSignOnURL(v string) error {
	u := room.Address(v, "https")
	if u == nil || u.User != nil || u.Fragment != "" || strings.ContainsAny(v, " $") {
		return fmt.Errorf("%q is not an https address of a provider: write e.g. https://login.example.com/oauth2/authorize", room.Shown(v))
	}
	return nil
}

// CheckSignOnText reports what a variable cannot hold as it is.
func CheckSignOnText(v string) error {
	if strings.Contains(v, "$") || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
		return errors.New("it holds $ or a control character, of which Grafana or Kubernetes would make something else: leave it out")
	}
	return nil
}

// CheckSignOnWord reports what is not one entry of a list: Grafana reads lists as words that a
// blank or a comma parts, and an empty one as no list at all, which would let everybody in.
func CheckSignOnWord(v string) error {
	if v == "" || strings.ContainsAny(v, `,"'[]`) || strings.ContainsFunc(v, unicode.IsSpace) {
		return errors.New("it is empty, or holds a blank, a comma, a quote or a bracket, at which Grafana would take it for several: give it another name at the provider, or use grafanaOidcRoles")
	}
	return CheckSignOnText(v)
}

// validate tells problem what is wrong.
func (s *SignOn) validate(problem func(format string, v ...any)) {
	if s == nil {
		return
	}
	for _, u := range []struct{ name, url string }{{"AuthURL", s.AuthURL}, {"TokenURL", s.TokenURL}, {"APIURL", s.APIURL}} {
		if err := CheckSignOnURL(u.url); err != nil {
			problem("Grafana.SignOn.%s: %w", u.name, err)
		}
	}
	for _, text := range []string{s.ClientID, s.Roles} {
		if err := CheckSignOnText(text); err != nil {
			problem("Grafana.SignOn: %q: %w", text, err)
		}
	}
	for _, word := range slices.Concat(s.Scopes, s.Groups, s.Domains) {
		if err := CheckSignOnWord(word); err != nil {
			problem("Grafana.SignOn: %q: %w", word, err)
		}
	}
	if s.ClientID == "" || s.ClientSecret == nil {
		problem("Grafana.SignOn: ClientID and ClientSecret are what the provider has for Grafana: pass both")
	}
}

// environment are the variables of Grafana that tell it of the provider.
func (s *SignOn) environment() map[string]string {
	if s == nil {
		return nil
	}
	env := map[string]string{
		"ENABLED": "true", "NAME": "Single sign-on",
		"AUTH_URL": s.AuthURL, "TOKEN_URL": s.TokenURL, "API_URL": s.APIURL,
		"CLIENT_ID": s.ClientID, "CLIENT_SECRET__FILE": signOnPath + "/" + signOnSecret,
		"SCOPES": strings.Join(s.Scopes, " "), "USE_PKCE": "true", "ALLOW_SIGN_UP": "true",
		// Nobody becomes the owner of the server by what a provider says.
		"ALLOW_ASSIGN_GRAFANA_ADMIN": "false",
	}
	if s.Roles != "" {
		env["ROLE_ATTRIBUTE_PATH"], env["ROLE_ATTRIBUTE_STRICT"] = s.Roles, "true"
	}
	if len(s.Groups) > 0 {
		env["GROUPS_ATTRIBUTE_PATH"], env["ALLOWED_GROUPS"] = "groups", strings.Join(s.Groups, ",")
	}
	if len(s.Domains) > 0 {
		env["ALLOWED_DOMAINS"] = strings.Join(s.Domains, ",")
	}
	if s.Authority != "" {
		env["TLS_CLIENT_CA"] = signOnPath + "/" + signOnAuthority
	}
	all := map[string]string{}
	for name, value := range env {
		all["GF_AUTH_GENERIC_OAUTH_"+name] = value
	}
	return all
}

// files are what the variables name.
func (s *SignOn) files() *workload.Files {
	data := pulumi.StringMap{signOnSecret: s.ClientSecret}
	if s.Authority != "" {
		data[signOnAuthority] = pulumi.String(s.Authority)
	}
	return workload.Hidden("signon", data)
}

// links let Grafana ask the provider; browsers go there themselves.
func (s *SignOn) links(grafana room.Identity) []room.Link {
	if s == nil {
		return nil
	}
	var ports []int
	for _, u := range []string{s.TokenURL, s.APIURL} {
		if port, err := config.HTTPSPort(u); err == nil && !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return []room.Link{{From: room.Of(grafana), To: room.Outside(room.Anywhere), Ports: ports, Zone: room.Exit}}
}
