// Package unit tests the program on Pulumi mocks: no cluster, no engine.
package unit

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

var update = flag.Bool("update", false, "rewrite what the program can make: the files of `make generate` and of `make golden`")

// TestGenerated holds the files that follow from the declarations equal to them:
// the config section of Pulumi.yaml and docs/settings.md.
func TestGenerated(t *testing.T) {
	root, err := recorder.Root()
	require.NoError(t, err)
	project, err := os.ReadFile(filepath.Join(root, "Pulumi.yaml"))
	require.NoError(t, err)
	head, _, found := strings.Cut(string(project), "\nconfig:\n")
	require.True(t, found, "Pulumi.yaml has no config section")
	schema, err := stacks.Schema()
	require.NoError(t, err)
	for file, want := range map[string]string{
		"Pulumi.yaml":      head + "\n" + schema,
		"docs/settings.md": stacks.Reference(),
	} {
		path := filepath.Join(root, file)
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
			continue
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, want, string(got), "%s differs from what stacks/ declares: make generate", file)
	}
}
