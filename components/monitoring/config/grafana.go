package config

import "github.com/alphapulse/alphapulse-infra/components/room/board"

// Grafana is what the provisioning files of Grafana depend on.
type Grafana struct {
	// PrometheusURL is where Grafana reaches Prometheus, path prefix included.
	PrometheusURL string
	// TracesURL is where Grafana reaches Jaeger, path prefix included; "" for nowhere.
	TracesURL string
	// LogsURL is where Grafana reaches VictoriaLogs, path prefix included; "" for nowhere.
	LogsURL string
	// LogsPages is where users reach VictoriaLogs' own pages, path prefix included; "" for
	// nowhere.
	LogsPages string
	// DashboardsPath is the folder of the dashboards in the container.
	DashboardsPath string
	// CustomPath is the folder of the user's own; "" for none.
	CustomPath string
}

// Datasources gives provisioning/datasources/*.yaml.
func (g Grafana) Datasources() (string, error) {
	metrics := datasource{
		Name:      "Prometheus",
		UID:       board.Datasource,
		Type:      "prometheus",
		Access:    "proxy",
		URL:       g.PrometheusURL,
		IsDefault: true,
		// Grafana derives $__rate_interval from the scrape interval.
		JSONData: map[string]any{"timeInterval": ScrapeInterval, "httpMethod": "POST"},
	}
	all := []*datasource{&metrics}
	traces := datasource{Name: "Jaeger", UID: board.TracesDatasource, Type: "jaeger", Access: "proxy", URL: g.TracesURL, JSONData: map[string]any{}}
	if g.TracesURL != "" {
		// From an observation to its trace.
		metrics.JSONData["exemplarTraceIdDestinations"] = []map[string]string{{"name": traceField, "datasourceUid": board.TracesDatasource}}
		all = append(all, &traces)
	}
	if g.LogsURL != "" {
		lines := g.lines()
		all = append(all, &lines)
		if g.TracesURL != "" {
			traces.JSONData["tracesToLogsV2"] = toLines
			lines.JSONData["derivedFields"] = toTrace
		}
	}
	return render(datasourceFile{APIVersion: 1, Datasources: all})
}

// traceField is what observations and log lines call the ID of their trace.
const traceField = "trace_id"

var (
	// toLines leads from a span to every line of its trace, whoever wrote it. Grafana takes
	// $${…} for a ${…} that is none of its environment's. A line may be written some time
	// before or after its span.
	toLines = map[string]any{
		"datasourceUid": board.LinesDatasource, "customQuery": true, "query": traceField + `:="$${__trace.traceId}"`,
		"spanStartTimeShift": "-5m", "spanEndTimeShift": "5m",
	}
	// toTrace leads from a line to its trace.
	toTrace = []map[string]string{{
		"name": traceField, "matcherType": "label", "matcherRegex": traceField,
		"datasourceUid": board.TracesDatasource, "url": "$${__value.raw}", "urlDisplayLabel": "Trace",
	}}
)

// lines is the data source for VictoriaLogs.
func (g Grafana) lines() datasource {
	var levels []map[string]any
	for _, l := range [][2]string{{"FATAL", "critical"}, {"ERROR", "error"}, {"WARN", "warning"}, {"INFO", "info"}, {"DEBUG", "debug"}, {"TRACE", "trace"}} {
		levels = append(levels, map[string]any{"field": "severity_text", "operator": "equals", "value": l[0], "level": l[1], "enabled": true})
	}
	d := datasource{
		Name: "VictoriaLogs", UID: board.LinesDatasource, Type: board.LinesKind, Access: "proxy", URL: g.LogsURL,
		JSONData: map[string]any{"maxLines": "1000", "logLevelRules": levels},
	}
	if g.LogsPages != "" {
		d.JSONData["vmuiUrl"] = g.LogsPages + "/select/vmui"
	}
	return d
}

// Providers gives provisioning/dashboards/*.yaml. Without a provider file Grafana
// looks at no dashboard file at all.
func (g Grafana) Providers() (string, error) {
	of := func(name, folder, path string) provider {
		return provider{Name: name, Folder: folder, Type: "file", DisableDeletion: true, Options: map[string]string{"path": path}}
	}
	file := providerFile{APIVersion: 1, Providers: []provider{of("alphapulse", "AlphaPulse", g.DashboardsPath)}}
	if g.CustomPath != "" {
		file.Providers = append(file.Providers, of("custom", "Custom", g.CustomPath))
	}
	return render(file)
}

type datasourceFile struct {
	APIVersion  int           `yaml:"apiVersion"`
	Datasources []*datasource `yaml:"datasources"`
}

type datasource struct {
	Name      string         `yaml:"name"`
	UID       string         `yaml:"uid"`
	Type      string         `yaml:"type"`
	Access    string         `yaml:"access"`
	URL       string         `yaml:"url"`
	IsDefault bool           `yaml:"isDefault"`
	Editable  bool           `yaml:"editable"`
	JSONData  map[string]any `yaml:"jsonData"`
}

type providerFile struct {
	APIVersion int        `yaml:"apiVersion"`
	Providers  []provider `yaml:"providers"`
}

type provider struct {
	Name            string            `yaml:"name"`
	Folder          string            `yaml:"folder"`
	Type            string            `yaml:"type"`
	DisableDeletion bool              `yaml:"disableDeletion"`
	AllowUIUpdates  bool              `yaml:"allowUiUpdates"`
	Options         map[string]string `yaml:"options"`
}
