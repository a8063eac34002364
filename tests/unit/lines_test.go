package unit

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// TestGrafanaShowsLinesWhereItCan: the data source of log lines, the panels that ask it, the
// links to it, the way there and the program that fetches it are there together, or none is.
func TestGrafanaShowsLinesWhereItCan(t *testing.T) {
	local := map[string]string{"logsBackend": "local", "tracesBackend": "local", "edgeTraceSampling": "0.05"}
	for name, c := range map[string]struct {
		more map[string]string
		// shown tells whether lines are, fetched whether something is let out and fetched.
		shown, fetched bool
		// of are workloads whose alerts lead to their lines, but not those of unheard.
		of, unheard string
	}{
		"by default":               {nil, true, true, "edge", "database"},
		"in the image":             {map[string]string{"grafanaLogsPlugin": "/opt/plugins"}, true, false, "edge", "database"},
		"with an agent":            {map[string]string{"logsAgentNamespace": "log-agent"}, true, true, "database", ""},
		"off":                      {map[string]string{"grafanaLogsPlugin": "off"}, false, false, "", "edge"},
		"kept elsewhere":           {map[string]string{"logsBackend": "otlp", "logsUrl": "https://otlp.example.com"}, false, false, "", "edge"},
		"with somebody's Operator": {map[string]string{"monitoringBackend": "operator"}, true, true, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			with := maps.Clone(local)
			maps.Copy(with, c.more)
			r, err := recorder.Stack("prod", with)
			require.NoError(t, err)
			objects, err := r.Objects()
			require.NoError(t, err)
			files := map[string]string{}
			for _, m := range recorder.Of[*corev1.ConfigMap](objects) {
				maps.Copy(files, m.Data)
			}
			assert.Equal(t, c.shown, strings.Contains(files["datasources.yaml"], "url: http://telemetry-logs:9428/logs\n"), "the data source")
			assert.Equal(t, c.shown, strings.Contains(files["datasources.yaml"], "tracesToLogsV2:"), "from a trace to its lines")
			assert.Equal(t, c.shown, strings.Contains(files["telemetry.json"], `"uid": "victorialogs"`), "the panels")
			assert.NotContains(t, files["telemetry.json"], `namespace=\"alphapulse-prod\",severity`)
			if c.shown {
				assert.Contains(t, files["telemetry.json"], `"expr": "severity_text:in(WARN, ERROR, FATAL)"`)
			}
			to, out := ways(objects)
			assert.Equal(t, c.shown, slices.Contains(to["telemetry-logs"], 9428), "the way: %v", to)
			assert.Equal(t, c.fetched, slices.Contains(out, 443), "the way out: %v", out)
			for _, set := range recorder.Of[*appsv1.StatefulSet](objects) {
				if set.Name == "monitoring-grafana" {
					assert.Equal(t, c.fetched, len(set.Spec.Template.Spec.InitContainers) == 2, "who fetches it")
				}
			}
			rules := files["rules.yml"]
			leads := func(workload string) bool { return strings.Contains(rules, "%5E"+workload+"%28-") }
			assert.True(t, c.of == "" || leads(c.of), "alerts on %s lead nowhere", c.of)
			assert.False(t, c.unheard != "" && leads(c.unheard), "alerts on %s lead to nothing", c.unheard)
		})
	}
}

// ways are the ports on which Grafana is let out to workloads, and to networks.
func ways(objects []recorder.Object) (to map[string][]int, out []int) {
	return waysOf(objects, "monitoring-grafana")
}

func waysOf(objects []recorder.Object, from string) (to map[string][]int, out []int) {
	to = map[string][]int{}
	for _, p := range recorder.Of[*networkingv1.NetworkPolicy](objects) {
		if p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"] != from {
			continue
		}
		for _, e := range p.Spec.Egress {
			if len(e.To) == 0 { // anywhere
				for _, port := range e.Ports {
					out = append(out, port.Port.IntValue())
				}
			}
			for _, peer := range e.To {
				for _, port := range e.Ports {
					switch {
					case peer.PodSelector != nil:
						name := peer.PodSelector.MatchLabels["app.kubernetes.io/name"]
						to[name] = append(to[name], port.Port.IntValue())
					case peer.IPBlock != nil:
						out = append(out, port.Port.IntValue())
					}
				}
			}
		}
	}
	return to, out
}
