package monitoring_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// What a room's rules become is read by Prometheus' own code before it is deployed.
func TestRulesThatPrometheusRefusesAreFound(t *testing.T) {
	alert := func(change func(*rule.Rule)) []rule.Group {
		r := rule.Alert("Toy", rule.Warning, "5m", `up{job="toy"} == 0`, "s", "d {{ $labels.job }}")
		change(&r)
		return []rule.Group{{Name: "toy", Rules: []rule.Rule{r}}}
	}
	for name, c := range map[string]struct {
		rules []rule.Group
		says  string
	}{
		"fine":                {alert(func(*rule.Rule) {}), ""},
		"an owner":            {alert(func(r *rule.Rule) { r.Labels["owner"] = "{{ x" }), `label "owner"`},
		"a pattern":           {alert(func(r *rule.Rule) { r.Expr = `up{job!~"("} == 0` }), "missing closing )"},
		"an expression":       {alert(func(r *rule.Rule) { r.Expr = `up{job="} == 0` }), "could not parse expression"},
		"a time":              {alert(func(r *rule.Rule) { r.For = "soon" }), "not a valid duration"},
		"a text":              {alert(func(r *rule.Rule) { r.Annotations["summary"] = "{{ $labels.job" }), `annotation "summary"`},
		"the name of a label": {alert(func(r *rule.Rule) { r.Labels[""] = "x" }), "invalid label name"},
	} {
		t.Run(name, func(t *testing.T) {
			a := monitoring.Defaults()
			a.Watched = a.Named("monitoring", room.Kubernetes)
			a.Rules = c.rules
			problems := a.CheckRules()
			if c.says == "" {
				assert.Empty(t, problems)
				return
			}
			require.NotEmpty(t, problems)
			assert.ErrorContains(t, problems[0], c.says)
		})
	}
}
