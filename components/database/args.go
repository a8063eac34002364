// Package database runs TimescaleDB, tuned to its limits, with its roles brought to what
// is declared. On a cluster it is one to three members that fail over by themselves
// (Patroni), each on a volume of its own, behind poolers (PgBouncer); on a Docker host it
// is one server.
package database

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/database/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Ports of the database's pod.
const (
	// Port of PostgreSQL.
	Port = 5432
	// MetricsPort of the exporter.
	MetricsPort = 9187
)

// What the application and the exporter log in to, fixed by the application's contract.
const (
	// Name of the application's database.
	Name = "alphapulse"
	// ReadName is the name under which poolers lead to a standby.
	ReadName = Name + "_read"
	// ApplicationRole owns the database and is no superuser.
	ApplicationRole = "alphapulse_user"
	// MonitoringRole is a member of pg_monitor and logs in from its own pod only. This one
	// and the three below are each their kind, and with no InternalWord its one login.
	MonitoringRole = "alphapulse_monitor"
	// PoolingRole asks for the application's verifiers, ReplicationRole streams the
	// write-ahead log and RewindRole reads files of a former primary.
	PoolingRole     = "alphapulse_pooler"
	ReplicationRole = "alphapulse_replicator"
	RewindRole      = "alphapulse_rewinder"
	// SuperuserRole logs in through the server's socket only, inside the pod.
	SuperuserRole = "postgres"
)

// User is the numeric uid and gid of "postgres" in the Alpine image.
const User = 70

// MostInstances of the database: with more, quorum commit gains nothing here.
const MostInstances = 3

// ExporterResources and ReconcilerResources are those of the containers beside the
// server. The exporter holds its metrics in memory; the reconciler sleeps once it is
// done.
var (
	ExporterResources   = room.ResourcesOf("20m", "48Mi", "200m", "128Mi")
	ReconcilerResources = room.ResourcesOf("10m", "32Mi", "200m", "64Mi")
)

// LeastMemory and LeastStorage is what the server needs to start and to initialise
// its volume with a write-ahead log of the least size.
var (
	LeastMemory  = resource.MustParse("256Mi")
	LeastStorage = resource.MustParse("1Gi")
)

// Args configure a Database. What is zero takes the value of Defaults.
type Args struct {
	workload.Placement
	// Image of TimescaleDB on PostgreSQL 17: on a cluster the HA edition with Patroni and
	// pgBackRest (uid 1000), on a Docker host, unless it is Archived, the Alpine edition
	// (uid 70). nil takes
	// HAImage or HostImage. Nothing needs the Timescale-licensed features, and nothing
	// takes them away where the image has them.
	Image pulumi.StringInput
	// LookIntoImage runs the image once, before what runs it changes, to see which
	// PostgreSQL it has, and whether Patroni: for one whose name does not tell.
	LookIntoImage bool
	// AgentImage is the project's own agent, which stands beside members and poolers and in
	// a Docker host's server that is Archived, and PoolerImage PgBouncer's, of which a Docker
	// host has none.
	AgentImage, PoolerImage pulumi.StringInput
	// Instances is the number of members, 1 to MostInstances. With more than one a commit
	// is on two of them before it is acknowledged.
	Instances int
	// Strict stops commits while a single member is left; else they go on, on that one.
	Strict bool
	// Direct lets the application connect to the primary instead of a pooler.
	Direct bool
	// Generation of the volumes: a restore fills another one.
	Generation int
	// Archived says that a Docker host's server is of the HA edition, on volumes that have
	// generations: one that is backed up, or has been.
	Archived bool
	// Attempt names a try to fill the volume of a Docker host.
	Attempt string
	// Archive keeps the write-ahead log, and lets backups be taken; nil for none.
	Archive *Archive
	// Restore fills the volumes of this generation, once; nil for a new database.
	Restore *Restore
	// Kept are the sizes of the claims of earlier generations, by name: they stay until
	// they are left out.
	Kept map[string]resource.Quantity
	// After is what has to be there before anything of the database changes.
	After []pulumi.Resource
	// Former is the single server whose volume the first member's is filled from; nil where
	// there is none.
	Former *Former
	// Clients is how many connections the application opens at most, all processes together.
	Clients int
	// Sessions is how many of them are sessions past the poolers: one of each process.
	Sessions int
	// SpreadRequired leaves a member pending rather than put two on one host.
	SpreadRequired bool
	// APIServerPorts are those on which pods reach the API server.
	APIServerPorts []int
	// ExporterImage of postgres_exporter.
	ExporterImage pulumi.StringInput
	// Resources of the server; its settings are computed from the limits.
	Resources room.Resources
	// MaxConnections of the server; 0 takes as many of the default's as the memory carries.
	MaxConnections int
	// Storage is the volume's size. It may grow later, never shrink.
	Storage resource.Quantity
	// StorageClass of the volume when it is first made; "" takes the cluster's default.
	StorageClass string
	// SuperuserPassword, ApplicationPassword and MonitoringPassword of the three
	// roles: printable ASCII. A changed one reaches the running database.
	SuperuserPassword, ApplicationPassword, MonitoringPassword pulumi.StringInput
	// Word is part of the application's login on a cluster: with another one it is another
	// login, and the one before works until Use. "" for ApplicationRole itself.
	Word string
	// InternalWord is part of the names of the logins that the database's parts have among
	// themselves on a cluster: another one makes others, as with Word. "" for the roles of
	// their kinds themselves.
	InternalWord string
	// PoolersFirst has the members start anew only when the poolers have, for every update
	// but the first one: one that starts while a primary hands over is not asked to hold its
	// clients back, and with another InternalWord poolers wait until the primary has the new
	// logins, and obey those who still have FormerControl.
	PoolersFirst bool
	// PoolingPassword, ReplicationPassword and RewindPassword of the members' and poolers'
	// own roles, and ControlPassword of Patroni's REST API and the poolers' control.
	PoolingPassword, ReplicationPassword, RewindPassword, ControlPassword pulumi.StringInput
	// FormerControl is what the poolers' control accepts beside ControlPassword; nil for
	// nothing.
	FormerControl pulumi.StringInput
	// Encryption is what poolers ask of their clients. Members always take connections over
	// the network with TLS alone. A Docker host has neither.
	Encryption room.Encryption
	// AuthoritySeed is what the CA of members and poolers is made of, secret, of at least
	// 32 characters.
	AuthoritySeed pulumi.StringInput
	// TrustedSeeds are what other CAs are made of that members and poolers trust beside that
	// one: the next, before anything is signed by it, and the former.
	TrustedSeeds []pulumi.StringInput
	// AliasServices are further names under which clients reach the database, for
	// builds that hard-code a host name.
	AliasServices []string
	// Limits of the alerts.
	Limits observe.Limits
	// Protect makes Pulumi refuse to delete the claim and the StatefulSet, and keep
	// them if the stack is destroyed all the same.
	Protect bool
}

