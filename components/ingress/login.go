package ingress

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
)

// Login is the edge's own: users and passwords that nginx checks (HTTP basic
// authentication), or sessions of users whom a provider knows.
type Login struct {
	// Users are lines of NAME:HASH as nginx.CheckUsers wants them, secret; nil asks nobody.
	Users pulumi.StringInput
	// SignOn asks for the session of a login at a provider instead; nil for none.
	SignOn *SignOn
	// Exempt and Tokens are those of nginx.Login.
	Exempt []string
	Tokens bool
}

// Where nginx finds the users.
const (
	LoginDir = "/etc/edge-login"
	LoginKey = "users"
)

// validate tells problem what is wrong.
func (l Login) validate(problem func(format string, v ...any)) {
	if l.Users != nil && l.SignOn != nil {
		problem("%w", errTwoLogins)
	}
	l.SignOn.validate(problem)
}

// config is what nginx of the edge called name is told, at a place whose hosts end with
// suffix.
func (l Login) config(name, suffix string) nginx.Login {
	c := nginx.Login{Exempt: l.Exempt, Tokens: l.Tokens, Proxy: l.SignOn.upstream(name, suffix)}
	if l.Users != nil {
		c.UsersFile = LoginDir + "/" + LoginKey
	}
	return c
}
