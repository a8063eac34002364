package dockerhost

import (
	"errors"
	"net"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/sizing"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// MonitoringArgs configure a Monitoring.
type MonitoringArgs struct {
	// Args are those of the cluster's monitoring; there is no kube-state-metrics, and
	// nothing that follows from it.
	*monitoring.Args
	// Targets are scraped beside the monitoring containers themselves.
	Targets []config.Target
	// PrometheusPort and GrafanaPort of the host's loopback address; 0 for none.
	PrometheusPort, GrafanaPort int
}

// Monitoring is Prometheus, Alertmanager and Grafana.
type Monitoring struct {
	pulumi.ResourceState
}

// loopback is the host's own address.
const loopback = "127.0.0.1"

// MonitoringTargets are the monitoring containers of the instance called name.
func MonitoringTargets(name string) []config.Target {
	w := monitoring.WorkloadsOf(name)
	itself := func(workload, component string, portNumber int, path string) config.Target {
		return Target(workload, workload, component, workload, portNumber, path)
	}
	return []config.Target{
		itself(w.Prometheus.Name, "metrics", monitoring.PrometheusPort, monitoring.PrometheusPath+"/metrics"),
		itself(w.Alertmanager.Name, "alerts", monitoring.AlertmanagerPort, monitoring.AlertmanagerPath+"/metrics"),
		itself(w.Grafana.Name, "dashboards", monitoring.GrafanaPort, "/metrics"),
	}
}

// NewMonitoring creates the monitoring.
func NewMonitoring(ctx *pulumi.Context, name string, host *Host, args *MonitoringArgs, opts ...pulumi.ResourceOption) (*Monitoring, error) {
	if host == nil {
		return nil, errNoHost
	}
	if args == nil || args.Args == nil {
		return nil, errors.New("docker monitoring: Args is missing: pass those of the monitoring")
	}
	own := *args
	filled := *own.Args
	filled.Namespace = pulumi.String(host.args.Prefix)
	filled.Images.KubeStateMetrics = pulumi.String("") // none runs
	valid, err := filled.Validated(name)
	if err != nil {
		return nil, err
	}
	valid.Watched.KubeStateMetrics = ""
	own.Args = valid
	m := &Monitoring{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerMonitoring", name, m, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(m)
	for _, create := range []func(*pulumi.Context, string, *Host, *MonitoringArgs, ...pulumi.ResourceOption) error{
		alertmanager, prometheus, grafana,
	} {
		if err := create(ctx, name, host, &own, parent); err != nil {
			return nil, err
		}
	}
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{})
}

// watcher is what the three containers have in common.
type watcher struct {
	labels     labels.Set
	image      pulumi.StringInput
	user       int
	entrypoint []string
	arguments  pulumi.StringArray
	env        pulumi.StringMap
	resources  sizing.Resources
	dataPath   string
	folders    []folder
	writable   map[string]string
	// readyPath is asked on port.
	port      int
	readyPath string
	// published on the host's loopback address; 0 for none.
	published                    int
	startupSeconds, graceSeconds int
}

func (w watcher) create(ctx *pulumi.Context, host *Host, opts ...pulumi.ResourceOption) error {
	image, err := host.image(ctx, w.labels.Name+"-image", w.image, opts...)
	if err != nil {
		return err
	}
	data, err := host.data(ctx, w.labels, opts...)
	if err != nil {
		return err
	}
	f, err := newFiles(ctx, host, w.labels, image, w.folders, opts...)
	if err != nil {
		return err
	}
	c := container{
		labels: w.labels, image: image, user: w.user,
		entrypoint: w.entrypoint, arguments: w.arguments, env: w.env, resources: w.resources,
		files: f, data: data, dataPath: w.dataPath, writable: w.writable,
		health: ask(w.port, w.readyPath), startupSeconds: w.startupSeconds, graceSeconds: w.graceSeconds,
	}
	if w.published != 0 {
		c.ports = []port{{host: w.published, container: w.port, address: loopback}}
	}
	_, err = c.create(ctx, host, opts...)
	return err
}

func of(workload, name, component string) labels.Set {
	return labels.Set{Name: workload, Instance: name, Component: component}
}

func alertmanager(ctx *pulumi.Context, name string, host *Host, args *MonitoringArgs, opts ...pulumi.ResourceOption) error {
	files, receivers, err := args.AlertmanagerFiles()
	if err != nil {
		return err
	}
	folders := []folder{plain("config", monitoring.AlertmanagerConfigPath, files)}
	if len(receivers) > 0 {
		folders = append(folders, hidden("receivers", monitoring.ReceiversPath, receivers))
	}
	return watcher{
		labels: of(monitoring.WorkloadsOf(name).Alertmanager.Name, name, "alerts"),
		image:  args.Images.Alertmanager, user: monitoring.Nobody,
		arguments: args.AlertmanagerArguments(), resources: args.Alertmanager.Resources,
		dataPath: monitoring.AlertmanagerData, folders: folders,
		port: monitoring.AlertmanagerPort, readyPath: monitoring.AlertmanagerReadyPath,
		startupSeconds: monitoring.AlertmanagerStartupSeconds, graceSeconds: monitoring.AlertmanagerGraceSeconds,
	}.create(ctx, host, opts...)
}

func prometheus(ctx *pulumi.Context, name string, host *Host, args *MonitoringArgs, opts ...pulumi.ResourceOption) error {
	targets := append(MonitoringTargets(name), args.Targets...)
	file := func(file string) pulumi.StringOutput {
		return args.Values().ApplyT(func(values any) (string, error) {
			all, err := args.PrometheusFiles(host.args.Prefix, values.(rule.Values), targets)
			return all[file], err
		}).(pulumi.StringOutput)
	}
	names, err := args.PrometheusFiles(host.args.Prefix, rule.Values{}, targets)
	if err != nil {
		return err
	}
	all := pulumi.StringMap{}
	for name := range names {
		all[name] = file(name)
	}
	return watcher{
		labels: of(monitoring.WorkloadsOf(name).Prometheus.Name, name, "metrics"),
		image:  args.Images.Prometheus, user: monitoring.Nobody,
		arguments: args.PrometheusArguments(), resources: args.Prometheus.Resources,
		dataPath: monitoring.PrometheusData,
		folders:  []folder{{name: "config", path: monitoring.PrometheusConfigPath, files: all}},
		port:     monitoring.PrometheusPort, readyPath: monitoring.PrometheusReadyPath, published: args.PrometheusPort,
		startupSeconds: monitoring.PrometheusStartupSeconds, graceSeconds: monitoring.PrometheusGraceSeconds,
	}.create(ctx, host, opts...)
}

func grafana(ctx *pulumi.Context, name string, host *Host, args *MonitoringArgs, opts ...pulumi.ResourceOption) error {
	datasources, providers, err := args.GrafanaProvisioning()
	if err != nil {
		return err
	}
	boards, err := args.GrafanaDashboards()
	if err != nil {
		return err
	}
	return watcher{
		labels: of(monitoring.WorkloadsOf(name).Grafana.Name, name, "dashboards"),
		image:  args.Images.Grafana, user: monitoring.GrafanaUser,
		// There is no container that runs before another: the password is applied at
		// each start of this one.
		entrypoint: []string{"sh", "-c", "(" + monitoring.ApplyPassword + ") && exec /run.sh"},
		env:        args.GrafanaEnvironment(), resources: args.Grafana.Resources,
		dataPath: monitoring.GrafanaData,
		folders: []folder{
			plain("datasources", monitoring.DatasourcesPath, datasources),
			plain("providers", monitoring.ProvidersPath, providers),
			plain("dashboards", monitoring.DashboardsPath, boards),
			hidden("admin", monitoring.GrafanaSecretPath, pulumi.StringMap{monitoring.GrafanaSecretKey: args.Args.Grafana.Password}),
		},
		writable: map[string]string{"/tmp": "64Mi"},
		port:     monitoring.GrafanaPort, readyPath: monitoring.GrafanaReadyPath, published: args.GrafanaPort,
		startupSeconds: monitoring.GrafanaStartupSeconds, graceSeconds: monitoring.GrafanaGraceSeconds,
	}.create(ctx, host, opts...)
}

// Target is what Prometheus scrapes at a port of the container at host, and shows as
// that of one of the workload's own containers, with the workload's component.
func Target(workload, container, component, host string, portNumber int, path string) config.Target {
	return config.Target{
		Job: workload, Pod: container, Component: component,
		Address: net.JoinHostPort(host, strconv.Itoa(portNumber)), Path: path,
	}
}
