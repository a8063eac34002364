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
	// Name of the monitoring.
	Name string
	// Prometheus and Alertmanager are "" where somebody else's are used; Grafana is there
	// always.
	Prometheus, Alertmanager, Grafana string
	// KubeStateMetrics is "" on a Docker host: nothing tells there how pods and claims
	// are, and what follows from that is left out.
	KubeStateMetrics string
	// PrometheusClaim and AlertmanagerClaim are the names of their claims.
	PrometheusClaim, AlertmanagerClaim string
	// RemoteWrite tells that samples are sent to somebody else's server.
	RemoteWrite bool
	// Containers tells that the kubelets say what containers take.
	Containers bool
	// Quota is the stack's own ResourceQuota, "" for none.
	Quota string
	// Limits of the alerts on workloads.
	Limits Limits
}

// Limits are the values from which on an alert on workloads fires; the default stands for
// zero.
type Limits struct {
	// Throttled is the share of a container's time, where it has work, in which it is held
	// back at its CPU limit; 0.25.
	Throttled float64
	// Volumes is the used share of a claim; VolumeHigh. Lower, it may be below what
	// Prometheus uses by design.
	Volumes float64
	// Quota is the used share of a resource of the namespace's quota; 0.9.
	Quota float64
	// Flapping is how often an autoscaler may change its mind within half an hour; 8: its own
	// window for scaling down is five minutes.
	Flapping int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Throttled: cmp.Or(l.Throttled, 0.25), Volumes: cmp.Or(l.Volumes, VolumeHigh),
		Quota: cmp.Or(l.Quota, 0.9), Flapping: cmp.Or(l.Flapping, 8),
	}
}

// Rules are those of the rooms and monitoring's own around them.
func Rules(w Watched, rooms []rule.Group) []rule.Group {
	before, after := Own(w)
	return slices.Concat(before, rooms, after)
}

// Own are monitoring's own rules: those that come before the rooms', and those that come
// after them.
func Own(w Watched) (before, after []rule.Group) {
	w.Limits = w.Limits.withDefaults()
	return []rule.Group{w.targets()}, w.own()
}

// Panels are those of the rooms and monitoring's own around them.
func Panels(w Watched, rooms []board.Contribution) []board.Contribution {
	w.Limits = w.Limits.withDefaults()
	return slices.Concat([]board.Contribution{w.now()}, rooms, w.panels())
}
