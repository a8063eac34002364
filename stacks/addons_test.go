package stacks

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/alphapulse/alphapulse-infra/components/addons"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
)

func definitionOf(name, owner string) runtime.Object {
	d := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}}
	d.SetName(name)
	if owner != "" {
		d.SetAnnotations(map[string]string{platform.OwnerAnnotation: owner})
	}
	return d
}

func ingressClass(name string) runtime.Object {
	c := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass"}}
	c.SetName(name)
	return c
}

// TestNothingIsInstalledOverSomebodyElses: two controllers would fight for the objects of
// one kind, and a destroy would take what others use.
func TestNothingIsInstalledOverSomebodyElses(t *testing.T) {
	const me = "organization/alphapulse/addons"
	issuers, orders, gateways := "issuers.cert-manager.io", "orders.acme.cert-manager.io", "gateways.gateway.networking.k8s.io"
	for _, c := range []struct {
		what  string
		there []runtime.Object
		off   bool
		// gateway asks for a controller of Gateways instead, theirs for one on the
		// definitions that the cluster has.
		gateway, theirs bool
		refused         string
	}{
		{what: "nothing is there"},
		{what: "its own, after a destroy", there: []runtime.Object{definitionOf(issuers, me), namespaceOf(me)}},
		{what: "definitions of something else", there: []runtime.Object{definitionOf("gateways.gateway.networking.k8s.io", ""), definitionOf("issuers.example.com", "")}},
		{what: "somebody's", there: []runtime.Object{definitionOf(issuers, "")}, refused: "not from this stack (" + issuers + "): set it false"},
		{what: "a part of somebody's", there: []runtime.Object{definitionOf(issuers, me), definitionOf(orders, "")}, refused: "(" + orders + ")"},
		{what: "another stack's", there: []runtime.Object{definitionOf(issuers, "organization/alphapulse/other")}, refused: issuers},
		{what: "somebody's, and nobody asks", there: []runtime.Object{definitionOf(issuers, "")}, off: true},
		{what: "the Gateway API of somebody", gateway: true, there: []runtime.Object{definitionOf(gateways, "")}, refused: "(" + gateways + "): set gatewayDefinitions cluster"},
		{what: "the Gateway API of somebody, which is asked for", gateway: true, theirs: true, there: []runtime.Object{definitionOf(gateways, "")}},
		{what: "its own Gateway API", gateway: true, there: []runtime.Object{definitionOf(gateways, me), namespaceOf(me), ingressClass("traefik")}},
		{what: "somebody's Traefik", gateway: true, there: []runtime.Object{ingressClass("traefik")}, refused: "(IngressClass traefik)"},
		{what: "somebody's other controller", gateway: true, there: []runtime.Object{ingressClass("nginx")}},
		{what: "somebody's namespace for Gateways", gateway: true, there: []runtime.Object{namespaceOf("")}, refused: "gatewayController: its namespace trading exists"},
		{what: "somebody's namespace", there: []runtime.Object{namespaceOf("")}, refused: "its namespace trading exists and is not of this stack"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := &Stack{Target: room.Addons, AddOns: AddOns{CertManager: !c.off && !c.gateway, Manager: addons.CertManagerDefaults(), Gateway: addons.GatewayDefaults()}}
			s.AddOns.Manager.Namespace, s.AddOns.Gateway.Namespace, s.Cluster.owner = "trading", "trading", me
			if c.gateway {
				s.AddOns.Controller = controllerTraefik
			}
			if c.theirs {
				s.AddOns.Gateway.Definitions = definitionsOfCluster
			}
			err := s.addonsElsewhere(t.Context(), clusterWith(c.there...))
			if c.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.refused)
			var refused *refusal
			assert.True(t, errors.As(err, &refused), "it ends the update")
		})
	}
}
