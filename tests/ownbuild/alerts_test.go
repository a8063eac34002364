package ownbuild

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/alphapulse/alphapulse-infra/tests/processes"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The minutes that are scraped, and the requests in each of them.
const (
	minutes   = 8
	perMinute = 60
)

// samples are the values of each series, one a minute; "_" is none.
type samples map[string][]string

// scrape adds the minute's samples of what a build serves, with the labels that Prometheus
// gives to a pod.
func (s samples) scrape(minute int, page string) {
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		end := strings.LastIndexByte(line, ' ')
		if end < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		name, labels, _ := strings.Cut(strings.TrimSuffix(line[:end], "}"), "{")
		series := name + `{job="backend",pod="a"`
		if labels != "" {
			series += "," + labels
		}
		series += "}"
		for len(s[series]) < minute {
			s[series] = append(s[series], "_")
		}
		s[series] = append(s[series], line[end+1:])
	}
	s[`up{job="backend",pod="a"}`] = append(s[`up{job="backend",pod="a"}`], "1")
}

// measured lets the build answer the minute's requests and is scraped after each.
func measured(t *testing.T, s stack, paths func(i int) string) samples {
	t.Helper()
	address := startPodinfo(t, s.environment(t))
	annotations := s.backend.Spec.Template.Annotations
	require.Equal(t, "true", annotations["prometheus.io/scrape"])
	require.Equal(t, "9898", annotations["prometheus.io/port"])
	all := samples{}
	for minute := range minutes {
		var wait sync.WaitGroup
		for i := range perMinute {
			for _, path := range []string{paths(i), "/healthz", "/readyz"} {
				wait.Go(func() {
					r, err := http.Get("http://" + address.String() + path)
					if assert.NoError(t, err) {
						_ = r.Body.Close()
					}
				})
			}
		}
		wait.Wait()
		_, page := get(t, http.DefaultClient, "http://"+address.String()+annotations["prometheus.io/path"])
		all.scrape(minute, page)
	}
	return all
}

var promtoolPath = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("PROMTOOL"); path != "" {
		return path, nil
	}
	return processes.Built("tests/rules", "promtool", "github.com/prometheus/prometheus/cmd/promtool", "-tags=remove_all_sd,enable_kubernetes_sd")
})

// query is a test of an expression in promtool's format.
type query struct {
	Expr     string   `yaml:"expr"`
	EvalTime string   `yaml:"eval_time"`
	Samples  []sample `yaml:"exp_samples"`
}

type sample struct {
	Labels string  `yaml:"labels"`
	Value  float64 `yaml:"value"`
}

// holds lets promtool evaluate the stack's rules on what was scraped and compare the
// results at the last minute: the alerts on the API that fire, by their severity, and the
// shares of its requests that failed and that were slow, which may be unknown.
func holds(t *testing.T, s stack, scraped samples, failed float64, slow []sample, firing ...string) {
	t.Helper()
	at := fmt.Sprintf("%dm", minutes-1)
	alerts := query{Expr: `count by (alertname, severity) (ALERTS{alertname=~"API.*",alertstate="firing"})`, EvalTime: at, Samples: []sample{}}
	for _, name := range firing {
		alerts.Samples = append(alerts.Samples, sample{name, 1})
	}
	queries := []query{alerts,
		{`round(alphapulse:api_errors:ratio_rate5m, 0.01)`, at, []sample{{"{}", failed}}},
		{`round(alphapulse:api_slow:ratio_rate5m, 0.01)`, at, slow},
		{`round(alphapulse:api_requests:rate5m * 60)`, at, []sample{{"{}", perMinute}}},
	}
	type series struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	}
	var input []series
	for _, name := range slices.Sorted(maps.Keys(scraped)) {
		input = append(input, series{name, strings.Join(scraped[name], " ")})
	}
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	file, err := yaml.Marshal(map[string]any{
		"rule_files": []string{write("rules.yml", []byte(s.file(t, "rules.yml")))}, "evaluation_interval": "1m",
		"tests": []any{map[string]any{"interval": "1m", "input_series": input, "promql_expr_test": queries}},
	})
	require.NoError(t, err)
	promtool, err := promtoolPath()
	require.NoError(t, err)
	out, err := exec.Command(promtool, "test", "rules", write("test.yml", file)).CombinedOutput()
	assert.NoError(t, err, string(out))
}

// TestAlertsOnPodinfo: the objectives judge what podinfo really serves, and users'
// requests alone, of which there are as many as probes of either kind.
func TestAlertsOnPodinfo(t *testing.T) {
	s := rendered(t)
	for _, c := range []struct {
		name         string
		paths        func(i int) string
		failed, slow float64
		firing       []string
	}{
		{"it answers at once", func(int) string { return "/api/info" }, 0, 0, nil},
		{"it fails two of five", func(i int) string { return []string{"/api/info", "/status/500"}[min(1, i%5/3)] }, 0.4, 0,
			[]string{`{alertname="APIErrorBudgetBurn", severity="critical"}`}},
		{"it is slow", func(int) string { return "/delay/1" }, 0, 1,
			[]string{`{alertname="APILatencyBudgetBurn", severity="critical"}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			holds(t, s, measured(t, s, c.paths), c.failed, []sample{{"{}", c.slow}}, c.firing...)
		})
	}
}

// TestABuildThatCannotBeMeasured says so: podinfo without the buckets near the objective.
func TestABuildThatCannotBeMeasured(t *testing.T) {
	s := rendered(t)
	scraped := measured(t, s, func(int) string { return "/api/info" })
	for _, le := range []string{"0.25", "0.5"} {
		n := len(scraped)
		maps.DeleteFunc(scraped, func(series string, _ []string) bool { return strings.Contains(series, `le="`+le+`"`) })
		require.Less(t, len(scraped), n, "a bucket of %s", le)
	}
	holds(t, s, scraped, 0, nil, `{alertname="APILatencyUnmeasured", severity="warning"}`)
}
