package database

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// DockerDatabase is the server, what brings its roles to what is declared, and its
// exporter, as containers of a Docker host.
type DockerDatabase struct {
	pulumi.ResourceState

	// Ready is there once the server accepts connections and its roles, its database
	// and the extension are as declared.
	Ready pulumi.Resource
}

// NewDockerDatabase creates the database on a Docker host. The volume's size is not
// bounded: the size of the write-ahead log follows from Storage all the same.
func NewDockerDatabase(ctx *pulumi.Context, name string, host *workload.Host, args *Args, opts ...pulumi.ResourceOption) (*DockerDatabase, error) {
	if host == nil {
		return nil, workload.ErrNoHost
	}
	args, err := args.onHost(host).validated(name)
	if err != nil {
		return nil, err
	}
	d := &DockerDatabase{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerDatabase", name, d, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(d)
	f, err := args.files(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	volumes := args.volumes(f)
	running, err := host.Run(ctx, workload.Container{Process: args.server(name), Look: args.look(), Volumes: volumes, Aliases: args.AliasServices}, parent)
	if err != nil {
		return nil, err
	}
	ready, err := host.Run(ctx, workload.Container{Process: args.reconciler(name), ImageOf: name, Volumes: volumes, After: running}, parent)
	if err != nil {
		return nil, err
	}
	d.Ready = ready[0]
	if _, err := host.Run(ctx, workload.Container{Process: args.exporter(name, room.DockerHost), Volumes: volumes, After: ready}, parent); err != nil {
		return nil, err
	}
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{})
}

// onHost fills in what only a cluster has; nothing of it is read.
func (a *Args) onHost(host *workload.Host) *Args {
	own := a.running(HostImage)
	own.Namespace = pulumi.String(host.Prefix())
	return own
}
