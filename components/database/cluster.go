package database

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbouncer"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Paths in the members' containers.
const (
	volumeRoot = "/home/postgres/pgdata"
	memberData = volumeRoot + "/data"
	binPath    = "/usr/lib/postgresql/17/bin"
	tlsPath    = "/etc/database-tls"
	agentPath  = "/opt/agent"
	filePath   = "/etc/patroni"
)

// MemberUser is the numeric uid and gid of "postgres" in the HA image.
const MemberUser = 1000

// agentPort is where the agent beside a member answers.
const agentPort = 8010

// Set is the name of the members' StatefulSet of a generation, and Patroni's scope: its
// pods are NAME-0, NAME-1, …
func Set(name string, generation int) string { return fmt.Sprintf("%s-g%d", name, generation) }

func (a *Args) scope(name string) string { return Set(name, a.Generation) }

// Claim is the name of a member's claim.
func Claim(name string, generation, member int) string {
	return workload.ClaimName(dataVolume, Set(name, generation), member)
}

// Claims is what the names of all members' claims begin with.
func Claims(name string) string { return dataVolume + "-" + name + "-g" }

// Names of the Services beside the primary's, which is called like the database.
func membersService(name string) string { return name + "-members" }
func readService(name string) string    { return name + "-read" }
func poolerPods(name string) string     { return name + "-pooler-pods" }

// Pooler is the identity of the poolers of the database called name, for links.
func Pooler(name string) room.Identity {
	return room.Identity{Name: name + "-pooler", Instance: name, Component: "database-pooler"}
}

// Endpoint is what the application connects to, and on which port of its pods.
func (a *Args) Endpoint(name string, on room.Target) (room.Identity, int) {
	if on == room.Kubernetes && !a.Direct {
		return Pooler(name), pgbouncer.Port
	}
	return Server(name), Port
}

// validateCluster reports what keeps the database from being created on a cluster.
func (a *Args) validateCluster() error {
	problems := missing([]required{
		{"AgentImage", a.AgentImage}, {"PoolerImage", a.PoolerImage}, {"PoolingPassword", a.PoolingPassword},
		{"ReplicationPassword", a.ReplicationPassword}, {"RewindPassword", a.RewindPassword},
		{"ControlPassword", a.ControlPassword}, {"AuthoritySeed", a.AuthoritySeed},
	})
	if a.Instances < 1 || a.Instances > MostInstances {
		problems = append(problems, fmt.Errorf("database: Instances is %d: want 1 to %d", a.Instances, MostInstances))
	}
	if a.Generation < 1 {
		problems = append(problems, fmt.Errorf("database: Generation is %d: want 1 or more", a.Generation))
	}
	return errors.Join(problems...)
}

// poolers is how many PgBouncers there are, with a single member, too: the loss of a node
// that has none is not to cost the way to it.
const poolers = 2

// reserved are the server's connections that are not for poolers: those that the server
// keeps, the exporter's and the agent's, pg_rewind's, and a session of an operator.
const reserved = superuserReserved + monitoringReserved + 10

// Pools are the sizes of each pooler's pools.
func (a *Args) Pools() (pgbouncer.Pools, error) {
	return pgbouncer.Size(pgbouncer.Demand{
		ServerConnections: a.Tuning().MaxConnections, Reserved: reserved + a.Sessions, Poolers: poolers + 1, Clients: a.Clients,
	})
}

// Spare is how many connections of the server clients may open that connect straight.
func (a *Args) Spare() int { return a.Tuning().MaxConnections - reserved }

// cluster is Patroni's configuration.
func (a *Args) cluster(name string) patroni.Config {
	var settings []patroni.Setting
	for _, s := range append(common, a.Tuning().settings()...) {
		settings = append(settings, patroni.Setting{Name: s.name, Value: strings.Trim(s.value, "'")})
	}
	// What a lost standby has not read yet must not fill the volume.
	settings = append(settings, patroni.Setting{Name: "max_slot_wal_keep_size", Value: bytes(max(a.Tuning().MaxWALSize, a.Storage.Value()/5/miB*miB))})
	config := patroni.Config{
		Scope: a.scope(name), Labels: Server(name).Selector(), Strict: a.Strict, BinDir: binPath, DataDir: memberData, SocketDir: SocketPath,
		Agent: agentPath + "/agent", TLSDir: tlsPath, ReplicationRole: ReplicationRole, RewindRole: RewindRole,
		ReplicationLogin: a.internal(ReplicationRole), RewindLogin: a.internal(RewindRole),
		MonitoringRole: MonitoringRole, Settings: settings, Bootstrap: a.bootstrap(name), Encrypted: a.controlTLS(),
	}
	if a.Archive != nil {
		member := a.backrest(name, a.Archive.Repository)
		config.ArchiveCommand = member.ArchiveCommand()
	}
	return config
}

