package database

import (
	"path"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/database/pgbackrest"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// A Docker host's server that is backed up, or has been, is of the members' image, without
// Patroni: there is one, and nobody to fail over to. The agent makes a new database, and
// gives way to the server.

// Folders of the repositories in containers of a Docker host.
const (
	HostRepository = "/backup"
	// HostRestored is another stack's.
	HostRestored = "/backup-from"
)

// agentImagePath is where the agent's image has it.
const agentImagePath = "/app"

// HostVolume is what the volume of the database called name is called on a Docker host,
// without the stack's prefix.
func (a *Args) HostVolume(name string) string {
	if a.Archived {
		return Set(name, a.Generation)
	}
	return name
}

// user that the server runs as on a Docker host.
func (a *Args) user() int {
	if a.Archived {
		return MemberUser
	}
	return User
}

// Filler is the identity of the container that fills the volume of a new generation on a
// Docker host.
func Filler(name string) room.Identity {
	return room.Identity{Name: name + "-fill", Instance: name, Component: "database-fill"}
}

// HostRepositoryVolume is the folder of a Docker host that holds the repository, nil for a
// bucket, and where containers have it.
func (a *Archive) HostRepositoryVolume(volume string, readOnly bool) ([]workload.Volume, []workload.Mount) {
	if a.HostFolder == "" {
		return nil, nil
	}
	return []workload.Volume{{Name: volume, HostFolder: a.HostFolder, HostWritten: true}},
		[]workload.Mount{{Volume: volume, Path: a.Folder, ReadOnly: readOnly}}
}

// AgentFolder is the agent in containers of another image, on a Docker host.
func (a *Args) AgentFolder() workload.Volume {
	return workload.Volume{Name: "agent", FromImage: &workload.ImageFolder{Image: a.AgentImage, Path: agentImagePath}}
}

// archived makes the server's process one of the members' image.
func (a *Args) archived(name string, p workload.Process) workload.Process {
	p.Command = append([]string{
		agentPath + "/agent", "start", "-bin", binPath, "-major", Major, "-data", memberData, "--",
	}, configArgs...)
	p.Args, p.User = nil, MemberUser
	p.Env = pulumi.StringMap{"PGDATA": pulumi.String(memberData)}
	p.Mounts = []workload.Mount{
		{Volume: dataVolume, Path: volumeRoot},
		{Volume: "shared-memory", Path: "/dev/shm"},
		{Volume: "socket", Path: SocketPath},
		{Volume: "tmp", Path: "/tmp"},
		{Volume: "config", Path: ConfigPath, ReadOnly: true},
		{Volume: "agent", Path: agentPath, ReadOnly: true},
	}
	if a.Archive != nil {
		a.reads(&p, name, a.archiveFiles(name))
	}
	return p
}

// archiveFiles are what pgBackRest reads beside the server.
func (a *Args) archiveFiles(name string) []workload.Volume {
	config, secret := a.Archive.Files("pgbackrest", pgbackrest.ConfigDir, func(r pgbackrest.Repository) string {
		m := a.backrest(name, r)
		m.Alone = true
		return m.Render()
	})
	repository, _ := a.Archive.HostRepositoryVolume("repository", false)
	return append(repository, workload.Folder(config), workload.Folder(secret))
}

// reads lets a process find what pgBackRest reads.
func (a *Args) reads(p *workload.Process, name string, files []workload.Volume) {
	for k, v := range pgbackrest.Env(name) {
		p.Env[k] = pulumi.String(v)
	}
	_, mounts := a.Archive.HostRepositoryVolume("repository", false)
	p.Mounts = append(p.Mounts, mounts...)
	for i, folder := range []string{pgbackrest.ConfigDir, pgbackrest.SecretDir} {
		p.Mounts = append(p.Mounts, workload.Mount{Volume: files[len(files)-2+i].Name, Path: folder, ReadOnly: true})
	}
}

// archivedVolumes are those that the server has beside those of any.
func (a *Args) archivedVolumes(name string) []workload.Volume {
	volumes := []workload.Volume{a.AgentFolder()}
	if a.Archive != nil {
		volumes = append(volumes, a.archiveFiles(name)...)
	}
	return volumes
}

// archiving are the lines of postgresql.conf by which the server's log is archived.
func (a *Args) archiveSettings(name string) []setting {
	if a.Archive == nil {
		return nil
	}
	m := a.backrest(name, a.Archive.Repository)
	return []setting{
		{"archive_mode", "on"}, {"archive_command", quote(m.ArchiveCommand())},
		// What is lost with the volume is no older.
		{"archive_timeout", "60s"},
	}
}

// filler fills the volume of a new generation from a backup, while the server still runs
// on the former one.
func (a *Args) filler(name string) (workload.Process, []workload.Volume) {
	p := workload.Process{
		Name: "fill", Identity: Filler(name), Image: a.Image, User: MemberUser,
		Command:   []string{agentPath + "/agent", "fill", "-stanza", name, "-data", memberData, "-target", a.Restore.Target},
		Env:       pulumi.StringMap{"PGDATA": pulumi.String(memberData)},
		Resources: a.Resources, GraceSeconds: 60,
		Mounts: []workload.Mount{
			{Volume: dataVolume, Path: volumeRoot},
			{Volume: "tmp", Path: "/tmp"},
			{Volume: "agent", Path: agentPath, ReadOnly: true},
		},
	}
	volumes := []workload.Volume{
		{Name: dataVolume, HostName: a.HostVolume(name), Data: &workload.Data{Protect: a.Protect}},
		{Name: "tmp", Empty: &workload.Empty{Size: "64Mi"}}, a.AgentFolder(),
	}
	from := a.Restore.From
	if from == nil {
		p.Command = append(p.Command, "-archive")
		files := a.archiveFiles(name)
		a.reads(&p, name, files)
		return p, append(volumes, files...)
	}
	config, secret := from.Files("restore", restoreDir, func(r pgbackrest.Repository) string {
		m := a.backrest(name, r)
		m.Alone = true
		return m.Render()
	})
	p.Env["PGBACKREST_CONFIG"] = pulumi.String(path.Join(restoreDir, backrestFile))
	p.Env["PGBACKREST_CONFIG_INCLUDE_PATH"] = pulumi.String(restoreDir + "-secret")
	repository, mounts := from.HostRepositoryVolume("repository", true)
	p.Mounts = append(p.Mounts, append(mounts,
		workload.Mount{Volume: config.Name, Path: restoreDir, ReadOnly: true},
		workload.Mount{Volume: secret.Name, Path: restoreDir + "-secret", ReadOnly: true})...)
	return p, append(volumes, append(repository, workload.Folder(config), workload.Folder(secret))...)
}
