package database

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/database/pgbackrest"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Archive is a repository of backups and of the write-ahead log, and how it is reached.
type Archive struct {
	pgbackrest.Repository
	// Authority is the PEM certificate that vouches for the endpoint; nil where the
	// system's authorities do.
	Authority pulumi.StringInput
	// Key and KeySecret log in; Passphrase encrypts.
	Key, KeySecret, Passphrase pulumi.StringInput
	// HostFolder is the folder of a Docker host that its containers have as Folder; "" for a
	// bucket.
	HostFolder string
}

// Validate reports everything that is wrong with the archive.
func (a *Archive) Validate() error {
	problems := []error{a.Repository.Validate()}
	needed := []required{{"Passphrase", a.Passphrase}}
	if a.Folder == "" {
		needed = append([]required{{"Key", a.Key}, {"KeySecret", a.KeySecret}}, needed...)
	}
	for _, n := range needed {
		if n.value == nil {
			problems = append(problems, fmt.Errorf("backup repository: %s is missing: set it", n.name))
		}
	}
	return errors.Join(problems...)
}

// Restore says what the volumes of a new generation are filled with.
type Restore struct {
	// Target is "latest", a backup's label, or a time with its zone (RFC 3339).
	Target string
	// From is the repository; nil for the database's own.
	From *Archive
}

// Files of pgBackRest in their folders.
const (
	backrestFile  = "pgbackrest.conf"
	secretFile    = "repository.conf"
	authorityFile = "repository-ca.crt"
)

// Files renders what pgBackRest reads: its configuration in a folder, to which it is
// given, and what it includes, which is secret. The files are called after prefix.
func (a *Archive) Files(prefix, folder string, config func(pgbackrest.Repository) string) (plain, secret *workload.Files) {
	repository := a.Repository
	plain = &workload.Files{Name: prefix, Data: pulumi.StringMap{}}
	if a.Authority != nil {
		repository.CAFile = path.Join(folder, authorityFile)
		plain.Data[authorityFile] = a.Authority
	}
	plain.Data[backrestFile] = pulumi.String(config(repository))
	in := []any{a.Passphrase}
	if a.Folder == "" {
		in = append(in, a.Key, a.KeySecret)
	}
	text := secretOf(in, func(v []any) (string, error) {
		s := pgbackrest.Secrets{Passphrase: v[0].(string)}
		if len(v) > 1 {
			s.Key, s.KeySecret = v[1].(string), v[2].(string)
		}
		return repository.Secret(s)
	})
	return plain, workload.Hidden(prefix+"-secret", pulumi.StringMap{secretFile: text})
}

// restoreDir is where the files of the repository lie that a restore is from.
const restoreDir = "/etc/pgbackrest-restore"

// BackrestResources are those of pgBackRest's server beside a member, which lends the
// data to the pods that take backups.
var BackrestResources = room.ResourcesOf("10m", "32Mi", "1", "256Mi")

// backrestServer is how pgBackRest finds the member's server.
var backrestServer = pgbackrest.Server{DataDir: memberData, SocketDir: SocketPath}

// QueueMax is how much of the log waits for an archive that is away, in bytes: what is
// beyond is dropped, so that the volume never fills up.
func (a *Args) QueueMax() int64 { return a.Storage.Value() / 4 / miB * miB }

// backrest is a member's configuration of pgBackRest.
func (a *Args) backrest(name string, r pgbackrest.Repository) pgbackrest.Member {
	return pgbackrest.Member{
		Stanza: name, Repository: r, Server: backrestServer, SpoolDir: path.Join(volumeRoot, "spool"), QueueMax: a.QueueMax(),
	}
}

// bootstrap is the command that fills the volumes of a new generation; "" for none.
func (a *Args) bootstrap(name string) string {
	r := a.Restore
	if r == nil {
		return ""
	}
	command := []string{agentPath + "/agent", "fill", "-stanza", name, "-data", memberData, "-target", r.Target}
	if r.From == nil {
		return strings.Join(append(command, "-archive"), " ")
	}
	return strings.Join(append([]string{
		"env", "PGBACKREST_CONFIG=" + path.Join(restoreDir, backrestFile), "PGBACKREST_CONFIG_INCLUDE_PATH=" + restoreDir + "-secret",
	}, command...), " ")
}

