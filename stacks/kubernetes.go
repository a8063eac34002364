package stacks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	backendobserve "github.com/alphapulse/alphapulse-infra/components/backend/observe"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	cacheobserve "github.com/alphapulse/alphapulse-infra/components/cache/observe"
	"github.com/alphapulse/alphapulse-infra/components/database"
	databaseobserve "github.com/alphapulse/alphapulse-infra/components/database/observe"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	ingressobserve "github.com/alphapulse/alphapulse-infra/components/ingress/observe"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// The instances' names. They are part of every object's name and selector, which
// Kubernetes never lets change: constants, whatever a stack sets.
const (
	platformName   = "platform"
	databaseName   = "database"
	cacheName      = "cache"
	backendName    = "backend"
	frontendName   = "frontend"
	edgeName       = "edge"
	monitoringName = "monitoring"
)

// parts are the arguments of every component. They are the same wherever the stack
// runs, and exist before the first resource: who reaches whom follows from them, and
// the quota does.
type parts struct {
	config      *Config
	images      *application
	credentials *platform.Credentials

	database   *database.Args
	cache      *cache.Args
	backend    *backend.Args
	frontend   *frontend.Args
	edge       *ingress.Args
	monitoring *monitoring.Args
}

// cluster composes the components on one Kubernetes cluster.
type cluster struct {
	parts
	// opts carries the provider to every component, and lets it wait for the images.
	opts []pulumi.ResourceOption
}

func deployKubernetes(ctx *pulumi.Context, c *Config, all func() []pulumi.Resource) (pulumi.Map, error) {
	provider, err := newProvider(ctx, c)
	if err != nil {
		return nil, err
	}
	// The engine is needed to build, and for nothing else.
	var engine *docker.Provider
	if c.Build.Enabled {
		if engine, err = newDockerProvider(ctx, c); err != nil {
			return nil, err
		}
	}
	k := &cluster{}
	if k.parts, err = newParts(ctx, c, engine); err != nil {
		return nil, err
	}
	k.opts = append([]pulumi.ResourceOption{pulumi.Provider(provider)}, k.images.first...)

	ground, err := platform.NewPlatform(ctx, platformName, &platform.Args{
		Namespace:       c.Namespace,
		Demands:         k.demands(),
		Edges:           k.edges(),
		Settings:        c.Application.Environment(),
		PullCredentials: optionalSecret(c.ImagePullCredentials),
		Protect:         c.Protect,
	}, k.opts...)
	if err != nil {
		return nil, err
	}
	k.on(ground)

	db, err := database.NewDatabase(ctx, databaseName, k.database, k.opts...)
	if err != nil {
		return nil, err
	}
	store, err := cache.NewCache(ctx, cacheName, k.cache, k.opts...)
	if err != nil {
		return nil, err
	}
	k.connect(db, store)
	app, err := backend.NewBackend(ctx, backendName, k.backend, k.opts...)
	if err != nil {
		return nil, err
	}
	ui, err := frontend.NewFrontend(ctx, frontendName, k.frontend, k.opts...)
	if err != nil {
		return nil, err
	}
	k.routes(app, ui)
	edge, err := ingress.NewIngress(ctx, edgeName, k.edge, k.opts...)
	if err != nil {
		return nil, err
	}
	k.monitoring.Constants = pulumi.IntMap{ingressobserve.CertificateNotAfter: edge.CertificateExpiry}
	if _, err := monitoring.NewMonitoring(ctx, monitoringName, k.monitoring, k.opts...); err != nil {
		return nil, err
	}
	if err := k.guard(ctx, all()); err != nil {
		return nil, err
	}
	return k.outputs(ctx, ground, edge)
}

// newProvider is explicit, so that a stack says which cluster it means and never
// follows the current context of whoever runs it without a trace.
func newProvider(ctx *pulumi.Context, c *Config) (*kubernetes.Provider, error) {
	args := &kubernetes.ProviderArgs{
		EnableServerSideApply: pulumi.Bool(true),
		// The kubeconfig's path may differ from machine to machine: it is not part
		// of what the cluster is.
		ClusterIdentifier: pulumi.String(c.Namespace),
	}
	if c.Kubeconfig != "" {
		args.Kubeconfig = pulumi.ToSecret(pulumi.String(c.Kubeconfig)).(pulumi.StringOutput)
	}
	if c.KubeContext != "" {
		args.Context = pulumi.String(c.KubeContext)
	}
	return kubernetes.NewProvider(ctx, "cluster", args)
}

