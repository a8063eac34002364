package unit

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// documentedReceivers are those of docs/receivers.md.
func documentedReceivers(t *testing.T) map[string]map[string]any {
	t.Helper()
	root, err := recorder.Root()
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "receivers.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "```yaml\n")
	require.True(t, found, "no example in docs/receivers.md")
	example, _, _ := strings.Cut(rest, "```")
	var config map[string]map[string]map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(example), &config))
	return config["alphapulse:alertReceivers"]
}

// The page's example is a configuration that works: each receiver has its kind, its
// route, its credential in a file of a Secret and nowhere else, and a way out.
func TestDocumentedReceivers(t *testing.T) {
	receivers := documentedReceivers(t)
	require.Len(t, receivers, 7, "each kind once")
	value, err := json.Marshal(receivers)
	require.NoError(t, err)
	for _, stack := range []string{"prod", "single"} {
		t.Run(stack, func(t *testing.T) {
			r := run(t, stack, map[string]string{"alertReceivers": string(value)})
			if stack == "single" {
				containers, err := r.Containers()
				require.NoError(t, err)
				assert.NotEmpty(t, containers)
				return
			}
			objects, err := r.Objects()
			require.NoError(t, err)
			var file struct {
				Route struct {
					Routes []struct {
						Receiver            string
						Matchers            []string
						ActiveTimeIntervals []string `yaml:"active_time_intervals"`
					}
				}
				Receivers []map[string]any
			}
			var text string
			for _, c := range recorder.Of[*corev1.ConfigMap](objects) {
				for _, content := range c.Data {
					for name, receiver := range receivers {
						assert.NotContains(t, content, fmt.Sprint(receiver["credential"]), "%s: the credential of %s is readable", c.Name, name)
					}
				}
				if content, ok := c.Data["alertmanager.yml"]; ok {
					text = content
				}
			}
			require.NotEmpty(t, text)
			require.NoError(t, yaml.Unmarshal([]byte(text), &file))
			inSecrets := map[string]string{}
			for _, s := range recorder.Of[*corev1.Secret](objects) {
				maps.Copy(inSecrets, s.StringData)
			}
			kinds := map[string]string{"slack": "slack_configs", "pagerDuty": "pagerduty_configs", "opsgenie": "opsgenie_configs",
				"teams": "msteamsv2_configs", "telegram": "telegram_configs", "email": "email_configs", "webhook": "webhook_configs"}
			for name, receiver := range receivers {
				assert.Equal(t, receiver["credential"], inSecrets[name], name)
				i := slices.IndexFunc(file.Receivers, func(r map[string]any) bool { return r["name"] == name })
				if !assert.GreaterOrEqual(t, i, 0, "no receiver %s", name) {
					continue
				}
				for kind, section := range kinds {
					_, wanted := receiver[kind]
					_, there := file.Receivers[i][section]
					assert.Equal(t, wanted, there, "%s: %s", name, section)
				}
				routed := slices.IndexFunc(file.Route.Routes, func(r struct {
					Receiver            string
					Matchers            []string
					ActiveTimeIntervals []string `yaml:"active_time_intervals"`
				}) bool {
					return r.Receiver == name
				})
				if !assert.GreaterOrEqual(t, routed, 0, "nothing leads to %s", name) {
					continue
				}
				assert.Equal(t, receiver["hours"] != nil, len(file.Route.Routes[routed].ActiveTimeIntervals) > 0, "%s: hours", name)
				_, severities := receiver["severities"]
				assert.Equal(t, severities, slices.Contains(file.Route.Routes[routed].Matchers, `severity=~"critical"`), "%s: severities", name)
			}
			var ports []int
			for _, p := range recorder.Of[*networkingv1.NetworkPolicy](objects) {
				if p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"] != "alertmanager" && !strings.Contains(p.Name, "alertmanager") {
					continue
				}
				for _, e := range p.Spec.Egress {
					for _, port := range e.Ports {
						ports = append(ports, port.Port.IntValue())
					}
				}
			}
			assert.Contains(t, ports, 443)
			assert.Contains(t, ports, 587, "the mail server is not let out to")
		})
	}
}

// Who names the database as a workload means its members, whatever their StatefulSet is called
// after a restore.
func TestADatabaseIsItsMembers(t *testing.T) {
	alerts := deployedRules(t, nil)
	require.Equal(t, "database-g1", alerts["DatabaseDown"].Labels["workload"])
	for workloads, want := range map[string]string{`["database"]`: "database|database-g1", `["database-g1","database"]`: "database-g1|database", `["cache"]`: "cache"} {
		objects, err := run(t, "prod", map[string]string{
			"alertReceivers": `{"dba":{"webhook":{},"credential":"https://a.example.com/h","workloads":` + workloads + `}}`,
		}).Objects()
		require.NoError(t, err)
		found := ""
		for _, c := range recorder.Of[*corev1.ConfigMap](objects) {
			found += c.Data["alertmanager.yml"]
		}
		assert.Contains(t, found, `workload=~"`+want+`"`, workloads)
	}
}
