package rules_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	edge "github.com/alphapulse/alphapulse-infra/components/ingress/observe"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	monitoring "github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// dashboard is the part of Grafana's model that the tests look at.
type dashboard struct {
	Title         string
	UID           string
	SchemaVersion int
	Panels        []panel
	Annotations   struct {
		List []struct {
			Name, Expr, TagKeys string
			Enable              bool
			Datasource          *datasource
		}
	}
}

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource *datasource
	GridPos    struct{ X, Y, W, H int }
	Targets    []struct {
		RefID      string
		Expr       string
		Exemplar   bool
		Datasource *datasource
	}
	Panels []panel
}

type datasource struct{ Type, UID string }

// The data sources that panels ask.
var (
	ofSeries = datasource{"prometheus", board.Datasource}
	ofLines  = datasource{board.LinesKind, board.LinesDatasource}
	ofTraces = datasource{board.TracesDatasource, board.TracesDatasource}
)

// allPanels lists the panels, those in rows included.
func (d dashboard) allPanels() []panel {
	var all []panel
	for _, p := range d.Panels {
		all = append(append(all, p), p.Panels...)
	}
	return all
}

func loadDashboards(t *testing.T, c composition) map[string]dashboard {
	t.Helper()
	files, err := board.Files(c.panels(), monitoring.Marks(c.monitoring)...)
	if err != nil {
		t.Fatal(err)
	}
	loaded := map[string]dashboard{}
	for name, content := range files {
		var d dashboard
		if err := json.Unmarshal([]byte(content), &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		loaded[name] = d
	}
	return loaded
}

func TestDashboardsLoad(t *testing.T) {
	// Kinds of panels that every Grafana has.
	builtIn := []string{"row", "stat", "timeseries", "table", "logs", "nodeGraph"}
	loaded := loadDashboards(t, watched)
	titles := map[string]bool{}
	uids := map[string]bool{}
	for name, d := range loaded {
		// A file of the form {"dashboard": …}, as the API takes it, has no title at
		// the top: Grafana refuses to load it.
		if d.Title == "" || d.UID == "" || d.SchemaVersion == 0 || len(d.Panels) == 0 {
			t.Errorf("%s: title %q, uid %q, schema version %d, %d panels", name, d.Title, d.UID, d.SchemaVersion, len(d.Panels))
		}
		titles[d.Title] = true
		if uids[d.UID] {
			t.Errorf("%s: the uid %s is another dashboard's", name, d.UID)
		}
		uids[d.UID] = true
		for _, p := range d.allPanels() {
			if !slices.Contains(builtIn, p.Type) {
				t.Errorf("%s, %s: a panel of kind %q needs a plugin", name, p.Title, p.Type)
			}
			if p.Type == "row" {
				continue
			}
			if len(p.Targets) == 0 || p.Title == "" {
				t.Errorf("%s, %q: %d queries", name, p.Title, len(p.Targets))
			}
			if p.Datasource == nil || !slices.Contains([]datasource{ofSeries, ofLines, ofTraces}, *p.Datasource) {
				t.Fatalf("%s, %s: datasource %+v", name, p.Title, p.Datasource)
			}
			refs := map[string]bool{}
			for _, q := range p.Targets {
				if q.Datasource == nil || *q.Datasource != *p.Datasource || refs[q.RefID] {
					t.Errorf("%s, %s: query %s of datasource %+v", name, p.Title, q.RefID, q.Datasource)
				}
				refs[q.RefID] = true
			}
		}
	}
	for _, want := range []string{"AlphaPulse Overview", "AlphaPulse Trading", "AlphaPulse Infrastructure", "AlphaPulse Data", "AlphaPulse Edge", "AlphaPulse Platform"} {
		if !titles[want] {
			t.Errorf("no dashboard is called %q", want)
		}
	}
	if _, ok := loaded[board.Overview.File]; !ok {
		t.Errorf("there is no %s, which Grafana opens with", board.Overview.File)
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	for name, d := range loadDashboards(t, watched) {
		taken := map[[2]int]string{}
		for _, p := range d.allPanels() {
			g := p.GridPos
			if g.W == 0 || g.H == 0 || g.X+g.W > 24 {
				t.Errorf("%s, %s: at %+v, outside of the grid", name, p.Title, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					cell := [2]int{x, y}
					if other, ok := taken[cell]; ok {
						t.Fatalf("%s: %q lies upon %q at %v", name, p.Title, other, cell)
					}
					taken[cell] = p.Title
				}
			}
		}
	}
}

func TestDashboardsOfABareBuildLoad(t *testing.T) {
	for name, d := range loadDashboards(t, bare) {
		for _, p := range d.allPanels() {
			if p.Datasource != nil && *p.Datasource == ofLines {
				t.Errorf("%s, %s asks for log lines, which nobody keeps", name, p.Title)
			}
			for _, q := range p.Targets {
				if strings.Contains(q.Expr, `job=""`) {
					t.Errorf("%s, %s asks for nobody's series: %s", name, p.Title, q.Expr)
				}
			}
		}
	}
}

// A room that is not there takes its panels along: no dashboard and no row is empty.
func TestNothingEmptyIsShown(t *testing.T) {
	noEngine := watched
	noEngine.backend.Engine = ""
	logsAway := watched
	logsAway.telemetry.Traces, logsAway.telemetry.Decided, logsAway.telemetry.LogStore, logsAway.telemetry.TraceStore = false, false, "", ""
	for name, c := range map[string]struct {
		composition
		dashboards []string
	}{
		"everything":     {watched, []string{"data.json", "edge.json", "infrastructure.json", "overview.json", "platform.json", "telemetry.json", "trading.json"}},
		"no engine":      {noEngine, []string{"data.json", "edge.json", "infrastructure.json", "overview.json", "platform.json", "telemetry.json"}},
		"logs sent away": {logsAway, []string{"data.json", "edge.json", "infrastructure.json", "overview.json", "platform.json", "telemetry.json", "trading.json"}},
		"bare":           {bare, []string{"infrastructure.json", "overview.json", "platform.json"}},
		"a Docker host":  {onDockerHost, []string{"data.json", "edge.json", "infrastructure.json", "overview.json", "telemetry.json", "trading.json"}},
	} {
		loaded := loadDashboards(t, c.composition)
		if got := slices.Sorted(maps.Keys(loaded)); !slices.Equal(got, c.dashboards) {
			t.Errorf("%s: dashboards %v, want %v", name, got, c.dashboards)
		}
		for file, d := range loaded {
			for i, p := range d.Panels {
				if p.Type == "row" && len(p.Panels) == 0 && (i+1 == len(d.Panels) || d.Panels[i+1].Type == "row") {
					t.Errorf("%s, %s: the row %q is empty", name, file, p.Title)
				}
			}
		}
	}
}

// A Docker host has no members, no poolers, and no agent that asks TimescaleDB: neither rows nor
// alerts about them.
func TestWhatIsShownOfTheDatabase(t *testing.T) {
	one := watched
	one.database.Members = one.database.Members[:1]
	for name, c := range map[string]struct {
		composition
		rows, members, alerts string
	}{
		"members":       {watched, "Members Database Pooler TimescaleDB Backup", "Who takes writes, Timeline, Behind the primary, Standbys that stream", "DatabasePoolerWaiting DatabaseJobsFailing"},
		"one member":    {one, "Members Database Pooler TimescaleDB Backup", "Who takes writes, Timeline", "DatabasePoolerWaiting DatabaseJobsFailing"},
		"a Docker host": {onDockerHost, "Database Backup", "", ""},
	} {
		var rows, members, alerts []string
		for _, p := range loadDashboards(t, c.composition)[board.Data.File].allPanels() {
			if p.Type == "row" {
				rows = append(rows, p.Title)
			} else if rows[len(rows)-1] == "Members" {
				members = append(members, p.Title)
			}
		}
		for _, g := range c.groups() {
			for _, r := range g.Rules {
				if r.Alert == "DatabasePoolerWaiting" || r.Alert == "DatabaseJobsFailing" {
					alerts = append(alerts, r.Alert)
				}
			}
		}
		if strings.Join(rows, " ") != c.rows || strings.Join(members, ", ") != c.members || strings.Join(alerts, " ") != c.alerts {
			t.Errorf("%s: rows %q, of members %q, alerts %q", name, rows, members, alerts)
		}
	}
}

// What the kubelets tell is shown where they may be asked, and nothing of it where not: a
// panel without data would look like a container without load.
func TestWhatContainersTakeIsShownWhereItIsTold(t *testing.T) {
	rows := func(c composition) (titles []string, asks int) {
		for _, d := range loadDashboards(t, c) {
			for _, p := range d.allPanels() {
				if p.Type == "row" && d.UID == monitoring.Platform.UID {
					titles = append(titles, p.Title)
				}
				for _, q := range p.Targets {
					if strings.Contains(q.Expr, "container_cpu") || strings.Contains(q.Expr, "container_memory") || strings.Contains(q.Expr, "container_network") {
						asks++
					}
				}
			}
		}
		return titles, asks
	}
	if titles, asks := rows(watched); !slices.Equal(titles, []string{"Rollouts", "Autoscaler", "Quota", "CPU", "Memory", "Network"}) || asks != 7 {
		t.Errorf("rows %q with %d queries of what containers take", titles, asks)
	}
	hidden := watched
	hidden.monitoring.Containers = false
	if titles, asks := rows(hidden); !slices.Equal(titles, []string{"Rollouts", "Autoscaler", "Quota"}) || asks != 0 {
		t.Errorf("without: rows %q with %d queries of what containers take", titles, asks)
	}
}

// lined is a panel with a limit, as an alert has it.
type lined struct {
	dashboard, panel, unit string
	at                     float64
	// alert and says are whose limit it is, and how its expression ends or goes on with it.
	alert, says string
	// query draws it; "" for the panel's own line.
	query string
}

// The line of a panel is where its alert begins, with limits that somebody has set, too.
func TestLinesAreThoseOfTheAlerts(t *testing.T) {
	strict := watched
	strict.monitoring.Limits = monitoring.Limits{Throttled: 0.07, Volumes: 0.88, Quota: 0.77}
	strict.edge.Limits = edge.Limits{Errors: 0.02, Slow: 0.03, Limited: 0.04, Avoided: 0.06, Handshakes: 0.08}
	strict.edge.ExpiryWarningDays = 9
	strict.cache.Limits.HitRatio = 0.61
	strict.database.Limits.Connections, strict.database.Limits.LagSeconds, strict.database.Limits.PoolerWaitSeconds = 0.62, 63, 64
	strict.backend.Trading.Accuracy = 0.65
	strict.backend.Objectives.ErrorBudget, strict.backend.Objectives.Latency = 0.011, 0.25
	files, err := board.Files(strict.panels())
	if err != nil {
		t.Fatal(err)
	}
	alerts := map[string]string{}
	for _, g := range strict.groups() {
		for _, r := range g.Rules {
			alerts[r.Alert] += r.Expr + "\n"
		}
	}
	for _, l := range []lined{
		{"platform.json", "Throttled", "percentunit", 0.07, "ContainerThrottled", "> 300) > 0.07\n", ""},
		{"platform.json", "Quota used", "percentunit", 0.77, "QuotaNearlyUsed", "> 0.77 unless", ""},
		{"platform.json", "Pods missing", "short", 1, "ReplicasMissing", "kube_deployment_status_replicas_available > 0", ""},
		{"infrastructure.json", "Volumes", "percentunit", 0.88, "VolumeFilling", "> 0.88", ""},
		{"infrastructure.json", "Hit ratio", "percentunit", 0.61, "CacheHitRatioLow", "< 0.61\n", ""},
		{"infrastructure.json", "Memory", "bytes", 0, "CacheMemoryFull", "(redis_memory_max_bytes{job=\"cache\"} > 0) > 0.9", `redis_memory_max_bytes{job="cache"} * 0.9`},
		{"infrastructure.json", "Clients", "short", 0, "CacheClientsHigh", "> 0.8\n", `redis_max_clients{job="cache"} * 0.8`},
		{"infrastructure.json", "Certificate's end", "s", 9 * 24 * 3600, "CertificateExpiring", "< 777600\n", ""},
		{"data.json", "Connections", "short", 0, "DatabaseConnectionsHigh", "> 0.62\n", `max(pg_settings_max_connections{job="database"}) * 0.62`},
		{"data.json", "Reads served from memory", "percentunit", 0.9, "DatabaseReadsFromDisk", "< 0.9\n", ""},
		{"data.json", "Behind the primary", "s", 63, "DatabaseReplicationLag", "> 63", ""},
		{"data.json", "Longest wait", "s", 64, "DatabasePoolerWaiting", "> 64\n", ""},
		{"data.json", "Newest backup", "s", 7 * 3600, "BackupOverdue", "> 25200\n", ""},
		{"data.json", "Last proof that one can be restored", "s", 25 * 3600, "BackupProofOverdue", "> 90000\n", ""},
		{"trading.json", "Accuracy over an hour", "percentunit", 0.65, "SignalAccuracyLow", "< 0.65\n", ""},
		{"trading.json", "Age of market data", "s", 60, "EngineStalled", "> 60\n", ""},
		{"overview.json", "API errors", "percentunit", 0.011, "APIErrorBudgetBurn", "> 0.1584", ""}, // 14.4 times the budget
		{"edge.json", "Failed", "percentunit", 0.02, "EdgeErrorBudgetBurn", "> 0.288", ""},
		{"edge.json", "Slow", "percentunit", 0.03, "EdgeLatencyBudgetBurn", "> 0.432", ""},
		{"edge.json", "Over a limit", "percentunit", 0.04, "EdgeRequestsLimited", "> 0.04 and", ""},
		{"edge.json", "A second pod had to be asked", "percentunit", 0.06, "EdgePodsAvoided", "> 0.06\n", ""},
		{"edge.json", "Share of TLS handshakes that failed", "percentunit", 0.08, "EdgeTlsFailures", "> 0.08 and", ""},
		{"telemetry.json", "Queue", "percentunit", 0.5, "TelemetryQueueFilling", "> 0.5\n", ""},
	} {
		l.check(t, files[l.dashboard], alerts[l.alert])
	}
}

func (l lined) check(t *testing.T, dashboard, alert string) {
	t.Helper()
	var d struct {
		Panels []struct {
			Title       string
			Targets     []struct{ Expr string }
			FieldConfig struct {
				Defaults struct {
					Unit       string
					Thresholds struct{ Steps []struct{ Value *float64 } }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(dashboard), &d); err != nil {
		t.Fatalf("%s: %v", l.dashboard, err)
	}
	if !strings.Contains(alert, l.says) {
		t.Errorf("%s has no %q: %s", l.alert, l.says, alert)
	}
	for _, p := range d.Panels {
		if p.Title != l.panel {
			continue
		}
		steps := p.FieldConfig.Defaults.Thresholds.Steps
		drawn := len(steps) == 2 && steps[1].Value != nil && *steps[1].Value == l.at
		for _, q := range p.Targets {
			drawn = drawn || l.query != "" && q.Expr == l.query
		}
		if drawn && p.FieldConfig.Defaults.Unit == l.unit {
			return
		}
		t.Errorf("%s: %+v %v, want a line at %g %s %s", l.panel, p.FieldConfig.Defaults, p.Targets, l.at, l.unit, l.query)
		return
	}
	t.Errorf("%s has no panel %q", l.dashboard, l.panel)
}

// A panel of log lines is there where Grafana can ask for them: a store alone is not enough.
func TestLinesAreShownWhereTheyCanBeAskedFor(t *testing.T) {
	asking := func(c composition) (rows, panels int) {
		for _, p := range loadDashboards(t, c)["telemetry.json"].Panels {
			if p.Type == "row" && p.Title == "Lines" {
				rows++
			}
			if p.Datasource != nil && *p.Datasource == ofLines {
				panels++
			}
		}
		return rows, panels
	}
	if rows, panels := asking(watched); rows != 1 || panels != 3 {
		t.Errorf("%d rows with %d panels of log lines, want one with three", rows, panels)
	}
	hidden := watched
	hidden.telemetry.LinesShown = false
	if rows, panels := asking(hidden); rows+panels != 0 {
		t.Errorf("%d rows and %d panels ask a data source that there is none of", rows, panels)
	}
}

// What has changed stands beside what it did, where Kubernetes tells of it.
func TestRolloutsAreMarked(t *testing.T) {
	for file, d := range loadDashboards(t, watched) {
		if len(d.Annotations.List) != 1 {
			t.Fatalf("%s: %d marks, want that of rollouts", file, len(d.Annotations.List))
		}
		if m := d.Annotations.List[0]; m.Datasource == nil || m.Datasource.UID != board.Datasource || !m.Enable || m.TagKeys != "deployment,statefulset" {
			t.Errorf("%s: %+v", file, m)
		}
	}
	for file, d := range loadDashboards(t, onDockerHost) {
		if len(d.Annotations.List) != 0 {
			t.Errorf("%s: nothing tells of rollouts there, and %+v asks", file, d.Annotations.List)
		}
	}
}

// sources is a file of data sources, as far as the tests look at it.
type sources struct {
	Datasources []struct {
		UID, URL, Type, Access string
		IsDefault              bool `yaml:"isDefault"`
		JSONData               struct {
			Examples []struct {
				Name string
				UID  string `yaml:"datasourceUid"`
			} `yaml:"exemplarTraceIdDestinations"`
			ToLogs *struct {
				UID    string `yaml:"datasourceUid"`
				Custom bool   `yaml:"customQuery"`
				Query  string
				Start  string `yaml:"spanStartTimeShift"`
				End    string `yaml:"spanEndTimeShift"`
			} `yaml:"tracesToLogsV2"`
			Derived []struct {
				Name, URL   string
				UID         string `yaml:"datasourceUid"`
				MatcherType string `yaml:"matcherType"`
				Field       string `yaml:"matcherRegex"`
			} `yaml:"derivedFields"`
			Levels []struct{ Field, Value, Level string } `yaml:"logLevelRules"`
			Pages  string                                 `yaml:"vmuiUrl"`
		} `yaml:"jsonData"`
	}
}

// From an observation to its trace, from the trace to its lines, and from a line to its trace:
// each where both ends are.
func TestSourcesLeadToEachOther(t *testing.T) {
	const (
		traces, logs = "http://telemetry-traces:16686/jaeger", "http://telemetry-logs:9428/logs"
		pages        = "https://monitoring.example.com/logs"
	)
	for name, c := range map[string]struct {
		config.Grafana
		kinds []string
	}{
		"all":         {config.Grafana{TracesURL: traces, LogsURL: logs, LogsPages: pages}, []string{"prometheus", "jaeger", board.LinesKind}},
		"logs alone":  {config.Grafana{LogsURL: logs}, []string{"prometheus", board.LinesKind}},
		"traces only": {config.Grafana{TracesURL: traces}, []string{"prometheus", "jaeger"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.PrometheusURL = "http://monitoring-prometheus:9090/prometheus"
			var s sources
			decode(t, c.Datasources, &s)
			var kinds []string
			for _, d := range s.Datasources {
				kinds = append(kinds, d.Type)
				if d.Access != "proxy" || d.IsDefault != (d.Type == "prometheus") {
					t.Errorf("%+v", d)
				}
			}
			if !slices.Equal(kinds, c.kinds) {
				t.Fatalf("data sources %v, want %v", kinds, c.kinds)
			}
			for _, d := range s.Datasources {
				j := d.JSONData
				switch d.Type {
				case "prometheus":
					if (len(j.Examples) == 1) != (c.TracesURL != "") || len(j.Examples) == 1 && (j.Examples[0].Name != "trace_id" || j.Examples[0].UID != "jaeger") {
						t.Errorf("observations lead to %+v", j.Examples)
					}
				case "jaeger":
					if d.URL != traces || (j.ToLogs != nil) != (c.LogsURL != "") {
						t.Errorf("%+v", d)
					}
					// Grafana makes one $ of two, and has variables of its own left.
					if to := j.ToLogs; to != nil && (to.UID != board.LinesDatasource || !to.Custom || to.Query != `trace_id:="$${__trace.traceId}"` || to.Start != "-5m" || to.End != "5m") {
						t.Errorf("a trace leads to %+v", *to)
					}
				case board.LinesKind:
					if d.UID != board.LinesDatasource || d.URL != logs || len(j.Levels) != 6 || (len(j.Derived) == 1) != (c.TracesURL != "") {
						t.Errorf("%+v", d)
					}
					if len(j.Derived) == 1 && (j.Derived[0].UID != "jaeger" || j.Derived[0].MatcherType != "label" || j.Derived[0].Field != "trace_id" || j.Derived[0].URL != "$${__value.raw}") {
						t.Errorf("a line leads to %+v", j.Derived[0])
					}
					if want := map[bool]string{true: pages + "/select/vmui"}[c.LogsPages != ""]; j.Pages != want {
						t.Errorf("its own pages are at %q, want %q", j.Pages, want)
					}
				}
			}
		})
	}
}

// Single observations are shown of histograms.
func TestPanelsShowSingleObservations(t *testing.T) {
	asked := 0
	for _, d := range loadDashboards(t, watched) {
		for _, p := range d.allPanels() {
			for _, q := range p.Targets {
				if q.Exemplar && !strings.Contains(q.Expr, "_bucket") {
					t.Errorf("%s: only histograms have observations: %s", p.Title, q.Expr)
				}
				if q.Exemplar {
					asked++
				}
			}
		}
	}
	if asked < 2 {
		t.Errorf("%d panels show single observations, want those of the API and of spans", asked)
	}
}

func TestGrafanaProvisioning(t *testing.T) {
	g := config.Grafana{PrometheusURL: "http://monitoring-prometheus:9090/prometheus", DashboardsPath: "/etc/grafana/dashboards"}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			UID, URL, Type, Access string
			IsDefault              bool `yaml:"isDefault"`
		}
	}
	decode(t, g.Datasources, &sources)
	if sources.APIVersion != 1 || len(sources.Datasources) != 1 {
		t.Fatalf("%+v, want one datasource", sources)
	}
	if d := sources.Datasources[0]; d.UID != board.Datasource || d.URL != g.PrometheusURL || d.Type != "prometheus" || d.Access != "proxy" || !d.IsDefault {
		t.Errorf("datasource %+v", d)
	}
	var providers struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Type    string
			Options struct{ Path string }
		}
	}
	decode(t, g.Providers, &providers)
	if providers.APIVersion != 1 || len(providers.Providers) != 1 {
		t.Fatalf("%+v, want one provider", providers)
	}
	if p := providers.Providers[0]; p.Type != "file" || p.Options.Path != g.DashboardsPath {
		t.Errorf("provider %+v", p)
	}
}

func decode(t *testing.T, render func() (string, error), into any) {
	t.Helper()
	rendered, err := render()
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(rendered), into); err != nil {
		t.Fatal(fmt.Errorf("%w\n%s", err, rendered))
	}
}
