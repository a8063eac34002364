package database

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/database/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

const (
	portName    = "postgresql"
	metricsName = "metrics"
)

// answersWithin is the time that a new volume may take to be initialised, and any volume
// until the server answers at all, in seconds. A crash recovery is not in it: a server
// that replays its log already answers, by refusing.
const answersWithin = 300

// volumes of a Docker host's containers, each of which takes those that it mounts.
func (a *Args) volumes(name string, f *files) []workload.Volume {
	empty := func(name, size string) workload.Volume {
		return workload.Volume{Name: name, Empty: &workload.Empty{Size: size}}
	}
	sharedMemory := empty("shared-memory", resource.NewQuantity(a.Tuning().SharedMemory, resource.BinarySI).String())
	// In memory, so part of the server's memory limit, as PostgreSQL's own share is.
	sharedMemory.Empty.Memory = true
	socket := empty("socket", "1Mi")
	// The server makes its socket here, as the one who may write.
	socket.Empty.Shared = true
	exporter := workload.Volume{Name: "exporter", HostName: "password", Files: f.exporter, Keys: []string{PasswordFile}}
	data := workload.Volume{Name: dataVolume, Data: &workload.Data{Size: a.Storage, StorageClass: a.StorageClass, Protect: a.Protect}}
	if a.Archived {
		data.HostName = a.HostVolume(name)
	}
	all := []workload.Volume{
		data,
		sharedMemory, socket, empty("tmp", "64Mi"), empty("reconcile-tmp", "1Mi"),
		{Name: "config", Files: f.config, Keys: []string{"postgresql.conf", "pg_hba.conf"}},
		{Name: "scripts", Files: f.config, Keys: []string{"reconcile.sh", "roles.sql"}},
		// Each container sees the keys that it reads.
		{Name: "superuser", Files: f.verifiers, Keys: []string{SuperuserFile}},
		{Name: "verifiers", Files: f.verifiers, Keys: []string{SuperuserFile, "application", "monitoring"}},
		exporter,
	}
	if a.Archived {
		all = append(all, a.archivedVolumes(name)...)
	}
	return all
}

const dataVolume = "data"

func (a *Args) server(name string) workload.Process {
	p := workload.Process{
		Name: "postgresql", Identity: Server(name), Image: a.Image, User: User,
		Args: pulumi.ToStringArray(append([]string{"postgres"}, configArgs...)),
		Env: pulumi.ToStringMap(map[string]string{
			"PGDATA":                 dataPath,
			"POSTGRES_USER":          SuperuserRole,
			"POSTGRES_PASSWORD_FILE": RolesPath + "/" + SuperuserFile,
			"POSTGRES_INITDB_ARGS":   initdbArgs,
			// The settings are ours: the image's own tuning would not be read.
			"NO_TS_TUNE": "true",
		}),
		Resources: a.Resources,
		Ports:     []workload.Port{{Name: portName, Number: Port}},
		Mounts: []workload.Mount{
			{Volume: dataVolume, Path: VolumePath},
			{Volume: "shared-memory", Path: "/dev/shm"},
			{Volume: "socket", Path: SocketPath},
			{Volume: "tmp", Path: "/tmp"},
			{Volume: "config", Path: ConfigPath, ReadOnly: true},
			{Volume: "superuser", Path: RolesPath, ReadOnly: true},
		},
		StartupSeconds: a.Tuning().StartupSeconds(),
		Health:         workload.Health{Command: readyCommand()},
		// Fast shutdown, whatever stop signal the image declares.
		StopSignal:   "SIGINT",
		GraceSeconds: a.Tuning().GraceSeconds(),
	}
	if a.Archived {
		return a.archived(name, p)
	}
	return p
}

// configArgs are the server's arguments, by which it reads its files.
var configArgs = []string{"-c", "config_file=" + ConfigPath + "/postgresql.conf", "-c", "hba_file=" + ConfigPath + "/pg_hba.conf"}

// readyCommand asks whether the server accepts connections. It holds no credential: over
// the socket the kernel says who asks. The exit codes are 0 for accepting, 1 for refusing
// (starting up, recovering, shutting down), 2 for no answer. pg_isready gives up by
// itself, long before a probe would kill it: an orphan that ends with a failure would be
// taken by the server, process 1 of its container, for a crashed child of its own.
func readyCommand() []string {
	return []string{"pg_isready", "-q", "-t", "5", "-h", SocketPath, "-U", SuperuserRole, "-d", SuperuserRole}
}

