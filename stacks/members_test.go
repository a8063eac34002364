package stacks

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMembersChangeInOneWayAtATime: with both, the members that stay start anew while
// others leave, and the database can lose its quorum.
func TestMembersChangeInOneWayAtATime(t *testing.T) {
	set := func(replicas int, image any) resource.PropertyMap {
		return resource.PropertyMap{
			"kind":     resource.NewProperty("StatefulSet"),
			"metadata": resource.NewProperty(resource.PropertyMap{"name": resource.NewProperty("database-g1")}),
			"spec": resource.NewProperty(resource.PropertyMap{
				"replicas": resource.NewProperty(float64(replicas)),
				"template": resource.NewProperty(resource.PropertyMap{"containers": resource.NewProperty([]resource.PropertyValue{resource.NewPropertyValue(image)})}),
			}),
		}
	}
	unknown := resource.Output{Element: resource.NewProperty("")}
	for _, c := range []struct {
		what          string
		before, after resource.PropertyMap
		refused       bool
	}{
		{"nothing", set(3, "a"), set(3, "a"), false},
		{"another image", set(3, "a"), set(3, "b"), false},
		{"more members", set(1, "a"), set(3, "a"), false},
		{"fewer members", set(3, "a"), set(1, "a"), false},
		{"the same, known as an output and as a secret", set(3, resource.MakeSecret(resource.NewProperty("a"))),
			set(1, resource.Output{Element: resource.NewProperty("a"), Known: true}), false},
		{"fewer members with another image", set(3, "a"), set(1, "b"), true},
		{"more members with another image", set(1, "a"), set(2, "b"), true},
		{"more members with what is not known yet", set(1, "a"), set(2, unknown), true},
		{"all of them stop, as a restore has it", set(3, "a"), set(0, "b"), false},
		{"all of them start again", set(0, "a"), set(3, "b"), false},
		{"a set that the state does not describe", resource.PropertyMap{}, set(2, "b"), false},
	} {
		err := oneChange(c.before, c.after)
		if !c.refused {
			assert.NoError(t, err, c.what)
			continue
		}
		require.Error(t, err, c.what)
		assert.ErrorContains(t, err, "database-g1", c.what)
		assert.ErrorContains(t, err, "databaseInstances", c.what)
	}
}
