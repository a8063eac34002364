package rules_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	backend "github.com/alphapulse/alphapulse-infra/components/backend/observe"
	backup "github.com/alphapulse/alphapulse-infra/components/backup/observe"
	cache "github.com/alphapulse/alphapulse-infra/components/cache/observe"
	database "github.com/alphapulse/alphapulse-infra/components/database/observe"
	edge "github.com/alphapulse/alphapulse-infra/components/ingress/observe"
	monitoring "github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
	telemetry "github.com/alphapulse/alphapulse-infra/components/telemetry/observe"
)

// composition is a stack; a room without a job is not there.
type composition struct {
	database   database.Watched
	backup     backup.Watched
	cache      cache.Watched
	edge       edge.Watched
	backend    backend.Watched
	telemetry  telemetry.Watched
	monitoring monitoring.Watched
}

// The names are those of the stacks, which their own tests hold to the rules.
var watched = composition{
	database: database.Watched{Job: "database", Pooler: "database-pooler", Members: []database.Member{
		{Pod: "database-0", Claim: "database"}, {Pod: "database-1", Claim: "database-b"}, {Pod: "database-2", Claim: "database-c"},
	}},
	backup: backup.Watched{Name: "backup", Database: "database", Store: "backup-store", Between: 6 * time.Hour, Proofs: 24 * time.Hour,
		QueueMax: 1 << 30, LogSize: 256 << 20},
	cache:   cache.Watched{Job: "cache", Claim: "cache"},
	edge:    edge.Watched{Job: "edge", ExpiryWarningDays: 21, Latency: 0.5, Handshakes: true},
	backend: backend.Watched{API: "backend", Engine: "backend-engine", HTTP: backend.HTTP{Excluded: []string{"/health", "/ready", "/metrics"}}},
	telemetry: telemetry.Watched{
		Collector: "telemetry-collector", LogLines: true, Traces: true, Decided: true, LogStore: "telemetry-logs", TraceStore: "telemetry-traces", Bounded: true, LinesShown: true,
	},
	monitoring: monitoring.Watched{
		Prometheus: "monitoring-prometheus", PrometheusClaim: "monitoring-prometheus",
		Alertmanager: "monitoring-alertmanager", AlertmanagerClaim: "monitoring-alertmanager",
		RemoteWrite: true, Containers: true, Name: "monitoring", Quota: "platform",
		Grafana: "monitoring-grafana", KubeStateMetrics: "monitoring-kube-state-metrics",
	},
}

// onDockerHost has no kube-state-metrics, so that nothing tells how large claims are.
var onDockerHost = func() composition {
	c := watched
	c.telemetry = telemetry.Watched{}
	c.monitoring.KubeStateMetrics, c.monitoring.Containers, c.cache.Claim = "", false, ""
	c.database.Members, c.database.Pooler = nil, ""
	c.backup.Host, c.backup.Store = true, ""
	return c
}()

// bare watches nothing but monitoring itself.
var bare = composition{monitoring: watched.monitoring}

func (c composition) groups() []rule.Group {
	var rooms []rule.Group
	if c.database.Job != "" {
		rooms = append(rooms, database.Alerts(c.database)...)
	}
	if c.backup.Name != "" {
		rooms = append(rooms, backup.Alerts(c.backup)...)
	}
	if c.cache.Job != "" {
		rooms = append(rooms, cache.Alerts(c.cache)...)
	}
	if c.edge.Job != "" {
		rooms = append(rooms, edge.Alerts(c.edge)...)
	}
	rooms = append(rooms, backend.Alerts(c.backend)...)
	if c.telemetry.Collector != "" {
		rooms = append(rooms, telemetry.Alerts(c.telemetry)...)
	}
	return monitoring.Rules(c.monitoring, rooms)
}

func (c composition) panels() []board.Contribution {
	var rooms []board.Contribution
	if c.database.Job != "" {
		rooms = append(rooms, database.Panels(c.database)...)
	}
	if c.backup.Name != "" {
		rooms = append(rooms, backup.Panels(c.backup)...)
	}
	if c.cache.Job != "" {
		rooms = append(rooms, cache.Panels(c.cache)...)
	}
	if c.edge.Job != "" {
		rooms = append(rooms, edge.Panels(c.edge)...)
	}
	rooms = append(rooms, backend.Panels(c.backend)...)
	if c.telemetry.Collector != "" {
		rooms = append(rooms, telemetry.Panels(c.telemetry)...)
	}
	return monitoring.Panels(c.monitoring, rooms)
}

// values are what is known only once resources exist.
func (c composition) values() rule.Values {
	v := rule.Values{DashboardsURL: dashboardsURL}
	if c.telemetry.LinesShown {
		v.LinesURL = linesURL
	}
	return v
}

// linesURL is an address of Grafana's with what an address of it has that a format could break.
func linesURL(workload string) string {
	return dashboardsURL + "/explore?schemaVersion=1&panes=%7B%22a%22%3A%22k8s.pod.name%3A~%5C%22%5E" + workload + "%24%5C%22%22%7D"
}

// render gives the rules file.
func (c composition) render(t *testing.T) string {
	t.Helper()
	rendered, err := rule.Render(c.groups(), c.values())
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// alertNames lists each alert once, in the order of the rules.
func alertNames() []string {
	var names []string
	seen := map[string]bool{}
	for _, g := range watched.groups() {
		for _, r := range g.Rules {
			if r.Alert != "" && !seen[r.Alert] {
				seen[r.Alert] = true
				names = append(names, r.Alert)
			}
		}
	}
	return names
}

// write puts a file into a folder of the test and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
