package database

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-random/sdk/v4/go/random"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbouncer"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Resources of the agent beside a member or a pooler, and of a pooler. They hold one
// buffer for each connection.
var (
	AgentResources  = room.ResourcesOf("10m", "24Mi", "500m", "96Mi")
	PoolerResources = room.ResourcesOf("25m", "32Mi", "1", "160Mi")
)

const controlName = "control"

// memberFiles are what members and poolers read.
type memberFiles struct {
	// patroni is a member's file; dynamic what all members agree on, and roles what there
	// is to log in as: both change in place.
	patroni, dynamic, roles, logins *workload.Files
	// tls and poolerTLS are certificates, exporter the password of the exporter's role.
	tls, poolerTLS, pooling, exporter *workload.Files
	// restart is what takes effect with a restart only.
	restart string
}

func (a *Args) memberFiles(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (*memberFiles, error) {
	config := a.cluster(name)
	file, err := config.File()
	if err != nil {
		return nil, err
	}
	dynamic, err := config.Dynamic()
	if err != nil {
		return nil, err
	}
	ini, err := a.pooling()
	if err != nil {
		return nil, err
	}
	roles, err := a.roles(ctx, name, opts...)
	if err != nil {
		return nil, err
	}
	f := &memberFiles{
		patroni:   workload.Plain("patroni", map[string]string{"patroni.yml": file}),
		dynamic:   workload.Plain("dynamic", map[string]string{"dynamic.json": dynamic}),
		roles:     workload.Hidden("roles", pulumi.StringMap{"roles.json": roles}),
		logins:    a.inUse(),
		tls:       a.certificate("tls", name, append([]string{"*." + membersService(name), readService(name)}, a.direct()...)...),
		poolerTLS: a.certificate("tls", Pooler(name).Name, append([]string{Pooler(name).Name}, a.AliasServices...)...),
		pooling: workload.Hidden("config", pulumi.StringMap{
			"pgbouncer.ini": pulumi.String(ini),
			"userlist.txt": secretOf([]any{a.PoolingPassword}, func(v []any) (string, error) {
				return pgbouncer.Userlist(a.internal(PoolingRole), v[0].(string)), nil
			}),
		}),
		exporter: workload.Hidden("exporter", pulumi.StringMap{PasswordFile: a.MonitoringPassword}),
		restart:  config.NeedsRestart(),
	}
	f.dynamic.Live, f.roles.Live = true, true
	return f, nil
}

// certificate is one of the stack's own CA for a part and its names.
func (a *Args) certificate(file, part string, hosts ...string) *workload.Files {
	authority := workload.Authority{Seed: a.AuthoritySeed, Trusted: a.TrustedSeeds}
	return authority.Certificate(file, part, append([]string{part}, hosts...)...)
}

// login is a role as the agent reads it.
type login struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Group is the role that it is a member of, for the rules of access; "" for none.
	Group    string `json:"group,omitempty"`
	Verifier string `json:"verifier"`
}

// logins are all roles that may log in to a cluster, with their passwords.
func (a *Args) logins() ([]login, []any) {
	logins := []login{{Name: a.Login(), Kind: "application"}}
	for _, l := range []login{
		{Name: MonitoringRole, Kind: "monitoring"}, {Name: PoolingRole, Kind: "pooling"},
		{Name: ReplicationRole, Kind: "replication"}, {Name: RewindRole, Kind: "rewinding"},
	} {
		if a.InternalWord != "" {
			l.Group, l.Name = l.Name, a.internal(l.Name)
		}
		logins = append(logins, l)
	}
	return logins, []any{
		a.ApplicationPassword, a.MonitoringPassword, a.PoolingPassword, a.ReplicationPassword, a.RewindPassword,
	}
}

// Login is what the application logs in as on a cluster. What it makes belongs to
// ApplicationRole.
func (a *Args) Login() string { return named(ApplicationRole, a.Word) }

// internal is what one of the database's own parts logs in as on a cluster.
func (a *Args) internal(kind string) string { return named(kind, a.InternalWord) }

// named is a role with a word in its name.
func named(role, word string) string {
	if word == "" {
		return role
	}
	return role + "_" + strings.ReplaceAll(word, "-", "_")
}

// inUse are the names of the roles that somebody logs in with.
func (a *Args) inUse() *workload.Files {
	logins, _ := a.logins()
	var names strings.Builder
	for _, l := range logins {
		names.WriteString(l.Name + "\n")
	}
	return workload.Plain("logins", map[string]string{"logins": names.String()})
}

