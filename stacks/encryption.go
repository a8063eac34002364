package stacks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Wire says how what is behind the edge talks.
type Wire struct {
	// Encryption of the connections to database and cache.
	Encryption room.Encryption
	// Except are the processes of the application that cannot speak TLS.
	Except []string
}

// The names of the application's processes in the setting wireEncryptionExcept.
const (
	wireAPI       = "api"
	wireEngine    = "engine"
	wireDashboard = "dashboard"
)

var wireClients = []string{wireAPI, wireEngine, wireDashboard}

func (s *Stack) wireSettings(set *settings.Set) {
	w, only := &s.Wire, settings.Only(room.Kubernetes)
	g := set.Group("Encryption", "Connections behind the edge. docs/encryption.md says what is encrypted by what.")
	g.Text((*string)(&w.Encryption), "wireEncryption", "TLS between the application and its database and cache: required has them refuse connections without; "+
		"preferred has the application ask for it, and takes both; off offers none. Go from one end to the other by way of preferred.",
		settings.OneOf(room.Encryptions...), only)
	g.List(&w.Except, "wireEncryptionExcept", "Processes of the application whose build cannot speak TLS: "+strings.Join(wireClients, ", ")+". They are told of none, and the way without it stays open for them.",
		settings.Each(wireClient), settings.While(func() bool { return w.Encryption != room.Unencrypted }, "wireEncryption is not off"), only)
	g.Check(func(p *settings.Problems) {
		if len(w.Except) > 0 && s.Database.Direct {
			p.Add("wireEncryptionExcept", "%s: with databaseDirect true it reaches the members, who take connections over TLS alone: remove one of the two", strings.Join(w.Except, ", "))
		}
	})
}

func wireClient(v string) error {
	if !slices.Contains(wireClients, v) {
		return fmt.Errorf("%q is no process of the application: choose from %s", v, strings.Join(wireClients, ", "))
	}
	return nil
}

// arrangeWire tells database, cache and application how they talk. A Docker host has one
// machine's memory for a wire.
func (s *Stack) arrangeWire() {
	if s.Target != room.Kubernetes {
		s.Wire.Encryption = room.Unencrypted
	}
	asked := s.Wire.Encryption
	if asked == room.Required && len(s.Wire.Except) > 0 {
		asked = room.Preferred // whoever is not excepted asks for TLS all the same
	}
	s.Database.Encryption, s.Cache.Encryption = asked, asked
	for process, name := range map[*backend.Process]string{&s.Backend.API: wireAPI, s.Backend.Engine: wireEngine, s.Backend.Dashboard: wireDashboard} {
		if process != nil {
			process.Plain = slices.Contains(s.Wire.Except, name)
		}
	}
}

// tlsPort declares where a workload behind the edge speaks TLS beside its other port.
func tlsPort(g *settings.Group, port *int, key, who, otherKey string, other *int, options ...settings.Option) {
	g.Int(port, key, "Port on which "+who+" speaks TLS beside the one without, for a build that does by the variables TLS_PORT, TLS_CERT_FILE and TLS_KEY_FILE: the edge asks it there and verifies its name, unless wireEncryption is off.",
		append(options, settings.Between(1024, 65535), settings.OrZero("for a build that does not"), settings.Only(room.Kubernetes))...)
	g.Check(func(p *settings.Problems) {
		if *port != 0 && *port == *other {
			p.Add(key, "%d is %s, too: choose another", *port, otherKey)
		}
	})
}

// wirePorts are those at which a workload is found that has one without TLS and one with,
// or 0 for none. While TLS is preferred, those that have not been told of it yet still work.
func (s *Stack) wirePorts(plain, secure int) []int {
	switch {
	case secure == 0, s.Wire.Encryption == room.Unencrypted:
		return []int{plain}
	case s.Wire.Encryption == room.Required:
		return []int{secure}
	default:
		return []int{plain, secure}
	}
}

// cachePorts are those at which a process of the application finds the cache.
func (s *Stack) cachePorts(process *backend.Process) []int {
	if s.Wire.Encryption == room.Required && process.Plain {
		return []int{cache.Port}
	}
	return s.wirePorts(cache.Port, cache.TLSPort)
}

// wireCredentials gives the cache and what is behind the edge certificates, and their clients
// those who vouch for them.
func (s *Stack) wireCredentials(c *platform.Credentials) {
	if s.Target != room.Kubernetes {
		return
	}
	authority := workload.Authority{Seed: c.AuthoritySeed, Trusted: c.TrustedSeeds}
	s.Backend.Authority, s.Frontend.Authority, s.login.Own = authority, authority, authority
	if s.Edge.Login.SignOn != nil {
		s.Edge.UpstreamRoots = authority.Roots()
	}
	if s.Wire.Encryption == room.Unencrypted {
		return
	}
	s.Cache.Authority = authority
	for _, u := range []*ingress.Upstream{s.Edge.Routes.UI, s.Edge.Routes.API, s.Edge.Routes.Dashboard} {
		if u != nil && u.TLS {
			s.Edge.UpstreamRoots = authority.Roots()
		}
	}
	access := s.Backend.Access
	access.Roots, access.CacheTLSPort, access.Secured = authority.Roots(), cache.TLSPort, s.Database.Encryption == room.Required
}
