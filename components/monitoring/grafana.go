package monitoring

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// GrafanaUser is the uid of Grafana's image.
const GrafanaUser = 472

// GrafanaAdmin is the name of Grafana's administrator.
const GrafanaAdmin = "admin"

// Where Grafana finds its files and keeps what users add. The two folders of
// provisioning files are covered, not the one above them: the image has others there
// that Grafana complains about when they are missing.
const (
	GrafanaData       = "/var/lib/grafana"
	DatasourcesPath   = provisioningPath + "/datasources"
	ProvidersPath     = provisioningPath + "/dashboards"
	DashboardsPath    = "/etc/grafana/dashboards"
	CustomPath        = "/etc/grafana/custom-dashboards"
	GrafanaSecretPath = "/etc/grafana-admin"
	GrafanaSecretKey  = "password"

	provisioningPath = "/etc/grafana/provisioning"
	datasourcesFile  = "datasources.yaml"
	providersFile    = "providers.yaml"
)

// How long Grafana may take to answer for the first time, as a new version migrates
// its database before it answers, and to stop, in seconds.
const (
	GrafanaStartupSeconds = 300
	GrafanaGraceSeconds   = 30
)

// unusedPlugins come with the image (13.2 and later), each as a process of its own.
// What they ask cannot be reached from the pod, so they are not started; Jaeger's is where
// it is there.
var unusedPlugins = []string{
	"cloudwatch", "elasticsearch", "grafana-postgresql-datasource", "grafana-pyroscope-datasource", "influxdb", jaegerPlugin,
	"loki", "mssql", "mysql", "opentsdb", "stackdriver", "tempo", "zipkin",
	"grafana-advisor-app", "grafana-exploretraces-app", "grafana-lokiexplore-app", "grafana-metricsdrilldown-app", "grafana-pyroscope-app",
}

const jaegerPlugin = "jaeger"

// grafanaSettings are the settings that are the same everywhere: Grafana downloads
// nothing itself and calls nobody home. Without "preinstall disabled" Grafana 13
// would replace its bundled data source by a newer one at every start, and lose it
// where it may not write or has no way out; InstallPlugin does what its "preinstall" would.
var grafanaSettings = map[string]string{
	"GF_SECURITY_ADMIN_USER":           GrafanaAdmin,
	"GF_SECURITY_ADMIN_PASSWORD__FILE": GrafanaSecretPath + "/" + GrafanaSecretKey,
	// Whoever knows the name admin could lock its owner out with five wrong passwords. The
	// edge holds each address to a rate, and the password is a generated one.
	"GF_SECURITY_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION": "true",
	"GF_SECURITY_DISABLE_GRAVATAR":                     "true",
	"GF_SECURITY_COOKIE_SECURE":                        "true",
	"GF_USERS_ALLOW_SIGN_UP":                           "false",
	"GF_AUTH_ANONYMOUS_ENABLED":                        "false",
	"GF_ANALYTICS_REPORTING_ENABLED":                   "false",
	"GF_ANALYTICS_CHECK_FOR_UPDATES":                   "false",
	"GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES":            "false",
	"GF_ANALYTICS_FEEDBACK_LINKS_ENABLED":              "false",
	"GF_NEWS_NEWS_FEED_ENABLED":                        "false",
	"GF_SNAPSHOTS_EXTERNAL_ENABLED":                    "false",
	"GF_PLUGINS_DISABLE_PLUGINS":                       strings.Join(unusedPlugins, ","),
	"GF_PLUGINS_PREINSTALL_DISABLED":                   "true",
	"GF_PLUGINS_PLUGIN_ADMIN_ENABLED":                  "false",
	"GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED":         "true",
	"GF_LOG_MODE":                                      "console",
	"GF_LOG_CONSOLE_FORMAT":                            "json",
	"GF_PATHS_DATA":                                    GrafanaData,
	"GF_PATHS_PROVISIONING":                            provisioningPath,
	"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH":        DashboardsPath + "/" + board.Overview.File,
	"GF_SERVER_HTTP_PORT":                              fmt.Sprint(GrafanaPort),
}

// GrafanaEnvironment are the plain variables of Grafana.
func (a *Args) GrafanaEnvironment() pulumi.StringMap {
	env := pulumi.ToStringMap(grafanaSettings)
	if a.TracesURL != "" {
		unused := slices.DeleteFunc(slices.Clone(unusedPlugins), func(p string) bool { return p == jaegerPlugin })
		env["GF_PLUGINS_DISABLE_PLUGINS"] = pulumi.String(strings.Join(unused, ","))
	}
	env["GF_SERVER_ROOT_URL"] = pulumi.Sprintf("%s/", a.ExternalURL)
	for _, more := range []map[string]string{a.Grafana.SignOn.environment(), a.logsPlugin().environment()} {
		for name, value := range more {
			env[name] = pulumi.String(value)
		}
	}
	return env
}

