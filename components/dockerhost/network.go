package dockerhost

import (
	"fmt"
	"slices"
)

// Zone is one of the stack's networks. A host has room for some thirty networks by
// default, so links of one kind share one.
type Zone string

// The zones.
const (
	// Entry is where ports are published.
	Entry Zone = "entry"
	// Web is between the edge and what is behind it.
	Web Zone = "web"
	// Data is between the application and its stores.
	Data Zone = "data"
	// Watch is between Prometheus and what it scrapes.
	Watch Zone = "watch"
	// Exit leads to the Internet.
	Exit Zone = "exit"
)

// zones in a fixed order.
var zones = []Zone{Entry, Web, Data, Watch, Exit}

// internal tells whether the zone has no way in or out of the host.
func (z Zone) internal() bool { return z != Entry && z != Exit }

// World is the end of a link outside of the stack.
const World = ""

// Link says that one workload opens connections to another, over a zone.
type Link struct {
	From, To string
	Zone     Zone
}

func (l Link) validate() error {
	switch outside := l.From == World || l.To == World; {
	case !slices.Contains(zones, l.Zone):
		return fmt.Errorf("link from %q to %q: no zone %q: want one of %q", l.From, l.To, l.Zone, zones)
	case l.From == l.To:
		return fmt.Errorf("link from %q to itself: name two workloads", l.From)
	case outside == l.Zone.internal():
		return fmt.Errorf("link from %q to %q over %s: zones %s and %s are for links with the world, and only they are", l.From, l.To, l.Zone, Entry, Exit)
	}
	return nil
}

// Zones gives the zones of each workload, in the zones' order.
func Zones(links []Link) map[string][]Zone {
	members := map[string][]Zone{}
	for _, z := range zones {
		for _, l := range links {
			for _, w := range []string{l.From, l.To} {
				if l.Zone == z && w != World && !slices.Contains(members[w], z) {
					members[w] = append(members[w], z)
				}
			}
		}
	}
	return members
}

// used are the zones of any link, in the zones' order.
func used(links []Link) []Zone {
	var u []Zone
	for _, z := range zones {
		if slices.ContainsFunc(links, func(l Link) bool { return l.Zone == z }) {
			u = append(u, z)
		}
	}
	return u
}
