package config

import "github.com/alphapulse/alphapulse-infra/components/room/board"

// Grafana is what the provisioning files of Grafana depend on.
type Grafana struct {
	// PrometheusURL is where Grafana reaches Prometheus, path prefix included.
	PrometheusURL string
	// TracesURL is where Grafana reaches Jaeger, path prefix included; "" for nowhere.
	TracesURL string
	// DashboardsPath is the folder of the dashboards in the container.
	DashboardsPath string
	// CustomPath is the folder of the user's own; "" for none.
	CustomPath string
}

// tracesDatasource is the uid of Jaeger's.
const tracesDatasource = "jaeger"

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
	if g.TracesURL == "" {
		return render(datasourceFile{APIVersion: 1, Datasources: []datasource{metrics}})
	}
	traces := datasource{Name: "Jaeger", UID: tracesDatasource, Type: "jaeger", Access: "proxy", URL: g.TracesURL, JSONData: map[string]any{}}
	// From an observation to its trace.
	metrics.JSONData["exemplarTraceIdDestinations"] = []map[string]string{{"name": "trace_id", "datasourceUid": tracesDatasource}}
	return render(datasourceFile{APIVersion: 1, Datasources: []datasource{metrics, traces}})
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
	APIVersion  int          `yaml:"apiVersion"`
	Datasources []datasource `yaml:"datasources"`
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
