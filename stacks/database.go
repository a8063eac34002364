package stacks

import (
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbouncer"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

func (s *Stack) databaseSettings(set *settings.Set) {
	a := s.Database
	only := settings.Only(room.Kubernetes)
	g := set.Group("Database", "TimescaleDB, its poolers and its exporter. docs/data.md says what is promised.")
	g.Image(&a.Image, "databaseImage", "TimescaleDB: on a cluster the HA edition, by default "+database.HAImage+"; on a Docker host that is backed up, too, else the Alpine edition, by default "+database.HostImage+".",
		settings.Of(settings.Release{Product: "PostgreSQL", Repositories: []string{"postgres", "postgresql"}, Mark: "pg", Only: database.Major}))
	g.Image(&a.ExporterImage, "databaseExporterImage", "Prometheus exporter of the database.")
	g.Image(&a.AgentImage, "databaseAgentImage", "The project's agent beside members and poolers, and beside the edge's nginx, from docker/Dockerfile.agent.prod. On a Docker host a database that is backed up has it.")
	g.Image(&a.PoolerImage, "databasePoolerImage", "PgBouncer, 1.26.1 or newer.", only)
	g.Int(&a.Instances, "databaseInstances", "Members of the database: with 2 or 3 it fails over by itself, and a commit is on two of them before it is acknowledged.",
		settings.Between(1, database.MostInstances), only)
	g.Bool(&a.Strict, "databaseStopWithoutStandby", "Stop commits while a single member is left, instead of going on with what is on that one alone.", only)
	g.Bool(&a.Direct, "databaseDirect", "Let the application connect to the primary itself, for builds that need a session's features (LISTEN, advisory locks, SET); a failover is an error to them.", only)
	g.Resources(&a.Resources, "databaseResources", "the database; its memory settings follow from the limits",
		settings.AtLeast(database.LeastMemory, "as limits.memory PostgreSQL with TimescaleDB does not start with it"))
	s.volume(g, databaseName, &a.Storage, "databaseStorage", "Size of the database's volume. It can grow, never shrink. A Docker volume has no bound: the write-ahead log's follows from it.",
		settings.AtLeast(database.LeastStorage, "the write-ahead log does not fit"))
	g.Text(&s.databaseFrom, "databaseFrom", "What a new database is filled from: volume, for the single server's of releases before databaseInstances, which is stopped, copied and kept.",
		settings.OneOf("", fromVolume), only)
	s.former.Image = pulumi.String(database.HostImage)
	g.Image(&s.former.Image, "databaseFromImage", "Image that the former single server ran, where it was another one than by default.",
		settings.While(func() bool { return s.databaseFrom == fromVolume }, "databaseFrom is volume"), only)
	g.Object("databaseAlertLimits", "From when on alerts on the database fire: connections 0.8 (the used share), transactionSeconds 900 (the age of an open one), deadlocks 3 (in a quarter of an hour), lagSeconds 60, rollbacks 0.1 (the share of transactions), temporaryBytes 10485760 (a second), poolerWaitSeconds 5 (of the oldest client that waits for a connection).", limits(&a.Limits))
	g.Int(&a.MaxConnections, "databaseMaxConnections", "Connections that the database accepts, as many as its memory carries.", settings.Between(database.LeastConnections, 1000))
	g.List(&a.AliasServices, "databaseAliases", "Further Service names of the database, for builds that hard-code a host name.", settings.Each(settings.ServiceName))
	g.Check(func(p *settings.Problems) {
		s.checkDatabase(p)
		// A tag of another repository may tell the version, and not that Patroni is in it.
		image := p.Value("databaseImage")
		a.LookIntoImage = p.Untold("databaseImage") || s.Target == room.Kubernetes && image != "" && !strings.Contains(image, "timescaledb-ha")
		memory := a.Resources.Limits.Memory
		if most := database.MostConnections(memory.Value()); a.MaxConnections > most {
			p.Add("databaseMaxConnections", "%d is too many for databaseResources.limits.memory %s: set at most %d or raise the memory",
				a.MaxConnections, memory.String(), most)
		}
	})
}

// checkDatabase refuses what a cluster of members cannot be made of.
func (s *Stack) checkDatabase(p *settings.Problems) {
	a := s.Database
	image := p.Value("databaseImage")
	if s.Target == room.DockerHost && s.Backup.on() && alpine.MatchString(image) {
		p.Add("databaseImage", "%q has no pgBackRest, and databaseBackup is %s: name the HA edition, e.g. %s", image, s.Backup.Mode, database.HAImage)
	}
	if s.Target != room.Kubernetes {
		return
	}
	if alpine.MatchString(image) {
		p.Add("databaseImage", "%q is the edition for a Docker host: a cluster needs the HA edition with Patroni, e.g. %s", image, database.HAImage)
	}
	if image := p.Value("databasePoolerImage"); image != "" {
		if err := pgbouncer.CheckImage(image); err != nil {
			p.Add("databasePoolerImage", "%v", err)
		}
	}
	if a.Strict && a.Instances == 1 {
		p.Add("databaseStopWithoutStandby", "true needs databaseInstances 2 or 3: a single member has no standby, and every commit would wait")
	}
	a.Sessions = s.databaseProcesses()
	clients := s.databaseClients()
	if spare := a.Spare(); a.Direct && clients > spare {
		p.Add("databaseDirect", "the application opens up to %d connections (maxConnections %d for each of its processes at backendMaxReplicas %d), and the server has %d for it: lower maxConnections or raise databaseMaxConnections",
			clients, s.Application.MaxConnections, s.Backend.Scaling.Max, spare)
	}
	if _, err := a.Pools(); err != nil && !a.Direct {
		p.Add("databaseMaxConnections", "%v", err)
	}
}

// fromVolume fills the members from the volume of a single server.
const fromVolume = "volume"

// databaseFormer tells a stack that has the volume of a single server, and no members yet,
// how it comes over: without a word its data would stay behind.
func (s *Stack) databaseFormer(p *settings.Problems, before Previous) {
	size, former := before.Volumes[databaseName]
	members := false
	for claim := range before.Volumes {
		members = members || strings.HasPrefix(claim, database.Claims(databaseName))
	}
	switch {
	case former && !members && s.databaseFrom == "":
		p.Add("databaseFrom", "it is not set, and the stack has a database in volume %s, which members cannot open as it is: "+
			"`pulumi config set databaseFrom %s` stops it, copies it into a member's volume and keeps it (docs/upgrading.md)", databaseName, fromVolume)
	case !former && s.databaseFrom != "":
		p.Warn("databaseFrom", "it has no effect: the stack has no volume of a single server; `pulumi config rm databaseFrom`")
	case former && s.databaseFrom != "":
		s.former.Size = size
		s.Database.Former = &s.former
	}
}

// databaseVolume is the volume that a setting sizes which has this claim: each member's is
// the database's, a single server's stays as it is.
func databaseVolume(claim string) string {
	switch {
	case strings.HasPrefix(claim, database.Claims(databaseName)):
		return databaseName
	case claim == databaseName:
		return ""
	default:
		return claim
	}
}

// databaseConsumers makes the server's consumers those of the set that runs the members:
// alerts on it are about that.
func (s *Stack) databaseConsumers(consumers map[string][]string) {
	if s.Target == room.Kubernetes {
		consumers[database.Set(databaseName, s.Database.Generation)] = consumers[database.Server(databaseName).Name]
	}
}

// alpine is the image of a single server.
var alpine = regexp.MustCompile(`(^|/)timescaledb(:|@|$)`)

// databaseClients is how many connections the application opens at most: each process
// its pool.
func (s *Stack) databaseClients() int { return s.databaseProcesses() * s.Application.MaxConnections }

// databaseProcesses is how many processes the application has at most, a rollout's next
// API pod and dashboard included.
func (s *Stack) databaseProcesses() int {
	processes := s.Backend.Scaling.Max + 1
	if s.Application.EngineEnabled {
		processes++
	}
	if s.Application.DashboardEnabled {
		processes += 2
	}
	return processes
}

// databaseLogin is what the application logs in as. A single server on a Docker host has
// one role for it, whose password changes with a restart.
func (s *Stack) databaseLogin() string {
	if s.Target == room.Kubernetes {
		return s.Database.Login()
	}
	return database.ApplicationRole
}

// databaseReadName is what the application reads from standbys with; "" where it cannot.
func (s *Stack) databaseReadName() string {
	if s.Target == room.Kubernetes && s.Database.Instances > 1 && !s.Database.Direct {
		return database.ReadName
	}
	return ""
}

func (s *Stack) arrangeDatabase() {
	a := s.Database
	a.Word, a.InternalWord = s.words[platform.RotateDatabase], s.words[platform.RotateDatabaseInternal]
	a.StorageClass, a.Protect, a.SpreadRequired = s.Cluster.StorageClass, s.Platform.Protect, s.Cluster.SpreadRequired
	a.APIServerPorts, a.Clients, a.Sessions = numbers(s.Cluster.APIServerPorts), s.databaseClients(), s.databaseProcesses()
}

// databaseCredentials gives the database the passwords of its roles.
func (s *Stack) databaseCredentials(c *platform.Credentials) {
	s.Database.SuperuserPassword = c.DatabaseAdmin
	s.Database.ApplicationPassword = c.DatabaseApplication
	s.Database.MonitoringPassword = c.DatabaseMonitoring
	s.Database.PoolingPassword = c.DatabasePooling
	s.Database.ReplicationPassword, s.Database.RewindPassword = c.DatabaseReplication, c.DatabaseRewind
	s.Database.ControlPassword, s.Database.FormerControl = c.DatabaseControl, c.FormerControl
	s.Database.AuthoritySeed, s.Database.TrustedSeeds = c.AuthoritySeed, c.TrustedSeeds
}

// membersSet is what the members' StatefulSet is called, which is otherwise after each restore.
func (s *Stack) membersSet() string { return database.Set(databaseName, s.Database.Generation) }
