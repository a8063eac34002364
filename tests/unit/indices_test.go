package unit

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// indices is the job that gives a stack's logs data streams of their own, and its recording.
func indices(t *testing.T, with map[string]string) (*batchv1.Job, *recorder.Recording) {
	t.Helper()
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, map[string]string{"logsBackend": "elasticsearch", "logsUrl": "https://es.example.com:9243", "logsCredential": "key"})
	maps.Copy(config, with)
	r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: []string{"logsCredential"}})
	require.NoError(t, err)
	objects, err := r.Objects()
	require.NoError(t, err)
	for _, j := range recorder.Of[*batchv1.Job](objects) {
		if strings.HasPrefix(j.Name, "telemetry-indices-") {
			return j, r
		}
	}
	t.Fatal("there is no job")
	return nil, nil
}

// TestLogsInAnElasticsearch have data streams of the stack's own before the first line is
// sent, and a retention; another retention is another job, and nothing else is.
func TestLogsInAnElasticsearch(t *testing.T) {
	job, r := indices(t, nil)
	pod := job.Spec.Template.Spec
	assert.Equal(t, []string{"indices", "-url", "https://es.example.com:9243", "-namespace", job.Namespace, "-retention", "168h", "-key", "/etc/otelcol-credentials/logs"},
		pod.Containers[0].Args)
	assert.Empty(t, pod.PriorityClassName, "it holds nothing")
	objects, err := r.Objects()
	require.NoError(t, err)
	_, out := waysOf(objects, "telemetry-indices")
	assert.Equal(t, []int{9243}, out, "it is let out to Elasticsearch")
	collector := r.Find("kubernetes:apps/v1:StatefulSet", "telemetry-collector")
	require.Len(t, collector, 1)
	assert.Contains(t, strings.Join(collector[0].RPC.GetDependencies(), " "), "Job::"+job.Name, "what is sent before keeps no retention")

	longer, _ := indices(t, map[string]string{"logsRetention": "30d"})
	assert.NotEqual(t, job.Name, longer.Name)
	assert.Contains(t, longer.Spec.Template.Spec.Containers[0].Args, "720h")
	renewed, _ := indices(t, map[string]string{"logsCredential": "another", "debug": "true"})
	assert.Equal(t, job.Name, renewed.Name)
}
