// Package observe says what is watched of the backend: the service level objectives of
// the API, the engine, and what trading does. Plain Go without Pulumi types.
package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
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
	// promises, and Trading from when on what the engine does is worth a look.
	HTTP       HTTP
	Objectives Objectives
	Trading    Trading
}

// Owners of the alerts on the API, and of those on the engine and on trading.
const (
	Owner        = "backend"
	TradingOwner = "trading"
)

func (w Watched) withDefaults() Watched {
	w.HTTP, w.Objectives, w.Trading = w.HTTP.withDefaults(), w.Objectives.withDefaults(), w.Trading.withDefaults()
	return w
}

// stalledSeconds is the age of the newest market data from which on the engine counts
// as stalled.
const stalledSeconds = 60

// clientsRefused is the share of WebSockets.
const clientsRefused = 0.05

// Alerts are the rules on the backend.
func Alerts(w Watched) []rule.Group {
	w = w.withDefaults()
	var groups []rule.Group
	if w.API != "" {
		about := rule.About{Owner: Owner, Workload: w.API, Dashboard: board.Overview.UID}
		groups = append(append(groups, w.recordings()...), rule.Group{Name: "api", Rules: about.Alerts(w.api()...)})
	}
	if w.Engine != "" {
		about := rule.About{Owner: TradingOwner, Workload: w.Engine, Dashboard: Trades.UID}
		groups = append(groups,
			rule.Group{Name: "trading", Rules: about.Alerts(w.business()...)},
			rule.Group{Name: rule.Availability, Rules: about.Alerts(w.engine()...)})
	}
	return groups
}

// engine tells whether exactly one engine works.
func (w Watched) engine() []rule.Rule {
	// A rollout of the engine stops the old pod first and starts the new one after it:
	// shorter gaps are part of its life.
	absent := rule.Missing("EngineAbsent", rule.Critical, "5m", "up", w.Engine,
		"No trading engine works",
		"No pod of "+w.Engine+" answers, or none is the one that works: no market data, no signals, and open positions are watched by nobody.")
	// In builds that choose a leader, pods that only wait are not working.
	absent.Expr += rule.On(w.Engine, ` or sum(alphapulse_engine_leader{$job}) == 0`)
	absent.Silences = []rule.Silence{rule.SameWorkload}
	// A Prometheus that starts anew knows no end of a pod that went meanwhile, and takes its
	// last value for five minutes (query.lookback-delta): what counts is what was just read.
	doubled := rule.Alert("EngineDoubled", rule.Critical, "1m",
		rule.On(w.Engine, `sum by (job) (alphapulse_engine_leader{$job} and present_over_time(alphapulse_engine_leader{$job}[1m])) > 1`+
			` or count by (job) (up{$job} == 1 and present_over_time(up{$job}[1m])) > 1 unless on(job) count by (job) (alphapulse_engine_leader{$job})`),
		"More than one trading engine works",
		"{{ $value }} pods of {{ $labels.job }} work at the same time. Each of them trades on its own: positions may be opened twice.")
	doubled.Loud = true
	stalled := rule.Alert("EngineStalled", rule.Critical, "2m",
		rule.On(w.Engine, fmt.Sprintf(`time() - max by (job) (alphapulse_engine_heartbeat_timestamp_seconds{$job}) > %d`, stalledSeconds)),
		"The trading engine has stopped working",
		"{{ $labels.job }} answers, but has not taken in any market data for {{ $value | humanizeDuration }}.")
	stalled.Silences = []rule.Silence{
		{Matchers: []string{`severity="warning"`}, Equal: []string{rule.WorkloadLabel}},
		{Matchers: []string{`alertname="MarketDataMissing"`}, Equal: []string{rule.WorkloadLabel}},
	}
	return []rule.Rule{absent, doubled, stalled}
}
