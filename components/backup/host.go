package backup

import (
	"errors"
	"fmt"
	"path"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbackrest"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// MetricsPort is where the containers of a Docker host say when they last succeeded.
const MetricsPort = 8011

// DockerBackup is what takes backups by schedule on a Docker host, and what proves them:
// a container each, which keep to their schedules themselves.
type DockerBackup struct {
	pulumi.ResourceState
}

// DockerArgs are what a backup needs of a Docker host's database.
type DockerArgs struct {
	// Data and Socket are the volumes of its server: a backup reads both. Agent is the one
	// with the agent.
	Data, Socket, Agent pulumi.StringInput
	// Ready is there once the server is.
	Ready pulumi.Resource
}

// NewDockerBackup creates the backup on a Docker host. Store, Former, Scratch and Wanted
// are a cluster's.
func NewDockerBackup(ctx *pulumi.Context, name string, host *workload.Host, args *Args, on DockerArgs, opts ...pulumi.ResourceOption) (*DockerBackup, error) {
	if host == nil {
		return nil, workload.ErrNoHost
	}
	if args == nil {
		args = &Args{}
	}
	if err := errors.Join(args.validateOnHost(), on.validate()); err != nil {
		return nil, err
	}
	b := &DockerBackup{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerBackup", name, b, opts...); err != nil {
		return nil, err
	}
	for _, c := range []workload.Container{args.hostTaker(name, on), args.hostProver(name, on)} {
		if on.Ready != nil {
			c.After = []pulumi.Resource{on.Ready}
		}
		if _, err := host.Run(ctx, c, pulumi.Parent(b)); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{})
}

func (d DockerArgs) validate() error {
	if d.Data == nil || d.Socket == nil || d.Agent == nil {
		return errors.New("backup: Data, Socket and Agent are needed on a Docker host: pass those of the database")
	}
	return nil
}

// validateOnHost is Validate for what a Docker host has.
func (a *Args) validateOnHost() error {
	problems := []error{a.Archive.Validate()}
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("backup: "+format, v...)) }
	if a.Image == nil {
		problem("Image is missing: set it")
	}
	if a.Database.Stanza == "" || a.Database.Volume == "" {
		problem("Database needs Stanza and Volume")
	}
	if a.Store != nil || a.Former != nil || a.Wanted != nil {
		problem("Store, Former and Wanted are a cluster's: leave them out on a Docker host")
	}
	if err := a.Resources.Validate(); err != nil {
		problem("Resources: %w", err)
	}
	return errors.Join(append(problems, a.validateSchedules())...)
}

// hostFiles are what every container with pgBackRest has on a Docker host.
func (a *Args) hostFiles(beside, readOnly bool) ([]workload.Volume, []workload.Mount) {
	config, secret := a.Archive.Files("pgbackrest", pgbackrest.ConfigDir, func(r pgbackrest.Repository) string {
		h := pgbackrest.Host{Stanza: a.Database.Stanza, Repository: r, Server: a.Database.Server, Beside: beside}
		return h.Render()
	})
	volumes, mounts := a.Archive.HostRepositoryVolume("repository", readOnly)
	return append(volumes, workload.Volume{Name: "tmp", Empty: &workload.Empty{Size: "256Mi"}}, workload.Folder(config), workload.Folder(secret)),
		append(mounts,
			workload.Mount{Volume: "tmp", Path: "/tmp"},
			workload.Mount{Volume: config.Name, Path: pgbackrest.ConfigDir, ReadOnly: true},
			workload.Mount{Volume: secret.Name, Path: pgbackrest.SecretDir, ReadOnly: true})
}

// hostAgent is a container that runs one of the agent's loops.
func (a *Args) hostAgent(identity room.Identity, on DockerArgs, volumes []workload.Volume, mounts []workload.Mount, command ...string) workload.Container {
	p := a.backrest(command[0], append(mounts, workload.Mount{Volume: "agent", Path: agentDir, ReadOnly: true}))
	agent := path.Join(agentDir, "agent")
	p.Identity, p.Command = identity, append([]string{agent}, command...)
	p.Env["PGDATA"] = pulumi.String(a.Database.DataDir)
	p.StartupSeconds = 60
	p.Health = workload.Health{Command: []string{agent, "ask", fmt.Sprintf("http://127.0.0.1:%d/alive", MetricsPort)}}
	return workload.Container{Process: p, Volumes: append(volumes, workload.Volume{Name: "agent", Claim: on.Agent})}
}

// hostTaker takes backups: it reads the server's files, and asks it through its socket.
func (a *Args) hostTaker(name string, on DockerArgs) workload.Container {
	volumes, mounts := a.hostFiles(true, false)
	volumes = append(volumes, workload.Volume{Name: "data", Claim: on.Data}, workload.Volume{Name: "socket", Claim: on.Socket})
	mounts = append(mounts,
		workload.Mount{Volume: "data", Path: a.Database.Volume, ReadOnly: true},
		workload.Mount{Volume: "socket", Path: database.SocketPath, ReadOnly: true})
	return a.hostAgent(Taker(name), on, volumes, mounts, "backups", "-socket", database.SocketPath,
		"-full", a.Full, "-differential", a.Differential, "-incremental", a.Incremental)
}

// hostProver proves backups in a volume of its own. It reads the repository, and nothing
// of the server.
func (a *Args) hostProver(name string, on DockerArgs) workload.Container {
	volumes, mounts := a.hostFiles(false, true)
	volumes = append(volumes,
		workload.Volume{Name: "shared-memory", Empty: &workload.Empty{Size: "256Mi", Memory: true}},
		workload.Volume{Name: "scratch", Scratch: &workload.Scratch{}})
	mounts = append(mounts, workload.Mount{Volume: "shared-memory", Path: "/dev/shm"}, workload.Mount{Volume: "scratch", Path: a.Database.Volume})
	return a.hostAgent(Prover(name), on, volumes, mounts, "proofs", "-schedule", a.Proof)
}
