package database

import (
	"errors"
	"fmt"
	"maps"
	"slices"

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
	// Data and Socket are the volumes by which a backup reaches the server, and Agent is the
	// one with the agent, which a server has that is Archived.
	Data, Socket, Agent pulumi.StringInput
	// Started is known once the server is on its volume.
	Started pulumi.IDOutput
}

// NewDockerDatabase creates the database on a Docker host. The volume's size is not
// bounded: the size of the write-ahead log follows from Storage all the same.
func NewDockerDatabase(ctx *pulumi.Context, name string, host *workload.Host, args *Args, opts ...pulumi.ResourceOption) (*DockerDatabase, error) {
	if host == nil {
		return nil, workload.ErrNoHost
	}
	args, err := args.onHost(host).validated(name)
	if err := errors.Join(err, args.validateArchived()); err != nil {
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
	for _, kept := range slices.Sorted(maps.Keys(args.Kept)) {
		if err := host.Left(ctx, kept, parent); err != nil {
			return nil, err
		}
	}
	if args.Restore != nil {
		process, volumes := args.filler(name)
		if err := host.RunOnce(ctx, workload.Container{Process: process, ImageOf: name, Volumes: volumes}, args.Attempt, parent); err != nil {
			return nil, err
		}
	}
	volumes := args.volumes(name, f)
	running, err := host.Run(ctx, workload.Container{Process: args.server(name), Look: args.look(), Volumes: volumes, Aliases: args.AliasServices}, parent)
	if err != nil {
		return nil, err
	}
	d.Started = running[0].(pulumi.CustomResource).ID()
	d.Data, d.Socket = host.Made(args.HostVolume(name)), host.Made(name+"-socket")
	d.Agent = host.Made(name + "-agent")
	reconciler := args.reconciler(name)
	if args.Archived {
		// It is made anew for another volume, where a restore has taken the right to log in
		// from the roles of the backup.
		reconciler.Env["VOLUME"] = pulumi.String(args.HostVolume(name))
	}
	ready, err := host.Run(ctx, workload.Container{Process: reconciler, ImageOf: name, Volumes: volumes, After: running}, parent)
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
	image := HostImage
	if a != nil && a.Archived {
		image = HAImage
	}
	own := a.running(image)
	own.Namespace = pulumi.String(host.Prefix())
	return own
}

// validateArchived reports what keeps a server from being backed up on a Docker host.
func (a *Args) validateArchived() error {
	if !a.Archived {
		if a.Archive != nil || a.Restore != nil {
			return errors.New("database: Archive and Restore need the members' image on a Docker host, too: set Archived")
		}
		return nil
	}
	problems := missing([]required{{"AgentImage", a.AgentImage}})
	if a.Generation < 1 {
		problems = append(problems, fmt.Errorf("database: Generation is %d: want 1 or more", a.Generation))
	}
	if a.Restore != nil && a.Archive == nil {
		problems = append(problems, errors.New("database: Restore needs Archive: set it"))
	}
	if a.Archive != nil {
		problems = append(problems, a.Archive.Validate())
	}
	return errors.Join(problems...)
}
