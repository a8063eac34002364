package stacks

import (
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// The values of the setting grafanaLogin.
const (
	grafanaOwn  = "own"
	grafanaOIDC = "oidc"
)

// signOn is who logs in to Grafana.
type signOn struct {
	mode string
	monitoring.SignOn
}

func (s *signOn) on() bool { return s.mode == grafanaOIDC }

// signOnSettings name the provider whose users log in to Grafana.
func (s *Stack) signOnSettings(g *settings.Group) {
	l := &s.signOn
	on := settings.While(l.on, "grafanaLogin is oidc")
	at, text := settings.Valid(monitoring.CheckSignOnURL), settings.Each(monitoring.CheckSignOnWord)
	g.Text(&l.mode, "grafanaLogin", "Who logs in to Grafana: own, its user admin alone; oidc, also the users of a provider of OpenID Connect, which leads them back to /login/generic_oauth of Grafana's host.", settings.OneOf(grafanaOwn, grafanaOIDC))
	g.Text(&l.AuthURL, "grafanaOidcAuthUrl", "The provider's endpoint for browsers (authorization_endpoint).", at, on)
	g.Text(&l.TokenURL, "grafanaOidcTokenUrl", "The provider's endpoint for tokens (token_endpoint).", at, on)
	g.Text(&l.APIURL, "grafanaOidcApiUrl", "The provider's endpoint for what it knows of a user (userinfo_endpoint).", at, on)
	g.Text(&l.ClientID, "grafanaOidcClientId", "What the provider calls Grafana.", settings.Valid(monitoring.CheckSignOnText), on)
	g.SecretText(&l.ClientSecret, "grafanaOidcClientSecret", "Grafana's secret at the provider.", settings.Valid(credential), on)
	g.List(&l.Scopes, "grafanaOidcScopes", "Scopes that are asked for.", text, on)
	g.List(&l.Groups, "grafanaOidcGroups", "Groups, by the claim groups, of which a user has to be in one; by default any.", text, on)
	g.List(&l.Domains, "grafanaOidcDomains", "Domains of which a user's address has to be of one; by default any.", text, on)
	g.Text(&l.Roles, "grafanaOidcRoles", "JMESPath over what the provider tells of a user that gives Viewer, Editor or Admin, and nothing for who may not log in; by default everybody is a Viewer.", settings.Valid(monitoring.CheckSignOnText), on)
	g.Text(&l.Authority, "grafanaOidcCa", "PEM certificates by which the provider's is trusted; by default those that come with the image.", settings.Valid(certificates), on)
	g.Check(s.checkSignOn)
}

// checkSignOn hands the provider over where it is complete.
func (s *Stack) checkSignOn(p *settings.Problems) {
	l := &s.signOn
	if !l.on() {
		return
	}
	for _, needed := range []struct{ key, value, what string }{
		{"grafanaOidcAuthUrl", l.AuthURL, "the authorization_endpoint of the provider's /.well-known/openid-configuration"},
		{"grafanaOidcTokenUrl", l.TokenURL, "the token_endpoint of the provider's /.well-known/openid-configuration"},
		{"grafanaOidcApiUrl", l.APIURL, "the userinfo_endpoint of the provider's /.well-known/openid-configuration"},
		{"grafanaOidcClientId", l.ClientID, "what the provider calls Grafana"},
	} {
		if needed.value == "" {
			p.Add(needed.key, "it is not set, and grafanaLogin is oidc: set %s", needed.what)
		}
	}
	if p.Value("grafanaOidcClientSecret") == "" {
		p.Add("grafanaOidcClientSecret", "it is not set, and grafanaLogin is oidc: set the secret of that client, with --secret")
	}
	if len(l.Groups) == 0 && len(l.Domains) == 0 && l.Roles == "" {
		p.Warn("grafanaLogin", "oidc: everybody whom the provider knows may look at Grafana; grafanaOidcGroups, grafanaOidcDomains or grafanaOidcRoles say who")
	}
	s.Monitoring.Grafana.SignOn = &l.SignOn
}
