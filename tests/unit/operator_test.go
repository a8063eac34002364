package unit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	kubetest "k8s.io/client-go/testing"

	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// operated are the settings of a stack that a Prometheus Operator watches.
var operated = map[string]string{"monitoringBackend": "operator", "operatorLabels": `{"release":"kube-prometheus-stack"}`}

var operatorAlone = map[string]string{"monitoringBackend": "operator"}

func operatedRun(t *testing.T, with map[string]string, previous map[string]any) *recorder.Recording {
	t.Helper()
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, operated)
	maps.Copy(config, with)
	r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: stored(config), Previous: previous})
	require.NoError(t, err)
	return r
}

// kindOf lists the objects of a kind, by name.
func kindOf(r *recorder.Recording, kind string) map[string]resource.PropertyMap {
	found := map[string]resource.PropertyMap{}
	for _, x := range r.Resources {
		if x.Kubernetes() && x.Kind() == kind {
			found[x.ObjectName()] = x.Inputs
		}
	}
	return found
}

// A stack that an Operator's Prometheus watches has nothing that only its own is for.
func TestOperatorWatches(t *testing.T) {
	own, r := run(t, "prod", nil), operatedRun(t, nil, nil)
	for _, x := range r.Resources {
		assert.NotContains(t, x.Name, "monitoring-prometheus", "%s", x.Type)
		assert.NotContains(t, x.Name, "monitoring-alertmanager", "%s", x.Type)
	}
	assert.NotContains(t, r.Outputs["urls"], "prometheus")
	assert.NotContains(t, r.Outputs["volumes"], "monitoring-prometheus")

	// Every pod that asks to be scraped is, by its port and path, and their Prometheus is
	// let in there.
	objects, err := r.Objects()
	require.NoError(t, err)
	monitors := kindOf(r, "PodMonitor")
	services := map[string][]string{} // the Services with a port, by the pods behind it
	for _, s := range recorder.Of[*corev1.Service](objects) {
		for _, p := range s.Spec.Ports {
			at := fmt.Sprintf("%s %d", s.Spec.Selector["app.kubernetes.io/name"], p.Port)
			services[at] = append(services[at], s.Name)
		}
	}
	behind := kindOf(r, "ServiceMonitor")
	assert.ElementsMatch(t, []string{"backend", "backend-dashboard", "frontend"}, slices.Collect(maps.Keys(behind)))
	for name, m := range behind {
		assert.NotContains(t, monitors, name, "it is scraped twice")
		monitors[name] = m
	}
	admitted := map[string][]int{}
	for _, p := range recorder.Of[*networkingv1.NetworkPolicy](objects) {
		for _, in := range p.Spec.Ingress {
			for _, from := range in.From {
				if s := from.NamespaceSelector; s != nil {
					assert.Equal(t, map[string]string{"kubernetes.io/metadata.name": "monitoring"}, s.MatchLabels)
					for _, port := range in.Ports {
						name := p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"]
						admitted[name] = append(admitted[name], port.Port.IntValue())
					}
				}
			}
		}
	}
	scraped := 0
	for _, x := range own.Resources {
		if !x.Kubernetes() || !slices.Contains([]string{"Deployment", "StatefulSet"}, x.Kind()) {
			continue
		}
		pod := x.Inputs["spec"].ObjectValue()["template"].ObjectValue()["metadata"].ObjectValue()
		if pod["annotations"].IsNull() || pod["annotations"].ObjectValue()["prometheus.io/port"].IsNull() {
			continue
		}
		name := pod["labels"].ObjectValue()["app.kubernetes.io/name"].StringValue()
		if name == "monitoring-prometheus" || name == "monitoring-alertmanager" {
			continue
		}
		scraped++
		m, there := monitors[name]
		if !assert.True(t, there, "nothing has %s scraped", name) {
			continue
		}
		text, err := json.Marshal(m["spec"].Mappable())
		require.NoError(t, err)
		port := pod["annotations"].ObjectValue()["prometheus.io/port"].StringValue()
		if _, service := behind[name]; service {
			var spec struct {
				Endpoints []struct {
					Relabelings []struct{ Action, Regex string }
				}
			}
			require.NoError(t, json.Unmarshal(text, &spec))
			require.Len(t, spec.Endpoints, 1)
			assert.Contains(t, string(text), `"targetPort":`+port, name)
			assert.Equal(t, "keep", spec.Endpoints[0].Relabelings[0].Action, "%s is scraped by each of its Services", name)
			assert.Contains(t, services[name+" "+port], spec.Endpoints[0].Relabelings[0].Regex, name)
		} else {
			assert.Contains(t, string(text), `"portNumber":`+port, name)
		}
		assert.Equal(t, "kube-prometheus-stack", m["metadata"].ObjectValue()["labels"].ObjectValue()["release"].StringValue())
		assert.Contains(t, strings.Join(strings.Fields(strings.Trim(strings.ReplaceAll(toText(t, admitted[name]), ",", " "), "[]")), " "), port, "%s lets their Prometheus in", name)
	}
	assert.GreaterOrEqual(t, scraped, 7)
	assert.Len(t, monitors, scraped)

	rules, err := json.Marshal(kindOf(r, "PrometheusRule")["monitoring"].Mappable())
	require.NoError(t, err)
	for _, there := range []string{`"alert":"DatabaseDown"`, `"alert":"PodNotReady"`, `"alert":"ClusterStateUnknown"`, `https://monitoring.`, `namespace=\"alphapulse-prod\"`} {
		assert.Contains(t, string(rules), there)
	}
	for _, gone := range []string{"DeadMansSwitch", "PrometheusRuleFailing", "AlertNotificationsFailing", `job=\"\"`, "prometheus_tsdb"} {
		assert.NotContains(t, string(rules), gone)
	}
	for _, c := range recorder.Of[*corev1.ConfigMap](objects) {
		assert.NotContains(t, c.Data["infrastructure.json"], "prometheus_tsdb")
		if source := c.Data["datasources.yaml"]; source != "" {
			assert.Contains(t, source, "url: http://prometheus-operated.monitoring.svc:9090")
		}
		if overview := c.Data["overview.json"]; overview != "" {
			assert.Contains(t, overview, `up{namespace=\"alphapulse-prod\"}`)
		}
	}
}

