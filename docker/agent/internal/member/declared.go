package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Kinds of login roles.
const (
	Application = "application" // owns the database, by itself or as a member of its owner
	Monitoring  = "monitoring"  // reads statistics
	Pooling     = "pooling"     // asks for the verifiers of applications
	Replication = "replication" // streams the write-ahead log
	Rewinding   = "rewinding"   // reads files for pg_rewind
)

var kinds = []string{Application, Monitoring, Pooling, Replication, Rewinding}

// Declared is what roles and database there are to be.
type Declared struct {
	// Database of the application, and the role that owns it and all in it.
	Database string `json:"database"`
	Owner    string `json:"owner"`
	// Copies is how many standbys must hold every commit before the application may log in
	// for the first time: what it writes first is as safe as all that follows.
	Copies int `json:"copies"`
	// Logins are all roles that may log in.
	Logins []Login `json:"logins"`
}

// Login is a role that may log in. A rotated credential is another login of the same
// kind: the one before works until nobody uses it any more.
type Login struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Group is a role that the login is a member of, by which the server's rules of access
	// know its kind; "" where they know the login itself. It gives no rights.
	Group string `json:"group,omitempty"`
	// Verifier is what the server stores of the password.
	Verifier string `json:"verifier"`
}

var (
	namePattern     = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
	verifierPattern = regexp.MustCompile(`^SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$`)
)

// Parse reads a declaration and reports everything that is wrong with it.
func Parse(raw []byte) (*Declared, error) {
	d := &Declared{}
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, fmt.Errorf("declared roles: %w", err)
	}
	var problems []error
	name := func(what, value string) {
		if !namePattern.MatchString(value) || value == Superuser {
			problems = append(problems, fmt.Errorf("declared roles: %s is %q: want lower-case letters, digits and underscores, and not %q", what, value, Superuser))
		}
	}
	name("database", d.Database)
	name("owner", d.Owner)
	seen := map[string]bool{}
	for _, l := range d.Logins {
		name("a login", l.Name)
		if seen[l.Name] {
			problems = append(problems, fmt.Errorf("declared roles: login %s is there twice", l.Name))
		}
		seen[l.Name] = true
		if l.Group != "" {
			name("the group of login "+l.Name, l.Group)
		}
		if !slices.Contains(kinds, l.Kind) {
			problems = append(problems, fmt.Errorf("declared roles: login %s is of kind %q: want one of %q", l.Name, l.Kind, kinds))
		}
		if !verifierPattern.MatchString(l.Verifier) {
			problems = append(problems, fmt.Errorf("declared roles: login %s has no SCRAM-SHA-256 verifier", l.Name))
		}
	}
	return d, errors.Join(problems...)
}

// groups are those of all logins, but for the ones that are logins.
func (d *Declared) groups() []string {
	var groups []string
	names := d.names()
	for _, l := range d.Logins {
		if l.Group != "" && !slices.Contains(names, l.Group) {
			groups = append(groups, l.Group)
		}
	}
	return groups
}

// names are those of all logins, sorted.
func (d *Declared) names() []string {
	var names []string
	for _, l := range d.Logins {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	return names
}
