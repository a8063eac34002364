package stacks

import (
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/dockerhost"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
)

// hostName is the instance's name of the Docker host.
const hostName = "host"

// single composes the components on one Docker host.
type single struct {
	parts
	application *dockerhost.BackendArgs
}

func deployDocker(ctx *pulumi.Context, c *Stack, all func() []pulumi.Resource) (pulumi.Map, error) {
	provider, err := newDockerProvider(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &single{}
	if s.parts, err = newParts(ctx, c, provider); err != nil {
		return nil, err
	}
	opts := append([]pulumi.ResourceOption{pulumi.Provider(provider)}, s.images.first...)
	s.connect()

	host, err := dockerhost.NewHost(ctx, hostName, &dockerhost.HostArgs{
		Prefix: c.Host.Prefix, Links: s.links(), KeepVolumes: !c.Host.DeleteVolumes, Protect: c.Platform.Protect,
	}, opts...)
	if err != nil {
		return nil, err
	}
	db, err := dockerhost.NewDatabase(ctx, databaseName, host, s.Database, opts...)
	if err != nil {
		return nil, err
	}
	store, err := dockerhost.NewCache(ctx, cacheName, host, s.Cache, opts...)
	if err != nil {
		return nil, err
	}
	s.application.After = []pulumi.Resource{db.Ready, store.Ready}
	app, err := dockerhost.NewBackend(ctx, backendName, host, s.application, opts...)
	if err != nil {
		return nil, err
	}
	ui, err := dockerhost.NewFrontend(ctx, frontendName, host, s.Frontend, opts...)
	if err != nil {
		return nil, err
	}
	edge, err := dockerhost.NewEdge(ctx, edgeName, host, &dockerhost.EdgeArgs{
		Args: s.Edge, HTTPPort: c.Host.HTTPPort, After: append(slices.Clone(app.Ready), ui.Ready),
	}, opts...)
	if err != nil {
		return nil, err
	}
	s.Monitoring.CertificateNotAfter = edge.CertificateExpiry
	if _, err := dockerhost.NewMonitoring(ctx, monitoringName, host, &dockerhost.MonitoringArgs{
		Args: s.Monitoring, Targets: s.targets(),
		PrometheusPort: c.Host.PrometheusPort, GrafanaPort: c.Host.GrafanaPort,
	}, opts...); err != nil {
		return nil, err
	}
	if err := s.guard(ctx, all()); err != nil {
		return nil, err
	}

	out, err := s.outputs(ctx)
	if err != nil {
		return nil, err
	}
	out[outputVolumes] = pulumi.ToStringMap(host.Volumes)
	out["urls"] = edge.URLs
	out["caCertificate"] = edge.CACertificate
	return out, nil
}

// connect names who is where, and gives each process exactly the credentials that it
// reads: as files, for a container's environment is no secret on a Docker host.
func (s *single) connect() {
	w := backend.WorkloadsOf(backendName)
	s.Edge.Routes.UI.Host, s.Edge.Routes.API.Host = pulumi.String(frontendName), pulumi.String(w.API.Name)
	if d := s.Edge.Routes.Dashboard; d != nil {
		d.Host = pulumi.String(w.Dashboard.Name)
	}

	access := func(databasePassword, cachePassword, jwt, secret string) map[string]string {
		return backend.Merge(
			backend.DatabaseAccess{Host: databaseName, Port: database.Port, Name: database.Name, User: database.ApplicationRole, Password: databasePassword}.Environment(),
			backend.CacheAccess{Host: cacheName, Port: cache.Port, Password: cachePassword}.Environment(),
			backend.ApplicationKeys{JWTSecret: jwt, Secret: secret}.Environment(),
		)
	}
	plain := access("", "", "", "")
	maps.DeleteFunc(plain, func(name, _ string) bool { return slices.Contains(backend.SecretVariables, name) })

	c := s.credentials
	all := pulumi.All(c.DatabaseApplication, c.CacheApplication, c.JWTSecret, c.AppSecret)
	own, thirdParty := pulumi.StringMap{}, pulumi.StringMap{}
	for _, name := range backend.SecretVariables {
		own[name] = pulumi.ToSecret(all.ApplyT(func(v []any) string {
			return access(v[0].(string), v[1].(string), v[2].(string), v[3].(string))[name]
		})).(pulumi.StringOutput)
	}
	maps.Copy(thirdParty, own)
	for name, value := range s.Application.SecretEnv {
		if value != "" { // no file is empty, and a variable that is set needs none
			thirdParty[name] = optionalSecret(value)
		}
	}
	s.application = &dockerhost.BackendArgs{
		Args:      s.Backend,
		Variables: backend.Merge(s.Application.Environment(), plain),
		Credentials: map[string]pulumi.StringMap{
			w.API.Name: thirdParty, w.Engine.Name: thirdParty, w.Dashboard.Name: own,
		},
	}
}

// links is the one list of who talks to whom.
func (s *single) links() []dockerhost.Link {
	var (
		app   = backend.WorkloadsOf(backendName)
		db    = dockerhost.DatabaseWorkloadsOf(databaseName)
		store = dockerhost.CacheWorkloadsOf(cacheName)
		edge  = dockerhost.EdgeWorkloadsOf(edgeName)
		watch = monitoring.WorkloadsOf(monitoringName)
		c     = s.Host
	)
	var links []dockerhost.Link
	link := func(from, to string, zone dockerhost.Zone) {
		links = append(links, dockerhost.Link{From: from, To: to, Zone: zone})
	}

	link(dockerhost.World, edge.Server, dockerhost.Entry)
	if c.GrafanaPort != 0 {
		link(dockerhost.World, watch.Grafana.Name, dockerhost.Entry)
	}
	if c.PrometheusPort != 0 {
		link(dockerhost.World, watch.Prometheus.Name, dockerhost.Entry)
	}
	for _, to := range []string{frontendName, app.API.Name, watch.Grafana.Name, watch.Prometheus.Name} {
		link(edge.Server, to, dockerhost.Web)
	}
	consumers := []string{app.API.Name}
	trades := []string{app.API.Name}
	if s.Backend.Engine != nil {
		consumers, trades = append(consumers, app.Engine.Name), append(trades, app.Engine.Name)
	}
	if s.Backend.Dashboard != nil {
		consumers = append(consumers, app.Dashboard.Name)
		link(edge.Server, app.Dashboard.Name, dockerhost.Web)
	}
	for _, from := range consumers {
		link(from, db.Server, dockerhost.Data)
		link(from, store.Server, dockerhost.Data)
	}
	for _, from := range trades {
		link(from, dockerhost.World, dockerhost.Exit)
	}
	link(db.Reconciler, db.Server, dockerhost.Data)
	link(store.Exporter, store.Server, dockerhost.Data)
	link(edge.Exporter, edge.Server, dockerhost.Watch)

	link(watch.Grafana.Name, watch.Prometheus.Name, dockerhost.Watch)
	link(watch.Prometheus.Name, watch.Alertmanager.Name, dockerhost.Watch)
	link(watch.Prometheus.Name, watch.Grafana.Name, dockerhost.Watch)
	for _, to := range []string{db.Exporter, store.Exporter, edge.Exporter} {
		link(watch.Prometheus.Name, to, dockerhost.Watch)
	}
	for _, t := range s.targets() {
		if t.Job != databaseName && t.Job != cacheName && t.Job != edgeName {
			link(watch.Prometheus.Name, t.Job, dockerhost.Watch)
		}
	}
	if s.Monitoring.Alertmanager.WebhookURL != nil || s.Monitoring.Alertmanager.HeartbeatURL != nil {
		link(watch.Alertmanager.Name, dockerhost.World, dockerhost.Exit)
	}
	return links
}

// targets are what Prometheus scrapes beside the monitoring itself: each container of
// the API on its own, and nothing of a build that serves no metrics.
func (s *single) targets() []config.Target {
	targets := []config.Target{
		dockerhost.Target(databaseName, databaseName, "database", dockerhost.DatabaseWorkloadsOf(databaseName).Exporter, database.MetricsPort, "/metrics"),
		dockerhost.Target(cacheName, cacheName, "cache", dockerhost.CacheWorkloadsOf(cacheName).Exporter, cache.MetricsPort, "/metrics"),
		dockerhost.Target(edgeName, edgeName, "ingress", dockerhost.EdgeWorkloadsOf(edgeName).Exporter, ingress.MetricsPort, "/metrics"),
	}
	for _, w := range s.Backend.Running(backendName) {
		if w.MetricsPath == "" {
			continue
		}
		containers := []string{w.Name}
		if w.Process == &s.Backend.API {
			containers = s.application.Replicas(w.Name)
		}
		for _, name := range containers {
			targets = append(targets, dockerhost.Target(w.Name, name, w.Component, name, w.Port, w.MetricsPath))
		}
	}
	if path := s.Frontend.MetricsPath; path != "" {
		targets = append(targets, dockerhost.Target(frontendName, frontendName, "frontend", frontendName, frontend.DefaultPort, path))
	}
	return targets
}
