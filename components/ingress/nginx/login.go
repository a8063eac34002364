package nginx

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
)

// Login is the edge's own, in front of every host.
type Login struct {
	// UsersFile holds users as CheckUsers wants them; "" asks nobody for a password.
	UsersFile string
	// Proxy is an oauth2-proxy below SignOnPath, which knows the sessions of the users of a
	// provider of OpenID Connect by the cookie SessionCookie; nil for none. It and UsersFile
	// exclude each other.
	Proxy *Upstream
	// Exempt are paths of the API that need no login, as Upstream.WebSockets are written:
	// health checks of others, webhooks.
	Exempt []string
	// Tokens lets requests to the API pass that bring a bearer token: the application
	// itself has to check each.
	Tokens bool
}

// On tells whether anybody is asked.
func (l Login) On() bool { return l.UsersFile != "" || l.Proxy != nil }

// SignOnPath is where each host has what an oauth2-proxy answers itself.
const SignOnPath = "/oauth2/"

// signOnLocations are what of it users are led to, and what its pages look like.
var signOnLocations = []string{"= " + SignOnPath + "start", "= " + SignOnPath + "callback", "= " + SignOnPath + "sign_in", "= " + SignOnPath + "sign_out", "^~ " + SignOnPath + "static/"}

// SessionCookie is the name of the cookie of Login.Proxy's sessions. Cookies of a domain are
// sent to the hosts below it, too, where another stack may be: it is each edge's own.
func SessionCookie(domain string, publicPort int) string {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s:%d", domain, publicPort)
	return fmt.Sprintf("__Secure-edge-%08x", h.Sum32())
}

// SessionCookie is that of the edge.
func (c *Config) SessionCookie() string { return SessionCookie(c.Domain, c.PublicHTTPSPort) }

// Realm is what browsers show of the login.
const Realm = "AlphaPulse"

// userLine is a user with a password hash that nginx computes itself, on every C library,
// and that has a salt.
var userLine = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}:(?:\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}|\{SSHA\}[A-Za-z0-9+/]{28,}={0,2})$`)

// CheckUsers reports lines that are no users, by their number: they may be secrets.
func CheckUsers(text string) error {
	var problems []error
	names, number := []string{}, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, _, _ := strings.Cut(line, ":")
		switch {
		case !userLine.MatchString(line):
			problems = append(problems, fmt.Errorf("line %d is no user: write NAME:HASH as `htpasswd -nm NAME` or `openssl passwd -apr1` makes it, $apr1$… or {SSHA}…", number))
		case slices.Contains(names, name):
			problems = append(problems, fmt.Errorf("line %d: user %q is there twice", number, name))
		default:
			names = append(names, name)
		}
	}
	if len(names) == 0 && len(problems) == 0 {
		problems = append(problems, errors.New("it holds no user: add a line of `htpasswd -nm NAME`"))
	}
	return errors.Join(problems...)
}

// CheckExempt says why a path cannot be one of Login.Exempt; nil where it can.
func CheckExempt(path string) error {
	if !isPath(path) || path == "/" {
		return fmt.Errorf("%q cannot be left without a login: write a path below the root of letters, digits and ._~/-; one that ends with a slash stands for all below it", path)
	}
	return nil
}

// validateLogin is about the login, and the paths that it leaves out.
func (c *Config) validateLogin() error {
	l := c.Login
	if !l.On() {
		if len(l.Exempt) > 0 || l.Tokens {
			return errors.New("Login: Exempt and Tokens need UsersFile or Proxy: without one nobody is asked")
		}
		return nil
	}
	var problems []error
	if l.UsersFile != "" && l.Proxy != nil {
		problems = append(problems, errors.New("Login: UsersFile and Proxy exclude each other: choose one"))
	}
	if l.UsersFile != "" && !filePattern.MatchString(l.UsersFile) {
		problems = append(problems, fmt.Errorf("Login.UsersFile %q: want an absolute path of letters, digits and ._/-", l.UsersFile))
	}
	for i, p := range l.Exempt {
		if err := CheckExempt(p); err != nil {
			problems = append(problems, fmt.Errorf("Login.Exempt: %w", err))
		}
		if slices.Contains(l.Exempt[:i], p) {
			problems = append(problems, fmt.Errorf("Login.Exempt: %q is there twice", p))
		}
		if a := c.Upstreams.API; a != nil && slices.Contains(slices.Concat(a.WebSockets, a.Hidden), p) {
			problems = append(problems, fmt.Errorf("Login.Exempt: %q is hidden, or for WebSockets: remove it", p))
		}
		if l.Proxy != nil && strings.HasPrefix(p+"/", SignOnPath) {
			problems = append(problems, fmt.Errorf("Login.Exempt: %q is the login's own: remove it", p))
		}
		if p == "/api" || p == "/api/" {
			problems = append(problems, fmt.Errorf("Login.Exempt: %q is the whole API: name what is below it", p))
		}
	}
	return errors.Join(problems...)
}

// exempt gives the locations of the API that need no login: on its own host all of them,
// on that of the UI those that lead to the API there.
func exempt(l Login, onUIHost bool) []string {
	var paths []string
	for _, p := range l.Exempt {
		if !onUIHost || strings.HasPrefix(p, "/api/") {
			paths = append(paths, location(p))
		}
	}
	return paths
}
