package backup

import (
	"path"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/database/pgbackrest"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// StorePort of the S3 server.
const StorePort = 7070

// Bucket of the S3 server.
const Bucket = "backup"

const (
	storePortName = "https"
	storeData     = "/data"
	storeTLS      = "/etc/tls"
	agentDir      = "/opt/agent"
)

// AuthorityFile in ConfigDir vouches for the repository's endpoint.
const AuthorityFile = "repository-ca.crt"

// ConfigFile and SecretFile are pgBackRest's files in ConfigDir and SecretDir.
const (
	ConfigFile = "pgbackrest.conf"
	SecretFile = "repository.conf"
)

// Endpoint of the S3 server of the backup called name, as pods of the namespace reach it.
func Endpoint(name, namespace string) string {
	return StoreHost(name, namespace) + ":" + strconv.Itoa(StorePort)
}

// StoreHost is the host in the S3 server's certificate.
func StoreHost(name, namespace string) string { return StoreOf(name).Name + "." + namespace + ".svc" }

// Files are a configuration of pgBackRest with what it needs to reach the repository.
func (a *Access) Files(config string) *workload.Files {
	data := pulumi.StringMap{ConfigFile: pulumi.String(config)}
	if a.Authority != nil {
		data[AuthorityFile] = a.Authority
	}
	return &workload.Files{Name: "pgbackrest", Data: data}
}

// Secret is what pgBackRest includes: what logs in to the repository and decrypts it.
func (a *Access) Secret() *workload.Files {
	text := pulumi.ToSecret(pulumi.All(a.Key, a.KeySecret, a.Passphrase).ApplyT(func(v []any) (string, error) {
		return pgbackrest.Secret(pgbackrest.Secrets{Key: v[0].(string), KeySecret: v[1].(string), Passphrase: v[2].(string)})
	})).(pulumi.StringOutput)
	return workload.Hidden("pgbackrest-secret", pulumi.StringMap{SecretFile: text})
}

// volumes that every pod with pgBackRest has; members are those that it reaches.
func (a *Args) volumes(members []string) ([]workload.Volume, []workload.Mount) {
	d := &a.Database
	host := pgbackrest.Host{Stanza: d.Stanza, Repository: a.Access.Repository, Server: d.Server, Members: members}
	config, secret := a.Access.Files(host.Render()), a.Access.Secret()
	return []workload.Volume{
			{Name: "tmp", Empty: &workload.Empty{Size: "256Mi"}}, workload.Folder(config), workload.Folder(secret),
		}, []workload.Mount{
			{Volume: "tmp", Path: "/tmp"},
			{Volume: config.Name, Path: pgbackrest.ConfigDir, ReadOnly: true},
			{Volume: secret.Name, Path: pgbackrest.SecretDir, ReadOnly: true},
		}
}

// backrest runs pgBackRest.
func (a *Args) backrest(name string, mounts []workload.Mount, command ...string) workload.Process {
	return workload.Process{
		Name: name, Image: a.Image, User: User, Command: append([]string{"pgbackrest"}, command...),
		Env: pulumi.ToStringMap(pgbackrest.Env(a.Database.Stanza)), Resources: a.Resources, Mounts: mounts, GraceSeconds: 60,
	}
}

// How long a run may take, in seconds, with its attempts. The first backup begins before
// there is a database.
const (
	backupDeadline = 12 * 3600
	proofDeadline  = 12 * 3600
)

// taking are the pods that take backups. An incremental one is a full one where there is
// none yet, and a stanza that is there already is left alone.
func (a *Args) taking(name string) (workload.Pod, []workload.Job) {
	volumes, mounts := a.volumes(a.Database.Members)
	certificate := workload.Hidden("pgbackrest-tls", a.Database.TLS)
	volumes = append(volumes, workload.Folder(certificate))
	mounts = append(mounts, workload.Mount{Volume: certificate.Name, Path: pgbackrest.TLSDir, ReadOnly: true})
	job := func(of, kind, schedule string, retries int) workload.Job {
		return workload.Job{
			Name: name + "-" + of, Schedule: schedule, DeadlineSeconds: backupDeadline, Retries: retries,
			Init:      []workload.Process{a.backrest("stanza", mounts, "stanza-create")},
			Processes: []workload.Process{a.backrest("backup", mounts, "--type="+kind, "backup")},
		}
	}
	first := job("first", "incr", "", 60)
	first.Name += "-" + a.Generation
	jobs := []workload.Job{first}
	for _, k := range a.backups() {
		jobs = append(jobs, job(k.name, k.kind, k.schedule, 3))
	}
	return workload.Pod{Identity: Taker(name), Placement: a.Placement, Volumes: volumes}, jobs
}

// reading are the pods that read the repository and no member.
func (a *Args) reading(name string) (workload.Pod, []workload.Job) {
	volumes, mounts := a.volumes(nil)
	volumes = append(volumes,
		workload.Volume{Name: "agent", Empty: &workload.Empty{Size: "64Mi"}},
		workload.Volume{Name: "shared-memory", Empty: &workload.Empty{Size: "256Mi", Memory: true}},
		workload.Volume{Name: "scratch", Scratch: &workload.Scratch{Size: a.Database.Storage, StorageClass: a.Database.StorageClass}},
	)
	agent := workload.Mount{Volume: "agent", Path: agentDir}
	prove := a.backrest("prove", append(mounts, agent,
		workload.Mount{Volume: "shared-memory", Path: "/dev/shm"}, workload.Mount{Volume: "scratch", Path: a.Database.Volume}))
	prove.Command = []string{path.Join(agentDir, "agent"), "prove"}
	prove.Env["PGDATA"] = pulumi.String(a.Database.DataDir)
	return workload.Pod{Identity: Prover(name), Placement: a.Placement, Volumes: volumes}, []workload.Job{{
		Name: Prover(name).Name, Schedule: a.Proof, DeadlineSeconds: proofDeadline, Retries: 1,
		Init: []workload.Process{{
			Name: "agent", Image: a.AgentImage, User: User, Args: pulumi.ToStringArray([]string{"install", agentDir}),
			Resources: a.Resources, Mounts: []workload.Mount{agent},
		}},
		Processes: []workload.Process{prove},
	}}
}

// store is the S3 server.
func (a *Args) store(name string) workload.Pod {
	s, identity := a.Store, StoreOf(name)
	certificate := workload.Hidden("tls", pulumi.StringMap{"tls.crt": s.Certificate, "tls.key": s.Key})
	data := workload.Mount{Volume: "data", Path: storeData}
	port := workload.Port{Name: storePortName, Number: StorePort}
	ask := workload.Probe{Port: storePortName, PeriodSeconds: 10, TimeoutSeconds: 5, Failures: 6}
	ready := ask
	ready.PeriodSeconds, ready.Failures = 2, 3
	return workload.Pod{
		Identity: identity, Placement: a.Placement, Kind: workload.Stateful,
		Init: []workload.Process{{
			Name: "bucket", Image: s.Image, User: workload.Nobody, Command: []string{"mkdir", "-p", path.Join(storeData, Bucket)},
			Resources: s.Resources, Mounts: []workload.Mount{data},
		}},
		Processes: []workload.Process{{
			Name: "versitygw", Image: s.Image, User: workload.Nobody,
			Args: pulumi.ToStringArray([]string{
				"--port", ":" + strconv.Itoa(StorePort), "--cert", path.Join(storeTLS, "tls.crt"), "--key", path.Join(storeTLS, "tls.key"),
				"posix", storeData,
			}),
			Resources: s.Resources, Ports: []workload.Port{port},
			Mounts: []workload.Mount{
				data, {Volume: "tmp", Path: "/tmp"}, {Volume: certificate.Name, Path: storeTLS, ReadOnly: true},
			},
			StartupSeconds: 60, Alive: &ask, Ready: &ready, GraceSeconds: 30,
		}},
		Volumes: []workload.Volume{
			{Name: "data", Data: &workload.Data{Size: s.Storage, StorageClass: s.StorageClass, Protect: s.Protect}},
			{Name: "tmp", Empty: &workload.Empty{Size: "256Mi"}}, workload.Folder(certificate),
		},
		Services:         []workload.Service{{Name: identity.Name, Type: "ClusterIP", Headless: true, Port: port}},
		GoverningService: identity.Name, Protect: s.Protect,
	}
}

// credentials are the variables by which the S3 server knows its one user.
func (a *Args) credentials() pulumi.StringMap {
	return pulumi.StringMap{"ROOT_ACCESS_KEY": a.Access.Key, "ROOT_SECRET_KEY": a.Access.KeySecret}
}
