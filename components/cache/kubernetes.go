package cache

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Cache is one server.
type Cache struct {
	pulumi.ResourceState

	// Host is the name under which pods of the namespace reach the server, on Port.
	Host pulumi.StringOutput
	// Claim names the claim that holds the data.
	Claim pulumi.StringOutput
}

// NewCache creates the cache.
func NewCache(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Cache, error) {
	args, err := args.validated(name)
	if err != nil {
		return nil, err
	}
	c := &Cache{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Cache", name, c, opts...); err != nil {
		return nil, err
	}
	on := room.Kubernetes
	created, err := workload.Pod{
		Identity: Server(name), Placement: args.Placement, Kind: workload.Stateful,
		Processes: []workload.Process{args.server(name), args.exporter(name, on)},
		Volumes:   args.volumes(name, on),
		Services:  args.services(name), GoverningService: workload.Headless(name),
		Scrape: args.Facts(name, on).Workloads[0].Scrape, RevisionHistory: 10, Protect: args.Protect,
	}.Create(ctx, pulumi.Parent(c))
	if err != nil {
		return nil, err
	}
	c.Host, c.Claim = created.Services[0], created.Claim
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{"host": c.Host, "claim": c.Claim})
}
