package lines

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// The parts of a stack's Grafana that ask for log lines.
const (
	store    = "http://telemetry-logs:9428"
	password = "of-the-test"
)

// stack is the Grafana of a stack whose logs VictoriaLogs keeps, and what it is told.
type stack struct {
	objects []recorder.Object
	grafana string
	logs    string
	// sources are its data sources, by their types.
	sources map[string]source
}

type source struct {
	Name, Type, URL string
	JSONData        map[string]any `yaml:"jsonData"`
}

// file is one of the stack's ConfigMaps.
func (s *stack) file(t *testing.T, object, name string) string {
	t.Helper()
	for _, m := range recorder.Of[*corev1.ConfigMap](s.objects) {
		if text, ok := m.Data[name]; ok && strings.HasPrefix(m.Name, object) {
			return text
		}
	}
	t.Fatalf("no %s of %s", name, object)
	return ""
}

func (s *stack) container(t *testing.T, of string) corev1.Container {
	t.Helper()
	for _, set := range recorder.Of[*appsv1.StatefulSet](s.objects) {
		if set.Name == of {
			return set.Spec.Template.Spec.Containers[0]
		}
	}
	t.Fatalf("no StatefulSet %s", of)
	return corev1.Container{}
}

// recorded is the stack dev with these settings, of which nothing runs yet.
func recorded(t *testing.T, settings map[string]string) *stack {
	t.Helper()
	recording, err := recorder.Stack("dev", settings)
	require.NoError(t, err)
	s := &stack{}
	s.objects, err = recording.Objects()
	require.NoError(t, err)
	return s
}

// keeping is one whose VictoriaLogs runs.
func keeping(t *testing.T) *stack {
	t.Helper()
	s := recorded(t, map[string]string{"logsBackend": "local"})
	s.startStore(t)
	return s
}

func start(t *testing.T) *stack {
	t.Helper()
	s := recorded(t, map[string]string{
		"logsBackend": "local", "tracesBackend": "local", "edgeTraceSampling": "0.05", "grafanaLogsPlugin": "/usr/share/grafana/plugins",
	})
	s.sources = map[string]source{}
	s.startStore(t)

	dir := t.TempDir()
	provisioned := s.file(t, "monitoring-grafana-provisioning", "datasources.yaml")
	require.Equal(t, 1, strings.Count(provisioned, store))
	var read struct{ Datasources []source }
	require.NoError(t, yaml.Unmarshal([]byte(provisioned), &read))
	for _, d := range read.Datasources {
		s.sources[d.Type] = d
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "datasources"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "datasources", "datasources.yaml"), []byte(strings.ReplaceAll(provisioned, store, s.logs)), 0o600))
	env := []string{"GF_SECURITY_ADMIN_PASSWORD=" + password}
	for _, e := range s.container(t, "monitoring-grafana").Env {
		if !strings.HasSuffix(e.Name, "__FILE") {
			env = append(env, e.Name+"="+e.Value)
		}
	}
	s.grafana = "http://" + processes.StartGrafana(t, dir, env...).String()
	return s
}

// startStore runs VictoriaLogs with the arguments of its pod.
func (s *stack) startStore(t *testing.T) {
	t.Helper()
	path, err := processes.Built("local/modules/victorialogs", "victoria-logs", "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs")
	require.NoError(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", nginxtest.FreePort(t))
	s.logs = "http://" + address
	adapt := strings.NewReplacer("/var/lib/telemetry", filepath.Join(t.TempDir(), "data"), "-httpListenAddr=:9428", "-httpListenAddr="+address)
	var args []string
	for _, a := range s.container(t, "telemetry-logs").Args {
		// A temporary folder may be on a disk that is nearly full.
		if !strings.HasPrefix(a, "-storage.minFreeDiskSpaceBytes") {
			args = append(args, adapt.Replace(a))
		}
	}
	processes.Start(t, exec.Command(path, append(args, "-storage.minFreeDiskSpaceBytes=1")...))
	processes.Answers(t, "VictoriaLogs is ready", s.logs+"/logs/health")
}

// get asks Grafana as its admin.
func (s *stack) get(t *testing.T, path string, query url.Values) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.grafana+path+"?"+query.Encode(), nil)
	require.NoError(t, err)
	req.SetBasicAuth("admin", password)
	r, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer r.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(body)
}

// ask asks VictoriaLogs through Grafana's data source.
func (s *stack) ask(t *testing.T, path string, query url.Values) string {
	t.Helper()
	status, body := s.get(t, "/api/datasources/name/VictoriaLogs", nil)
	require.Equal(t, http.StatusOK, status, body)
	var known struct {
		ID   int
		Type string
	}
	require.NoError(t, json.Unmarshal([]byte(body), &known))
	require.Equal(t, board.LinesKind, known.Type)
	status, body = s.get(t, fmt.Sprintf("/api/datasources/proxy/%d/%s", known.ID, path), query)
	require.Equal(t, http.StatusOK, status, "%s %s: %s", path, query, body)
	return body
}