// newParts generates the credentials and sizes everything.
func newParts(ctx *pulumi.Context, c *Config, engine *docker.Provider) (parts, error) {
	images, err := newApplication(ctx, c, engine)
	if err != nil {
		return parts{}, err
	}
	credentials, err := platform.NewCredentials(ctx, "credentials", &platform.CredentialsArgs{Protect: c.Protect}, images.first...)
	if err != nil {
		return parts{}, err
	}
	k := parts{config: c, images: images, credentials: credentials}
	k.sizes()
	return k, nil
}

// guard comes after everything else that the stack consists of.
func (k *parts) guard(ctx *pulumi.Context, all []pulumi.Resource) error {
	_, err := platform.NewGuard(ctx, "guard", &platform.GuardArgs{Protect: k.config.Protect, Guarded: all}, k.images.first...)
	return err
}

// sizes fills in what is known before any resource exists.
func (k *parts) sizes() {
	c := k.config
	k.database = &database.Args{
		Image: pulumi.String(c.Images.Database), ExporterImage: pulumi.String(c.Images.DatabaseExporter),
		Resources: c.Database.Resources, Storage: c.Database.Storage, StorageClass: c.StorageClass,
		MaxConnections: c.Database.MaxConnections, AliasServices: c.Database.Aliases,
		SuperuserPassword:   k.credentials.DatabaseAdmin,
		ApplicationPassword: k.credentials.DatabaseApplication,
		MonitoringPassword:  k.credentials.DatabaseMonitoring,
		Protect:             c.Protect,
	}
	k.cache = &cache.Args{
		Image: pulumi.String(c.Images.Cache), ExporterImage: pulumi.String(c.Images.CacheExporter),
		Resources: c.Cache.Resources, Storage: c.Cache.Storage, StorageClass: c.StorageClass,
		AliasServices:       c.Cache.Aliases,
		ApplicationPassword: k.credentials.CacheApplication,
		MonitoringPassword:  k.credentials.CacheMonitoring,
		Protect:             c.Protect,
	}
	b := c.Backend
	k.backend = &backend.Args{
		API: backend.Process{
			Image: k.images.backend, Command: b.Command, Args: b.Args, Env: b.Env, Resources: b.Resources,
			Port: c.Application.APIPort, LivenessPath: b.LivenessPath, ReadinessPath: b.ReadinessPath,
			MetricsPath: b.MetricsPath, StartupSeconds: b.StartupSeconds,
		},
		Scaling: backend.Scaling{
			Min: b.MinReplicas, Max: b.MaxReplicas,
			CPUUtilization: b.CPUUtilization, MemoryUtilization: b.MemoryUtilization,
		},
		TradingEnabled: b.TradingEnabled, PaperTrading: b.PaperTrading,
		RequestTimeoutSeconds: c.Application.RequestTimeoutSeconds,
		WaitForImage:          pulumi.String(c.Images.Database),
		DatabasePort:          database.Port,
		SpreadRequired:        c.SpreadRequired,
	}
	if b.EngineEnabled {
		k.backend.Engine = &backend.Process{
			Image: k.images.backend, Command: b.Command, Args: b.EngineArgs, Env: b.Env, Resources: b.EngineResources,
			LivenessPath: b.EngineLivenessPath, MetricsPath: b.EngineMetricsPath, StartupSeconds: b.StartupSeconds,
		}
		if b.EngineLivenessPath != "" || b.EngineMetricsPath != "" {
			k.backend.Engine.Port = c.Application.MetricsPort
		}
	}
	if b.DashboardEnabled {
		k.backend.Dashboard = &backend.Process{
			Image: k.images.dashboard, Command: b.Command, Args: b.DashboardArgs, Env: b.Env, Resources: b.DashboardResources,
			Port: c.Application.DashboardPort, LivenessPath: b.DashboardHealthPath, ReadinessPath: b.DashboardHealthPath,
			MetricsPath: b.DashboardMetricsPath, StartupSeconds: b.StartupSeconds,
		}
	}
	k.edge = &ingress.Args{
		Image: pulumi.String(c.Images.Edge), ExporterImage: pulumi.String(c.Images.EdgeExporter),
		Domain:                c.Domain,
		Exposure:              exposures[c.Edge.Exposure],
		HTTPNodePort:          c.Edge.HTTPNodePort,
		HTTPSNodePort:         c.Edge.HTTPSNodePort,
		IngressClass:          c.Edge.IngressClass,
		PublicHTTPSPort:       c.Edge.PublicPort,
		TrustedProxies:        c.Edge.TrustedProxies,
		Limits:                k.limits(),
		HSTSSeconds:           c.Edge.HSTSSeconds,
		RequestTimeoutSeconds: c.Application.RequestTimeoutSeconds + 5, // the service's own answer comes first
		PrometheusPassword:    k.credentials.PrometheusAdmin,
		Replicas:              c.Edge.Replicas,
		Resources:             c.Edge.Resources,
		SpreadRequired:        c.SpreadRequired,
	}
	if c.Edge.TLSMode == TLSProvided {
		k.edge.TLS = ingress.TLS{Certificate: pulumi.String(c.Edge.TLSCertificate), Key: optionalSecret(c.Edge.TLSPrivateKey)}
	}
	watch := monitoring.WorkloadsOf(monitoringName)
	k.edge.Routes = ingress.Routes{
		UI:  &ingress.Upstream{Port: frontend.DefaultPort, Hidden: hide(c.Frontend.MetricsPath)},
		API: &ingress.Upstream{Port: k.backend.API.Port, Hidden: hide(b.MetricsPath)},
		// Their names are constants, and monitoring itself needs the edge's certificate.
		Grafana:    &ingress.Upstream{Host: pulumi.String(watch.Grafana.Name), Port: monitoring.GrafanaPort, Hidden: []string{"/metrics"}},
		Prometheus: &ingress.Upstream{Host: pulumi.String(watch.Prometheus.Name), Port: monitoring.PrometheusPort},
	}
	if d := k.backend.Dashboard; d != nil {
		k.edge.Routes.Dashboard = &ingress.Upstream{Port: d.Port, Hidden: hide(d.MetricsPath)}
	}
	urls := k.edge.URLs()
	k.frontend = &frontend.Args{
		Image:       k.images.frontend,
		Env:         platform.Merge(map[string]string{"DASHBOARD_URL": urls["dashboard"], "GRAFANA_URL": urls["grafana"]}, c.Frontend.Env),
		Replicas:    c.Frontend.Replicas,
		Resources:   c.Frontend.Resources,
		MetricsPath: c.Frontend.MetricsPath, LivenessPath: c.Frontend.HealthPath, ReadinessPath: c.Frontend.HealthPath,
		SpreadRequired: c.SpreadRequired,
	}
	m := c.Monitoring
	k.monitoring = &monitoring.Args{
		Images: monitoring.Images{
			Prometheus: pulumi.String(c.Images.Prometheus), Alertmanager: pulumi.String(c.Images.Alertmanager),
			Grafana: pulumi.String(c.Images.Grafana), KubeStateMetrics: pulumi.String(c.Images.KubeStateMetrics),
		},
		Prometheus: monitoring.Prometheus{Resources: m.PrometheusResources, Storage: m.PrometheusStorage, Retention: m.Retention},
		Alertmanager: monitoring.Alertmanager{
			Resources:  m.AlertmanagerResources,
			WebhookURL: optionalSecret(m.AlertWebhookURL), HeartbeatURL: optionalSecret(m.HeartbeatWebhookURL),
		},
		Grafana:          monitoring.Grafana{Resources: m.GrafanaResources, Storage: m.GrafanaStorage, Password: k.credentials.GrafanaAdmin},
		KubeStateMetrics: monitoring.KubeStateMetrics{Resources: m.KubeStateMetricsResources},
		ExternalURL:      pulumi.String(urls["grafana"]),
		StorageClass:     c.StorageClass,
		Protect:          c.Protect,
	}
	k.monitoring.Rules, k.monitoring.Panels = k.watched()
}