// pooling renders PgBouncer's configuration.
func (a *Args) pooling() (string, error) {
	pools, err := a.Pools()
	if err != nil {
		return "", err
	}
	config := pgbouncer.Config{
		Database: Name, ReadDatabase: ReadName, Role: a.internal(PoolingRole), Function: lookup, Pools: pools, WaitSeconds: waitSeconds, TLS: a.Encryption,
	}
	return config.Render()
}

// lookup is the function that tells poolers the verifiers of applications.
const lookup = "pooling.lookup"

// waitSeconds is how long a query waits for a primary: longer than a failover takes.
const waitSeconds = 60

// controlTLS tells whether Patroni's REST API speaks TLS.
func (a *Args) controlTLS() bool { return a.Encryption != room.Unencrypted }

// clusterServices are those of the members.
func (a *Args) clusterServices(name string) []workload.Service {
	postgres, control := workload.Port{Name: portName, Number: Port}, workload.Port{Name: controlName, Number: patroni.Port}
	ours := func(role string) map[string]string {
		labels := a.labels(name)
		if role != "" {
			labels[patroni.RoleLabel] = role
		}
		return labels
	}
	services := []workload.Service{
		{Name: name, Port: postgres, More: []workload.Port{control}, Selects: ours(patroni.Primary)},
		{Name: readService(name), Port: postgres, Selects: ours(patroni.Replica)},
		{Name: membersService(name), Headless: true, NotReady: true, Port: postgres, More: []workload.Port{control}, Selects: ours("")},
	}
	for _, alias := range a.direct() {
		services = append(services, workload.Service{Name: alias, Port: postgres, Selects: ours(patroni.Primary)})
	}
	return services
}

// direct are the aliases that lead to the primary itself.
func (a *Args) direct() []string {
	if a.Direct {
		return a.AliasServices
	}
	return nil
}

// poolerServices are those of the poolers: clients find the port of PostgreSQL there.
func (a *Args) poolerServices(name string) []workload.Service {
	postgres := workload.Port{Name: portName, Number: Port}
	services := []workload.Service{{Name: Pooler(name).Name, Port: postgres}}
	if !a.Direct {
		for _, alias := range a.AliasServices {
			services = append(services, workload.Service{Name: alias, Port: postgres})
		}
	}
	return append(services, workload.Service{
		Name: poolerPods(name), Headless: true, NotReady: true, Port: workload.Port{Name: controlName, Number: pgbouncer.ControlPort},
	})
}

// labels of the members of this generation beside their identity's.
func (a *Args) labels(name string) map[string]string {
	return map[string]string{patroni.ScopeLabel: a.scope(name)}
}

// clusterLinks are the connections between members and poolers, and to the API server.
func (a *Args) clusterLinks(name string) []room.Link {
	server, pooler := room.Of(Server(name)), room.Of(Pooler(name))
	return []room.Link{
		{From: server, To: server, Ports: []int{Port, patroni.Port}, Zone: room.Peers},
		{From: pooler, To: server, Ports: []int{Port, patroni.Port}, Zone: room.Data},
		{From: server, To: pooler, Ports: []int{pgbouncer.ControlPort, pgbouncer.ControlTLSPort}, Zone: room.Data},
		{From: server, To: room.Outside(room.Anywhere), Ports: a.APIServerPorts, Zone: room.Exit},
	}
}

// seconds that the parts need to stop.
const (
	// memberGrace is for a handover and a fast shutdown.
	memberGrace = 120
	poolerGrace = 45
	// poolerPause is how long a pooler goes on after its addresses were taken away: as long
	// as the reference backend keeps a connection, and as a handover of the primary takes,
	// for PgBouncer does not resume any more once it was told to stop.
	poolerPause = 20
)

// secretOf makes a Pulumi secret of a text that follows from secrets.
func secretOf(in []any, text func(v []any) (string, error)) pulumi.StringOutput {
	return pulumi.ToSecret(pulumi.All(in...).ApplyT(text)).(pulumi.StringOutput)
}