// lines are the messages that a query in LogsQL finds.
func (s *stack) lines(t *testing.T, query string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(s.ask(t, "select/logsql/query", url.Values{"query": {query}, "limit": {"100"}})) {
		var found map[string]string
		require.NoError(t, json.Unmarshal([]byte(line), &found), line)
		all = append(all, found["_msg"])
	}
	slices.Sort(all)
	return all
}

// write puts lines into the store, and waits until they are found.
func (s *stack) write(t *testing.T, lines ...map[string]string) {
	t.Helper()
	var body strings.Builder
	for _, l := range lines {
		l["_time"] = time.Now().UTC().Format(time.RFC3339Nano)
		raw, err := json.Marshal(l)
		require.NoError(t, err)
		body.Write(append(raw, '\n'))
	}
	r, err := http.Post(s.logs+"/logs/insert/jsonline?_stream_fields=service.name", "application/stream+json", strings.NewReader(body.String()))
	require.NoError(t, err)
	_ = r.Body.Close()
	require.Equal(t, http.StatusOK, r.StatusCode)
	nginxtest.Eventually(t, "the lines are found", func() bool { all, _ := s.found(t, "*"); return len(all) == len(lines) })
}

// TestGrafanaAsksForLogLines: the data source of the stack is of a kind that Grafana 6.1, the
// newest that can be built here, forwards queries of. What it asks are the panels' queries and
// those that lead from a trace to its lines; the plugin itself, which shows what they find, is
// none that can be built here.
func TestGrafanaAsksForLogLines(t *testing.T) {
	s := start(t)
	const id, other = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b74bf92f3577b34da6"
	s.write(t,
		map[string]string{"_msg": "GET /api/symbols 500", "service.name": "alphapulse-edge", "severity_text": "ERROR", "trace_id": id},
		map[string]string{"_msg": "request", "service.name": "alphapulse-api", "severity_text": "DEBUG", "trace_id": id},
		map[string]string{"_msg": "slow", "service.name": "alphapulse-api", "severity_text": "WARN", "trace_id": other},
		map[string]string{"_msg": "checkpoint of " + id, "service.name": "alphapulse-database", "severity_text": "INFO"},
	)
	t.Run("of a trace", func(t *testing.T) {
		to := s.sources["jaeger"].JSONData["tracesToLogsV2"].(map[string]any)
		query := strings.ReplaceAll(to["query"].(string), "$${__trace.traceId}", id)
		assert.Equal(t, []string{"GET /api/symbols 500", "request"}, s.lines(t, query), query)
	})
	t.Run("of the panels", func(t *testing.T) {
		var page struct {
			Panels []struct {
				Title      string
				Datasource struct{ Type string }
				Targets    []struct{ Expr, QueryType string }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(s.file(t, "monitoring-grafana-dashboards", "telemetry.json")), &page))
		found := map[string]string{}
		for _, p := range page.Panels {
			if p.Datasource.Type != board.LinesKind {
				continue
			}
			for _, q := range p.Targets {
				path, more := "select/logsql/query", url.Values{"limit": {"200"}}
				if q.QueryType == "statsRange" {
					path, more = "select/logsql/stats_query_range", url.Values{"step": {"60s"}}
				}
				now := time.Now().Unix()
				more.Set("query", q.Expr)
				more.Set("start", fmt.Sprint(now-600))
				more.Set("end", fmt.Sprint(now+60))
				found[p.Title] += s.ask(t, path, more)
			}
		}
		require.Len(t, found, 3)
		for _, severity := range []string{"ERROR", "DEBUG", "WARN", "INFO"} {
			assert.Contains(t, found["Lines by severity"], `"severity_text":"`+severity+`"`)
		}
		assert.Contains(t, found["Warnings and errors by service"], `"service.name":"alphapulse-edge"`)
		assert.NotContains(t, found["Warnings and errors by service"], "alphapulse-database")
		assert.Equal(t, 2, strings.Count(found["Warnings and errors"], "\n"))
		assert.Contains(t, found["Warnings and errors"], "GET /api/symbols 500")
	})
	t.Run("by who has logged in", func(t *testing.T) {
		r, err := http.Get(s.grafana + "/api/datasources/proxy/1/select/logsql/query?query=*")
		require.NoError(t, err)
		_ = r.Body.Close()
		assert.Equal(t, http.StatusUnauthorized, r.StatusCode)
	})
}