// roles declares roles and database to the agent: verifiers in place of passwords.
func (a *Args) roles(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	salt, err := newSalt(ctx, name, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	logins, passwords := a.logins()
	return secretOf(append(passwords, salt), func(v []any) (string, error) {
		declared := make([]login, len(logins))
		for i, l := range logins {
			verifier, err := Verifier(v[i].(string), l.Name+v[len(logins)].(string))
			if err != nil {
				return "", err
			}
			l.Verifier = verifier
			declared[i] = l
		}
		raw, err := json.Marshal(map[string]any{"database": Name, "owner": ApplicationRole, "copies": min(1, a.Instances-1), "logins": declared})
		return string(raw) + "\n", err
	}), nil
}

// newSalt generates the salt of all verifiers. It has to stay: a new one at each run would
// look like a changed password.
func newSalt(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	salt, err := random.NewRandomPassword(ctx, name+"-salt", &random.RandomPasswordArgs{
		Length: pulumi.Int(32), Special: pulumi.Bool(false),
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return salt.Result, nil
}

// memberVolumes are those of a member's pod.
func (a *Args) memberVolumes(f *memberFiles) []workload.Volume {
	empty := func(name, size string) workload.Volume {
		return workload.Volume{Name: name, Empty: &workload.Empty{Size: size}}
	}
	sharedMemory := empty("shared-memory", resource.NewQuantity(a.Tuning().SharedMemory, resource.BinarySI).String())
	sharedMemory.Empty.Memory = true // part of the server's limit, as PostgreSQL's own share is
	return []workload.Volume{
		{Name: dataVolume, Data: &workload.Data{Size: a.Storage, StorageClass: a.StorageClass, Protect: a.Protect}},
		sharedMemory, empty("socket", "1Mi"), empty("tmp", "64Mi"), empty("agent", "64Mi"),
		workload.Folder(f.patroni), workload.Folder(f.dynamic), workload.Folder(f.roles), {Name: "logins", Files: f.logins, Late: true},
		{Name: "tls", Files: f.tls}, {Name: "authority", Files: f.tls, Keys: []string{workload.RootsFile}}, {Name: "exporter", Files: f.exporter},
	}
}

// installer brings the agent into the members' own image.
func (a *Args) installer() workload.Process {
	return workload.Process{
		Name: "agent-install", Image: a.AgentImage, Args: pulumi.ToStringArray([]string{"install", agentPath, memberData}),
		Resources: AgentResources,
		Mounts:    []workload.Mount{{Volume: "agent", Path: agentPath}, {Volume: dataVolume, Path: volumeRoot}},
	}
}

// member is Patroni with the server.
func (a *Args) member(name string, credentials pulumi.StringInput) workload.Process {
	return workload.Process{
		Name: "postgresql", Identity: Server(name), Image: a.Image, User: MemberUser,
		Command: []string{"patroni", filePath + "/patroni.yml"},
		Fields: map[string]string{
			"PATRONI_NAME": "metadata.name", "PATRONI_KUBERNETES_NAMESPACE": "metadata.namespace", "PATRONI_KUBERNETES_POD_IP": "status.podIP",
			"POD_IP": "status.podIP",
		},
		Env: pulumi.ToStringMap(map[string]string{
			"PATRONI_RESTAPI_CONNECT_ADDRESS":    fmt.Sprintf("$(POD_IP):%d", patroni.Port),
			"PATRONI_POSTGRESQL_CONNECT_ADDRESS": fmt.Sprintf("$(POD_IP):%d", Port),
		}),
		Credentials: credentials,
		Resources:   a.Resources,
		Ports:       []workload.Port{{Name: portName, Number: Port}, {Name: controlName, Number: patroni.Port}},
		Mounts: []workload.Mount{
			{Volume: dataVolume, Path: volumeRoot},
			{Volume: "shared-memory", Path: "/dev/shm"},
			{Volume: "socket", Path: SocketPath},
			{Volume: "tmp", Path: "/tmp"},
			{Volume: "agent", Path: agentPath, ReadOnly: true},
			{Volume: "patroni", Path: filePath, ReadOnly: true},
			{Volume: "tls", Path: tlsPath, ReadOnly: true},
		},
		StartupSeconds: a.Tuning().StartupSeconds(), AnswersWithin: answersWithin,
		// Patroni answers for itself; what it says of the server decides who gets clients.
		Alive: &workload.Probe{Path: "/liveness", Port: controlName, TLS: a.controlTLS(), PeriodSeconds: 10, TimeoutSeconds: 5, Failures: 6},
		// True of the primary, and of a standby that has every acknowledged commit.
		Ready:        &workload.Probe{Path: "/read-only-quorum", Port: controlName, TLS: a.controlTLS(), PeriodSeconds: 2, TimeoutSeconds: 3, Failures: 2},
		PreStop:      slices.Concat([]string{agentPath + "/agent", "handover"}, a.toOthers(name), []string{"-scope", a.scope(name), "-socket", SocketPath}),
		GraceSeconds: max(memberGrace, a.Tuning().GraceSeconds()),
	}
}

// toOthers are the agent's flags by which a member finds the poolers, and knows them and its
// own Patroni.
func (a *Args) toOthers(name string) []string {
	flags := []string{"-poolers", poolerPods(name), "-ca", path.Join(tlsPath, workload.RootsFile), "-pooler", Pooler(name).Name}
	if a.controlTLS() {
		flags = append(flags, "-patroni", name)
	}
	return flags
}

// keeper is the agent beside a member. The pod is ready only when roles and database are
// as declared.
func (a *Args) keeper(name string, control pulumi.StringInput) workload.Process {
	return workload.Process{
		Name: "agent", Image: a.AgentImage, Args: pulumi.ToStringArray(append([]string{"member"}, a.toOthers(name)...)),
		Credentials: control,
		Resources:   AgentResources,
		Ports:       []workload.Port{{Name: "agent", Number: agentPort}},
		Mounts: []workload.Mount{
			{Volume: "socket", Path: SocketPath},
			{Volume: "roles", Path: "/etc/alphapulse/roles", ReadOnly: true},
			{Volume: "logins", Path: "/etc/alphapulse/used", ReadOnly: true},
			{Volume: "dynamic", Path: filePath, ReadOnly: true},
			{Volume: "authority", Path: tlsPath, ReadOnly: true},
		},
		Ready: &workload.Probe{Path: "/ready", Port: "agent", PeriodSeconds: 2, TimeoutSeconds: 3, Failures: 1},
	}
}
