package cache

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// DockerCache is the server and its exporter as containers of a Docker host.
type DockerCache struct {
	pulumi.ResourceState

	// Ready is there once the server answers.
	Ready pulumi.Resource
}

// NewDockerCache creates the cache on a Docker host. The volume's size is not bounded.
func NewDockerCache(ctx *pulumi.Context, name string, host *workload.Host, args *Args, opts ...pulumi.ResourceOption) (*DockerCache, error) {
	if host == nil {
		return nil, workload.ErrNoHost
	}
	args, err := args.onHost(host).validated(name)
	if err != nil {
		return nil, err
	}
	c := &DockerCache{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerCache", name, c, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(c)
	on := room.DockerHost
	volumes := args.volumes(name, on)
	running, err := host.Run(ctx, workload.Container{Process: args.server(name), Volumes: volumes, Aliases: args.AliasServices}, parent)
	if err != nil {
		return nil, err
	}
	c.Ready = running[0]
	if _, err := host.Run(ctx, workload.Container{Process: args.exporter(name, on), Volumes: volumes, After: running}, parent); err != nil {
		return nil, err
	}
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{})
}

// onHost fills in what only a cluster has; nothing of it is read.
func (a *Args) onHost(host *workload.Host) *Args {
	own := Args{}
	if a != nil {
		own = *a
	}
	own.Namespace, own.Encryption = pulumi.String(host.Prefix()), room.Unencrypted
	return &own
}
