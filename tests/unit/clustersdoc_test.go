package unit

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// TestTheClustersPageNamesTestsThatExist: what proves a row can be run.
func TestTheClustersPageNamesTestsThatExist(t *testing.T) {
	root, err := recorder.Root()
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "clusters.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "| fault | test |")
	require.True(t, found)
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (?:\([^)]*\) )?((?:[tT]est|Fuzz)\w+)\(`)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".local" || d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			there[m[1]] = true
		}
		return err
	}))
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.HasPrefix(cells[1], " ---") {
			continue
		}
		rows++
		named := regexp.MustCompile("`((?:[tT]est|Fuzz)\\w+)`").FindAllStringSubmatch(cells[2], -1)
		assert.NotEmpty(t, named, "nothing proves the row%s", cells[1])
		for _, m := range named {
			assert.True(t, there[m[1]], "%s: no such test", m[1])
		}
	}
	assert.Equal(t, 28, rows)
}
