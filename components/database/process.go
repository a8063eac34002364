package database

import (
	"fmt"
	"strings"
)

// Process is how one of the database's processes is started, whatever starts it: a
// pod's container or one on a Docker host.
type Process struct {
	// Command replaces the image's entrypoint; empty keeps it.
	Command []string
	// Args of the entrypoint.
	Args []string
	// Env are plain variables; what they name is secret, they are not.
	Env map[string]string
	// Ready is a command that succeeds once the process can be used; nil where only
	// its port tells.
	Ready []string
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

// ServerProcess is the server.
func ServerProcess() Process {
	return Process{
		Args: []string{
			"postgres", "-c", "config_file=" + ConfigPath + "/postgresql.conf", "-c", "hba_file=" + ConfigPath + "/pg_hba.conf",
		},
		Env: map[string]string{
			"PGDATA":                 dataPath,
			"POSTGRES_USER":          SuperuserRole,
			"POSTGRES_PASSWORD_FILE": RolesPath + "/" + SuperuserFile,
			"POSTGRES_INITDB_ARGS":   initdbArgs,
			// The settings are ours: the image's own tuning would not be read.
			"NO_TS_TUNE": "true",
		},
		// It holds no credential: over the socket the kernel says who asks. The exit
		// codes are 0 for accepting, 1 for refusing (starting up, recovering, shutting
		// down), 2 for no answer. pg_isready gives up by itself, long before a probe
		// would kill it: an orphan that ends with a failure would be taken by the
		// server, process 1 of its container, for a crashed child of its own.
		Ready: []string{"pg_isready", "-q", "-t", "5", "-h", SocketPath, "-U", SuperuserRole, "-d", SuperuserRole},
	}
}

// ReconcilerProcess brings the roles to what is declared, once the server answers at
// host, and then sleeps.
func ReconcilerProcess(host string) Process {
	return Process{
		Command: []string{"sh", ScriptsPath + "/reconcile.sh", reconciled},
		Env: map[string]string{
			"SERVER_HOST":      host,
			"SOCKET_PATH":      SocketPath,
			"SCRIPTS_PATH":     ScriptsPath,
			"VERIFIERS_PATH":   RolesPath,
			"DATABASE":         Name,
			"APPLICATION_ROLE": ApplicationRole,
			"MONITORING_ROLE":  MonitoringRole,
		},
		Ready: []string{"test", "-f", reconciled},
	}
}

// ExporterProcess is the exporter beside the server, which it reaches over loopback,
// or over the socket in the folder that is given.
func ExporterProcess(socket string) Process {
	uri := fmt.Sprintf("%s:%d/%s?sslmode=disable", loopback, Port, Name)
	if socket != "" {
		uri = fmt.Sprintf("/%s?host=%s&sslmode=disable", Name, socket)
	}
	return Process{Env: map[string]string{
		"DATA_SOURCE_URI":       uri,
		"DATA_SOURCE_USER":      MonitoringRole,
		"DATA_SOURCE_PASS_FILE": RolesPath + "/" + PasswordFile,
	}}
}

// SuperuserFile is the one verifier below RolesPath that the server reads, and
// PasswordFile the exporter's one file there.
const (
	SuperuserFile = "superuser"
	PasswordFile  = "password"
)

// ConfigFiles are the files below ConfigPath.
func ConfigFiles(t Tuning) map[string]string {
	return map[string]string{"postgresql.conf": RenderConfig(t), "pg_hba.conf": RenderAccess()}
}

// ScriptFiles are the files below ScriptsPath.
func ScriptFiles() map[string]string {
	return map[string]string{"reconcile.sh": reconcileScript, "roles.sql": rolesSQL}
}

// alive is the server's check that takes "not yet" for an answer.
func alive(ready []string) []string {
	return []string{"sh", "-c", strings.Join(ready, " ") + " || [ $? -eq 1 ]"}
}
