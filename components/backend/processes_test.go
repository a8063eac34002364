package backend

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
)

// TestNoVariableLetsAnAPIPodTrade: what the program guarantees wins over what a user says.
func TestNoVariableLetsAnAPIPodTrade(t *testing.T) {
	mine := map[string]string{"TRADING_ENABLED": "true", "PAPER_TRADING": "false", "WEB_CONCURRENCY": "4", "OTHER": "kept"}
	a := (&Args{API: Process{Env: mine}, Engine: &Process{Env: mine}, Dashboard: &Process{Env: mine}}).withDefaults()
	for _, r := range a.running("shop") {
		process, _ := a.process(r)
		assert.Equal(t, pulumi.StringMap{
			"TRADING_ENABLED": pulumi.String("false"), "PAPER_TRADING": pulumi.String("true"), "WEB_CONCURRENCY": pulumi.String("1"),
			"OTHER": pulumi.String("kept"), "ALPHAPULSE_MODE": pulumi.String(r.Component),
		}, process.Env, r.Name)
	}
}
