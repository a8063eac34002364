package workload

import (
	"slices"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// zonesOf gives the zones of each workload, in the zones' order.
func zonesOf(links []room.Link) map[string][]room.Zone {
	members := map[string][]room.Zone{}
	for _, z := range room.Zones {
		for _, l := range links {
			for _, end := range []room.End{l.From, l.To} {
				if w := end.Workload; l.Zone == z && w != nil && !slices.Contains(members[w.Name], z) {
					members[w.Name] = append(members[w.Name], z)
				}
			}
		}
	}
	return members
}

// used are the zones of any link, in the zones' order.
func used(links []room.Link) []room.Zone {
	var u []room.Zone
	for _, z := range room.Zones {
		if slices.ContainsFunc(links, func(l room.Link) bool { return l.Zone == z }) {
			u = append(u, z)
		}
	}
	return u
}
