package stacks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/cache"
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

// cachePorts are those at which a process of the application finds the cache. While TLS is
// preferred, those that have not been told of it yet still work.
func (s *Stack) cachePorts(process *backend.Process) []int {
	switch {
	case s.Wire.Encryption == room.Unencrypted, s.Wire.Encryption == room.Required && process.Plain:
		return []int{cache.Port}
	case s.Wire.Encryption == room.Required:
		return []int{cache.TLSPort}
	default:
		return []int{cache.Port, cache.TLSPort}
	}
}

// wireCredentials gives the cache a certificate, and the application those who vouch for it
// and for the database.
func (s *Stack) wireCredentials(c *platform.Credentials) {
	if s.Wire.Encryption == room.Unencrypted {
		return
	}
	authority := workload.Authority{Seed: c.AuthoritySeed, Trusted: c.TrustedSeeds}
	s.Cache.Authority = authority
	access := s.Backend.Access
	access.Roots, access.CacheTLSPort, access.Secured = authority.Roots(), cache.TLSPort, s.Database.Encryption == room.Required
}
