package unit

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// The user's own files reach the programs that read them, and network policies let
// Prometheus reach what they name: pods of the namespace by their labels, and ports outside.
func TestCustomFolderIsDeployed(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.CopyFS(folder, os.DirFS(customFolder)))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "scrape", "inside.yaml"), []byte(
		"scrape_configs:\n- job_name: inside\n  static_configs: [{targets: ['risk:9100']}]\n"), 0o600))
	with := map[string]string{"monitoringFolder": folder, "monitoringCredentials": watchedBeside["monitoringCredentials"], "alertReceivers": deskReceiver}
	r := run(t, "prod", with)
	objects, err := r.Objects()
	require.NoError(t, err)
	texts, secrets := map[string]string{}, map[string]string{}
	ports := map[string][]int32{} // what Prometheus reaches, by the pods' name; "" outside
	var into []int32
	for _, o := range objects {
		switch o := o.Object.(type) {
		case *corev1.ConfigMap:
			for name, text := range o.Data {
				texts[name] += text
			}
		case *corev1.Secret:
			for name, value := range o.Data {
				secrets[name] = string(value)
			}
			for name, value := range o.StringData {
				secrets[name] = value
			}
		case *networkingv1.NetworkPolicy:
			switch o.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"] {
			case "risk":
				assert.Equal(t, "risk", o.Spec.PodSelector.MatchLabels["app.kubernetes.io/instance"])
				for _, in := range o.Spec.Ingress {
					assert.Equal(t, "monitoring-prometheus", in.From[0].PodSelector.MatchLabels["app.kubernetes.io/name"])
					into = append(into, in.Ports[0].Port.IntVal)
				}
			case "monitoring-prometheus":
				for _, out := range o.Spec.Egress {
					to := ""
					if len(out.To) > 0 && out.To[0].PodSelector != nil {
						to = out.To[0].PodSelector.MatchLabels["app.kubernetes.io/name"]
					}
					for _, p := range out.Ports {
						ports[to] = append(ports[to], p.Port.IntVal)
					}
				}
			}
		}
	}
	assert.Equal(t, []int32{9100}, into, "who reaches the pods of the Service risk")
	assert.Equal(t, []int32{9100}, ports["risk"])
	assert.Subset(t, ports[""], []int32{9443})
	assert.Contains(t, texts["prometheus.yml"], "- /etc/prometheus/rules-orders.yaml")
	assert.Contains(t, texts["prometheus.yml"], "scrape_config_files:\n  - /etc/prometheus/scrape-exchange.yaml\n  - /etc/prometheus/scrape-inside.yaml")
	assert.Contains(t, texts["rules-orders.yaml"], "OrdersAcknowledgedSlowly")
	assert.Contains(t, texts["signal-accuracy.json"], "custom-trading")
	assert.Contains(t, texts["providers.yaml"], "path: /etc/grafana/custom-dashboards")
	assert.Contains(t, texts["alertmanager.yml"], "owner=\"desk\"")
	assert.Equal(t, "token", secrets["GATEWAY_TOKEN"])
}

