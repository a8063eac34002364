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

// TestNothingIsInstalledOverSomebodyElses: two controllers would fight for the objects of
// one kind, and a destroy would take what others use.
func TestNothingIsInstalledOverSomebodyElses(t *testing.T) {
	const me = "organization/alphapulse/addons"
	issuers, orders := "issuers.cert-manager.io", "orders.acme.cert-manager.io"
	for _, c := range []struct {
		what    string
		there   []runtime.Object
		off     bool
		refused string
	}{
		{what: "nothing is there"},
		{what: "its own, after a destroy", there: []runtime.Object{definitionOf(issuers, me), namespaceOf(me)}},
		{what: "definitions of something else", there: []runtime.Object{definitionOf("gateways.gateway.networking.k8s.io", ""), definitionOf("issuers.example.com", "")}},
		{what: "somebody's", there: []runtime.Object{definitionOf(issuers, "")}, refused: "not from this stack (" + issuers + "): set it false"},
		{what: "a part of somebody's", there: []runtime.Object{definitionOf(issuers, me), definitionOf(orders, "")}, refused: "(" + orders + ")"},
		{what: "another stack's", there: []runtime.Object{definitionOf(issuers, "organization/alphapulse/other")}, refused: issuers},
		{what: "somebody's, and nobody asks", there: []runtime.Object{definitionOf(issuers, "")}, off: true},
		{what: "somebody's namespace", there: []runtime.Object{namespaceOf("")}, refused: "its namespace trading exists and is not of this stack"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := &Stack{Target: room.Addons, AddOns: AddOns{CertManager: !c.off, Manager: addons.Defaults()}}
			s.AddOns.Manager.Namespace, s.Cluster.owner = "trading", me
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
