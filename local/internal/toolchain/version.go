package toolchain

import (
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
)

// usable tells whether a Pulumi of version v can run this repository: the pinned
// release or a later one of the same major version. An older one does not know
// what the SDK asks of it; a later one reads the same state.
func usable(v string) bool {
	have, err := version.ParseSemantic(v)
	if err != nil {
		return false
	}
	want := version.MustParseSemantic(build.PulumiVersion)
	return have.Major() == want.Major() && have.AtLeast(want)
}
