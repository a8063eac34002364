package stacks

import (
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// plan is what follows from the rooms' facts before the first resource exists.
type plan struct {
	facts []room.Facts
	// links are all of them: the list's, the rooms' own, and those of scraping.
	links []room.Link
	// volumes are the sizes of the claims, by name.
	volumes pulumi.StringMap
}

// planned folds the facts of the rooms, and tells monitoring what there is to watch.
func (s *Stack) planned() plan {
	p := plan{links: s.links(), volumes: pulumi.StringMap{}}
	for _, r := range s.rooms() {
		f := r.facts(r.name, s.Target)
		p.facts = append(p.facts, f)
		p.links = append(p.links, f.Links...)
		for _, c := range f.Claims {
			p.volumes[c.Name] = pulumi.String(c.Size.String())
		}
	}
	p.links = append(p.links, s.Monitoring.Watch(monitoringName, p.links, p.facts...)...)
	s.databaseConsumers(s.Monitoring.Consumers)
	return p
}

// on places every room on the platform.
func (s *Stack) on(ground *platform.Platform) {
	for _, r := range s.rooms() {
		*r.place = workload.Placement{Namespace: ground.Namespace, Nodes: s.Cluster.nodesOf(r.name), PlatformUsers: !s.Cluster.AssignUserIDs}
		if r.data {
			r.place.PriorityClass = ground.StatefulPriority
		}
		if s.Platform.PullCredentials != "" {
			r.place.ImagePullSecret = ground.PullSecret
		}
	}
}

// checkNames reports an alias that is the name of something else.
func (s *Stack) checkNames(p *settings.Problems) {
	aliases := []struct {
		key   string
		names []string
	}{{"databaseAliases", s.Database.AliasServices}, {"cacheAliases", s.Cache.AliasServices}}
	taken := map[string]int{}
	for _, r := range s.rooms() {
		for _, name := range r.facts(r.name, s.Target).Services {
			taken[name]++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(taken)) {
		for i := len(aliases) - 1; i >= 0 && taken[key] > 1; i-- {
			if slices.Contains(aliases[i].names, key) {
				p.Add(aliases[i].key, "%q is the name of another Service of the stack already: remove it", key)
				taken[key]--
			}
		}
	}
}
