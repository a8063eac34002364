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