var exposures = map[string]ingress.Exposure{
	ExposureNodePort:     ingress.NodePort,
	ExposureLoadBalancer: ingress.LoadBalancer,
	ExposureIngress:      ingress.IngressObject,
}

func (k *parts) limits() *nginx.Limits {
	l := nginx.DefaultLimits()
	e := k.config.Edge
	l.APIRate, l.APIBurst, l.LoginRate, l.WebSocketRate, l.Connections = e.APIRate, e.APIBurst, e.LoginRate, e.WebSocketRate, e.Connections
	return &l
}

// watched is what there is to alert on and to show; a workload whose build serves no
// metrics is left out, so that its absence is not an alarm.
func (k *parts) watched() ([]rule.Group, []board.Contribution) {
	w := backend.WorkloadsOf(backendName)
	var (
		db    = databaseobserve.Watched{Job: databaseName}
		store = cacheobserve.Watched{Job: cacheName}
		edge  = ingressobserve.Watched{Job: edgeName}
		app   backendobserve.Watched
	)
	if k.config.Target == TargetKubernetes {
		db.Claim, store.Claim = databaseName, cacheName
	}
	db.Consumers = []string{w.API.Name, w.Engine.Name, w.Dashboard.Name}
	if k.config.Backend.MetricsPath != "" {
		app.API = w.API.Name
		app.HTTP.Excluded = []string{k.config.Backend.LivenessPath, k.config.Backend.ReadinessPath, k.config.Backend.MetricsPath}
	}
	if k.config.Backend.EngineEnabled && k.config.Backend.EngineMetricsPath != "" {
		app.Engine = w.Engine.Name
	}
	return slices.Concat(databaseobserve.Alerts(db), cacheobserve.Alerts(store), ingressobserve.Alerts(edge), backendobserve.Alerts(app)),
		slices.Concat(databaseobserve.Panels(db), cacheobserve.Panels(store), ingressobserve.Panels(edge), backendobserve.Panels(app))
}

