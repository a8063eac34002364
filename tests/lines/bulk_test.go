package lines

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// elasticsearchPath is what a recorded stack's collector is told about its Elasticsearch.
type elasticsearchPath struct{ namespace, key string }

func elasticsearchOf(t *testing.T) elasticsearchPath {
	t.Helper()
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, map[string]string{"logsBackend": "elasticsearch", "logsUrl": "https://es.example.com:9200", "logsCredential": "VnVhQ2ZHY0JDZGJrUW0="})
	recording, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: []string{"logsCredential"}})
	require.NoError(t, err)
	s := &stack{}
	s.objects, err = recording.Objects()
	require.NoError(t, err)
	var file struct {
		Processors map[string]struct {
			Attributes []struct{ Key, Value, Action string }
		}
		Exporters map[string]struct {
			Endpoints []string
			APIKey    string `yaml:"api_key"`
		}
		Service struct {
			Pipelines map[string]struct{ Processors, Exporters []string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(s.file(t, "telemetry-collector-config", "config.yaml")), &file))
	logs := file.Service.Pipelines["logs"]
	require.Equal(t, []string{"elasticsearch/logs"}, logs.Exporters)
	to := file.Exporters["elasticsearch/logs"]
	require.Equal(t, []string{"https://es.example.com:9200"}, to.Endpoints)
	require.Equal(t, "${file:/etc/otelcol-credentials/logs}", to.APIKey)
	path := elasticsearchPath{}
	for _, secret := range recorder.Of[*corev1.Secret](s.objects) {
		if strings.HasPrefix(secret.Name, "telemetry-collector-credentials") {
			path.key = secret.StringData["logs"]
		}
	}
	for _, name := range logs.Processors {
		for _, a := range file.Processors[name].Attributes {
			if a.Key == "data_stream.namespace" {
				require.Equal(t, "upsert", a.Action)
				path.namespace = a.Value
			}
		}
	}
	require.NotEmpty(t, path.key)
	require.NotEmpty(t, path.namespace)
	return path
}

// line is a log record as the collector has it.
type line struct {
	at         time.Time
	service    string
	severity   string
	number     int
	trace      string
	text       string
	attributes map[string]any
}

// stamp is a time as the exporter writes it: milliseconds, a point, and the nanoseconds that
// are left, not filled up with zeros.
func stamp(at time.Time) string {
	return fmt.Sprintf("%d.%d", at.UnixNano()/1e6, at.UnixNano()%1e6)
}

// bulk is the body of a request as the exporter sends it, and its documents.
func (p elasticsearchPath) bulk(t *testing.T, lines []line) []byte {
	t.Helper()
	var body bytes.Buffer
	packed := gzip.NewWriter(&body)
	for _, l := range lines {
		document := map[string]any{
			"@timestamp": stamp(l.at), "observed_timestamp": stamp(l.at),
			"data_stream":   map[string]any{"type": "logs", "dataset": "generic.otel", "namespace": p.namespace},
			"severity_text": l.severity, "severity_number": l.number,
			"resource": map[string]any{"attributes": map[string]any{"service.name": l.service, "k8s.namespace.name": p.namespace}},
			"scope":    map[string]any{},
			"body":     map[string]any{"text": l.text},
		}
		if l.trace != "" {
			document["trace_id"] = l.trace
		}
		if len(l.attributes) > 0 {
			document["attributes"] = l.attributes
		}
		raw, err := json.Marshal(document)
		require.NoError(t, err)
		_, err = fmt.Fprintf(packed, "{\"create\":{\"_index\":\"logs-generic.otel-%s\"}}\n%s\n", p.namespace, raw)
		require.NoError(t, err)
	}
	require.NoError(t, packed.Close())
	return body.Bytes()
}

// found are the lines that VictoriaLogs finds, sorted by their messages.
func (s *stack) found(t *testing.T, query string) (messages []string, lines []map[string]string) {
	t.Helper()
	r, err := http.Get(s.logs + "/logs/select/logsql/query?" + url.Values{"query": {query}, "limit": {"100"}}.Encode())
	require.NoError(t, err)
	defer r.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode, "%s: %s", query, body)
	for one := range strings.Lines(string(body)) {
		var read map[string]string
		require.NoError(t, json.Unmarshal([]byte(one), &read), one)
		lines = append(lines, read)
		messages = append(messages, read["_msg"])
	}
	slices.Sort(messages)
	return messages, lines
}

// TestLinesByTheBulkAPI: a real VictoriaLogs takes, by its Elasticsearch bulk API, requests as
// the collector's exporter for Elasticsearch sends them, and finds the lines.
//
// The exporter is none that can be built here. The requests are written by this test, after the
// exporter's source (its mapping mode otel, and what routes documents to data streams) and with
// the stack's own namespace and key; nothing here says that Elasticsearch takes them. What
// VictoriaLogs has to be told beside, in headers, is which fields are the time, the message and
// the stream.
func TestLinesByTheBulkAPI(t *testing.T) {
	s := keeping(t)
	path := elasticsearchOf(t)

	const trace, other = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b74bf92f3577b34da6"
	now := time.Now().Truncate(time.Microsecond)
	sent := []line{
		{at: now.Add(-2 * time.Second), service: "alphapulse-edge", severity: "ERROR", number: 17, trace: trace, text: "GET /api/symbols 500", attributes: map[string]any{"http.response.status_code": 500}},
		{at: now.Add(-time.Second), service: "alphapulse-api", severity: "WARN", number: 13, trace: trace, text: "slow \"query\"\nof two lines"},
		{at: now, service: "alphapulse-api", severity: "INFO", number: 9, trace: other, text: "request"},
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.logs+"/logs/insert/elasticsearch/_bulk", bytes.NewReader(path.bulk(t, sent)))
	require.NoError(t, err)
	for name, value := range map[string]string{
		"Authorization": "ApiKey " + path.key, "Content-Type": "application/x-ndjson", "Content-Encoding": "gzip",
		"VL-Time-Field": "@timestamp", "VL-Msg-Field": "body.text", "VL-Stream-Fields": "resource.attributes.service.name",
	} {
		request.Header.Set(name, value)
	}
	r, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer r.Body.Close() //nolint:errcheck // it was read
	raw, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode, "%s", raw)
	var answer struct {
		Errors bool
		Items  []struct{ Create struct{ Status int } }
	}
	require.NoError(t, json.Unmarshal(raw, &answer))
	assert.False(t, answer.Errors)
	require.Len(t, answer.Items, len(sent))
	for _, item := range answer.Items {
		assert.Equal(t, http.StatusCreated, item.Create.Status)
	}

	nginxtest.Eventually(t, "the lines are found", func() bool { all, _ := s.found(t, "*"); return len(all) == len(sent) })
	for query, want := range map[string][]string{
		`trace_id:="` + trace + `"`: {sent[0].text, sent[1].text},
		`resource.attributes.service.name:="alphapulse-api" severity_text:in(WARN, ERROR)`:  {sent[1].text},
		`attributes.http.response.status_code:>=500`:                                        {sent[0].text},
		`data_stream.namespace:="` + path.namespace + `" data_stream.dataset:=generic.otel`: {sent[0].text, sent[2].text, sent[1].text},
	} {
		messages, _ := s.found(t, query)
		assert.Equal(t, want, messages, query)
	}
	_, lines := s.found(t, `trace_id:="`+other+`"`)
	require.Len(t, lines, 1)
	at, err := time.Parse(time.RFC3339Nano, lines[0]["_time"])
	require.NoError(t, err)
	assert.Equal(t, now.UnixMilli(), at.UnixMilli())
}
