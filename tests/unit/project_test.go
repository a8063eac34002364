// Package unit tests the program on Pulumi mocks: no cluster, no engine.
package unit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/golden"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

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
	golden.Compare(t, filepath.Join(root, "Pulumi.yaml"), head+"\n"+schema, "make generate")
	golden.Compare(t, filepath.Join(root, "docs", "settings.md"), stacks.Reference(), "make generate")
}
