package database

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Database is one server.
type Database struct {
	pulumi.ResourceState

	// Host is the name under which pods of the namespace reach the server, on Port.
	Host pulumi.StringOutput
	// Claim names the claim that holds the data.
	Claim pulumi.StringOutput
}

// NewDatabase creates the database.
func NewDatabase(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Database, error) {
	args, err := args.validated(name)
	if err != nil {
		return nil, err
	}
	d := &Database{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Database", name, d, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(d)
	f, err := args.files(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	on := room.Kubernetes
	facts := args.Facts(name, on)
	created, err := workload.Pod{
		Identity: Server(name), Placement: args.Placement, Kind: workload.Stateful,
		Processes: []workload.Process{args.server(name), args.reconciler(name, on), args.exporter(name, on)},
		Volumes:   args.volumes(f, on),
		Services:  services(name, args.AliasServices), GoverningService: workload.Headless(name),
		Scrape: facts.Workloads[0].Scrape, RevisionHistory: 10, Protect: args.Protect,
	}.Create(ctx, parent)
	if err != nil {
		return nil, err
	}
	d.Host, d.Claim = created.Services[0], created.Claim
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{"host": d.Host, "claim": d.Claim})
}
