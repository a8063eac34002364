//go:build integration

package spans

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

const (
	apiKey  = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw=="
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
)

// jaeger is a real one, with the files of a stack's pod.
type jaeger struct {
	// otlp, query, health and metrics are its addresses.
	otlp, query, health, metrics string
	namespace                    string
}

// prepare records prod with its traces in the Elasticsearch, and makes the command that runs
// Jaeger with its files.
func prepare(t *testing.T, in *elasticsearch) (*jaeger, *exec.Cmd) {
	t.Helper()
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, map[string]string{
		"tracesBackend": "elasticsearch", "tracesUrl": in.URL, "tracesCredential": apiKey, "tracesCa": in.authority(), "edgeTraceSampling": "0.05",
	})
	recording, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: []string{"tracesCredential"}})
	require.NoError(t, err)
	objects, err := recording.Objects()
	require.NoError(t, err)
	files, j := map[string]string{}, &jaeger{}
	for _, m := range recorder.Of[*corev1.ConfigMap](objects) {
		if strings.HasPrefix(m.Name, "telemetry-traces-") {
			j.namespace = m.Namespace
			maps.Copy(files, m.Data)
		}
	}
	for _, s := range recorder.Of[*corev1.Secret](objects) {
		if strings.HasPrefix(s.Name, "telemetry-traces-") {
			maps.Copy(files, s.StringData)
		}
	}
	require.Len(t, files, 3, "its configuration, the key and the certificates")
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	replace := []string{"/etc/jaeger-credentials/", dir + "/", "/etc/jaeger-certificates/", dir + "/"}
	at := func(port string) string {
		address := fmt.Sprintf("127.0.0.1:%d", nginxtest.FreePort(t))
		replace = append(replace, "endpoint: :"+port, "endpoint: "+address)
		return "http://" + address
	}
	j.otlp, j.query, j.health = at("4318"), at("16686"), at("13133")
	at("16685")
	metrics := nginxtest.FreePort(t)
	replace = append(replace, "port: 8888", fmt.Sprintf("port: %d", metrics))
	j.metrics = fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics)
	adapted := filepath.Join(dir, "adapted.yaml")
	require.NoError(t, os.WriteFile(adapted, []byte(strings.NewReplacer(replace...).Replace(files["config.yaml"])), 0o600))

	path, err := processes.Built("local/modules/jaeger", "jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger")
	require.NoError(t, err)
	return j, exec.Command(path, "--config="+adapted)
}

// start runs it.
func start(t *testing.T, in *elasticsearch) *jaeger {
	t.Helper()
	j, command := prepare(t, in)
	processes.Start(t, command)
	processes.Answers(t, "Jaeger is ready", j.health+"/status")
	return j
}

// send sends a span as the stack's collector does, but as JSON.
func (j *jaeger) send(t *testing.T, name string) {
	t.Helper()
	now := time.Now().UnixNano()
	body := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"alphapulse-api"}}]},
		"scopeSpans":[{"spans":[{"traceId":"%s","spanId":"00f067aa0ba902b7","name":"%s","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`,
		traceID, name, now, now+int64(time.Millisecond))
	r, err := http.Post(j.otlp+"/v1/traces", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer r.Body.Close() //nolint:errcheck // it was read
	answer, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode, "%s", answer)
}

// get reads one of Jaeger's pages.
func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	require.NoError(t, err)
	defer r.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(body)
}

// TestSpansLieInAnElasticsearch: the real Jaeger takes the stack's configuration, asks with
// the key from its file, trusts the server by the stack's certificates, and writes a span into
// indices of the stack alone, where it finds it again.
func TestSpansLieInAnElasticsearch(t *testing.T) {
	in := startElasticsearch(t, apiKey)
	j := start(t, in)
	j.send(t, "GET /api/symbols")

	index := j.namespace + "-jaeger-span-" + time.Now().UTC().Format(time.DateOnly)
	nginxtest.Eventually(t, "the span is in "+index, func() bool { return len(in.kept(index)) == 1 })
	assert.Contains(t, in.kept(index)[0], `"operationName":"GET /api/symbols"`)
	var found struct {
		Data []struct {
			Spans []struct{ OperationName string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(get(t, j.query+"/jaeger/api/traces/"+traceID)), &found))
	require.Len(t, found.Data, 1)
	require.Len(t, found.Data[0].Spans, 1)
	assert.Equal(t, "GET /api/symbols", found.Data[0].Spans[0].OperationName)

	in.mu.Lock()
	defer in.mu.Unlock()
	assert.Empty(t, in.strangers, "asked without the key")
	assert.NotEmpty(t, in.searched)
	for name := range in.documents {
		assert.True(t, strings.HasPrefix(name, j.namespace+"-jaeger-"), name)
	}
	require.Len(t, in.templates, 2)
	for _, kind := range []string{"span", "service"} {
		var template struct {
			Priority int
			Patterns string `json:"index_patterns"`
			Template struct{ Settings map[string]any }
		}
		name := j.namespace + "-jaeger-" + kind
		require.NoError(t, json.Unmarshal([]byte(in.templates[name]), &template), name)
		assert.Equal(t, name+"-*", template.Patterns, "it touches nobody else's")
		assert.Equal(t, 500, template.Priority, "those of Elasticsearch have 100")
		assert.EqualValues(t, 1, template.Template.Settings["index.number_of_shards"], name)
	}
}

// TestSpansThatAreRefused are counted by what TraceStoreFailing and its panel ask for.
func TestSpansThatAreRefused(t *testing.T) {
	in := startElasticsearch(t, apiKey)
	j := start(t, in)
	counted := func(metric string) {
		nginxtest.Eventually(t, metric+" counts", func() bool {
			for line := range strings.Lines(get(t, j.metrics)) {
				if strings.HasPrefix(line, metric+"{") && !strings.HasSuffix(line, " 0\n") {
					return true
				}
			}
			return false
		})
	}
	in.set(true, false)
	j.send(t, "full")
	counted("jaeger_storage_bulk_index_attempts")
	counted("jaeger_storage_bulk_index_errors")
	in.set(false, true)
	j.send(t, "broken")
	counted("jaeger_storage_bulk_index_latency_err_count")
}

// TestAKeyThatIsRefused: Jaeger does not start, and says why, instead of losing spans.
func TestAKeyThatIsRefused(t *testing.T) {
	in := startElasticsearch(t, "another key")
	_, command := prepare(t, in)
	said, err := command.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(said), "401")
	in.mu.Lock()
	defer in.mu.Unlock()
	assert.NotEmpty(t, in.strangers)
}