// reconciler applies the roles, once the server accepts connections, and then sleeps.
func (a *Args) reconciler(name string) workload.Process {
	done := []string{"test", "-f", reconciled}
	return workload.Process{
		Name: "reconcile", Identity: reconcilerOf(name), Image: a.Image, User: a.user(),
		Command: []string{"sh", ScriptsPath + "/reconcile.sh", reconciled},
		Env: pulumi.ToStringMap(map[string]string{
			"SERVER_HOST":      name,
			"SOCKET_PATH":      SocketPath,
			"SCRIPTS_PATH":     ScriptsPath,
			"VERIFIERS_PATH":   RolesPath,
			"DATABASE":         Name,
			"APPLICATION_ROLE": ApplicationRole,
			"MONITORING_ROLE":  MonitoringRole,
		}),
		Resources: ReconcilerResources,
		Mounts: []workload.Mount{
			{Volume: "socket", Path: SocketPath},
			{Volume: "reconcile-tmp", Path: "/tmp"},
			{Volume: "scripts", Path: ScriptsPath, ReadOnly: true},
			{Volume: "verifiers", Path: RolesPath, ReadOnly: true},
		},
		Ready:  &workload.Probe{Command: done, PeriodSeconds: 2, TimeoutSeconds: 10, Failures: 1},
		Health: workload.Health{Command: done}, StartupSeconds: a.Tuning().StartupSeconds(),
		GraceSeconds: 5,
	}
}

// exporter beside the server. In a pod it reaches it over loopback. On a Docker host it
// goes through the socket: the server takes the exporter's role from the network of its
// own host only, and a container that shares that of another does not outlive it.
func (a *Args) exporter(name string, on room.Target) workload.Process {
	p := workload.Process{
		Name: "exporter", Identity: exporterOf(name), Image: a.ExporterImage, User: workload.Nobody,
		Env: pulumi.ToStringMap(map[string]string{
			"DATA_SOURCE_URI":       loopback + ":5432/" + Name + "?sslmode=disable",
			"DATA_SOURCE_USER":      a.internal(MonitoringRole),
			"DATA_SOURCE_PASS_FILE": RolesPath + "/" + PasswordFile,
		}),
		Resources: ExporterResources,
		Ports:     []workload.Port{{Name: metricsName, Number: MetricsPort}},
		// No readiness: a missing exporter must not take the database away from its clients.
		Alive:  &workload.Probe{Path: "/", Port: metricsName, PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 4},
		Mounts: []workload.Mount{{Volume: "exporter", Path: RolesPath, ReadOnly: true}},
	}
	var collectors pulumi.StringArray
	for _, collector := range observe.Collectors {
		collectors = append(collectors, pulumi.String("--collector."+collector))
	}
	p.Args = collectors
	if on == room.DockerHost {
		p.Env["DATA_SOURCE_USER"] = pulumi.String(MonitoringRole)
		p.Env["DATA_SOURCE_URI"] = pulumi.String("/" + Name + "?host=" + SocketPath + "&sslmode=disable")
		p.Mounts = append([]workload.Mount{{Volume: "socket", Path: SocketPath, ReadOnly: true}}, p.Mounts...)
		p.Health, p.StartupSeconds, p.GraceSeconds = workload.AskHTTP(MetricsPort, "/"), 60, 5
	}
	return p
}

// loopback is where the processes of one pod reach each other.
const loopback = "127.0.0.1"

// reconciled exists once the roles are as declared.
const reconciled = "/tmp/reconciled"

// initdbArgs of a new volume: checksums on every page; text sorted by PostgreSQL's
// own C.UTF-8 (since version 17), so that no C library, and no update of one, ever
// changes the order under an index.
const initdbArgs = "--data-checksums --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8" +
	" --auth-local=peer --auth-host=scram-sha-256"

// SuperuserFile is the one verifier below RolesPath that the server reads, and
// PasswordFile the exporter's one file there.
const (
	SuperuserFile = "superuser"
	PasswordFile  = "password"
)