func toText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// What a Prometheus of the stack has stored stays, without a pod, until it is named.
func TestOperatorKeepsWhatWasStored(t *testing.T) {
	before := map[string]any{
		"target": "kubernetes", "namespace": "alphapulse-prod",
		"volumes": map[string]any{"monitoring-prometheus": "100Gi", "monitoring-alertmanager": "1Gi"},
	}
	r := operatedRun(t, nil, before)
	assert.Empty(t, slices.DeleteFunc(recorder.Losses(run(t, "prod", nil).Resources, r.Resources), func(l string) bool {
		return !strings.Contains(l, "prometheus") && !strings.Contains(l, "alertmanager")
	}))
	claims := kindOf(r, "PersistentVolumeClaim")
	require.Contains(t, claims, "monitoring-prometheus")
	assert.Equal(t, "100Gi", claims["monitoring-prometheus"]["spec"].ObjectValue()["resources"].ObjectValue()["requests"].ObjectValue()["storage"].StringValue())
	assert.EqualValues(t, 0, kindOf(r, "StatefulSet")["monitoring-prometheus"]["spec"].ObjectValue()["replicas"].NumberValue())
	assert.Equal(t, "100Gi", r.Outputs["volumes"].(map[string]string)["monitoring-prometheus"], "the next update knows of it")

	r = operatedRun(t, map[string]string{"databaseDeleteVolumes": `["monitoring-prometheus"]`}, before)
	assert.NotContains(t, kindOf(r, "PersistentVolumeClaim"), "monitoring-prometheus")
	assert.Contains(t, kindOf(r, "PersistentVolumeClaim"), "monitoring-alertmanager")

	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	config["databaseDeleteVolumes"] = `["monitoring-prometheus"]`
	_, err = stacks.Parse("prod", config, nil, stacks.Previous{Namespace: "alphapulse-prod", Volumes: map[string]string{"monitoring-prometheus": "100Gi"}})
	assert.ErrorContains(t, err, `databaseDeleteVolumes: "monitoring-prometheus" is in use: monitoringBackend is own`)
}

// A cluster without the definitions is told from one that does not let the user look.
func TestOperatorIsLookedFor(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		served bool
	}{
		"there":     {nil, true},
		"not there": {apierrors.NewNotFound(schema.GroupResource{}, ""), false},
		"forbidden": {apierrors.NewForbidden(schema.GroupResource{}, "", nil), true},
	} {
		client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
			{Group: "monitoring.coreos.com", Version: "v1", Resource: "podmonitors"}: "PodMonitorList",
		})
		if c.answer != nil {
			client.PrependReactor("list", "podmonitors", func(kubetest.Action) (bool, runtime.Object, error) { return true, nil, c.answer })
		}
		served, err := live.New(client).Serves(context.Background(), "PodMonitor", "trading")
		assert.NoError(t, err, name)
		assert.Equal(t, c.served, served, name)
	}
}
