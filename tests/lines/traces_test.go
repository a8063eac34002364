package lines

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
)

// collector is the gateway of a recorded stack.
type collector struct {
	// takes and serves are where it takes OTLP, and serves the metrics of spans and those that
	// it is sent; its own are at own.
	takes, serves, own string

	mu   sync.Mutex
	sent strings.Builder
}

// startCollector runs the Collector with the file of the stack; what keeps traces is the test.
// More replacements in the file are pairs as strings.NewReplacer's.
func startCollector(t *testing.T, settings map[string]string, more ...string) *collector {
	t.Helper()
	s := recorded(t, settings)
	path, err := processes.Built("local/modules/otelcol", "otelcol-contrib", ".")
	require.NoError(t, err)
	c := &collector{}
	store := httptest.NewServer(http.HandlerFunc(c.keep))
	t.Cleanup(store.Close)

	const takes, serves = 4318, 8889
	to := append([]string{"http://telemetry-traces:4318", store.URL, "/var/lib/otelcol", t.TempDir()}, more...)
	address := map[int]string{}
	for _, port := range []int{4317, takes, 8888, serves, 13133} {
		address[port] = fmt.Sprintf("127.0.0.1:%d", nginxtest.FreePort(t))
		to = append(to, fmt.Sprintf("endpoint: :%d\n", port), "endpoint: "+address[port]+"\n")
	}
	text := strings.NewReplacer(to...).Replace(s.file(t, "telemetry-collector-config", "config.yaml"))
	text = strings.ReplaceAll(text, "port: 8888\n", "port: "+address[8888][strings.LastIndex(address[8888], ":")+1:]+"\n")
	file := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	processes.Start(t, exec.Command(path, "--config="+file))
	c.takes, c.serves, c.own = "http://"+address[takes], "http://"+address[serves], "http://"+address[8888]
	processes.Answers(t, "the Collector is ready", "http://"+address[13133])
	return c
}

// keep is what Jaeger does with what it is sent.
func (c *collector) keep(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := io.Copy(&c.sent, body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// kept tells whether a span of that name has come.
func (c *collector) kept(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Contains(c.sent.String(), name)
}

// span is one that is a trace of its own, as an SDK sends it.
func (c *collector) span(t *testing.T, number int, name string, took time.Duration, failed bool) {
	t.Helper()
	end := time.Now()
	code := 0
	if failed {
		code = 2
	}
	body := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{
		"traceId":"%032x","spanId":"%016x","name":%q,"kind":3,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","status":{"code":%d},
		"attributes":[{"key":"db.system.name","value":{"stringValue":"postgresql"}}]}]}]}]}`,
		number, number, name, end.Add(-took).UnixNano(), end.UnixNano(), code)
	r, err := http.Post(c.takes+"/v1/traces", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	answer, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	_ = r.Body.Close()
	require.Equal(t, http.StatusOK, r.StatusCode, string(answer))
}

// metric is the value of the first series of a metric with these labels that is served
// there, 0 for none.
func metric(t *testing.T, address, name string, labels ...string) float64 {
	t.Helper()
	r, err := http.Get(address + "/metrics")
	require.NoError(t, err)
	defer r.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	for line := range strings.Lines(string(body)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		other := func(label string) bool { return !strings.Contains(series, label) }
		if !strings.HasPrefix(series, name+"{") || slices.ContainsFunc(labels, other) {
			continue
		}
		value, _, _ = strings.Cut(value, " ")
		n, err := strconv.ParseFloat(value, 64)
		require.NoError(t, err, line)
		return n
	}
	return 0
}

// calls is how many spans of that name the Collector has counted for Prometheus.
func (c *collector) calls(t *testing.T, name string) int {
	t.Helper()
	return int(metric(t, c.serves, "span_calls_total", `span_name="`+name+`"`, `db_system_name="postgresql"`))
}

// TestFailedAndSlowTracesAreKept: with no share of the others, a real Collector passes on the
// traces that somebody will ask for, and counts the spans of each.
func TestFailedAndSlowTracesAreKept(t *testing.T) {
	c := startCollector(t, map[string]string{
		"tracesBackend": "local", "edgeTraceSampling": "1", "tracesTailSampling": "0", "tracesSlowMilliseconds": "300",
	})
	for i := range 20 {
		c.span(t, 100+i, "ordinary", 299*time.Millisecond, false)
	}
	c.span(t, 1, "failed", time.Millisecond, true)
	c.span(t, 2, "slow", 301*time.Millisecond, false)
	nginxtest.Eventually(t, "the failed and the slow one are kept", func() bool { return c.kept("failed") && c.kept("slow") })
	nginxtest.Eventually(t, "all are counted", func() bool { return c.calls(t, "ordinary") == 20 && c.calls(t, "failed") == 1 })
	assert.False(t, c.kept("ordinary"), "nobody would ask for it")
}

// Who decides about traces has answered for them long before: what then finds the queue full is
// told by a counter alone, which TelemetryLost asks for.
func TestSpansThatFindTheQueueFullAreCounted(t *testing.T) {
	s := map[string]string{"tracesBackend": "local", "edgeTraceSampling": "1", "tracesTailSampling": "0"}
	c := startCollector(t, s, "queue_size: ", "queue_size: 1 # instead of ")
	c.span(t, 1, "failed", time.Millisecond, true)
	nginxtest.Eventually(t, "it is counted as lost", func() bool {
		return metric(t, c.own, "otelcol_exporter_enqueue_failed_spans", `exporter="otlp_http/traces"`) == 1
	})
	assert.False(t, c.kept("failed"))
	assert.Zero(t, metric(t, c.own, "otelcol_receiver_refused_spans"), "its sender was not told")
}

// With every share nothing waits: what comes is passed on at once.
func TestEveryTraceIsKeptByDefault(t *testing.T) {
	c := startCollector(t, map[string]string{"tracesBackend": "local", "edgeTraceSampling": "1"})
	c.span(t, 1, "ordinary", time.Millisecond, false)
	nginxtest.Eventually(t, "it is kept", func() bool { return c.kept("ordinary") })
	nginxtest.Eventually(t, "it is counted", func() bool { return c.calls(t, "ordinary") == 1 })
}
