package stacks

import (
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// shaping are the settings that rules of the stack are written with.
var shaping = []string{"alertOwners", "databaseAlertLimits", "cacheAlertLimits", "edgeAlertLimits", "backendAlertLimits", "tradingAlertLimits", "workloadAlertLimits"}

// checkWatching holds what monitoring would be told against what reads it: rules against
// Prometheus' own code, and what receivers choose by against what alerts can have. It looks
// where a user sets something of the kind alone: the tests read what follows from defaults,
// and Prometheus' parser takes tens of milliseconds for all of it.
func (s *Stack) checkWatching(p *settings.Problems) {
	meant := slices.DeleteFunc(slices.Clone(shaping), func(key string) bool { return !p.Meant(key) })
	choosing := slices.ContainsFunc(s.Monitoring.Alertmanager.Receivers, func(r monitoring.Receiver) bool { return len(r.Owners)+len(r.Workloads) > 0 })
	// The rooms follow from settings that are right.
	if p.Len() > 0 || len(meant) == 0 && !choosing {
		return
	}
	beside := s.watching()
	if len(meant) > 0 {
		for _, problem := range beside.CheckRules() {
			p.Add(strings.Join(meant, ", "), "Prometheus would refuse the rules that follow: %v; take away what you set there last", problem)
		}
	}
	if choosing {
		s.checkChoices(p, beside)
	}
}

// checkChoices refuses what no alert has.
func (s *Stack) checkChoices(p *settings.Problems, beside *monitoring.Args) {
	for _, r := range s.Monitoring.Alertmanager.Receivers {
		for _, chosen := range []struct {
			field, label string
			values       []string
		}{{"owners", rule.OwnerLabel, r.Owners}, {"workloads", rule.WorkloadLabel, r.Workloads}} {
			known, open := beside.Labelled(chosen.label)
			for _, v := range chosen.values {
				if !open && !slices.Contains(known, v) {
					p.Add("alertReceivers."+r.Name+"."+chosen.field, "no alert has the %s %q; did you mean %s? There are %s", chosen.label, v, settings.Nearest(v, known), strings.Join(known, ", "))
				}
			}
		}
	}
}