// demands is what the quota must hold.
func (k *cluster) demands() []platform.Demand {
	var all []platform.Demand
	for _, d := range [][]platform.Demand{
		k.database.Demands(databaseName), k.cache.Demands(cacheName), k.backend.Demands(backendName),
		k.frontend.Demands(frontendName), k.edge.Demands(edgeName), k.monitoring.Demands(monitoringName),
	} {
		all = append(all, d...)
	}
	return all
}

// edges is the one list of who talks to whom.
func (k *cluster) edges() []platform.Edge {
	var (
		app   = backend.WorkloadsOf(backendName)
		db    = database.Workload(databaseName)
		store = cache.Workload(cacheName)
		ui    = frontend.Workload(frontendName)
		edge  = ingress.Workload(edgeName)
		watch = monitoring.WorkloadsOf(monitoringName)
		b     = k.config.Backend
	)
	var edges []platform.Edge
	connect := func(from, to platform.Workload, port int) {
		edges = append(edges, platform.Edge{From: platform.Pods(from), To: platform.Pods(to), Ports: []int{port}})
	}
	markets := platform.Network{CIDRs: k.config.EgressCIDRs, Except: platform.Internet.Except}
	trades := func(from platform.Workload) {
		if len(markets.CIDRs) > 0 {
			edges = append(edges, platform.Edge{From: platform.Pods(from), To: platform.Outside(markets), Ports: []int{443}})
		}
	}

	edges = append(edges, platform.Edge{From: platform.Outside(platform.Anywhere), To: platform.Pods(edge), Ports: []int{ingress.HTTPPort, ingress.HTTPSPort}})
	connect(edge, ui, frontend.DefaultPort)
	connect(edge, app.API, k.backend.API.Port)
	connect(edge, watch.Grafana, monitoring.GrafanaPort)
	connect(edge, watch.Prometheus, monitoring.PrometheusPort)
	connect(app.API, db, database.Port)
	connect(app.API, store, cache.Port)
	trades(app.API)

	targets := []monitoring.Target{
		{Workload: db, Port: database.MetricsPort},
		{Workload: store, Port: cache.MetricsPort},
		{Workload: edge, Port: ingress.MetricsPort},
	}
	if b.MetricsPath != "" {
		targets = append(targets, monitoring.Target{Workload: app.API, Port: k.backend.API.Port})
	}
	if k.config.Frontend.MetricsPath != "" {
		targets = append(targets, monitoring.Target{Workload: ui, Port: frontend.DefaultPort})
	}
	if engine := k.backend.Engine; engine != nil {
		connect(app.Engine, db, database.Port)
		connect(app.Engine, store, cache.Port)
		trades(app.Engine)
		if engine.MetricsPath != "" {
			targets = append(targets, monitoring.Target{Workload: app.Engine, Port: engine.Port})
		}
	}
	if dashboard := k.backend.Dashboard; dashboard != nil {
		connect(edge, app.Dashboard, dashboard.Port)
		connect(app.Dashboard, db, database.Port)
		connect(app.Dashboard, store, cache.Port)
		if dashboard.MetricsPath != "" {
			targets = append(targets, monitoring.Target{Workload: app.Dashboard, Port: dashboard.Port})
		}
	}
	return append(edges, k.monitoring.Edges(monitoringName, targets...)...)
}

