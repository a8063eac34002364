package platform

import (
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// rule is one direction of one link, as seen from a workload.
type rule struct {
	end   room.End
	ports []int
}

// policy is everything that one workload may receive and send.
type policy struct {
	workload        room.Identity
	ingress, egress []rule
}

// policiesOf groups the links by workload, sorted by name. A link between two workloads
// appears twice, as egress of one and ingress of the other, because both ends deny by
// default.
func policiesOf(links []room.Link) []policy {
	byName := map[string]*policy{}
	of := func(i *room.Identity) *policy {
		p := byName[i.Name]
		if p == nil {
			p = &policy{workload: *i}
			byName[i.Name] = p
		}
		return p
	}
	for _, l := range links {
		if l.From.Workload != nil {
			p := of(l.From.Workload)
			p.egress = append(p.egress, rule{l.To, l.Ports})
		}
		if l.To.Workload != nil {
			p := of(l.To.Workload)
			p.ingress = append(p.ingress, rule{l.From, l.Ports})
		}
	}
	policies := make([]policy, 0, len(byName))
	for _, p := range byName {
		policies = append(policies, *p)
	}
	slices.SortFunc(policies, func(a, b policy) int { return strings.Compare(a.workload.Name, b.workload.Name) })
	return policies
}
