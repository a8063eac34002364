package cli

import (
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
)

func TestImagesAreExplained(t *testing.T) {
	table := []images.Image{
		{Name: "same", Refs: []string{"docker.io/x/same:1.0"}, Source: "docker/same", Version: "1.0"},
		{Name: "other", Refs: []string{"docker.io/x/other:2.0", "docker.io/x/other:2"}, Source: "Debian sid: other", Version: "1.9", Differs: "because of this"},
	}
	var out strings.Builder
	if err := printImages(&out, table, map[string]images.Archive{"other": {Version: "1.9.1"}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"docker.io/x/same:1.0   not yet   docker/same", "docker.io/x/other:2.0  1.9.1     Debian sid: other", "docker.io/x/other:2    the same", "docker.io/x/other:2.0: because of this"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "same:1.0:") {
		t.Errorf("an image that differs in nothing is explained:\n%s", out.String())
	}
}
