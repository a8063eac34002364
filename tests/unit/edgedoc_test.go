package unit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

func edgePage(t *testing.T) string {
	t.Helper()
	root, err := recorder.Root()
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "edge.md"))
	require.NoError(t, err)
	return string(page)
}

// TestDocumentedEdge: what the page shows can be set as it stands there, and has an effect.
func TestDocumentedEdge(t *testing.T) {
	before := prod(t, nil)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(edgePage(t), -1)
	require.Len(t, blocks, 5)
	for _, block := range blocks {
		var shown map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(block[1]), &shown))
		require.NotEmpty(t, shown)
		with := map[string]string{}
		for key, value := range shown {
			text, isText := value.(string)
			if !isText {
				raw, err := json.Marshal(value)
				require.NoError(t, err)
				text = string(raw)
			}
			with[strings.TrimPrefix(key, "alphapulse:")] = text
		}
		assert.NotEmpty(t, recorder.Changed(before, prod(t, with)), "%v", with)
	}
}

// TestTheEdgesPageNamesEverySetting of it and no other.
func TestTheEdgesPageNamesEverySetting(t *testing.T) {
	var known, named []string
	for _, s := range stacks.Settings() {
		if strings.HasPrefix(s.Key, "edge") || strings.HasPrefix(s.Key, "tls") {
			known = append(known, s.Key)
		}
	}
	for _, m := range regexp.MustCompile("[`:]((?:edge|tls)[A-Z][A-Za-z0-9]*)[`:]").FindAllStringSubmatch(edgePage(t), -1) {
		named = append(named, m[1])
	}
	slices.Sort(known)
	slices.Sort(named)
	assert.Equal(t, known, slices.Compact(named))
}

// TestTheEdgesPageTellsTheDefaults of the limits, which its table states.
func TestTheEdgesPageTellsTheDefaults(t *testing.T) {
	l, page := ingress.Defaults().Limits, edgePage(t)
	for _, want := range []string{
		fmt.Sprintf("| %d a second, %d at once on top |", l.APIRate, l.APIBurst),
		fmt.Sprintf("| %d a second, %d on top |", l.LoginRate, l.LoginBurst),
		fmt.Sprintf("| %d a second, %d on top |", l.WebSocketRate, l.WebSocketBurst),
		fmt.Sprintf("`edgeConnections` | %d |", l.Connections),
	} {
		assert.Contains(t, page, want)
	}
}
