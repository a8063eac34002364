package stacks

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/platform"
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

// parts is the stack with what the first resources give it: the same wherever it runs.
type parts struct {
	*Stack
	images      *application
	credentials *platform.Credentials
}

// cluster composes the components on one Kubernetes cluster.
type cluster struct {
	parts
	// opts carries the provider to every component, and lets it wait for the images.
	opts []pulumi.ResourceOption
}

func deployKubernetes(ctx *pulumi.Context, c *Stack, all func() []pulumi.Resource) (pulumi.Map, error) {
	provider, err := newProvider(ctx, c.Cluster)
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
		Namespace:       c.Cluster.Namespace,
		Demands:         k.demands(),
		Edges:           k.edges(),
		Settings:        c.Application.Environment(),
		PullCredentials: optionalSecret(c.Platform.PullCredentials),
		Protect:         c.Platform.Protect,
	}, k.opts...)
	if err != nil {
		return nil, err
	}
	k.on(ground)

	db, err := database.NewDatabase(ctx, databaseName, k.Database, k.opts...)
	if err != nil {
		return nil, err
	}
	store, err := cache.NewCache(ctx, cacheName, k.Cache, k.opts...)
	if err != nil {
		return nil, err
	}
	k.connect(db, store)
	app, err := backend.NewBackend(ctx, backendName, k.Backend, k.opts...)
	if err != nil {
		return nil, err
	}
	ui, err := frontend.NewFrontend(ctx, frontendName, k.Frontend, k.opts...)
	if err != nil {
		return nil, err
	}
	k.routes(app, ui)
	edge, err := ingress.NewIngress(ctx, edgeName, k.Edge, k.opts...)
	if err != nil {
		return nil, err
	}
	k.Monitoring.CertificateNotAfter = edge.CertificateExpiry
	if _, err := monitoring.NewMonitoring(ctx, monitoringName, k.Monitoring, k.opts...); err != nil {
		return nil, err
	}
	if err := k.guard(ctx, all()); err != nil {
		return nil, err
	}
	return k.outputs(ctx, ground, edge)
}

// newProvider is explicit, so that a stack says which cluster it means and never
// follows the current context of whoever runs it without a trace.
func newProvider(ctx *pulumi.Context, c Cluster) (*kubernetes.Provider, error) {
	args := &kubernetes.ProviderArgs{
		EnableServerSideApply: pulumi.Bool(true),
		// The kubeconfig's path may differ from machine to machine: it is not part
		// of what the cluster is.
		ClusterIdentifier: pulumi.String(c.Namespace),
	}
	if c.Kubeconfig != "" {
		args.Kubeconfig = pulumi.ToSecret(pulumi.String(c.Kubeconfig)).(pulumi.StringOutput)
	}
	if c.Context != "" {
		args.Context = pulumi.String(c.Context)
	}
	return kubernetes.NewProvider(ctx, "cluster", args)
}

// newParts generates the credentials, and gives them and the images to their users.
func newParts(ctx *pulumi.Context, s *Stack, engine *docker.Provider) (parts, error) {
	images, err := newApplication(ctx, s, engine)
	if err != nil {
		return parts{}, err
	}
	credentials, err := platform.NewCredentials(ctx, "credentials", &platform.CredentialsArgs{Protect: s.Platform.Protect}, images.first...)
	if err != nil {
		return parts{}, err
	}
	s.databaseCredentials(credentials)
	s.cacheCredentials(credentials)
	s.edgeCredentials(credentials)
	s.monitoringCredentials(credentials)
	return parts{Stack: s, images: images, credentials: credentials}, nil
}

// guard comes after everything else that the stack consists of.
func (k *parts) guard(ctx *pulumi.Context, all []pulumi.Resource) error {
	_, err := platform.NewGuard(ctx, "guard", &platform.GuardArgs{Protect: k.Platform.Protect, Guarded: all}, k.images.first...)
	return err
}