// Whatever is wrong stops an update before it begins, all of it at once; what is only odd is
// said.
func TestCustomFolderIsChecked(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"rules/a.yaml":      "groups:\n- name: mine\n  rules:\n  - {alert: TargetDown, expr: 'rate(up)', labels: {severity: warning}}\n",
		"rules/b.yaml":      "groups:\n- name: theirs\n  rules:\n  - {alert: Few, expr: 'signal_accurracy_total < 1', labels: {severity: warning}}\n",
		"scrape/a.yaml":     "scrape_configs:\n- job_name: mine\n  static_configs: [{targets: ['database:5432']}]\n",
		"routes/a.yaml":     "routes: [{receiver: nobody, continue: true}]\n",
		"dashboards/a.json": `{"uid": "alphapulse-overview", "title": "Mine"}`,
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(folder, filepath.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	for _, stack := range []string{"prod", "single"} {
		config, err := recorder.StackConfig(stack)
		require.NoError(t, err)
		config["monitoringFolder"] = folder
		_, err = stacks.Parse(stack, config, nil, stacks.Previous{})
		require.Error(t, err)
		for _, says := range []string{
			"has 5 problem(s), nothing was changed",
			"monitoringFolder: rules/a.yaml:4: ", "could not parse expression",
			`rules/a.yaml:4: the stack has an alert called "TargetDown"`,
			`monitoringFolder: scrape/a.yaml:3: target "database:5432" is the stack's own`,
			`monitoringFolder: routes/a.yaml:1: there is no receiver "nobody": there are none`,
			`monitoringFolder: dashboards/a.json:1: the uid "alphapulse-overview" is that of one of the stack's own`,
		} {
			assert.ErrorContains(t, err, says, stack)
		}
	}
	fine := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(fine, "rules"), 0o700))
	text, err := os.ReadFile(filepath.Join(folder, "rules", "b.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(fine, "rules", "b.yaml"), text, 0o600))
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	config["monitoringFolder"] = fine
	s, err := stacks.Parse("prod", config, nil, stacks.Previous{})
	require.NoError(t, err)
	assert.Equal(t, []string{"monitoringFolder: rules/b.yaml:4: Few asks for signal_accurracy_total, which nothing is known to serve; did you mean signal_accuracy_total?"}, s.Warnings)
}

// What fits where the stack has servers of its own may not fit where an Operator reads one object, and
// what is right by itself may be too much beside the rest, or be told to nobody.
func TestCustomFolderBesideTheRest(t *testing.T) {
	const group = "groups:\n- name: mine\n  rules:\n  - {record: 'mine:%', expr: up}\n"
	// Short as it is written, and long as it is rendered: each level takes more blanks.
	block := "- receiver: none\n  matchers:\n  - a=b\n"
	indent := "  "
	for range 10 {
		block += indent + "routes:\n" + indent + "- continue: true\n"
		indent += "  "
	}
	block += indent + "group_by:\n"
	for label := range 20 {
		block += fmt.Sprintf("%s- l%d\n", indent, label)
	}
	for name, c := range map[string]struct {
		files, with map[string]string
		says        string
	}{
		"groups of an Operator": {map[string]string{"rules/a.yaml": strings.ReplaceAll(group, "%", "a"), "rules/b.yaml": strings.ReplaceAll(group, "%", "b")}, operatorAlone, `monitoringFolder: rules/b.yaml:2: rules/a.yaml has a group of rules called "mine"`},
		"groups of our own":     {map[string]string{"rules/a.yaml": strings.ReplaceAll(group, "%", "a"), "rules/b.yaml": strings.ReplaceAll(group, "%", "b")}, nil, ""},
		"long routes":           {map[string]string{"routes/a.yaml": "routes:\n" + strings.Repeat(block, (690<<10)/len(block))}, nil, "monitoringFolder: routes: with them Alertmanager's configuration holds"},
	} {
		folder := t.TempDir()
		for file, text := range c.files {
			require.NoError(t, os.MkdirAll(filepath.Join(folder, filepath.Dir(file)), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600))
		}
		config, err := recorder.StackConfig("prod")
		require.NoError(t, err)
		maps.Copy(config, c.with)
		config["monitoringFolder"] = folder
		_, err = stacks.Parse("prod", config, nil, stacks.Previous{})
		if c.says == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, "has 1 problem(s)", name)
		require.ErrorContains(t, err, c.says, name)
	}
	assert.Contains(t, warned(t, map[string]string{"monitoringFolder": customFolder, "alertReceivers": deskReceiver, "monitoringCredentials": `{"GATEWAY_TOKEN":"token","OTHER":"x"}`}),
		"monitoringFolder: no file of scrape names the secret OTHER of monitoringCredentials")
}
