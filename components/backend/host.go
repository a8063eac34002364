package backend

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// DockerBackend is the application's server side as containers of a Docker host.
type DockerBackend struct {
	pulumi.ResourceState

	// Ready are the containers that the edge asks.
	Ready []pulumi.Resource
}

// NewDockerBackend creates Scaling.Min containers of the API, the engine and the
// dashboard, once what is in after is there.
func NewDockerBackend(ctx *pulumi.Context, name string, host *workload.Host, args *Args, after []pulumi.Resource, opts ...pulumi.ResourceOption) (*DockerBackend, error) {
	if host == nil {
		return nil, workload.ErrNoHost
	}
	own := Args{}
	if args != nil {
		own = *args
	}
	own = *own.withDefaults()
	// What a cluster alone has; nothing of it is read here.
	own.Namespace = pulumi.String(host.Prefix())
	own.Scaling = Scaling{Min: own.Scaling.Min, Max: own.Scaling.Min, CPUUtilization: 100, MemoryUtilization: 100}
	if err := own.Validate(); err != nil {
		return nil, err
	}
	b := &DockerBackend{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerBackend", name, b, opts...); err != nil {
		return nil, err
	}
	for _, r := range own.running(name) {
		process, volumes := own.onHost(r)
		c := workload.Container{Process: process, Volumes: volumes, After: after}
		if r.Process == &own.API {
			c.Members = own.members(r.Name)
		}
		created, err := host.Run(ctx, c, pulumi.Parent(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Component, err)
		}
		if r.Process != own.Engine {
			b.Ready = append(b.Ready, created...)
		}
	}
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{})
}