// archiving completes a member's pod with what archives its log, and with what a restore
// is from.
func (a *Args) archiving(name string, pod *workload.Pod) {
	mount := func(to *workload.Process, files *workload.Files, folder string) {
		to.Mounts = append(to.Mounts, workload.Mount{Volume: files.Name, Path: folder, ReadOnly: true})
	}
	server := &pod.Processes[0]
	if a.Archive != nil {
		config, secret := a.Archive.Files("pgbackrest", pgbackrest.ConfigDir, func(r pgbackrest.Repository) string {
			m := a.backrest(name, r)
			return m.Render()
		})
		certificate := a.certificate("pgbackrest-tls", pgbackrest.ClientName, "*."+membersService(name))
		lender := workload.Process{
			Name: "pgbackrest", Image: a.Image, Command: []string{"pgbackrest", "server"}, Env: pulumi.StringMap{},
			Resources: BackrestResources, Ports: []workload.Port{{Name: "pgbackrest", Number: pgbackrest.Port}},
			Mounts: []workload.Mount{
				{Volume: dataVolume, Path: volumeRoot}, {Volume: "socket", Path: SocketPath}, {Volume: "pgbackrest-tmp", Path: "/tmp"},
			},
			GraceSeconds: 5,
		}
		for _, p := range []*workload.Process{server, &lender} {
			for k, v := range pgbackrest.Env(name) {
				p.Env[k] = pulumi.String(v)
			}
			mount(p, config, pgbackrest.ConfigDir)
			mount(p, secret, pgbackrest.SecretDir)
			mount(p, certificate, pgbackrest.TLSDir)
		}
		pod.Volumes = append(pod.Volumes, workload.Folder(config), workload.Folder(secret), workload.Folder(certificate),
			workload.Volume{Name: "pgbackrest-tmp", Empty: &workload.Empty{Size: "64Mi"}})
		pod.Processes = append(pod.Processes, lender)
	}
	if a.Restore != nil && a.Restore.From != nil {
		config, secret := a.RestoreFiles(name)
		mount(server, config, restoreDir)
		mount(server, secret, restoreDir+"-secret")
		pod.Volumes = append(pod.Volumes, workload.Folder(config), workload.Folder(secret))
	}
}

// RestoreFiles are what pgBackRest reads of the repository that a restore is from.
func (a *Args) RestoreFiles(name string) (plain, secret *workload.Files) {
	return a.Restore.From.Files("restore", restoreDir, func(r pgbackrest.Repository) string {
		m := a.backrest(name, r)
		return m.Render()
	})
}

// Backed is what has to be known of a database to back it up.
type Backed struct {
	pgbackrest.Server
	// Stanza is what pgBackRest calls it, Members the names of its pods in DNS.
	Stanza  string
	Members []string
	// Volume is the folder in which the data lies.
	Volume string
	// TLS is the certificate by which members know who takes a backup.
	TLS *workload.Files
	// QueueMax is how much of the log waits for an archive that is away, in bytes, LogSize
	// how much of it the server keeps anyway.
	QueueMax, LogSize int64
}

// Backed tells whoever backs the database called name up what has to be known.
func (a *Args) Backed(name string) Backed {
	b := Backed{
		Server: backrestServer, Stanza: name, Volume: volumeRoot, QueueMax: a.QueueMax(), LogSize: a.Tuning().MaxWALSize,
	}
	for i := range a.Instances {
		b.Members = append(b.Members, fmt.Sprintf("%s-%d.%s", a.scope(name), i, membersService(name)))
	}
	if a.AuthoritySeed != nil {
		b.TLS = a.certificate("pgbackrest-tls", pgbackrest.ClientName)
	}
	return b
}

// StoreCertificate is a certificate of the stack's own CA for an S3 server: tls.crt,
// tls.key and ca.crt.
func (a *Args) StoreCertificate(host string) pulumi.StringMap {
	return a.certificate("tls", host).Data
}

// GenerationOf tells to which generation of the database called name a claim belongs; 0
// for one that is no member's.
func GenerationOf(name, claim string) int {
	rest, ours := strings.CutPrefix(claim, Claims(name))
	if !ours {
		return 0
	}
	number, _, _ := strings.Cut(rest, "-")
	generation, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return generation
}

// kept keeps what is left of earlier generations: their claims, and no pod.
func (a *Args) kept(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error) {
	claims := map[int]map[string]resource.Quantity{}
	for claim, size := range a.Kept {
		generation := GenerationOf(name, claim)
		if claims[generation] == nil {
			claims[generation] = map[string]resource.Quantity{}
		}
		claims[generation][claim] = size
	}
	var all []pulumi.Resource
	for _, generation := range slices.Sorted(maps.Keys(claims)) {
		own := *a
		own.Generation, own.Restore = generation, nil
		idle, err := workload.Pod{
			Identity: Server(name), Placement: own.Placement, Kind: workload.Stateful,
			Processes: []workload.Process{own.member(name, nil)}, GoverningService: membersService(name),
			RevisionHistory: 10, Protect: own.Protect,
			Members: &workload.Members{Name: own.scope(name), Labels: own.labels(name)},
		}.Idle(ctx, claims[generation], opts...)
		if err != nil {
			return nil, err
		}
		all = append(all, idle)
	}
	return all, nil
}