// demands is what the quota must hold.
func (k *cluster) demands() []platform.Demand {
	var all []platform.Demand
	for _, d := range [][]platform.Demand{
		k.Database.Demands(databaseName), k.Cache.Demands(cacheName), k.Backend.Demands(backendName),
		k.Frontend.Demands(frontendName), k.Edge.Demands(edgeName), k.Monitoring.Demands(monitoringName),
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
	)
	var edges []platform.Edge
	connect := func(from, to platform.Workload, port int) {
		edges = append(edges, platform.Edge{From: platform.Pods(from), To: platform.Pods(to), Ports: []int{port}})
	}
	markets := platform.Network{CIDRs: k.Cluster.EgressCIDRs, Except: platform.Internet.Except}
	trades := func(from platform.Workload) {
		if len(markets.CIDRs) > 0 {
			edges = append(edges, platform.Edge{From: platform.Pods(from), To: platform.Outside(markets), Ports: []int{443}})
		}
	}

	edges = append(edges, platform.Edge{From: platform.Outside(platform.Anywhere), To: platform.Pods(edge), Ports: []int{ingress.HTTPPort, ingress.HTTPSPort}})
	connect(edge, ui, frontend.DefaultPort)
	connect(edge, app.API, k.Backend.API.Port)
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
	if k.Backend.API.MetricsPath != "" {
		targets = append(targets, monitoring.Target{Workload: app.API, Port: k.Backend.API.Port})
	}
	if k.Frontend.MetricsPath != "" {
		targets = append(targets, monitoring.Target{Workload: ui, Port: frontend.DefaultPort})
	}
	if engine := k.Backend.Engine; engine != nil {
		connect(app.Engine, db, database.Port)
		connect(app.Engine, store, cache.Port)
		trades(app.Engine)
		if engine.MetricsPath != "" {
			targets = append(targets, monitoring.Target{Workload: app.Engine, Port: engine.Port})
		}
	}
	if dashboard := k.Backend.Dashboard; dashboard != nil {
		connect(edge, app.Dashboard, dashboard.Port)
		connect(app.Dashboard, db, database.Port)
		connect(app.Dashboard, store, cache.Port)
		if dashboard.MetricsPath != "" {
			targets = append(targets, monitoring.Target{Workload: app.Dashboard, Port: dashboard.Port})
		}
	}
	return append(edges, k.Monitoring.Edges(monitoringName, targets...)...)
}

// on places every component on the platform.
func (k *cluster) on(p *platform.Platform) {
	k.Database.Namespace, k.Cache.Namespace, k.Backend.Namespace = p.Namespace, p.Namespace, p.Namespace
	k.Frontend.Namespace, k.Edge.Namespace, k.Monitoring.Namespace = p.Namespace, p.Namespace, p.Namespace
	k.Database.PriorityClass, k.Cache.PriorityClass, k.Monitoring.PriorityClass = p.StatefulPriority, p.StatefulPriority, p.StatefulPriority
	k.Backend.SettingsName = p.SettingsName
	if k.Platform.PullCredentials != "" {
		k.Database.ImagePullSecret, k.Cache.ImagePullSecret, k.Backend.ImagePullSecret = p.PullSecret, p.PullSecret, p.PullSecret
		k.Frontend.ImagePullSecret, k.Edge.ImagePullSecret, k.Monitoring.ImagePullSecret = p.PullSecret, p.PullSecret, p.PullSecret
	}
}

// connect gives each backend workload exactly the credentials that it reads.
func (k *cluster) connect(db *database.Database, store *cache.Cache) {
	secrets := k.Application.SecretEnv
	environment := func(thirdParty bool) pulumi.StringMapInput {
		c := k.credentials
		all := pulumi.All(db.Host, c.DatabaseApplication, store.Host, c.CacheApplication, c.JWTSecret, c.AppSecret)
		return pulumi.ToSecret(all.ApplyT(func(v []any) map[string]string {
			s := func(i int) string { return v[i].(string) }
			env := backend.Merge(
				backend.DatabaseAccess{Host: s(0), Port: database.Port, Name: database.Name, User: database.ApplicationRole, Password: s(1)}.Environment(),
				backend.CacheAccess{Host: s(2), Port: cache.Port, Password: s(3)}.Environment(),
				backend.ApplicationKeys{JWTSecret: s(4), Secret: s(5)}.Environment(),
			)
			if thirdParty {
				env = backend.Merge(env, secrets)
			}
			return env
		})).(pulumi.StringMapOutput)
	}
	k.Backend.DatabaseHost = db.Host
	k.Backend.API.Credentials = environment(true)
	if k.Backend.Engine != nil {
		k.Backend.Engine.Credentials = environment(true)
	}
	if k.Backend.Dashboard != nil {
		k.Backend.Dashboard.Credentials = environment(false)
	}
}

// routes tells the edge what is behind it.
func (k *cluster) routes(app *backend.Backend, ui *frontend.Frontend) {
	k.Edge.Routes.UI.Host, k.Edge.Routes.API.Host = ui.PodsHost, app.APIPodsHost
	if d := k.Edge.Routes.Dashboard; d != nil {
		d.Host = app.DashboardPodsHost
	}
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
