package stacks

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/backup"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/telemetry"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// deployDocker composes the rooms on one Docker host.
func deployDocker(ctx *pulumi.Context, s *Stack, all *registry) (pulumi.Map, error) {
	provider, err := newDockerProvider(ctx, s)
	if err != nil {
		return nil, err
	}
	c, err := newCommon(ctx, s, provider)
	if err != nil {
		return nil, err
	}
	opts := append([]pulumi.ResourceOption{pulumi.Provider(provider)}, c.first()...)
	planned := s.planned()

	host, err := workload.NewHost(ctx, hostName, &workload.HostArgs{
		Prefix: s.Host.Prefix, Links: planned.links, KeepVolumes: !s.Host.DeleteVolumes, Protect: s.Platform.Protect,
		NamedLogs: s.Telemetry.Logs.On(),
	}, opts...)
	if err != nil {
		return nil, err
	}
	db, err := database.NewDockerDatabase(ctx, databaseName, host, s.Database, opts...)
	if err != nil {
		return nil, err
	}
	if s.Backup.on() {
		if _, err := backup.NewDockerBackup(ctx, backupName, host, s.Backups, backup.DockerArgs{
			Data: db.Data, Socket: db.Socket, Agent: db.Agent, Ready: db.Ready,
		}, opts...); err != nil {
			return nil, err
		}
	}
	store, err := cache.NewDockerCache(ctx, cacheName, host, s.Cache, opts...)
	if err != nil {
		return nil, err
	}
	s.Backend.Access.DatabaseHost, s.Backend.Access.CacheHost = pulumi.String(databaseName), pulumi.String(cacheName)
	app, err := backend.NewDockerBackend(ctx, backendName, host, s.Backend, []pulumi.Resource{db.Ready, store.Ready}, opts...)
	if err != nil {
		return nil, err
	}
	ui, err := frontend.NewDockerFrontend(ctx, frontendName, host, s.Frontend, opts...)
	if err != nil {
		return nil, err
	}
	name := func(workload string) pulumi.StringInput { return pulumi.String(workload) }
	s.routes(name(frontendName), name(backend.API(backendName).Name), name(backend.Dashboard(backendName).Name))
	edge, err := ingress.NewDockerIngress(ctx, edgeName, host, s.Edge, ingress.DockerArgs{
		HTTPPort: s.Host.HTTPPort, After: append(slices.Clone(app.Ready), ui.Ready),
	}, opts...)
	if err != nil {
		return nil, err
	}
	if _, err := monitoring.NewDockerMonitoring(ctx, monitoringName, host, s.Monitoring, monitoring.DockerArgs{
		PrometheusPort: s.Host.PrometheusPort, GrafanaPort: s.Host.GrafanaPort,
	}, opts...); err != nil {
		return nil, err
	}
	if s.Telemetry.On() {
		if s.Telemetry.EngineFolder == "" {
			s.Telemetry.EngineFolder = s.Host.folder
		}
		if _, err := telemetry.NewDockerTelemetry(ctx, telemetryName, host, s.Telemetry, opts...); err != nil {
			return nil, err
		}
	}
	if err := c.guard(ctx, all.everything()); err != nil {
		return nil, err
	}
	return c.outputs(ctx, s.onHost(host, db, edge, app))
}

// onHost are the outputs that a stack on a Docker host has, and those that its next update
// reads.
func (s *Stack) onHost(host *workload.Host, db *database.DockerDatabase, edge *ingress.DockerIngress, app *backend.DockerBackend) pulumi.Map {
	target := pulumi.Map{
		outputVolumes:   pulumi.ToStringMap(host.Volumes),
		"urls":          edge.URLs,
		"caCertificate": edge.CACertificate,
		outputRotations: s.rotationOutput(app.Ready...),
	}
	if s.Database.Archived {
		// An update that fails keeps its outputs, too: these are what it is on in the end.
		once := func(value any) pulumi.Output { return db.Started.ApplyT(func(pulumi.ID) any { return value }) }
		target[outputVolumes] = once(host.Volumes)
		target[outputGeneration], target[outputRestored] = once(s.Database.Generation), once(s.Backup.restored)
	}
	if s.Backup.on() {
		target["databaseBackupPassphrase"] = s.Backups.Archive.Passphrase
	}
	if s.Host.id != "" {
		target[outputEngine] = pulumi.String(s.Host.id)
	}
	return target
}
