package database

import (
	_ "embed" // the scripts
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Paths inside the containers.
const (
	// VolumePath is where the volume is mounted, as the image declares it.
	VolumePath = "/var/lib/postgresql/data"
	// dataPath lies below the mount: a volume's own lost+found or a snapshot folder
	// does not make initdb refuse it.
	dataPath = VolumePath + "/pgdata"
	// SocketPath is the folder of the server's socket, which the reconciler shares.
	SocketPath = "/var/run/postgresql"
	// ConfigPath, RolesPath and ScriptsPath are the folders of ConfigFiles, of the
	// roles' verifiers or the exporter's password, and of ScriptFiles.
	ConfigPath  = "/etc/postgresql"
	RolesPath   = "/etc/alphapulse/roles"
	ScriptsPath = "/etc/alphapulse/scripts"
)

// The scripts that bring the roles, the database and the extension to what is declared.
var (
	//go:embed scripts/reconcile.sh
	reconcileScript string
	//go:embed scripts/roles.sql
	rolesSQL string
)

// common are the parameters of every server, whatever it runs on, as postgresql.conf has
// them.
var common = []setting{
	{"timescaledb.telemetry_level", "off"},
	// A slot each for the operator and for the exporter when an application has
	// taken every other one.
	{"superuser_reserved_connections", strconv.Itoa(superuserReserved)},
	{"reserved_connections", strconv.Itoa(monitoringReserved)},
	// A vanished client pod frees its connection within two minutes, not two hours.
	{"tcp_keepalives_idle", "60"},
	{"tcp_keepalives_interval", "10"},
	{"tcp_keepalives_count", "6"},
	// A pod has no huge pages unless it asks for them; where the node has some,
	// taking them would end in SIGBUS.
	{"huge_pages", "off"},
	{"timezone", "'UTC'"},
	{"log_timezone", "'UTC'"},
	{"log_destination", "'stderr'"},
	{"logging_collector", "off"},
	{"log_line_prefix", "'%m [%p] %q%u@%d/%a '"},
	{"log_checkpoints", "on"},
	{"log_lock_waits", "on"},
	{"log_autovacuum_min_duration", "'10s'"},
	{"log_temp_files", "'10MB'"},
	{"log_min_duration_statement", "'1s'"},
	// Values may be secret: statements are logged as the client prepared them.
	{"log_statement", "none"},
	{"log_parameter_max_length", "0"},
	{"log_parameter_max_length_on_error", "0"},
}

// Connections that the server keeps for the superuser and for the exporter.
const (
	superuserReserved  = 3
	monitoringReserved = 2
)

// RenderConfig renders postgresql.conf, more settings at its end.
func RenderConfig(t Tuning, more ...setting) string {
	settings := []setting{
		{"listen_addresses", "'*'"},
		{"port", fmt.Sprint(Port)},
		{"unix_socket_directories", quote(SocketPath)},
		{"shared_preload_libraries", "'timescaledb'"},
		common[0],
		{"password_encryption", "scram-sha-256"},
	}
	var b strings.Builder
	b.WriteString("# Rendered by the program; an edit here is lost.\n")
	for _, s := range slices.Concat(settings, common[1:], t.settings(), more) {
		fmt.Fprintf(&b, "%s = %s\n", s.name, s.value)
	}
	return b.String()
}

// RenderAccess renders pg_hba.conf: the superuser comes in through the socket
// only, as the operating system's user postgres; the exporter from its own pod, or
// through the socket where it is a container of its own, with its password either
// way; everybody else over the network with a password.
func RenderAccess() string {
	rules := [][]string{
		{"local", "all", SuperuserRole, "", "peer"},
		{"local", "all", MonitoringRole, "", "scram-sha-256"},
		{"host", "all", SuperuserRole, "all", "reject"},
		{"host", "all", MonitoringRole, "127.0.0.1/32", "scram-sha-256"},
		{"host", "all", MonitoringRole, "all", "reject"},
		{"host", "all", "all", "all", "scram-sha-256"},
	}
	var b strings.Builder
	b.WriteString("# Rendered by the program; an edit here is lost.\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "%-5s %-4s %-18s %-13s %s\n", r[0], r[1], r[2], r[3], r[4])
	}
	return b.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
