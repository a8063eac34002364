package unit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// TestTheRightToAskKubelets is all that the add-on gives, and to the accounts of the named
// namespaces alone.
func TestTheRightToAskKubelets(t *testing.T) {
	r, err := recorder.Stack("addons", map[string]string{"kubeletMetricsNamespaces": `["alphapulse-prod","alphapulse-dev","alphapulse-prod"]`})
	require.NoError(t, err)
	objects, err := r.Objects()
	require.NoError(t, err)
	require.Len(t, objects, 2)
	roles, bindings := recorder.Of[*rbacv1.ClusterRole](objects), recorder.Of[*rbacv1.ClusterRoleBinding](objects)
	require.Len(t, roles, 1)
	require.Len(t, bindings, 1)
	assert.Equal(t, []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes/metrics"}, Verbs: []string{"get"}}}, roles[0].Rules)
	assert.Equal(t, rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "alphapulse-kubelet-metrics"}, bindings[0].RoleRef)
	assert.Equal(t, []rbacv1.Subject{
		{Kind: "ServiceAccount", Name: "monitoring-prometheus", Namespace: "alphapulse-dev"}, {Kind: "ServiceAccount", Name: "monitoring-prometheus", Namespace: "alphapulse-prod"},
	}, bindings[0].Subjects)
	account := recorder.Of[*corev1.ServiceAccount](mustObjects(t, run(t, "prod", nil)))
	names := []string{}
	for _, a := range account {
		names = append(names, a.Name)
	}
	assert.Contains(t, names, bindings[0].Subjects[1].Name, "the account of a stack's Prometheus")
}

func mustObjects(t *testing.T, r *recorder.Recording) []recorder.Object {
	t.Helper()
	objects, err := r.Objects()
	require.NoError(t, err)
	return objects
}

// kubeletsOf tells what there is in a stack of asking kubelets.
func kubeletsOf(t *testing.T, with map[string]string) (way, job, alert, panels, clusterWide bool) {
	t.Helper()
	for _, o := range mustObjects(t, run(t, "prod", with)) {
		switch o := o.Object.(type) {
		case *networkingv1.NetworkPolicy:
			for _, e := range o.Spec.Egress {
				for _, p := range e.Ports {
					if p.Port != nil && p.Port.IntValue() == 10250 {
						way = true
						assert.Equal(t, map[string]string{"app.kubernetes.io/name": "monitoring-prometheus", "app.kubernetes.io/instance": "monitoring"}, o.Spec.PodSelector.MatchLabels, "nobody else gets out there")
					}
				}
			}
		case *corev1.ConfigMap:
			job = job || strings.Contains(o.Data["prometheus.yml"], "/metrics/cadvisor")
			alert = alert || strings.Contains(o.Data["rules.yml"], "ContainerThrottled")
			panels = panels || strings.Contains(o.Data["platform.json"], "container_memory_working_set_bytes")
			if c := o.Data["prometheus.yml"]; job && c != "" {
				assert.Contains(t, c, "regex: alphapulse-prod\n", "what is not of the namespace is not kept")
			}
		case *rbacv1.ClusterRole, *rbacv1.ClusterRoleBinding:
			clusterWide = true
		}
	}
	return way, job, alert, panels, clusterWide
}

// TestKubeletsAreAskedWhereAStackSaysSo: a way out, a scrape job, an alert and panels come and
// go together, and a stack gives itself no right of a cluster.
func TestKubeletsAreAskedWhereAStackSaysSo(t *testing.T) {
	for _, on := range []bool{false, true} {
		with := map[string]string{}
		if on {
			with["kubeletMetrics"] = "true"
		}
		way, job, alert, panels, clusterWide := kubeletsOf(t, with)
		assert.Equal(t, []bool{on, on, on, on, false}, []bool{way, job, alert, panels, clusterWide}, "on: %v: way, job, alert, panels, cluster-wide", on)
	}
}

// TestAnOperatorAsksKubeletsItself: there the panels and the alert ask its Prometheus, for the
// namespace, and the stack goes no new way.
func TestAnOperatorAsksKubeletsItself(t *testing.T) {
	with := map[string]string{"kubeletMetrics": "true"}
	for key, value := range operated {
		with[key] = value
	}
	way, job, _, panels, clusterWide := kubeletsOf(t, with)
	assert.Equal(t, []bool{false, false, true, false}, []bool{way, job, panels, clusterWide}, "way, job, panels, cluster-wide")
	r := run(t, "prod", with)
	rules := toText(t, kindOf(r, "PrometheusRule")["monitoring"].Mappable())
	assert.Contains(t, rules, `"alert":"ContainerThrottled"`)
	assert.Contains(t, rules, `container_cpu_cfs_periods_total{container!=\"\",image!=\"\",job=\"kubelet\",namespace=\"alphapulse-prod\"}`)
}
