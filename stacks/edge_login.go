package stacks

import (
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// The values of the setting edgeLogin.
const (
	loginOff   = "off"
	loginBasic = "basic"
)

// edgeLogin is who may pass the edge.
type edgeLogin struct{ mode string }

func (l *edgeLogin) on() bool { return l.mode == loginBasic }

// loginSettings put all hosts behind a login.
func (s *Stack) loginSettings(g *settings.Group) {
	l := &s.login
	on := settings.While(l.on, "edgeLogin is basic")
	g.Text(&l.mode, "edgeLogin", "Who may see the user interface, the API, the dashboard and Grafana: off, everybody who reaches the edge; basic, the users of edgeLoginUsers.", settings.OneOf(loginOff, loginBasic))
	g.SecretText(&s.Edge.Login.Users, "edgeLoginUsers", "Users of the edge's login: lines of NAME:HASH as `htpasswd -nm NAME` makes them.", settings.Valid(nginx.CheckUsers), on)
	g.List(&s.Edge.Login.Exempt, "edgeLoginExempt", "Paths of the API that need no login, such as webhooks and health checks of others; one that ends with a slash stands for all below it.", settings.Each(nginx.CheckExempt), on)
	g.Bool(&s.Edge.Login.Tokens, "edgeLoginTokens", "Let requests to the API pass that bring a bearer token: the application itself has to check each.", on)
	g.Check(func(p *settings.Problems) {
		if l.on() && p.Value("edgeLoginUsers") == "" {
			p.Add("edgeLoginUsers", "it is not set, and edgeLogin is basic: `htpasswd -nm NAME | pulumi config set --secret edgeLoginUsers`")
		}
	})
}
