// Package unit tests the program on Pulumi mocks: no cluster, no engine.
package unit

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/stacks"
)

var update = flag.Bool("update", false, "rewrite what the program can make: the config section of Pulumi.yaml")

// declared is one key of Pulumi.yaml's config section.
type declared struct {
	Type        string            `yaml:"type"`
	Items       map[string]string `yaml:"items,omitempty"`
	Description string            `yaml:"description"`
	Default     any               `yaml:"default,omitempty"`
}

const projectFile = "../../Pulumi.yaml"

// TestProjectDeclaresEverySetting holds Pulumi.yaml and the settings table equal;
// with -update it writes the section.
func TestProjectDeclaresEverySetting(t *testing.T) {
	var section yaml.Node
	section.Kind = yaml.MappingNode
	for _, s := range stacks.Settings() {
		d := declared{Type: string(s.Type), Description: s.Description, Default: s.Default}
		if s.Secret {
			// The command line's own "secret: true" would make an optional setting
			// required; the program refuses a value that is stored in plain text.
			d.Description += " A secret: set it with --secret."
		}
		if s.Items != "" {
			d.Items = map[string]string{"type": string(s.Items)}
		}
		var value yaml.Node
		require.NoError(t, value.Encode(d))
		section.Content = append(section.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: s.Key}, &value)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	require.NoError(t, enc.Encode(map[string]any{"config": &section}))
	want := b.String()

	raw, err := os.ReadFile(projectFile)
	require.NoError(t, err)
	head, got, found := strings.Cut(string(raw), "\nconfig:\n")
	if *update {
		require.NoError(t, os.WriteFile(projectFile, []byte(strings.TrimSuffix(head, "\n")+"\n"+want), 0o644))
		return
	}
	require.True(t, found, "Pulumi.yaml has no config section")
	assert.Equal(t, want, "config:\n"+got,
		"Pulumi.yaml and stacks/settings.go differ: go test ./tests/unit -run %s -update", t.Name())
}
