package stacks

import (
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/backup"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/telemetry"
)

// deployKubernetes composes the rooms in one namespace of a cluster.
func deployKubernetes(ctx *pulumi.Context, s *Stack, all *registry) (pulumi.Map, error) {
	provider, err := newProvider(ctx, s.Cluster)
	if err != nil {
		return nil, err
	}
	// The engine is needed to build, and for nothing else.
	var engine *docker.Provider
	if s.Build.Enabled {
		if engine, err = newDockerProvider(ctx, s); err != nil {
			return nil, err
		}
	}
	c, err := newCommon(ctx, s, engine)
	if err != nil {
		return nil, err
	}
	opts := append([]pulumi.ResourceOption{pulumi.Provider(provider)}, c.first()...)
	planned := s.planned()

	ground, err := platform.NewPlatform(ctx, platformName, &platform.Args{
		Namespace:       s.Cluster.Namespace,
		Given:           !s.Cluster.CreateNamespace,
		Owner:           s.Cluster.owner,
		Facts:           planned.facts,
		Links:           planned.links,
		NameServers:     platform.NameServers{CIDRs: s.Cluster.DNSCIDRs, Ports: numbers(s.Cluster.DNSPorts)},
		PullCredentials: optionalSecret(s.Platform.PullCredentials),
		Protect:         s.Platform.Protect,
	}, opts...)
	if err != nil {
		return nil, err
	}
	s.on(ground)
	db, saved, err := s.deployDatabase(ctx, all, opts...)
	if err != nil {
		return nil, err
	}
	store, err := cache.NewCache(ctx, cacheName, s.Cache, opts...)
	if err != nil {
		return nil, err
	}
	s.Backend.Access.DatabaseHost, s.Backend.Access.CacheHost = db.Host, store.Host
	if !s.Database.Direct {
		s.Backend.Access.DatabaseDirectHost = db.Primary
	}
	app, err := backend.NewBackend(ctx, backendName, s.Backend, opts...)
	if err != nil {
		return nil, err
	}
	ui, err := frontend.NewFrontend(ctx, frontendName, s.Frontend, opts...)
	if err != nil {
		return nil, err
	}
	s.routes(ui.PodsHost, app.APIPodsHost, app.DashboardPodsHost)
	if s.Edge.UpstreamRoots != nil {
		// It asks at ports that those before them may not have had.
		s.Edge.After = all.of(app, ui)
	}
	edge, err := ingress.NewIngress(ctx, edgeName, s.Edge, opts...)
	if err != nil {
		return nil, err
	}
	watch, err := monitoring.NewMonitoring(ctx, monitoringName, s.Monitoring, opts...)
	if err != nil {
		return nil, err
	}
	told, err := db.Use(ctx, all.of(app, store, ui, edge, watch)...)
	if err != nil {
		return nil, err
	}
	if s.Telemetry.On() {
		if _, err := telemetry.NewTelemetry(ctx, telemetryName, s.Telemetry, opts...); err != nil {
			return nil, err
		}
	}
	if err := c.guard(ctx, all.everything()); err != nil {
		return nil, err
	}
	return c.outputs(ctx, s.onCluster(ground, db, edge, planned, append(saved, told)))
}

// onCluster are the outputs that a stack on a cluster has, and those that its next update
// reads.
func (s *Stack) onCluster(ground *platform.Platform, db *database.Database, edge *ingress.Ingress, planned plan, rolled []pulumi.Resource) pulumi.Map {
	target := pulumi.Map{
		outputNamespace:  ground.Namespace,
		outputVolumes:    once(db, planned.volumes),
		outputGeneration: once(db, pulumi.Int(s.Database.Generation)),
		outputRestored:   once(db, pulumi.String(s.Backup.restored)),
		outputRotations:  s.rotationOutput(rolled...),
		"urls":           edge.URLs,
		"edgeAddress":    edge.Address,
		"caCertificate":  edge.CACertificate,
	}
	if s.Backup.on() {
		target["databaseBackupPassphrase"] = s.Backups.Archive.Passphrase
	}
	if s.Cluster.uid != "" {
		target[outputCluster] = pulumi.String(s.Cluster.uid)
	}
	return target
}

// once is a value that the next update reads back. An update that fails keeps its outputs,
// too: one whose restore was refused must not be taken for one that is on new volumes.
func once(db *database.Database, value pulumi.Input) pulumi.Output {
	return pulumi.All(db.Set, value).ApplyT(func(v []any) any { return v[1] })
}

// deployDatabase composes the database with its backups: a restore asks the repository
// before it makes a database, and a backup is taken when there is one. beside has what
// checks certificates of its CA, too. Nothing of the database may depend on that: a backup
// depends on the database.
func (s *Stack) deployDatabase(ctx *pulumi.Context, all *registry, opts ...pulumi.ResourceOption) (db *database.Database, beside []pulumi.Resource, err error) {
	if !s.stays() {
		db, err = database.NewDatabase(ctx, databaseName, s.Database, opts...)
		return db, nil, err
	}
	saved, err := backup.NewBackup(ctx, backupName, s.Backups, opts...)
	if err != nil {
		return nil, nil, err
	}
	s.Database.After = saved.Found
	db, err = database.NewDatabase(ctx, databaseName, s.Database, opts...)
	if err != nil {
		return nil, nil, err
	}
	if s.Backup.on() {
		err = saved.Schedule(ctx, all.of(db)...)
	}
	return db, saved.Certified, err
}

// newProvider is explicit, so that a stack says which cluster it means and never
// follows the current context of whoever runs it without a trace.
func newProvider(ctx *pulumi.Context, c Cluster) (*kubernetes.Provider, error) {
	args := &kubernetes.ProviderArgs{
		EnableServerSideApply: pulumi.Bool(true),
		// What must not change has its content in its name, and says so to Kubernetes. The
		// others change in place: replaced, they would take along what is told their name.
		EnableConfigMapMutable: pulumi.Bool(true),
		EnableSecretMutable:    pulumi.Bool(true),
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
