// Command library is somebody else's Pulumi program: a database, a cache and their
// monitoring in a namespace of its own, by the components alone, without a stack of this
// repository. What it does not say takes the components' defaults.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

func main() { pulumi.Run(program) }

func program(ctx *pulumi.Context) error {
	keys, err := platform.NewCredentials(ctx, "keys", &platform.CredentialsArgs{Members: true})
	if err != nil {
		return err
	}
	ledger := &database.Args{
		SuperuserPassword: keys.DatabaseAdmin, ApplicationPassword: keys.DatabaseApplication, MonitoringPassword: keys.DatabaseMonitoring,
		PoolingPassword: keys.DatabasePooling, ReplicationPassword: keys.DatabaseReplication, RewindPassword: keys.DatabaseRewind,
		ControlPassword: keys.DatabaseControl, AuthoritySeed: keys.AuthoritySeed,
	}
	sessions := &cache.Args{ApplicationPassword: keys.CacheApplication, MonitoringPassword: keys.CacheMonitoring}
	watch := &monitoring.Args{Grafana: monitoring.Grafana{Password: keys.GrafanaAdmin}, ExternalURL: pulumi.String("https://grafana.example.com")}

	// What each says before it exists: quota, network policies, alerts and panels follow.
	on := room.Kubernetes
	facts := []room.Facts{ledger.Facts("ledger", on), sessions.Facts("sessions", on), watch.Facts("watch", on)}
	var links []room.Link
	for _, f := range facts {
		links = append(links, f.Links...)
	}
	links = append(links, watch.Watch("watch", links, facts...)...)

	ground, err := platform.NewPlatform(ctx, "ground", &platform.Args{Namespace: "shop", Facts: facts, Links: links})
	if err != nil {
		return err
	}
	place := workload.Placement{Namespace: ground.Namespace, PriorityClass: ground.StatefulPriority}
	ledger.Placement, sessions.Placement, watch.Placement = place, place, place
	db, err := database.NewDatabase(ctx, "ledger", ledger)
	if err != nil {
		return err
	}
	store, err := cache.NewCache(ctx, "sessions", sessions)
	if err != nil {
		return err
	}
	if _, err := monitoring.NewMonitoring(ctx, "watch", watch); err != nil {
		return err
	}
	ctx.Export("database", db.Host)
	ctx.Export("cache", store.Host)
	return nil
}
