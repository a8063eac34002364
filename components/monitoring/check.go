package monitoring

import (
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/custom"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// CheckRules finds what Prometheus refuses of the rooms' rules and of monitoring's own, by
// its own code.
func (a *Args) CheckRules() []error {
	rendered, err := rule.Render(a.rules(), rule.Values{})
	if err != nil {
		return []error{err}
	}
	return custom.Refused(rendered)
}

// Labelled are the values of a label that an alert can have, of those by which receivers
// choose; open tells that nobody knows all of them. The label workload names any workload
// and Service of the stack.
func (a *Args) Labelled(label string) (values []string, open bool) {
	for _, g := range a.rules() {
		for _, r := range g.Rules {
			if v := r.Labels[label]; r.Alert != "" && v != "" && !strings.Contains(v, "{{") {
				values = append(values, v)
			}
		}
	}
	if label == rule.WorkloadLabel {
		values = append(values, a.Taken...)
	}
	if a.Custom != nil {
		more, computed := a.Custom.Said(label, a.NamespaceName)
		values, open = append(values, more...), computed
	}
	slices.Sort(values)
	return slices.Compact(values), open
}
