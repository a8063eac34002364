// Package backup keeps what the database stores: pods that take backups by schedule, one
// that proves by schedule that the newest can be restored, and, where the backups lie on
// a volume of the cluster, the S3 server in front of it. The write-ahead log is archived
// by the database's own pods.
package backup

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/backup/observe"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbackrest"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Args configure a Backup.
type Args struct {
	workload.Placement
	// Image of the database, which brings pgBackRest and PostgreSQL's programs, and
	// AgentImage of the agent that proves.
	Image, AgentImage pulumi.StringInput
	// Store is the S3 server on a volume; nil where the repository is elsewhere.
	Store *Store
	// Access is how the repository is reached.
	Access Access
	// Database is what is backed up.
	Database Database
	// Full, Differential, Incremental and Proof are the schedules, in cron's notation
	// and UTC.
	Full, Differential, Incremental, Proof string
	// Resources of a pod that takes a backup, and of one that proves it.
	Resources room.Resources
	// Generation names what the first backup is of: the repository and the generation of
	// the database's volumes. Each has one as soon as it is there.
	Generation string
}

// Store is an S3 server on a volume.
type Store struct {
	// Image of versitygw.
	Image     pulumi.StringInput
	Resources room.Resources
	// Storage is the volume's size. It may grow later, never shrink.
	Storage resource.Quantity
	// StorageClass of the volume when it is first made; "" takes the cluster's default.
	StorageClass string
	// Certificate, its chain included, and Key of the server, PEM, secret.
	Certificate, Key pulumi.StringInput
	// Protect makes Pulumi refuse to delete the claim and the StatefulSet, and keep
	// them if the stack is destroyed all the same.
	Protect bool
}

// Access is how a repository is reached.
type Access struct {
	pgbackrest.Repository
	// Authority is the PEM certificate that vouches for the endpoint; nil where the
	// system's do. Repository.CAFile follows from it.
	Authority pulumi.StringInput
	// Key and KeySecret log in; Passphrase encrypts.
	Key, KeySecret, Passphrase pulumi.StringInput
}

// Database is what is backed up.
type Database struct {
	// Stanza is what pgBackRest calls it.
	Stanza string
	// Members are the names of its pods in DNS.
	Members []string
	pgbackrest.Server
	// Volume is the folder in which DataDir lies, and Storage the size of a volume that
	// all of it fits into.
	Volume       string
	Storage      resource.Quantity
	StorageClass string
	// TLS are tls.crt, tls.key and ca.crt by which members know who takes a backup.
	TLS pulumi.StringMap
	// QueueMax is how much of the log waits for an archive that is away, in bytes, and
	// LogSize how much the server keeps anyway.
	QueueMax, LogSize int64
}

// User is the numeric uid and gid of "postgres" in the database's image.
const User = 1000

// Validate reports everything that keeps the backup from being created.
func (a *Args) Validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("backup: "+format, v...)) }
	type required struct {
		name  string
		value pulumi.StringInput
	}
	needed := []required{
		{"Namespace", a.Namespace}, {"Image", a.Image}, {"AgentImage", a.AgentImage},
		{"Access.Key", a.Access.Key}, {"Access.KeySecret", a.Access.KeySecret}, {"Access.Passphrase", a.Access.Passphrase},
	}
	if s := a.Store; s != nil {
		needed = append(needed, required{"Store.Image", s.Image}, required{"Store.Certificate", s.Certificate}, required{"Store.Key", s.Key})
		if err := s.Resources.Validate(); err != nil {
			problem("Store.Resources: %w", err)
		}
		if s.Storage.Sign() <= 0 {
			problem("Store.Storage is %s: set the volume's size", s.Storage.String())
		}
	}
	for _, n := range needed {
		if n.value == nil {
			problem("%s is missing: set it", n.name)
		}
	}
	if err := a.Access.Validate(); err != nil {
		problems = append(problems, err)
	}
	if len(a.Database.Members) == 0 || a.Database.Stanza == "" || a.Database.Volume == "" {
		problem("Database needs Stanza, Volume and at least one of Members")
	}
	if err := a.Resources.Validate(); err != nil {
		problem("Resources: %w", err)
	}
	for _, s := range a.schedules() {
		if err := Schedule(s.schedule); err != nil {
			problem("%s: %w", s.kind, err)
		}
	}
	return errors.Join(problems...)
}

// kind is one of pgBackRest's backups, with its schedule.
type kind struct{ name, kind, schedule string }

// backups are those that are taken by schedule.
func (a *Args) backups() []kind {
	return []kind{
		{"full", "full", a.Full}, {"differential", "diff", a.Differential}, {"incremental", "incr", a.Incremental},
	}
}

func (a *Args) schedules() []kind {
	return append(a.backups(), kind{name: "proof", kind: "Proof", schedule: a.Proof})
}

// watched is where the backups are seen. Schedules that cannot be read have been refused.
func (a *Args) watched(name string) observe.Watched {
	between, _ := LongestGap(a.Full, a.Differential, a.Incremental)
	proofs, _ := LongestGap(a.Proof)
	return observe.Watched{
		Name: name, Database: a.Database.Stanza, Between: between, Proofs: proofs,
		QueueMax: a.Database.QueueMax, LogSize: a.Database.LogSize,
	}
}
