package stacks

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"

	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
)

// gatewayCluster knows these resources of the Gateway API, and no others; gateways are there
// by namespace and name.
func gatewayCluster(t *testing.T, resources []string, gateways ...[2]string) *live.Cluster {
	t.Helper()
	lists := map[schema.GroupVersionResource]string{}
	for resource, kind := range map[string]string{"httproutes": "HTTPRoute", "tlsroutes": "TLSRoute", "backendtlspolicies": "BackendTLSPolicy", "gateways": "Gateway"} {
		lists[schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: resource}] = kind + "List"
	}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(clientscheme.Scheme, lists)
	for _, g := range gateways {
		object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}}
		object.SetName(g[1])
		_, err := client.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}).
			Namespace(g[0]).Create(t.Context(), object, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	client.PrependReactor("list", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if r := a.GetResource(); !slices.Contains(resources, r.Resource) {
			return true, nil, apierrors.NewNotFound(r.GroupResource(), "")
		}
		return false, nil, nil
	})
	return live.New(client)
}

// TestAClusterWithoutTheGatewayAPIIsRefused: the update would end half-way.
func TestAClusterWithoutTheGatewayAPIIsRefused(t *testing.T) {
	for _, c := range []struct {
		serves      []string
		passthrough bool
		listener    string
		refused     string
	}{
		{serves: []string{"httproutes", "backendtlspolicies"}},
		{serves: nil, refused: "knows no BackendTLSPolicy and no HTTPRoute of gateway.networking.k8s.io/v1"},
		{serves: []string{"httproutes"}, refused: "knows no BackendTLSPolicy of"},
		{serves: []string{"httproutes"}, passthrough: true, refused: "knows no TLSRoute of"},
		{serves: []string{"tlsroutes"}, passthrough: true},
		{serves: []string{"tlsroutes"}, passthrough: true, listener: "web", refused: "knows no HTTPRoute of"},
	} {
		s := &Stack{Target: room.Kubernetes, Cluster: Cluster{Namespace: "trading"}, Edge: &ingress.Args{
			Exposure: ingress.GatewayRoute, Gateway: ingress.Gateway{Name: "shared", Passthrough: c.passthrough, HTTPListener: c.listener},
		}}
		err := s.gatewayServes(t.Context(), gatewayCluster(t, c.serves))
		if c.refused == "" {
			assert.NoError(t, err, "%v", c)
			continue
		}
		require.ErrorContains(t, err, c.refused)
		var refused *refusal
		assert.ErrorAs(t, err, &refused)
		s.Edge.Exposure = ingress.LoadBalancer
		assert.NoError(t, s.gatewayServes(t.Context(), gatewayCluster(t, c.serves)))
	}
}

// TestAMissingGatewayIsTold, in the namespace that is meant.
func TestAMissingGatewayIsTold(t *testing.T) {
	s := &Stack{Target: room.Kubernetes, Cluster: Cluster{Namespace: "trading"}, Edge: &ingress.Args{
		Exposure: ingress.GatewayRoute, Gateway: ingress.Gateway{Name: "shared", Namespace: "gateways"},
	}}
	there := gatewayCluster(t, nil, [2]string{"gateways", "shared"})
	assert.Empty(t, s.gatewayMissing(t.Context(), there))
	s.Edge.Gateway.Namespace = ""
	assert.Contains(t, s.gatewayMissing(t.Context(), there), "no Gateway shared in namespace trading")
	s.Edge.Exposure = ingress.NodePort
	assert.Empty(t, s.gatewayMissing(t.Context(), there))
}
