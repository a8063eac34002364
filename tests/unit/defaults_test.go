package unit

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/telemetry"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// bare composes every room of a stack with what has no default and nothing else: names,
// places, credentials, addresses, and which of the optional processes there are.
func bare(ctx *pulumi.Context) error {
	keys, err := platform.NewCredentials(ctx, "credentials", &platform.CredentialsArgs{Members: true})
	if err != nil {
		return err
	}
	place := workload.Placement{Namespace: pulumi.String("alphapulse-bare")}
	data := place
	data.PriorityClass = pulumi.StringPtr("alphapulse-bare-stateful")
	// Ten API pods at most and the next of a rollout, the engine, the dashboard and its next.
	const processes = 14
	db, err := database.NewDatabase(ctx, "database", &database.Args{
		Placement: data, SuperuserPassword: keys.DatabaseAdmin, ApplicationPassword: keys.DatabaseApplication, MonitoringPassword: keys.DatabaseMonitoring,
		PoolingPassword: keys.DatabasePooling, ReplicationPassword: keys.DatabaseReplication, RewindPassword: keys.DatabaseRewind,
		ControlPassword: keys.DatabaseControl, AuthoritySeed: keys.AuthoritySeed, TrustedSeeds: keys.TrustedSeeds, APIServerPorts: []int{443, 6443},
		Clients: processes * backend.DefaultSettings().MaxConnections, Sessions: processes,
	})
	if err != nil {
		return err
	}
	authority := workload.Authority{Seed: keys.AuthoritySeed, Trusted: keys.TrustedSeeds}
	store, err := cache.NewCache(ctx, "cache", &cache.Args{
		Placement: data, ApplicationPassword: keys.CacheApplication, MonitoringPassword: keys.CacheMonitoring, Authority: authority,
	})
	if err != nil {
		return err
	}
	app, err := backend.NewBackend(ctx, "backend", &backend.Args{
		Placement: place, Engine: &backend.Process{}, Dashboard: &backend.Process{},
		Access: &backend.Access{
			Database:     backend.DatabaseAccess{Port: database.Port, Name: database.Name, User: database.ApplicationRole, ReadName: database.ReadName},
			Cache:        backend.CacheAccess{Port: cache.Port},
			DatabaseHost: db.Host, DatabaseDirectHost: db.Primary, CacheHost: store.Host,
			DatabasePassword: keys.DatabaseApplication, CachePassword: keys.CacheApplication, JWTSecret: keys.JWTSecret, AppSecret: keys.AppSecret,
			Roots: authority.Roots(), CacheTLSPort: cache.TLSPort,
		},
	})
	if err != nil {
		return err
	}
	const dashboards = "https://monitoring.example.org"
	ui, err := frontend.NewFrontend(ctx, "frontend", &frontend.Args{
		Placement: place, Env: map[string]string{"DASHBOARD_URL": "https://dashboard.example.org", "GRAFANA_URL": dashboards},
	})
	if err != nil {
		return err
	}
	metrics := []string{"/metrics"}
	if _, err := ingress.NewIngress(ctx, "edge", &ingress.Args{
		Placement: place, Domain: "example.org", PrometheusPassword: keys.PrometheusAdmin,
		Routes: ingress.Routes{
			UI:         &ingress.Upstream{Host: ui.PodsHost, Port: frontend.DefaultPort, Hidden: metrics},
			API:        &ingress.Upstream{Host: app.APIPodsHost, Port: 8000, Hidden: metrics},
			Dashboard:  &ingress.Upstream{Host: app.DashboardPodsHost, Port: 8050, Hidden: metrics},
			Grafana:    &ingress.Upstream{Host: pulumi.String("monitoring-grafana"), Port: monitoring.GrafanaPort, Hidden: metrics},
			Prometheus: &ingress.Upstream{Host: pulumi.String("monitoring-prometheus"), Port: monitoring.PrometheusPort},
		},
	}); err != nil {
		return err
	}
	if _, err = monitoring.NewMonitoring(ctx, "monitoring", &monitoring.Args{
		Placement: data, Grafana: monitoring.Grafana{Password: keys.GrafanaAdmin}, ExternalURL: pulumi.String(dashboards),
	}); err != nil {
		return err
	}
	_, err = db.Use(ctx)
	return err
}

// content is what follows from the content of files: names and revisions.
var content = regexp.MustCompile(`[0-9a-f]{10}"`)

// TestNoDefaultExistsTwice: a component that is told nothing asks for what a stack does
// that sets nothing, to the last object.
func TestNoDefaultExistsTwice(t *testing.T) {
	whole, err := recorder.Run(recorder.Options{Stack: "bare", Config: map[string]string{"domain": "example.org"}})
	require.NoError(t, err)
	alone := &recorder.Recording{}
	require.NoError(t, alone.Program(recorder.Options{Stack: "bare"}, bare))
	objects := func(r *recorder.Recording) map[string]string {
		all := map[string]string{}
		for _, x := range r.Resources {
			watched := strings.HasPrefix(x.Name, "monitoring-") && (x.Kind() == "ConfigMap" || x.Kind() == "Secret")
			if !x.Kubernetes() || strings.HasPrefix(x.Name, "platform") || watched {
				continue // the ground; and what is watched, which one list of links decides
			}
			raw, err := json.MarshalIndent(recorder.Plain(x.Inputs), "", " ")
			require.NoError(t, err)
			all[x.Label()] = string(raw)
			if strings.HasPrefix(x.Name, "monitoring-") {
				all[x.Label()] = content.ReplaceAllString(string(raw), `"`)
			}
		}
		return all
	}
	want, got := objects(whole), objects(alone)
	require.Greater(t, len(want), 30)
	for label := range want {
		assert.Equal(t, want[label], got[label], label)
	}
	assert.Len(t, got, len(want), "objects that the stack does not have")
}

// TestDefaultsAreCounted: what a room says about itself before it exists has the defaults
// in it, too.
func TestDefaultsAreCounted(t *testing.T) {
	db, store, app := database.Defaults(), cache.Defaults(), backend.Defaults()
	ui, edge, watch, signals := frontend.Defaults(), ingress.Defaults(), monitoring.Defaults(), telemetry.Defaults()
	signals.Logs.Backend, signals.Traces.Backend = telemetry.Local, telemetry.Local
	taken := telemetry.Signal{Backend: telemetry.Local}
	for name, facts := range map[string][2]func(string, room.Target) room.Facts{
		"database":   {(&database.Args{}).Facts, db.Facts},
		"cache":      {(&cache.Args{}).Facts, store.Facts},
		"backend":    {(&backend.Args{Engine: &backend.Process{}, Dashboard: &backend.Process{}}).Facts, app.Facts},
		"frontend":   {(&frontend.Args{}).Facts, ui.Facts},
		"edge":       {(&ingress.Args{}).Facts, edge.Facts},
		"telemetry":  {(&telemetry.Args{Logs: taken, Traces: taken}).Facts, signals.Facts},
		"monitoring": {(&monitoring.Args{}).Facts, watch.Facts},
	} {
		for _, on := range []room.Target{room.Kubernetes, room.DockerHost} {
			assert.Equal(t, facts[1](name, on), facts[0](name, on), "%s on %s", name, on)
		}
	}
}
