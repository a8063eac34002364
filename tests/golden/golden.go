// Package golden compares what the program makes with files that somebody has reviewed:
// `make golden` rewrites them, and the review is that of their diff.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite what the program can make: the files of `make generate` and of `make golden`")

// Updates tells whether files are to be rewritten instead of compared.
func Updates() bool { return *update }

// File holds testdata/golden/name of the test's own package equal to got.
func File(t testing.TB, name, got string) {
	t.Helper()
	Compare(t, filepath.Join("testdata", "golden", name), got, "make golden")
}

// Compare holds any file equal to got; command is what rewrites it.
func Compare(t testing.TB, path, got, command string) {
	t.Helper()
	if Updates() {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "%s is not what the program makes now; if that is right: %s", path, command)
}
