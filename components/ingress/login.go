package ingress

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
)

// Login is the edge's own: users and passwords that nginx checks (HTTP basic
// authentication).
type Login struct {
	// Users are lines of NAME:HASH as nginx.CheckUsers wants them, secret; nil asks nobody.
	Users pulumi.StringInput
	// Exempt and Tokens are those of nginx.Login.
	Exempt []string
	Tokens bool
}

// Where nginx finds the users.
const (
	LoginDir = "/etc/edge-login"
	LoginKey = "users"
)

// config is what nginx is told.
func (l Login) config() nginx.Login {
	c := nginx.Login{Exempt: l.Exempt, Tokens: l.Tokens}
	if l.Users != nil {
		c.UsersFile = LoginDir + "/" + LoginKey
	}
	return c
}
