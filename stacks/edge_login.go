package stacks

import (
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// The values of the setting edgeLogin.
const (
	loginOff   = "off"
	loginBasic = "basic"
	loginOIDC  = "oidc"
)

// edgeLogin is who may pass the edge.
type edgeLogin struct {
	mode string
	ingress.SignOn
}

func (l *edgeLogin) on() bool    { return l.mode != loginOff }
func (l *edgeLogin) basic() bool { return l.mode == loginBasic }
func (l *edgeLogin) oidc() bool  { return l.mode == loginOIDC }

// loginSettings put all hosts behind a login.
func (s *Stack) loginSettings(g *settings.Group) {
	l := &s.login
	on, basic, oidc := settings.While(l.on, "edgeLogin is not off"), settings.While(l.basic, "edgeLogin is basic"), settings.While(l.oidc, "edgeLogin is oidc")
	text := settings.Valid(ingress.CheckSignOnText)
	g.Text(&l.mode, "edgeLogin", "Who may see the user interface, the API, the dashboard and Grafana: off, everybody who reaches the edge; basic, the users of edgeLoginUsers; "+
		"oidc, users of a provider of OpenID Connect, which leads them back to /oauth2/callback of the user interface's host.", settings.OneOf(loginOff, loginBasic, loginOIDC))
	g.SecretText(&s.Edge.Login.Users, "edgeLoginUsers", "Users of the edge's login: lines of NAME:HASH as `htpasswd -nm NAME` makes them.", settings.Valid(nginx.CheckUsers), basic)
	g.Text(&l.Issuer, "edgeOidcIssuer", "The provider's issuer, below which its /.well-known/openid-configuration is.", settings.Valid(ingress.CheckIssuer), oidc)
	g.Text(&l.ClientID, "edgeOidcClientId", "What the provider calls the edge.", text, oidc)
	g.SecretText(&l.ClientSecret, "edgeOidcClientSecret", "The edge's secret at the provider.", settings.Valid(credential), oidc)
	g.List(&l.Domains, "edgeOidcDomains", "Domains of which a user's address has to be of one; by default any.", settings.Each(ingress.CheckSignOnText), oidc)
	g.List(&l.Groups, "edgeOidcGroups", "Groups, by the claim groups, of which a user has to be in one; by default any.", settings.Each(ingress.CheckSignOnText), oidc)
	g.Text(&l.Authority, "edgeOidcCa", "PEM certificates by which the provider's is trusted; by default those that come with the image.", settings.Valid(certificates), oidc)
	g.Int(&l.SessionHours, "edgeOidcSessionHours", "How long a login holds; until then the provider is not asked again.", settings.Between(1, 720), settings.In("hours"), oidc)
	g.Image(&l.Image, "edgeOidcImage", "oauth2-proxy, which asks the provider.", oidc)
	g.Resources(&l.Resources, "edgeOidcResources", "one oauth2-proxy pod", oidc)
	g.List(&s.Edge.Login.Exempt, "edgeLoginExempt", "Paths of the API that need no login, such as webhooks and health checks of others; one that ends with a slash stands for all below it.", settings.Each(nginx.CheckExempt), on)
	g.Bool(&s.Edge.Login.Tokens, "edgeLoginTokens", "Let requests to the API pass that bring a bearer token: the application itself has to check each.", on)
	g.Check(s.checkLogin)
}

// checkLogin reports a login that lacks something, and hands a provider over.
func (s *Stack) checkLogin(p *settings.Problems) {
	l := &s.login
	if l.basic() && p.Value("edgeLoginUsers") == "" {
		p.Add("edgeLoginUsers", "it is not set, and edgeLogin is basic: `htpasswd -nm NAME | pulumi config set --secret edgeLoginUsers`")
	}
	if !l.oidc() {
		return
	}
	for _, needed := range []struct{ key, remedy string }{
		{"edgeOidcIssuer", "set the address of the provider, as its issuer says it"},
		{"edgeOidcClientId", "set what the provider calls the edge"},
		{"edgeOidcClientSecret", "set the secret of that client, with --secret"},
	} {
		if p.Value(needed.key) == "" {
			p.Add(needed.key, "it is not set, and edgeLogin is oidc: %s", needed.remedy)
		}
	}
	if len(l.Domains) == 0 && len(l.Groups) == 0 {
		p.Warn("edgeLogin", "oidc: everybody whom the provider knows may pass the edge; edgeOidcDomains or edgeOidcGroups say who")
	}
	s.Edge.Login.SignOn = &l.SignOn
}

// arrangeLogin has the edge ask its login over TLS: each request's session goes that way. A
// Docker host has one machine's memory for a wire.
func (s *Stack) arrangeLogin() { s.login.TLS = s.Target == room.Kubernetes }

// loginLinks are those of the edge's login: browsers go to the provider themselves.
func (s *Stack) loginLinks(link func(from, to room.End, zone room.Zone, ports ...int)) {
	if s.Edge.Login.SignOn == nil {
		return
	}
	login := room.Of(ingress.LoginOf(edgeName))
	port := ingress.SignOnPort
	if s.login.TLS {
		port = ingress.SignOnTLSPort
	}
	link(room.Of(ingress.Edge(edgeName)), login, room.Web, port)
	link(login, room.Outside(room.Anywhere), room.Exit, ingress.IssuerPort(s.login.Issuer))
}
