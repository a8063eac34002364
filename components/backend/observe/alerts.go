// Package observe says what is watched of the backend: the service level objectives of
// the API, the engine, and what trading does. Plain Go without Pulumi types.
package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Watched is where the backend is seen: names among the jobs of Prometheus, "" for a
// workload that is not there, or whose build serves no metrics.
type Watched struct {
	// API serves what HTTP says.
	API string
	// Engine is the singleton that trades. It may serve alphapulse_engine_leader, 1 in
	// the pod that works, and alphapulse_engine_heartbeat_timestamp_seconds.
	Engine string
	// HTTP says under which names the API counts its requests, Objectives what it
	// promises.
	HTTP       HTTP
	Objectives Objectives
}

func (w Watched) withDefaults() Watched {
	w.HTTP, w.Objectives = w.HTTP.withDefaults(), w.Objectives.withDefaults()
	return w
}

// stalledSeconds is the age of the newest market data from which on the engine counts
// as stalled.
const stalledSeconds = 60

// Alerts are the rules on the backend.
func Alerts(w Watched) []rule.Group {
	w = w.withDefaults()
	var groups []rule.Group
	if w.API != "" {
		groups = append(append(groups, w.recordings()...), w.api())
	}
	if w.Engine != "" {
		groups = append(groups, engine(w.Engine))
	}
	return groups
}

// engine tells whether exactly one engine works.
func engine(job string) rule.Group {
	// A rollout of the engine stops the old pod first and starts the new one after it:
	// shorter gaps are part of its life.
	absent := rule.Missing("EngineAbsent", rule.Critical, "5m", "up", job,
		"No trading engine works",
		"No pod of "+job+" answers, or none is the one that works: no market data, no signals, and open positions are watched by nobody.")
	// In builds that choose a leader, pods that only wait are not working.
	absent.Expr += rule.On(job, ` or sum(alphapulse_engine_leader{$job}) == 0`)
	return rule.Group{Name: rule.Availability, Rules: []rule.Rule{
		absent,
		rule.Alert("EngineDoubled", rule.Critical, "1m",
			rule.On(job, `sum by (job) (alphapulse_engine_leader{$job}) > 1 or count by (job) (up{$job} == 1) > 1 unless on(job) count by (job) (alphapulse_engine_leader{$job})`),
			"More than one trading engine works",
			"{{ $value }} pods of {{ $labels.job }} work at the same time. Each of them trades on its own: positions may be opened twice."),
		rule.Alert("EngineStalled", rule.Critical, "2m",
			rule.On(job, fmt.Sprintf(`time() - max by (job) (alphapulse_engine_heartbeat_timestamp_seconds{$job}) > %d`, stalledSeconds)),
			"The trading engine has stopped working",
			"{{ $labels.job }} answers, but has not taken in any market data for {{ $value | humanizeDuration }}."),
	}}
}
