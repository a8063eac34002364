package unit

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// prod is the recorded base that each setting is changed on.
func prod(t *testing.T, with map[string]string, secretKeys ...string) *recorder.Recording {
	t.Helper()
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, with)
	r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: secretKeys})
	require.NoError(t, err)
	return r
}

// backendPods are the workloads that read the shared settings and the backend's own.
const backendPods = "Deployment/backend Deployment/backend-dashboard Deployment/backend-engine "

// effects says for each setting what an edit changes, and so that nothing else rolls.
// The base is prod; with are further settings that the edit needs.
var effects = map[string]struct {
	value  string
	with   map[string]string
	secret bool
	// changes lists kinds and logical names; "…" as the whole means "every object",
	// for settings on which everything stands.
	changes string
}{
	"backendMinReplicas":       {value: "4", changes: "HorizontalPodAutoscaler/backend"},
	"backendMaxReplicas":       {value: "12", changes: "HorizontalPodAutoscaler/backend ResourceQuota/platform Deployment/backend"},
	"backendCpuUtilization":    {value: "60", changes: "HorizontalPodAutoscaler/backend"},
	"backendMemoryUtilization": {value: "70", changes: "HorizontalPodAutoscaler/backend"},
	"backendCommand":           {value: `["/app/run"]`, changes: backendPods},
	"backendArgs":              {value: `["serve"]`, changes: "Deployment/backend"},
	"backendLivenessPath":      {value: "/alive", changes: "Deployment/backend"},
	"backendReadinessPath":     {value: "-", changes: "Deployment/backend"},
	"backendStartupSeconds":    {value: "600", changes: backendPods},
	"backendEnv":               {value: `{"LOG_LEVEL":"info"}`, changes: backendPods},
	"backendSecretEnv":         {value: `{"BINANCE_API_KEY":"x"}`, secret: true, changes: "Deployment/backend Deployment/backend-engine Secret/backend-credentials Secret/backend-engine-credentials"},
	"backendImage":             {value: "docker.io/alphapulse/backend:0.2.0", changes: backendPods},
	"backendResources":         {value: `{"limits":{"memory":"3Gi"}}`, changes: "Deployment/backend ResourceQuota/platform"},
	"engineArgs":               {value: `["trade"]`, changes: "Deployment/backend-engine"},
	"engineLivenessPath":       {value: "/alive", changes: "Deployment/backend-engine"},
	"engineResources":          {value: `{"limits":{"memory":"3Gi"}}`, changes: "Deployment/backend-engine ResourceQuota/platform"},
	"tradingEnabled":           {value: "true", changes: "Deployment/backend-engine"},
	"paperTrading":             {value: "false", changes: "Deployment/backend-engine"},
	"dashboardImage":           {value: "docker.io/alphapulse/dashboard:1.0.0", changes: "Deployment/backend-dashboard"},
	"dashboardArgs":            {value: `["show"]`, changes: "Deployment/backend-dashboard"},
	"dashboardHealthPath":      {value: "/health", changes: "Deployment/backend-dashboard"},
	"dashboardResources":       {value: `{"limits":{"cpu":"1"}}`, changes: "Deployment/backend-dashboard ResourceQuota/platform"},
	"debug":                    {value: "true", changes: backendPods + "ConfigMap/platform-settings"},
	"maxSymbols":               {value: "100", changes: backendPods + "ConfigMap/platform-settings"},
	"maxPortfolioRisk":         {value: "0.2", changes: backendPods + "ConfigMap/platform-settings"},
	"cacheTtlSeconds":          {value: "60", changes: backendPods + "ConfigMap/platform-settings"},
	"workerThreads":            {value: "2", changes: backendPods + "ConfigMap/platform-settings"},
	"maxConnections":           {value: "10", changes: backendPods + "ConfigMap/platform-settings"},
	"stressTestEnabled":        {value: "true", changes: backendPods + "ConfigMap/platform-settings"},
	"complianceReporting":      {value: "false", changes: backendPods + "ConfigMap/platform-settings"},
	"requestTimeoutSeconds":    {value: "60", changes: backendPods + "ConfigMap/platform-settings ConfigMap/edge-nginx Deployment/edge"},
	"databaseStorage":          {value: "200Gi", changes: ""},
}

// TestEverySettingHasAnEffect changes one setting at a time and compares what the
// program registers: a setting without a user would change nothing, and a change
// that rolls more than its readers would name them.
func TestEverySettingHasAnEffect(t *testing.T) {
	base := prod(t, nil)
	for _, s := range stacks.Settings() {
		t.Run(s.Key, func(t *testing.T) {
			e, ok := effects[s.Key]
			require.True(t, ok, "no test says what the setting changes")
			before := base
			if len(e.with) > 0 {
				before = prod(t, e.with, stored(e.with)...)
			}
			with := maps.Clone(e.with)
			if with == nil {
				with = map[string]string{}
			}
			with[s.Key] = e.value
			keys := stored(with)
			after := prod(t, with, keys...)
			changed := recorder.Changed(before, after)
			if e.changes == "…" {
				assert.Greater(t, len(changed), 40)
				return
			}
			assert.Equal(t, words(e.changes), changed)
			assert.Empty(t, recorder.Losses(before.Resources, after.Resources), "the edit would lose what users stored")
		})
	}
}

// stored lists which of the keys are stored as secrets.
func stored(config map[string]string) []string {
	var keys []string
	for _, s := range stacks.Settings() {
		if _, set := config[s.Key]; set && s.Secret {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

func words(s string) []string {
	w := strings.Fields(s)
	slices.Sort(w)
	return w
}
