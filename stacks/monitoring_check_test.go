package stacks

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Whoever is refused for the rules that follow is told all settings that shape them.
func TestLimitsOfAlertsShapeRules(t *testing.T) {
	for _, s := range Settings() {
		if strings.HasSuffix(s.Key, "AlertLimits") && !slices.Contains(shaping, s.Key) {
			assert.Fail(t, s.Key+" is missing among what shapes rules")
		}
	}
	for _, key := range shaping {
		assert.True(t, slices.ContainsFunc(Settings(), func(s settings.Setting) bool { return s.Key == key }), "%s is no setting", key)
	}
}