// GrafanaProvisioning are the files below DatasourcesPath and ProvidersPath.
func (a *Args) GrafanaProvisioning() (datasources, providers map[string]string, err error) {
	provisioning := config.Grafana{
		PrometheusURL:  fmt.Sprintf("http://%s:%d%s", a.Watched.Prometheus, PrometheusPort, PrometheusPath),
		TracesURL:      a.TracesURL,
		LogsURL:        a.LogsURL,
		LogsPages:      a.LogsPages,
		DashboardsPath: DashboardsPath,
	}
	if a.Operator != nil {
		provisioning.PrometheusURL = a.Operator.PrometheusURL
	}
	if a.Custom != nil && len(a.Custom.Dashboards) > 0 {
		provisioning.CustomPath = CustomPath
	}
	d, err := provisioning.Datasources()
	if err != nil {
		return nil, nil, err
	}
	p, err := provisioning.Providers()
	return map[string]string{datasourcesFile: d}, map[string]string{providersFile: p}, err
}

// GrafanaDashboards are the files below DashboardsPath.
func (a *Args) GrafanaDashboards() (map[string]string, error) {
	files, err := board.Files(observe.Panels(a.Watched, a.Panels), observe.Marks(a.Watched)...)
	if err != nil {
		return nil, err
	}
	return a.confined(files)
}

// confined are dashboards that ask for series of the namespace alone, where there are
// others.
func (a *Args) confined(files map[string]string) (map[string]string, error) {
	if a.Operator == nil {
		return files, nil
	}
	own := map[string]string{}
	for name, content := range files {
		confined, err := a.scope().Dashboard(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		own[name] = confined
	}
	return own, nil
}

// ApplyPassword gives a database that exists the password of the Secret: Grafana
// itself reads it only when it makes the database. The password goes through a
// file, so that no process shows it among its arguments. Images before Grafana 9
// have no such command: their password stays what it was.
const ApplyPassword = `[ -s "$GF_PATHS_DATA/grafana.db" ] || exit 0
command -v grafana >/dev/null || { echo "this image has no command to change the password: it stays as it was"; exit 0; }
exec grafana cli --homepath "$GF_PATHS_HOME" admin reset-admin-password --password-from-stdin < "$GF_SECURITY_ADMIN_PASSWORD__FILE"`

func (a *Args) grafana(name string, on room.Target) (*server, error) {
	datasources, providers, err := a.GrafanaProvisioning()
	if err != nil {
		return nil, err
	}
	files, err := a.GrafanaDashboards()
	if err != nil {
		return nil, err
	}
	s := &server{
		identity: GrafanaOf(name), container: "grafana", image: a.Images.Grafana,
		env:  a.GrafanaEnvironment(),
		port: GrafanaPort, resources: a.Grafana.Resources, user: GrafanaUser,
		dataPath: GrafanaData, storage: a.Grafana.Storage,
		livenessPath: GrafanaReadyPath, readinessPath: GrafanaReadyPath,
		startupSeconds: GrafanaStartupSeconds, graceSeconds: GrafanaGraceSeconds,
	}
	provisioning := maps.Clone(datasources)
	maps.Copy(provisioning, providers)
	object := workload.Plain("provisioning", provisioning)
	s.reads(workload.Volume{Name: "datasources", Files: object, Keys: []string{datasourcesFile}}, DatasourcesPath)
	s.reads(workload.Volume{Name: "providers", Files: object, Keys: []string{providersFile}}, ProvidersPath)
	s.reads(workload.Folder(workload.Plain("dashboards", files)), DashboardsPath)
	if a.Custom != nil && len(a.Custom.Dashboards) > 0 {
		custom, err := a.confined(a.Custom.Dashboards)
		if err != nil {
			return nil, err
		}
		s.reads(workload.Folder(workload.Plain("custom", custom)), CustomPath)
	}
	s.reads(workload.Folder(workload.Hidden("admin", pulumi.StringMap{GrafanaSecretKey: a.Grafana.Password})), GrafanaSecretPath)
	if a.Grafana.SignOn != nil {
		s.reads(workload.Folder(a.Grafana.SignOn.files()), signOnPath)
	}
	tmp, tmpMount := workload.Writable("64Mi", "", map[string]string{"tmp": "/tmp"})
	s.volumes, s.mounts = append(s.volumes, tmp...), append(s.mounts, tmpMount...)
	if on == room.DockerHost {
		// There is no container that runs before another: this one does it at each start.
		before := ""
		for _, b := range a.starting() {
			before += "(" + b.text + ") && "
		}
		s.command = []string{"sh", "-c", before + "exec /run.sh"}
		return s, nil
	}
	for _, b := range a.starting() {
		s.init = append(s.init, workload.Process{
			Name: b.name, Image: a.Images.Grafana, Command: []string{"sh", "-c", b.text},
			Env: s.env, Resources: a.Grafana.Resources, Mounts: append(slices.Clone(s.mounts), s.dataMount()),
		})
	}
	return s, nil
}
