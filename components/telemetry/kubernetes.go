package telemetry

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Telemetry is the gateway and the stores of one namespace.
type Telemetry struct {
	pulumi.ResourceState
}

// server is one process, mostly with a volume: what all three workloads have in common.
type server struct {
	process workload.Process
	volumes []workload.Volume
	// more ports of the Service beside the process' first.
	more []workload.Port
}

// NewTelemetry creates what the signals that are on need; without any there is nothing.
func NewTelemetry(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Telemetry, error) {
	if args == nil {
		args = &Args{}
	}
	args, err := args.Validated()
	if err != nil {
		return nil, err
	}
	t := &Telemetry{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Telemetry", name, t, opts...); err != nil {
		return nil, err
	}
	if args.On() {
		facts := args.Facts(name, room.Kubernetes)
		after, err := args.indices(ctx, name, pulumi.Parent(t))
		if err != nil {
			return nil, err
		}
		for _, one := range args.servers() {
			s, err := one(name)
			if err != nil {
				return nil, err
			}
			if err := s.create(ctx, args, facts, pulumi.Parent(t), pulumi.DependsOn(after)); err != nil {
				return nil, fmt.Errorf("%s: %w", s.process.Name, err)
			}
		}
	}
	return t, ctx.RegisterResourceOutputs(t, pulumi.Map{})
}

// servers make what the signals that are on need.
func (a *Args) servers() []func(name string) (server, error) {
	if !a.On() {
		return nil
	}
	all := []func(string) (server, error){a.collector}
	if a.Logs.Backend == Local {
		all = append(all, a.logs)
	}
	if a.RunsJaeger() {
		all = append(all, a.traces)
	}
	return all
}

// create makes account, claim, Service, StatefulSet and disruption budget. The Service is
// headless: each is one pod.
func (s server) create(ctx *pulumi.Context, a *Args, facts room.Facts, opts ...pulumi.ResourceOption) error {
	identity := s.process.Identity
	stated, _ := facts.Workload(identity.Name)
	_, err := workload.Pod{
		Identity: identity, Placement: a.Placement, Kind: workload.Stateful,
		Processes: []workload.Process{s.process}, Volumes: s.volumes,
		Services:         []workload.Service{{Name: identity.Name, Type: "ClusterIP", Headless: true, Port: s.process.Ports[0], More: s.more}},
		GoverningService: identity.Name, Scrape: stated.Scrape, Protect: a.Protect,
	}.Create(ctx, opts...)
	return err
}

// data is the volume of one of the workloads.
func (a *Args) data(size resource.Quantity) workload.Volume {
	return workload.Volume{Name: "data", Data: &workload.Data{Size: size, StorageClass: a.StorageClass, Protect: a.Protect}}
}
