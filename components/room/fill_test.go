package room

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestFillTakesWhatIsMissing(t *testing.T) {
	type inner struct{ A, B int }
	type args struct {
		Text      string
		Inner     inner
		Size      resource.Quantity
		Resources Resources
		List      []string
		Pointer   *int
		private   int
	}
	one := 1
	defaults := args{
		Text: "default", Inner: inner{A: 1, B: 2}, Size: resource.MustParse("1Gi"), Resources: ResourcesOf("1", "1Gi", "2", "2Gi"),
		List: []string{"a"}, Pointer: &one, private: 5,
	}
	all := Fill(args{}, defaults)
	all.private = defaults.private
	assert.Equal(t, defaults, all)

	given := Fill(args{Inner: inner{B: 7}, Size: resource.MustParse("2Gi"), Resources: ResourcesOf("3", "0", "3", "0"), List: []string{}}, defaults)
	assert.Equal(t, inner{A: 1, B: 7}, given.Inner)
	assert.Equal(t, "2Gi", given.Size.String())
	assert.True(t, given.Resources.Requests.Memory.IsZero(), "a part of what belongs together was taken")
	assert.Empty(t, given.List, "an empty list is one")
	assert.Equal(t, "default", given.Text)
}
