// Package backup keeps what the database stores: pods that take backups by schedule, one
// that proves by schedule that the newest can be restored, and, where the backups lie on
// a volume of the cluster, the S3 server in front of it; on a Docker host a container that
// takes backups and one that proves them. The write-ahead log is archived
// by the database's own pods.
package backup

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/backup/observe"
	"github.com/alphapulse/alphapulse-infra/components/database"
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
	// Former is a Store that is used no longer: its volume stays, with what is on it, and
	// no pod. nil for none.
	Former *Store
	// Off takes no backup: there is only what Former keeps.
	Off bool
	// Archive is the repository.
	Archive database.Archive
	// Database is what is backed up.
	Database database.Backed
	// Scratch is the size of a volume that the whole database fits into, and StorageClass
	// its class; "" takes the cluster's default.
	Scratch      resource.Quantity
	StorageClass string
	// Full, Differential, Incremental and Proof are the schedules, in cron's notation
	// and UTC.
	Full, Differential, Incremental, Proof string
	// Resources of a pod that takes a backup, and of one that proves it.
	Resources room.Resources
	// First names what the first backup is of, which is taken at once: the repository and
	// the generation of the database's volumes.
	First string
	// Wanted is looked for in a repository before anything is restored; nil for nothing.
	Wanted *Wanted
}

// Wanted is what a restore needs.
type Wanted struct {
	// Target is "latest", a backup's label, or a time with its zone.
	Target string
	// Archive is the repository.
	Archive database.Archive
	// Generation of the volumes that are to be filled.
	Generation int
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

// User is the numeric uid and gid of "postgres" in the database's image.
const User = 1000

// Validate reports everything that keeps the backup from being created.
func (a *Args) Validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("backup: "+format, v...)) }
	if a.Off {
		if a.Namespace == nil || a.Former == nil {
			problem("Namespace and Former are needed: set both")
		}
		return errors.Join(problems...)
	}
	type required struct {
		name  string
		value pulumi.StringInput
	}
	needed := []required{
		{"Namespace", a.Namespace}, {"Image", a.Image}, {"AgentImage", a.AgentImage},
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
	if err := a.Archive.Validate(); err != nil {
		problems = append(problems, err)
	}
	if a.Wanted != nil {
		if err := a.Wanted.Archive.Validate(); err != nil {
			problems = append(problems, err)
		}
	}
	if len(a.Database.Members) == 0 || a.Database.Stanza == "" || a.Database.Volume == "" || a.Database.TLS == nil {
		problem("Database needs Stanza, Volume, TLS and at least one of Members")
	}
	if a.Scratch.Sign() <= 0 {
		problem("Scratch is %s: set a size that the database fits into", a.Scratch.String())
	}
	if err := a.Resources.Validate(); err != nil {
		problem("Resources: %w", err)
	}
	return errors.Join(append(problems, a.validateSchedules())...)
}

func (a *Args) validateSchedules() error {
	var problems []error
	for _, s := range a.schedules() {
		if err := Schedule(s.schedule); err != nil {
			problems = append(problems, fmt.Errorf("backup: %s: %w", s.kind, err))
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
func (a *Args) watched(name string, on room.Target) observe.Watched {
	between, _ := LongestGap(a.Full, a.Differential, a.Incremental)
	proofs, _ := LongestGap(a.Proof)
	store := ""
	if a.Store != nil && on == room.Kubernetes {
		store = StoreOf(name).Name
	}
	return observe.Watched{
		Host: on == room.DockerHost, Store: store,
		Name: name, Database: a.Database.Stanza, Between: between, Proofs: proofs,
		QueueMax: a.Database.QueueMax, LogSize: a.Database.LogSize,
	}
}