// validated is a copy with every default filled in, or all that is wrong.
func (a *Args) validated(name string) (*Args, error) {
	if a == nil {
		a = &Args{}
	}
	a = a.withDefaults()
	return a, a.Validate(name)
}

// Tuning returns the server settings that follow from the arguments.
func (a *Args) Tuning() Tuning {
	return Tune(Machine{
		MemoryBytes:  a.Resources.Limits.Memory.Value(),
		CPUs:         int(a.Resources.Limits.CPU.Value()), // Value rounds up
		Connections:  a.MaxConnections,
		StorageBytes: a.Storage.Value(),
	})
}

// required is an argument without which there is no database.
type required struct {
	name  string
	value pulumi.StringInput
}

// missing reports those that are not there.
func missing(all []required) (problems []error) {
	for _, r := range all {
		if r.value == nil {
			problems = append(problems, fmt.Errorf("database: %s is missing: set it", r.name))
		}
	}
	return problems
}

// Validate reports everything that keeps the database called name from being created.
func (a *Args) Validate(name string) error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("database: "+format, v...)) }
	problems = append(problems, missing([]required{
		{"Namespace", a.Namespace}, {"Image", a.Image}, {"ExporterImage", a.ExporterImage},
		{"SuperuserPassword", a.SuperuserPassword}, {"ApplicationPassword", a.ApplicationPassword},
		{"MonitoringPassword", a.MonitoringPassword},
	})...)
	if err := a.Resources.Validate(); err != nil {
		problem("Resources: %w", err)
	}
	memory := a.Resources.Limits.Memory
	if memory.Cmp(LeastMemory) < 0 {
		problem("Resources: limits.memory is %s: PostgreSQL with TimescaleDB needs at least %s", memory.String(), LeastMemory.String())
	} else if c, most := a.MaxConnections, MostConnections(memory.Value()); c != 0 && (c < LeastConnections || c > most) {
		problem("MaxConnections is %d: want 0 (computed) or %d to %d with limits.memory %s; each connection keeps about %d MiB, "+
			"so lower it or raise the memory", c, LeastConnections, most, memory.String(), connectionBytes/miB)
	}
	if a.Storage.Cmp(LeastStorage) < 0 {
		problem("Storage is %s: the volume needs at least %s", a.Storage.String(), LeastStorage.String())
	}
	for _, err := range workload.ValidateAliases(name, a.AliasServices) {
		problem("%w", err)
	}
	return errors.Join(problems...)
}
