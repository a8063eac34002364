package backend

import (
	"maps"
	"strconv"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
)

// Running is one of the backend's workloads as every host runs it.
type Running struct {
	// Name and Component of the workload.
	Name, Component string
	*Process
	// Env are the workload's plain variables beside the shared settings: the user's,
	// and over them those that carry the program's guarantees.
	Env map[string]string
}

// Running lists the workloads of the backend called name: the API first, then the
// engine and the dashboard where there are any.
func (a *Args) Running(name string) []Running {
	of := func(l labels.Set, p *Process, program map[string]string) Running {
		return Running{Name: l.Name, Component: l.Component, Process: p, Env: merge(p.Env, program)}
	}
	list := []Running{of(apiLabels(name), &a.API, neverTrades)}
	if a.Engine != nil {
		list = append(list, of(engineLabels(name), a.Engine, a.trades()))
	}
	if a.Dashboard != nil {
		list = append(list, of(dashboardLabels(name), a.Dashboard, neverTrades))
	}
	return list
}

// DrainSeconds is how long a stopping process may need for its last requests.
func (a *Args) DrainSeconds() int { return a.RequestTimeoutSeconds + drainMargin }

// trades says whether the singleton trades, and with what.
func (a *Args) trades() map[string]string {
	return map[string]string{
		"TRADING_ENABLED": strconv.FormatBool(a.TradingEnabled),
		"PAPER_TRADING":   strconv.FormatBool(a.PaperTrading),
		"WEB_CONCURRENCY": "1",
	}
}

// merge lets the program's variables win over the user's.
func merge(user, program map[string]string) map[string]string {
	merged := map[string]string{}
	maps.Copy(merged, user)
	maps.Copy(merged, program)
	return merged
}
