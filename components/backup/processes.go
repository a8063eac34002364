package backup

import (
	"fmt"
	"path"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/database"
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

// Endpoint of the S3 server of the backup called name, as pods of the namespace reach it.
func Endpoint(name, namespace string) string {
	return StoreHost(name, namespace) + ":" + strconv.Itoa(StorePort)
}

// StoreHost is the host in the S3 server's certificate.
func StoreHost(name, namespace string) string { return StoreOf(name).Name + "." + namespace + ".svc" }

// volumes that every pod with pgBackRest has; members are those that it reaches.
func (a *Args) volumes(archive *database.Archive, members []string) ([]workload.Volume, []workload.Mount) {
	config, secret := archive.Files("pgbackrest", pgbackrest.ConfigDir, func(r pgbackrest.Repository) string {
		h := pgbackrest.Host{Stanza: a.Database.Stanza, Repository: r, Server: a.Database.Server, Members: members}
		return h.Render()
	})
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

// passing places pods that hold nothing: they give way to those that do.
func (a *Args) passing() workload.Placement {
	p := a.Placement
	p.PlatformUsers = false // they run the members' own server
	p.PriorityClass = nil
	return p
}

// deadline of a run with its attempts, in seconds.
const deadline = 12 * 3600

// taker is the pod that takes backups, and its jobs: the first, which is taken at once,
// and those by schedule. An incremental one is a full one where there is none yet, and a
// stanza that is there already is left alone.
func (a *Args) taker(name string) (workload.Pod, []workload.Job) {
	volumes, mounts := a.volumes(&a.Archive, a.Database.Members)
	tls := a.Database.TLS
	volumes = append(volumes, workload.Folder(tls))
	mounts = append(mounts, workload.Mount{Volume: tls.Name, Path: pgbackrest.TLSDir, ReadOnly: true})
	job := func(of, kind, schedule string) workload.Job {
		return workload.Job{
			Name: name + "-" + of, Schedule: schedule, DeadlineSeconds: deadline, Retries: 5,
			Init:      []workload.Process{a.backrest("stanza", mounts, "stanza-create")},
			Processes: []workload.Process{a.backrest("backup", mounts, "--type="+kind, "backup")},
		}
	}
	jobs := []workload.Job{job("first-"+a.First, "incr", "")}
	for _, k := range a.backups() {
		jobs = append(jobs, job(k.name, k.kind, k.schedule))
	}
	return workload.Pod{Identity: Taker(name), Placement: a.passing(), Volumes: volumes}, jobs
}

// prover is the pod that restores the newest backup into a volume of its own and looks
// through it. It reaches the repository and no member.
func (a *Args) prover(name string) (workload.Pod, []workload.Job) {
	volumes, mounts := a.volumes(&a.Archive, nil)
	volumes = append(volumes,
		workload.Volume{Name: "shared-memory", Empty: &workload.Empty{Size: "256Mi", Memory: true}},
		workload.Volume{Name: "scratch", Scratch: &workload.Scratch{Size: a.Scratch, StorageClass: a.StorageClass}},
	)
	mounts = append(mounts, workload.Mount{Volume: "shared-memory", Path: "/dev/shm"}, workload.Mount{Volume: "scratch", Path: a.Database.Volume})
	agent, job := a.agent(Prover(name).Name, mounts, "prove")
	job.Schedule, job.Retries = a.Proof, 1
	return workload.Pod{Identity: Prover(name), Placement: a.passing(), Volumes: append(volumes, agent)}, []workload.Job{job}
}

// looker is the pod that asks the repository, before anything is changed, whether it has
// what is to be restored.
func (a *Args) looker(name string) (workload.Pod, []workload.Job) {
	volumes, mounts := a.volumes(&a.Wanted.Archive, nil)
	identity := Looker(name)
	agent, job := a.agent(fmt.Sprintf("%s-g%d", identity.Name, a.Wanted.Generation), mounts, "check", "-target", a.Wanted.Target)
	job.DeadlineSeconds, job.Awaited = 300, true
	return workload.Pod{Identity: identity, Placement: a.passing(), Volumes: append(volumes, agent)}, []workload.Job{job}
}

// agent is a job that runs the agent beside pgBackRest's programs.
func (a *Args) agent(name string, mounts []workload.Mount, command ...string) (workload.Volume, workload.Job) {
	folder := workload.Mount{Volume: "agent", Path: agentDir}
	run := a.backrest(command[0], append(mounts[:len(mounts):len(mounts)], folder))
	run.Command = append([]string{path.Join(agentDir, "agent")}, command...)
	run.Env["PGDATA"] = pulumi.String(a.Database.DataDir)
	return workload.Volume{Name: folder.Volume, Empty: &workload.Empty{Size: "64Mi"}}, workload.Job{
		Name: name, DeadlineSeconds: deadline,
		Init: []workload.Process{{
			Name: "agent-install", Image: a.AgentImage, User: User, Args: pulumi.ToStringArray([]string{"install", agentDir}),
			Resources: database.AgentResources, Mounts: []workload.Mount{folder},
		}},
		Processes: []workload.Process{run},
	}
}

const storeProcess = "versitygw"

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
			Name: storeProcess, Image: s.Image, User: workload.Nobody,
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

// idle is what a store leaves: a set without a pod.
func (a *Args) idle(name string) workload.Pod {
	identity, s := StoreOf(name), a.Former
	return workload.Pod{
		Identity: identity, Placement: a.Placement, Kind: workload.Stateful, GoverningService: identity.Name, Protect: s.Protect,
		Processes: []workload.Process{{Name: storeProcess, Image: s.Image, User: workload.Nobody, Resources: s.Resources}},
	}
}

// credentials are the variables by which the S3 server knows its one user.
func (a *Args) credentials() pulumi.StringMap {
	return pulumi.StringMap{"ROOT_ACCESS_KEY": a.Archive.Key, "ROOT_SECRET_KEY": a.Archive.KeySecret}
}
