package lines

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// written are lines as the workloads of a stack write them, by the runbook whose query has to
// find them; what no query may find is of "".
var written = []struct {
	runbook string
	line    map[string]string
}{
	{"APIErrorBudgetBurn", map[string]string{"service.name": "alphapulse-api", "severity_text": "ERROR", "_msg": "request failed"}},
	{"APILatencyBudgetBurn", map[string]string{"service.name": "alphapulse-edge", "route": "api", "status": "200", "seconds": "0.3", "path": "/slow"}},
	{"BackupArchiveFailing", map[string]string{"k8s.pod.name": "database-g1-0", "k8s.container.name": "postgresql", "severity_text": "ERROR", "_msg": "archive-push: unable to reach it"}},
	{"CacheDown", map[string]string{"k8s.pod.name": "cache-0", "k8s.container.name": "redis", "severity_text": "WARN", "_msg": "no space left"}},
	{"DatabaseDeadlocks", map[string]string{"k8s.pod.name": "database-g1-1", "k8s.container.name": "postgresql", "severity_text": "INFO", "_msg": "ERROR: deadlock detected"}},
	{"DatabaseDown", map[string]string{"k8s.pod.name": "database-g1-0", "k8s.container.name": "postgresql", "severity_text": "FATAL", "_msg": "the database system is shutting down"}},
	{"EdgeErrorBudgetBurn", map[string]string{"service.name": "alphapulse-edge", "status": "503", "host": "api.example.com", "route": "api", "upstream_state": "unreached"}},
	{"EdgeLatencyBudgetBurn", map[string]string{"service.name": "alphapulse-edge", "status": "200", "seconds": "0.7", "path": "/slower"}},
	{"EdgeRequestsLimited", map[string]string{"service.name": "alphapulse-edge", "status": "429", "limited": "true", "client": "192.0.2.7", "route": "api"}},
	{"EngineCyclesFailing", map[string]string{"service.name": "alphapulse-engine", "severity_text": "WARN", "_msg": "cycle failed"}},
	{"", map[string]string{"service.name": "alphapulse-edge", "status": "200", "seconds": "0.1", "limited": "false", "route": "api", "severity_text": "INFO", "_msg": "in peace"}},
	{"", map[string]string{"service.name": "alphapulse-api", "severity_text": "INFO", "_msg": "in peace"}},
	{"", map[string]string{"service.name": "alphapulse-engine", "severity_text": "INFO", "_msg": "in peace"}},
	{"", map[string]string{"k8s.pod.name": "database-g1-0", "k8s.container.name": "postgresql", "severity_text": "INFO", "_msg": "archive in peace"}},
	{"", map[string]string{"k8s.pod.name": "cache-0", "k8s.container.name": "redis", "severity_text": "INFO", "_msg": "in peace"}},
}

// TestRunbooksFindTheirLines: what the runbooks ask is found by a real VictoriaLogs, and what
// was written in peace is not.
func TestRunbooksFindTheirLines(t *testing.T) {
	s := keeping(t)
	root, err := recorder.Root()
	require.NoError(t, err)
	queries, err := livetest.LogQueries(filepath.Join(root, "docs", "runbooks"))
	require.NoError(t, err)

	var lines []map[string]string
	asked := map[string]bool{}
	for _, w := range written {
		asked[w.runbook], w.line["of"] = true, "a "+w.runbook
		lines = append(lines, w.line)
	}
	s.write(t, lines...)
	for runbook, query := range queries {
		assert.True(t, asked[runbook], "%s: no line is written for its query", runbook)
		// What is counted or shortened is found by what selects it.
		selected, _, _ := strings.Cut(query, " | ")
		var of []string
		_, found := s.found(t, selected+" | fields of")
		for _, l := range found {
			of = append(of, l["of"])
		}
		assert.Contains(t, of, "a "+runbook, query)
		assert.NotContains(t, of, "a ", query)
		_, found = s.found(t, query)
		assert.NotEmpty(t, found, query)
	}
	for runbook := range asked {
		assert.True(t, runbook == "" || queries[runbook] != "", "docs/runbooks/%s.md asks for no line", runbook)
	}
}
