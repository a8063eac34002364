package unit

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// TestWhatLeadsToTraces is there wherever Jaeger is, with a volume or in front of an
// Elasticsearch, and nowhere else.
func TestWhatLeadsToTraces(t *testing.T) {
	remote := func(backend string) map[string]string {
		return map[string]string{"tracesBackend": backend, "tracesUrl": "https://traces.example.com:9243", "tracesCredential": "token", "edgeTraceSampling": "0.05"}
	}
	for name, c := range map[string]struct {
		with          map[string]string
		jaeger, claim bool
	}{
		"off":           {nil, false, false},
		"local":         {map[string]string{"tracesBackend": "local", "edgeTraceSampling": "0.05"}, true, true},
		"otlp":          {remote("otlp"), false, false},
		"elasticsearch": {remote("elasticsearch"), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := recorder.StackConfig("prod")
			require.NoError(t, err)
			maps.Copy(config, c.with)
			r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: []string{"tracesCredential"}})
			require.NoError(t, err)
			objects, err := r.Objects()
			require.NoError(t, err)
			files := map[string]string{}
			for _, m := range recorder.Of[*corev1.ConfigMap](objects) {
				maps.Copy(files, m.Data)
			}
			assert.Equal(t, c.jaeger, strings.Contains(files["datasources.yaml"], "url: http://telemetry-traces:16686/jaeger\n"), "the data source")
			_, led := r.Outputs["urls"].(map[string]string)["traces"]
			assert.Equal(t, c.jaeger, led, "the address behind the login")
			to, out := waysOf(objects, "monitoring-grafana")
			assert.Equal(t, c.jaeger, slices.Contains(to["telemetry-traces"], 16686), "the way to its pages: %v", to)
			assert.NotContains(t, out, 9243, "Grafana asks Jaeger")
			to, out = waysOf(objects, "telemetry-collector")
			assert.Equal(t, c.jaeger, slices.Contains(to["telemetry-traces"], 4318), "the collector's way: %v", to)
			assert.Equal(t, name == "otlp", slices.Contains(out, 9243), "the collector's way out: %v", out)
			_, out = waysOf(objects, "telemetry-traces")
			assert.Equal(t, name == "elasticsearch", slices.Contains(out, 9243), "Jaeger's way out: %v", out)
			assert.Equal(t, c.jaeger, slices.ContainsFunc(recorder.Of[*appsv1.StatefulSet](objects), func(s *appsv1.StatefulSet) bool { return s.Name == "telemetry-traces" }))
			assert.Equal(t, c.claim, slices.ContainsFunc(recorder.Of[*corev1.PersistentVolumeClaim](objects), func(v *corev1.PersistentVolumeClaim) bool { return v.Name == "telemetry-traces" }))
			for _, s := range recorder.Of[*corev1.Secret](objects) {
				if s.StringData["traces"] == "token" {
					assert.Equal(t, name == "elasticsearch", strings.HasPrefix(s.Name, "telemetry-traces-"), "who has the key: %s", s.Name)
				}
			}
		})
	}
}

// TestVolumesOfFormerStoresAreNamed: an update that deletes what users stored says so.
func TestVolumesOfFormerStoresAreNamed(t *testing.T) {
	had := stacks.Previous{Target: "kubernetes", Volumes: map[string]string{"telemetry-logs": "10Gi", "telemetry-traces": "5Gi"}}
	warned := func(values map[string]string) string {
		values = maps.Clone(values)
		if values == nil {
			values = map[string]string{}
		}
		values["domain"] = "example.com"
		s, err := stacks.Parse("dev", values, []string{"tracesCredential"}, had)
		require.NoError(t, err)
		return strings.Join(s.Warnings, "\n")
	}
	away := map[string]string{"logsBackend": "local", "tracesBackend": "elasticsearch", "tracesUrl": "https://es.example.com", "tracesCredential": "key", "edgeTraceSampling": "0.05"}
	assert.Contains(t, warned(away), "tracesBackend: elasticsearch: this update deletes the volume telemetry-traces")
	assert.NotContains(t, warned(away), "telemetry-logs")
	assert.Contains(t, warned(nil), "logsBackend: off: this update deletes the volume telemetry-logs")
	assert.NotContains(t, warned(map[string]string{"protect": "true", "databaseBackup": "off"}), "deletes the volume", "Pulumi refuses")
}
