package monitoring

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/content"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
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
// Nothing but Prometheus can be reached from the pod, so they are not started.
var unusedPlugins = []string{
	"cloudwatch", "elasticsearch", "grafana-postgresql-datasource", "grafana-pyroscope-datasource", "influxdb", "jaeger",
	"loki", "mssql", "mysql", "opentsdb", "stackdriver", "tempo", "zipkin",
	"grafana-advisor-app", "grafana-exploretraces-app", "grafana-lokiexplore-app", "grafana-metricsdrilldown-app", "grafana-pyroscope-app",
}

// grafanaSettings are the settings that are the same everywhere: nothing is
// downloaded and nobody is called home. Without "preinstall disabled" Grafana 13
// would replace its bundled data source by a newer one at every start, and lose it
// where it may not write or has no way out.
var grafanaSettings = map[string]string{
	"GF_SECURITY_ADMIN_USER":                    GrafanaAdmin,
	"GF_SECURITY_ADMIN_PASSWORD__FILE":          GrafanaSecretPath + "/" + GrafanaSecretKey,
	"GF_SECURITY_DISABLE_GRAVATAR":              "true",
	"GF_SECURITY_COOKIE_SECURE":                 "true",
	"GF_USERS_ALLOW_SIGN_UP":                    "false",
	"GF_AUTH_ANONYMOUS_ENABLED":                 "false",
	"GF_ANALYTICS_REPORTING_ENABLED":            "false",
	"GF_ANALYTICS_CHECK_FOR_UPDATES":            "false",
	"GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES":     "false",
	"GF_ANALYTICS_FEEDBACK_LINKS_ENABLED":       "false",
	"GF_NEWS_NEWS_FEED_ENABLED":                 "false",
	"GF_SNAPSHOTS_EXTERNAL_ENABLED":             "false",
	"GF_PLUGINS_DISABLE_PLUGINS":                strings.Join(unusedPlugins, ","),
	"GF_PLUGINS_PREINSTALL_DISABLED":            "true",
	"GF_PLUGINS_PLUGIN_ADMIN_ENABLED":           "false",
	"GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED":  "true",
	"GF_LOG_MODE":                               "console",
	"GF_PATHS_DATA":                             GrafanaData,
	"GF_PATHS_PROVISIONING":                     provisioningPath,
	"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": DashboardsPath + "/" + board.Overview.File,
	"GF_SERVER_HTTP_PORT":                       fmt.Sprint(GrafanaPort),
}

// GrafanaEnvironment are the plain variables of Grafana.
func (a *Args) GrafanaEnvironment() pulumi.StringMap {
	env := pulumi.ToStringMap(grafanaSettings)
	env["GF_SERVER_ROOT_URL"] = pulumi.Sprintf("%s/", a.ExternalURL)
	return env
}

// GrafanaProvisioning are the files below DatasourcesPath and ProvidersPath.
func (a *Args) GrafanaProvisioning() (datasources, providers map[string]string, err error) {
	provisioning := config.Grafana{
		PrometheusURL:  fmt.Sprintf("http://%s:%d%s", a.Watched.Prometheus, PrometheusPort, PrometheusPath),
		DashboardsPath: DashboardsPath,
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
	return board.Files(observe.Panels(a.Watched, a.Panels))
}

// ApplyPassword gives a database that exists the password of the Secret: Grafana
// itself reads it only when it makes the database. The password goes through a
// file, so that no process shows it among its arguments. Images before Grafana 9
// have no such command: their password stays what it was.
const ApplyPassword = `[ -s "$GF_PATHS_DATA/grafana.db" ] || exit 0
command -v grafana >/dev/null || { echo "this image has no command to change the password: it stays as it was"; exit 0; }
exec grafana cli --homepath "$GF_PATHS_HOME" admin reset-admin-password --password-from-stdin < "$GF_SECURITY_ADMIN_PASSWORD__FILE"`

func (m *Monitoring) grafana(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) error {
	l := grafanaLabels(name)
	datasources, providers, err := args.GrafanaProvisioning()
	if err != nil {
		return err
	}
	provisioning := maps.Clone(datasources)
	maps.Copy(provisioning, providers)
	provisioningMap, err := content.ConfigMap(ctx, l.Name+"-provisioning", args.Namespace, l, pulumi.ToStringMap(provisioning), opts...)
	if err != nil {
		return err
	}
	files, err := args.GrafanaDashboards()
	if err != nil {
		return err
	}
	dashboardsMap, err := content.ConfigMap(ctx, l.Name+"-dashboards", args.Namespace, l, pulumi.ToStringMap(files), opts...)
	if err != nil {
		return err
	}
	secret, err := content.Secret(ctx, l.Name+"-admin", args.Namespace, l, pulumi.StringMap{
		GrafanaSecretKey: args.Grafana.Password,
	}, opts...)
	if err != nil {
		return err
	}

	var volumes corev1.VolumeArray
	var mounts corev1.VolumeMountArray
	add := func(v *corev1.VolumeArgs, m *corev1.VolumeMountArgs) {
		volumes, mounts = append(volumes, v), append(mounts, m)
	}
	add(configVolume("datasources", provisioningMap, DatasourcesPath, datasourcesFile))
	add(configVolume("providers", provisioningMap, ProvidersPath, providersFile))
	add(configVolume("dashboards", dashboardsMap, DashboardsPath))
	add(secretVolume("admin", secret, GrafanaSecretPath))
	tmp, tmpMount := pods.EmptyDirs("64Mi", map[string]string{"tmp": "/tmp"})
	volumes, mounts = append(volumes, tmp...), append(mounts, tmpMount...)

	var env corev1.EnvVarArray
	variables := args.GrafanaEnvironment()
	for _, k := range slices.Sorted(maps.Keys(variables)) {
		env = append(env, &corev1.EnvVarArgs{Name: pulumi.String(k), Value: variables[k].ToStringOutput()})
	}
	m.GrafanaHost, err = stateful{
		labels: l, container: "grafana", args: args, image: args.Images.Grafana,
		env:  env,
		port: GrafanaPort, resources: args.Grafana.Resources, user: GrafanaUser,
		dataPath: GrafanaData, storage: args.Grafana.Storage,
		livenessPath: GrafanaReadyPath, readinessPath: GrafanaReadyPath,
		metricsPath:    "/metrics",
		startupSeconds: GrafanaStartupSeconds, graceSeconds: GrafanaGraceSeconds,
		init: corev1.ContainerArray{pods.Container(corev1.ContainerArgs{
			Name:         pulumi.String("apply-password"),
			Image:        args.Images.Grafana,
			Command:      pulumi.ToStringArray([]string{"sh", "-c", ApplyPassword}),
			Env:          env,
			VolumeMounts: append(mounts, dataMount(GrafanaData)),
		}, args.Grafana.Resources)},
		volumes: volumes, mounts: mounts,
	}.create(ctx, opts...)
	return err
}
