package stacks

import (
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// shaping are the settings that rules of the stack are written with.
var shaping = []string{"alertOwners", "databaseAlertLimits", "cacheAlertLimits", "backendAlertLimits", "tradingAlertLimits", "workloadAlertLimits"}

// checkWatching holds what monitoring would be told against what reads it: rules against
// Prometheus' own code, and what receivers choose by against what alerts can have.
func (s *Stack) checkWatching(p *settings.Problems) {
	if p.Len() > 0 {
		return // the rooms follow from settings that are right
	}
	beside := s.watching()
	meant := slices.DeleteFunc(slices.Clone(shaping), func(key string) bool { return !p.Meant(key) })
	for _, problem := range beside.CheckRules() {
		key := strings.Join(meant, ", ")
		if key == "" {
			key = strings.Join(shaping, ", ")
		}
		p.Add(key, "Prometheus would refuse the rules that follow: %v; take away what you set there last", problem)
	}
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