// on places every component on the platform.
func (k *cluster) on(p *platform.Platform) {
	k.database.Namespace, k.cache.Namespace, k.backend.Namespace = p.Namespace, p.Namespace, p.Namespace
	k.frontend.Namespace, k.edge.Namespace, k.monitoring.Namespace = p.Namespace, p.Namespace, p.Namespace
	k.database.PriorityClass, k.cache.PriorityClass, k.monitoring.PriorityClass = p.StatefulPriority, p.StatefulPriority, p.StatefulPriority
	k.backend.SettingsName = p.SettingsName
	if k.config.ImagePullCredentials != "" {
		k.database.ImagePullSecret, k.cache.ImagePullSecret, k.backend.ImagePullSecret = p.PullSecret, p.PullSecret, p.PullSecret
		k.frontend.ImagePullSecret, k.edge.ImagePullSecret, k.monitoring.ImagePullSecret = p.PullSecret, p.PullSecret, p.PullSecret
	}
}

// connect gives each backend workload exactly the credentials that it reads.
func (k *cluster) connect(db *database.Database, store *cache.Cache) {
	secrets := k.config.Backend.SecretEnv
	environment := func(thirdParty bool) pulumi.StringMapInput {
		c := k.credentials
		all := pulumi.All(db.Host, c.DatabaseApplication, store.Host, c.CacheApplication, c.JWTSecret, c.AppSecret)
		return pulumi.ToSecret(all.ApplyT(func(v []any) map[string]string {
			s := func(i int) string { return v[i].(string) }
			env := platform.Merge(
				platform.DatabaseAccess{Host: s(0), Port: database.Port, Name: database.Name, User: database.ApplicationRole, Password: s(1)}.Environment(),
				platform.CacheAccess{Host: s(2), Port: cache.Port, Password: s(3)}.Environment(),
				platform.ApplicationKeys{JWTSecret: s(4), Secret: s(5)}.Environment(),
			)
			if thirdParty {
				env = platform.Merge(env, secrets)
			}
			return env
		})).(pulumi.StringMapOutput)
	}
	k.backend.DatabaseHost = db.Host
	k.backend.API.Credentials = environment(true)
	if k.backend.Engine != nil {
		k.backend.Engine.Credentials = environment(true)
	}
	if k.backend.Dashboard != nil {
		k.backend.Dashboard.Credentials = environment(false)
	}
}

// routes tells the edge what is behind it.
func (k *cluster) routes(app *backend.Backend, ui *frontend.Frontend) {
	k.edge.Routes.UI.Host, k.edge.Routes.API.Host = ui.PodsHost, app.APIPodsHost
	if d := k.edge.Routes.Dashboard; d != nil {
		d.Host = app.DashboardPodsHost
	}
}

// hide keeps a metrics path from the outside.
func hide(path string) []string {
	if path == "" {
		return nil
	}
	return []string{path}
}

// optionalSecret is nil for an empty value, else a Pulumi secret.
func optionalSecret(value string) pulumi.StringInput {
	if value == "" {
		return nil
	}
	return pulumi.ToSecret(pulumi.String(value)).(pulumi.StringOutput)
}

// commandFor is the shell command that shows a secret output.
func commandFor(output string) string {
	return strings.TrimSpace(fmt.Sprintf("pulumi stack output %s --show-secrets", output))
}
