package frontend

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// Frontend is the UI of one stack.
type Frontend struct {
	pulumi.ResourceState

	// Host is the client Service's name.
	Host pulumi.StringOutput
	// PodsHost is the headless Service's name, which resolves to one address for
	// each ready pod.
	PodsHost pulumi.StringOutput
}

// NewFrontend creates the UI.
func NewFrontend(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Frontend, error) {
	if args == nil {
		args = &Args{}
	}
	args, err := args.Validated()
	if err != nil {
		return nil, err
	}
	f := &Frontend{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Frontend", name, f, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(f)
	process, volumes := args.process(name)
	if process.Settings, err = content.ConfigMap(ctx, name+"-settings", args.Namespace, UI(name), pulumi.ToStringMap(args.Env), parent); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	created, err := workload.Pod{
		Identity: UI(name), Placement: args.Placement,
		Replicas: pulumi.Int(args.Replicas), Most: args.Replicas, Spread: workload.SpreadOf(args.SpreadRequired),
		Processes: []workload.Process{process}, Volumes: volumes, Services: workload.Balanced(name, args.ports()...),
		Scrape: args.Facts(name, room.Kubernetes).Workloads[0].Scrape,
	}.Create(ctx, parent)
	if err != nil {
		return nil, err
	}
	f.Host, f.PodsHost = created.Services[0], created.Services[1]
	return f, ctx.RegisterResourceOutputs(f, pulumi.Map{"host": f.Host, "podsHost": f.PodsHost})
}
