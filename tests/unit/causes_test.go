package unit

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// everythingOn is a stack with everything that is watched.
var everythingOn = map[string]string{
	"logsBackend": "local", "tracesBackend": "local", "edgeTraceSampling": "0.05", "databaseBackup": "volume",
	"dashboardEnabled": "true", "kubeletMetrics": "true",
}

// stackOfCauses is the file from which tests/rules, which is a module of its own, knows who
// needs whom.
const stackOfCauses = "../rules/testdata/stack.json"

// The faults of tests/rules are tried on the workloads, jobs and links of a real stack.
func TestCausesAreTriedOnTheStack(t *testing.T) {
	objects, err := run(t, "prod", everythingOn).Objects()
	require.NoError(t, err)
	got := struct {
		// Workloads are the jobs of Prometheus by the Deployment or StatefulSet, "" for one
		// that is not scraped.
		Workloads map[string]string `json:"workloads"`
		// Consumers are the workloads whose alerts follow from that on another one.
		Consumers map[string][]string `json:"consumers"`
	}{map[string]string{}, consumersOf(t, objects)}
	workload := func(name string, pod corev1.PodTemplateSpec) {
		got.Workloads[name] = ""
		if pod.Annotations["prometheus.io/scrape"] == "true" {
			got.Workloads[name] = pod.Labels["app.kubernetes.io/name"]
		}
	}
	for _, d := range recorder.Of[*appsv1.Deployment](objects) {
		workload(d.Name, d.Spec.Template)
	}
	for _, s := range recorder.Of[*appsv1.StatefulSet](objects) {
		workload(s.Name, s.Spec.Template)
	}
	want, err := json.MarshalIndent(got, "", "  ")
	require.NoError(t, err)
	kept, err := os.ReadFile(stackOfCauses)
	require.NoError(t, err)
	assert.Equal(t, string(want)+"\n", string(kept), "%s is of another stack: let it be\n%s", stackOfCauses, want)
}

// consumersOf are those that the deployed Alertmanager keeps back, by the workload of the
// alert that lets it.
func consumersOf(t *testing.T, objects []recorder.Object) map[string][]string {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert  string
				Labels map[string]string
			}
		}
	}
	var alertmanager struct {
		Inhibit []struct {
			Source []string `yaml:"source_matchers"`
			Target []string `yaml:"target_matchers"`
		} `yaml:"inhibit_rules"`
	}
	for _, m := range recorder.Of[*corev1.ConfigMap](objects) {
		if m.Data["rules.yml"] != "" {
			require.NoError(t, yaml.Unmarshal([]byte(m.Data["rules.yml"]), &rules))
		}
		if m.Data["alertmanager.yml"] != "" {
			require.NoError(t, yaml.Unmarshal([]byte(m.Data["alertmanager.yml"]), &alertmanager))
		}
	}
	workloads := map[string]string{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			workloads[r.Alert] = r.Labels["workload"]
		}
	}
	named := regexp.MustCompile(`^workload=~"([a-z0-9|-]+)"$`)
	all := map[string][]string{}
	for _, i := range alertmanager.Inhibit {
		for _, m := range i.Target {
			if found := named.FindStringSubmatch(m); found != nil {
				of := workloads[strings.Trim(strings.TrimPrefix(i.Source[0], "alertname="), `"`)]
				require.NotEmpty(t, of, "%v", i.Source)
				all[of] = slices.Compact(slices.Sorted(slices.Values(append(all[of], strings.Split(found[1], "|")...))))
			}
		}
	}
	require.NotEmpty(t, all)
	return all
}
