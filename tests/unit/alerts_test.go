package unit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// deployedRules are the alerts that Prometheus of a stack loads, by name.
func deployedRules(t *testing.T, with map[string]string) map[string]struct {
	Expr   string
	Labels map[string]string
} {
	t.Helper()
	objects, err := run(t, "prod", with).Objects()
	require.NoError(t, err)
	alerts := map[string]struct {
		Expr   string
		Labels map[string]string
	}{}
	for _, o := range objects {
		c, is := o.Object.(*corev1.ConfigMap)
		if !is || c.Data["rules.yml"] == "" {
			continue
		}
		var file struct {
			Groups []struct {
				Rules []struct {
					Alert, Expr string
					Labels      map[string]string
				}
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(c.Data["rules.yml"]), &file))
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				if r.Alert != "" {
					alerts[r.Alert] = struct {
						Expr   string
						Labels map[string]string
					}{r.Expr, r.Labels}
				}
			}
		}
	}
	require.NotEmpty(t, alerts)
	return alerts
}

// Whoever a stack names acts on alerts, and from the limits on that it sets.
func TestOwnersAndLimitsOfAlerts(t *testing.T) {
	alerts := deployedRules(t, map[string]string{
		"alertOwners":         `{"database":"dba","trading":"desk","monitoring":"sre","edge":"network"}`,
		"databaseAlertLimits": `{"connections":"0.71","lagSeconds":7,"transactionSeconds":77,"deadlocks":"17","rollbacks":0.17,"temporaryBytes":777,"poolerWaitSeconds":27}`,
		"cacheAlertLimits":    `{"hitRatio":0.91}`,
		"edgeAlertLimits":     `{"errors":0.004,"slow":0.06,"limited":0.21,"avoided":0.022,"handshakes":0.23}`,
		"backendAlertLimits":  `{"errors":0.002,"slow":0.03}`,
		"kubeletMetrics":      "true",
		"workloadAlertLimits": `{"throttled":0.33,"volumes":0.93,"quota":0.72,"flapping":23}`,
		"tradingAlertLimits":  `{"accuracy":0.41,"scored":51,"drawdown":0.02,"silentHours":3,"refused":9,"routine":["lunch"]}`,
	})
	for alert, owner := range map[string]string{
		"DatabaseDown": "dba", "EngineAbsent": "desk", "DrawdownHigh": "desk", "APIDown": "backend", "CacheDown": "platform",
		"EdgeDown": "network", "TargetDown": "sre", "PodNotReady": "sre", "PrometheusRuleFailing": "sre", "BackupOverdue": "platform",
	} {
		assert.Equal(t, owner, alerts[alert].Labels["owner"], alert)
	}
	for alert, says := range map[string][]string{
		"DatabaseConnectionsHigh": {"0.71"}, "DatabaseReplicationLag": {"> 7"}, "DatabaseLongTransaction": {"> 77"}, "DatabaseDeadlocks": {"17"},
		"DatabaseRollbacksHigh": {"0.17"}, "DatabaseTemporaryFiles": {"> 777"}, "DatabasePoolerWaiting": {"> 27"}, "CacheHitRatioLow": {"< 0.91"},
		"SignalAccuracyLow": {"0.41", "51"}, "DrawdownHigh": {"> 0.02"}, "SignalsMissing": {"3h"}, "OrdersRefused": {">= 9", "lunch"},
		"ContainerThrottled": {"> 0.33"}, "QuotaNearlyUsed": {"> 0.72"}, "AutoscalerFlapping": {"> 23"},
		"EdgeErrorBudgetBurn": {"0.004"}, "EdgeLatencyBudgetBurn": {"0.06"}, "EdgeRequestsLimited": {"> 0.21"}, "EdgePodsAvoided": {"> 0.022"}, "EdgeTlsFailures": {"> 0.23"},
		"APIErrorBudgetBurn": {"0.002"}, "APILatencyBudgetBurn": {"0.03"},
	} {
		for _, s := range says {
			assert.Contains(t, alerts[alert].Expr, s, alert)
		}
	}
}

// Reasons of refusals are names, whatever they hold: each is left out, and no other one.
func TestRoutineReasonsAreNoPatterns(t *testing.T) {
	reasons := []string{"(", "a|b", "$job", "x.y", `q"`, `back\slash`, "%d", "risk_limit"}
	value, err := json.Marshal(map[string][]string{"routine": reasons})
	require.NoError(t, err)
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(deployedRules(t, map[string]string{"tradingAlertLimits": string(value)})["OrdersRefused"].Expr)
	require.NoError(t, err)
	checked := 0
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if v, is := n.(*parser.VectorSelector); is {
			for _, m := range v.LabelMatchers {
				if m.Name == "reason" {
					checked++
					for _, r := range reasons {
						assert.False(t, m.Matches(r), r)
					}
					for _, r := range []string{"a", "b", "xzy", "risk_limits", ""} {
						assert.True(t, m.Matches(r), r)
					}
				}
			}
		}
		return nil
	})
	assert.Equal(t, 1, checked, "matchers of reason")
}

// A stack that sends samples to another server has a way out to it, its credential in a
// file of a Secret, and an alert for when they do not arrive.
func TestRemoteWriteIsDeployed(t *testing.T) {
	with := map[string]string{"remoteWriteUsername": "me", "remoteWriteCa": provided[0].chain}
	for key, value := range sentElsewhere {
		with[key] = value
	}
	assert.NotContains(t, deployedRules(t, nil), "RemoteWriteFailing")
	assert.Contains(t, deployedRules(t, with), "RemoteWriteFailing")
	objects, err := run(t, "prod", with).Objects()
	require.NoError(t, err)
	found := false
	for _, o := range objects {
		switch c := o.Object.(type) {
		case *corev1.ConfigMap:
			assert.NotContains(t, strings.Join([]string{c.Data["prometheus.yml"], c.Data["remote-ca.crt"]}, ""), "token")
			if c.Data["remote-ca.crt"] != "" {
				found = true
				assert.Contains(t, c.Data["prometheus.yml"], "password_file: /etc/prometheus-remote/credential")
				assert.Equal(t, strings.TrimSpace(provided[0].chain), strings.TrimSpace(c.Data["remote-ca.crt"]))
			}
		case *corev1.Secret:
			if c.Name != "" && strings.HasPrefix(c.Name, "monitoring-prometheus-remote") {
				assert.Equal(t, "token", c.StringData["credential"]+string(c.Data["credential"]))
			}
		}
	}
	assert.True(t, found, "no file of certificates")
	var ports []int
	for _, p := range recorder.Of[*networkingv1.NetworkPolicy](objects) {
		if p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"] == "monitoring-prometheus" {
			for _, e := range p.Spec.Egress {
				for _, port := range e.Ports {
					ports = append(ports, port.Port.IntValue())
				}
			}
		}
	}
	assert.Contains(t, ports, 8443, "Prometheus is not let out to the other server")
}
