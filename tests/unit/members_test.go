package unit

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// TestMembersStayWhenOthersComeOrGo: a changed number of members changes nothing in the
// template of their pods. The set would start the first one anew while the others leave,
// and none of the three that commits are on would be left to take over.
func TestMembersStayWhenOthersComeOrGo(t *testing.T) {
	template := func(instances string) string {
		all := record(t, "prod", map[string]string{"databaseInstances": instances}).Find("kubernetes:apps/v1:StatefulSet", "database-g1")
		require.Len(t, all, 1)
		spec := recorder.Plain(all[0].Inputs)["spec"].(map[string]any)
		raw, err := json.MarshalIndent(spec["template"], "", " ")
		require.NoError(t, err)
		return string(raw)
	}
	one := template("1")
	assert.Equal(t, one, template("2"))
	assert.Equal(t, one, template("3"))
}

// TestAnAwaitedBudgetIsNotTakenForItsFormerSelf: what is awaited by an annotation changes in
// its spec, too, or is another object. The provider knows an object of before the edit by its
// generation alone, which an annotation does not change; it would put that one into the state,
// and the next update, of nothing, would write.
func TestAnAwaitedBudgetIsNotTakenForItsFormerSelf(t *testing.T) {
	type budget struct {
		name, awaits string
		spec         any
	}
	of := func(instances string) budget {
		all := record(t, "prod", map[string]string{"databaseInstances": instances}).Find("kubernetes:policy/v1:PodDisruptionBudget", "database-g1")
		require.Len(t, all, 1)
		inputs := recorder.Plain(all[0].Inputs)
		meta := inputs["metadata"].(map[string]any)
		return budget{meta["name"].(string), meta["annotations"].(map[string]any)["pulumi.com/waitFor"].(string), inputs["spec"]}
	}
	for _, change := range [][2]string{{"3", "1"}, {"1", "2"}, {"2", "3"}} {
		before, after := of(change[0]), of(change[1])
		assert.NotEqual(t, before.awaits, after.awaits)
		if before.name == after.name {
			assert.NotEqual(t, before.spec, after.spec, "from %s to %s members", change[0], change[1])
		}
	}
}

// TestMembersAreNotReplacedWithTheirFiles: files that change in place are no input of the
// set. A provider that replaces them (pulumi-kubernetes does by default) would have Pulumi
// replace the set, too, and end all members at once.
func TestMembersAreNotReplacedWithTheirFiles(t *testing.T) {
	r := record(t, "prod", nil)
	set := r.Find("kubernetes:apps/v1:StatefulSet", "database-g1")
	require.Len(t, set, 1)
	inputs := set[0].RPC.GetPropertyDependencies()["spec"].GetUrns()
	for kind, name := range map[string]string{"kubernetes:core/v1:Secret": "database-roles", "kubernetes:core/v1:ConfigMap": "database-dynamic"} {
		files := r.Find(kind, name)
		require.Len(t, files, 1, name)
		assert.NotContains(t, inputs, urn(files[0]), "%s is an input", name)
		assert.Contains(t, set[0].RPC.GetDependencies(), urn(files[0]), "%s has to be there first", name)
	}
	for _, p := range r.Find("pulumi:providers:kubernetes", "cluster") {
		for _, option := range []string{"enableConfigMapMutable", "enableSecretMutable"} {
			assert.Equal(t, true, recorder.Plain(p.Inputs)[option], option)
		}
	}
}
