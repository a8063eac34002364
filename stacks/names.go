package stacks

import (
	"slices"

	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// serviceNames are the Services that the components create themselves.
var serviceNames = []string{
	databaseName, databaseName + "-headless", cacheName, cacheName + "-headless",
	backendName, backendName + "-pods", backendName + "-dashboard", backendName + "-dashboard-pods",
	frontendName, frontendName + "-pods", edgeName,
	monitoringName + "-prometheus", monitoringName + "-alertmanager", monitoringName + "-grafana",
}

// checkNames reports an alias that is the name of something else.
func (s *Stack) checkNames(p *settings.Problems) {
	taken := slices.Clone(serviceNames)
	for _, room := range []struct {
		key     string
		aliases []string
	}{{"databaseAliases", s.Database.AliasServices}, {"cacheAliases", s.Cache.AliasServices}} {
		for _, a := range room.aliases {
			if slices.Contains(taken, a) {
				p.Add(room.key, "%q is the name of another Service of the stack already: remove it", a)
			}
			taken = append(taken, a)
		}
	}
}
