package stacks

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"

	"github.com/alphapulse/alphapulse-infra/components/addons"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
)

// TestKubeletsAreAskedWhereTheAdministratorLets: without the right every one of them would
// refuse, and every panel stay empty.
func TestKubeletsAreAskedWhereTheAdministratorLets(t *testing.T) {
	for _, c := range []struct {
		what          string
		off, operated bool
		allowed       bool
		fails         error
		asked         bool
		refused, ends string
	}{
		{what: "granted", allowed: true, asked: true},
		{what: "not granted", asked: true, refused: "the ServiceAccount monitoring-prometheus of namespace trading may not get nodes/metrics: let the cluster's administrator name the namespace in kubeletMetricsNamespaces"},
		{what: "not asked for", off: true},
		{what: "an Operator's Prometheus asks", operated: true},
		{what: "the user may not ask that", fails: apierrors.NewForbidden(schema.GroupResource{}, "", nil), asked: true},
		{what: "the cluster does not answer", fails: errors.New("connection refused"), asked: true, ends: "may monitoring-prometheus get nodes/metrics? connection refused"},
	} {
		t.Run(c.what, func(t *testing.T) {
			client, asked := fake.NewSimpleDynamicClient(clientscheme.Scheme), false
			client.PrependReactor("create", "localsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
				asked = true
				review := a.(clienttesting.CreateAction).GetObject().(*unstructured.Unstructured)
				assert.Equal(t, map[string]any{
					"user":   "system:serviceaccount:trading:monitoring-prometheus",
					"groups": []any{"system:serviceaccounts", "system:serviceaccounts:trading", "system:authenticated"},
					// The kubelet asks the API server the same of who asks for its metrics.
					"resourceAttributes": map[string]any{"namespace": "trading", "verb": "get", "resource": "nodes", "subresource": "metrics"},
				}, review.Object["spec"])
				review = review.DeepCopy()
				review.Object["status"] = map[string]any{"allowed": c.allowed}
				return true, review, c.fails
			})
			s := &Stack{Cluster: Cluster{Namespace: "trading"}, kubelets: kubeletMetrics{on: !c.off}}
			if c.operated {
				s.operated.backend = MonitoringOperator
			}
			err := s.kubeletsTell(t.Context(), live.New(client))
			assert.Equal(t, c.asked, asked)
			var refused *refusal
			switch {
			case c.refused != "":
				require.ErrorAs(t, err, &refused, "it ends the update")
				assert.ErrorContains(t, err, c.refused)
			case c.ends != "":
				require.ErrorContains(t, err, c.ends)
				assert.False(t, errors.As(err, &refused), "a preview needs no cluster")
			default:
				require.NoError(t, err)
			}
		})
	}
}

// TestNobodysRoleIsTakenOver: server-side apply would add rights to it, and a destroy take
// it from who uses it.
func TestNobodysRoleIsTakenOver(t *testing.T) {
	const me = "organization/alphapulse/addons"
	meta := func(owner string) metav1.ObjectMeta {
		m := metav1.ObjectMeta{Name: addons.KubeletMetricsRole}
		if owner != "" {
			m.Annotations = map[string]string{platform.OwnerAnnotation: owner}
		}
		return m
	}
	role := func(owner string) runtime.Object {
		return &rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"}, ObjectMeta: meta(owner)}
	}
	binding := func(owner string) runtime.Object {
		return &rbacv1.ClusterRoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"}, ObjectMeta: meta(owner)}
	}
	for _, c := range []struct {
		what    string
		there   []runtime.Object
		off     bool
		refused string
	}{
		{what: "nothing is there"},
		{what: "its own", there: []runtime.Object{role(me), binding(me)}},
		{what: "somebody's role", there: []runtime.Object{role("")}, refused: "the ClusterRole alphapulse-kubelet-metrics exists and is not of this stack"},
		{what: "another stack's binding", there: []runtime.Object{role(me), binding("organization/alphapulse/other")}, refused: "the ClusterRoleBinding alphapulse-kubelet-metrics exists"},
		{what: "somebody's, and nobody asks", there: []runtime.Object{role("")}, off: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := &Stack{Target: room.Addons}
			s.Cluster.owner = me
			if !c.off {
				s.AddOns.Kubelets = []string{"trading"}
			}
			err := s.kubeletMetricsElsewhere(t.Context(), clusterWith(c.there...))
			if c.refused == "" {
				require.NoError(t, err)
				return
			}
			var refused *refusal
			require.ErrorAs(t, err, &refused, "it ends the update")
			assert.ErrorContains(t, err, c.refused)
		})
	}
}
