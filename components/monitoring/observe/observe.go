// Package observe says what is watched of monitoring itself and of how Kubernetes runs
// the workloads, and puts the rules and panels of all rooms together. Plain Go without
// Pulumi types.
package observe

import (
	"cmp"
	"slices"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Watched are the names of the monitoring workloads among the jobs of Prometheus.
type Watched struct {
	Prometheus, Alertmanager, Grafana string
	// KubeStateMetrics is "" on a Docker host: nothing tells there how pods and claims
	// are, and what follows from that is left out.
	KubeStateMetrics string
	// PrometheusClaim and AlertmanagerClaim are the names of their claims.
	PrometheusClaim, AlertmanagerClaim string
	// Owner acts on the alerts that are about no room; rule.Platform when empty.
	Owner string
}

// Rules are those of the rooms and monitoring's own around them.
func Rules(w Watched, rooms []rule.Group) []rule.Group {
	w.Owner = cmp.Or(w.Owner, rule.Platform)
	return slices.Concat([]rule.Group{w.targets()}, rooms, w.own())
}

// Panels are those of the rooms and monitoring's own around them.
func Panels(w Watched, rooms []board.Contribution) []board.Contribution {
	return slices.Concat([]board.Contribution{w.now()}, rooms, w.panels())
}
