package stacks

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// TestTheAgentTakesNobodysNamespace: pods that see the nodes' files are let in there.
func TestTheAgentTakesNobodysNamespace(t *testing.T) {
	const me = "organization/alphapulse/addons"
	for _, c := range []struct {
		what    string
		there   []runtime.Object
		off     bool
		refused bool
	}{
		{what: "nothing is there"},
		{what: "its own", there: []runtime.Object{namespaceOf(me)}},
		{what: "somebody's", there: []runtime.Object{namespaceOf("")}, refused: true},
		{what: "another stack's", there: []runtime.Object{namespaceOf("organization/alphapulse/other")}, refused: true},
		{what: "somebody's, and nobody asks", there: []runtime.Object{namespaceOf("")}, off: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := &Stack{Target: room.Addons, AddOns: AddOns{Logs: defaultLogAgent()}}
			s.AddOns.Logs.On, s.AddOns.Logs.Args.Namespace, s.Cluster.owner = !c.off, "trading", me
			err := s.logAgentElsewhere(t.Context(), clusterWith(c.there...))
			if !c.refused {
				require.NoError(t, err)
				return
			}
			var refused *refusal
			require.ErrorAs(t, err, &refused, "it ends the update")
			assert.ErrorContains(t, err, "logAgent: its namespace trading exists and is not of this stack")
		})
	}
}
