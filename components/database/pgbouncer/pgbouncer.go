// Package pgbouncer renders the connection pooler's files and sizes its pools.
//
// PgBouncer pools by transaction and asks the server for its users' verifiers, so its
// files hold no password but its own. It reaches the servers through the agent's
// sockets, which lead to the primary or to a standby and let it wait while there is none.
//
// Versions before 1.26.1 let whoever may log in with SCRAM log in as any other user
// (CVE-2026-107350).
package pgbouncer

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

const (
	// Port that clients connect to.
	Port = 6432
	// ControlPort of the agent beside PgBouncer answers probes.
	ControlPort = 8009
	// ControlTLSPort of the agent answers members: planned switchovers ask it to wait.
	ControlTLSPort = 8011
	// MetricsPort of the agent serves what PgBouncer's console says.
	MetricsPort = 9127
)

// Folders in the pod.
const (
	ConfigDir  = "/etc/pgbouncer"
	TLSDir     = "/etc/pgbouncer-tls"
	SocketDir  = "/run/pgbouncer" // of its own socket, where the agent finds the console
	PrimaryDir = "/run/primary"   // of the agent's sockets
	StandbyDir = "/run/standby"
)

// Least is the least version that may be used.
var Least = [3]int{1, 26, 1}

var versionPattern = regexp.MustCompile(`:v?(\d+)\.(\d+)(?:\.(\d+))?`)

// CheckImage refuses an image whose tag says that it is too old. A tag that says
// nothing is taken.
func CheckImage(image string) error {
	m := versionPattern.FindStringSubmatch(image[strings.LastIndex(image, "/")+1:])
	if m == nil {
		return nil
	}
	for i, least := range Least {
		n, _ := strconv.Atoi(m[i+1])
		if n != least {
			if n > least {
				return nil
			}
			return fmt.Errorf("pgbouncer: image %s is older than %d.%d.%d: older ones let any user log in as any other (CVE-2026-107350); use a newer one",
				image, Least[0], Least[1], Least[2])
		}
	}
	return nil
}

// Demand is what the pools are sized from.
type Demand struct {
	// ServerConnections is max_connections of the server, and Reserved how many of them
	// are not for poolers: those of operators, monitoring, and clients that connect straight.
	ServerConnections, Reserved int
	// Poolers is how many run at the same time at most, one more than usual in a rollout.
	Poolers int
	// Clients is how many connections all clients together open at most.
	Clients int
}

// Pools are sizes for one PgBouncer.
type Pools struct {
	// Primary and Standby are server connections, for writing and for reading.
	Primary, Standby int
	// MaxClients is how many connections one takes: all of them, when it is the only one.
	MaxClients int
}

// lookups is the server connections that one PgBouncer asks for verifiers with.
const lookups = 1

// Size divides a server's connections among the poolers. Both pools of all poolers may
// end at one server, since the primary serves readers too while no standby can.
func Size(d Demand) (Pools, error) {
	each := 0
	if d.Poolers > 0 {
		each = (d.ServerConnections-d.Reserved)/d.Poolers - lookups
	}
	if each < 2 {
		return Pools{}, fmt.Errorf("pgbouncer: %d connections of the server, of which %d are for others, leave %d for each of %d poolers: want at least 2; raise the server's connections to %d",
			d.ServerConnections, d.Reserved, max(each, 0), d.Poolers, d.Reserved+d.Poolers*(2+lookups))
	}
	standby := each / 3
	if standby == 0 {
		standby = 1
	}
	// A tenth for what an operator opens, and for those that a restarted client has left.
	return Pools{Primary: each - standby, Standby: standby, MaxClients: d.Clients + d.Clients/10 + 10}, nil
}

// Config is PgBouncer's configuration.
type Config struct {
	// Database is the application's; clients that only read name ReadDatabase.
	Database, ReadDatabase string
	// Role asks for verifiers by Function, which gives name and verifier.
	Role, Function string
	Pools          Pools
	// WaitSeconds is how long a query may wait for a server: longer than a failover takes,
	// else a failover is an error.
	WaitSeconds int
	// TLS is what is asked of clients; the certificate is in TLSDir. Without it passwords
	// are not sent, either, but all else is.
	TLS room.Encryption
}

// clientTLS are the values of client_tls_sslmode.
var clientTLS = map[room.Encryption]string{room.Unencrypted: disabled, room.Preferred: "allow", room.Required: "require"}

const disabled = "disable" // the default

// Validate reports what keeps the configuration from being rendered.
func (c *Config) Validate() error {
	var problems []error
	for _, required := range []struct{ name, value string }{
		{"Database", c.Database}, {"ReadDatabase", c.ReadDatabase}, {"Role", c.Role}, {"Function", c.Function},
	} {
		if required.value == "" {
			problems = append(problems, fmt.Errorf("pgbouncer: %s is empty: set it", required.name))
		}
	}
	if c.Database == c.ReadDatabase {
		problems = append(problems, errors.New("pgbouncer: ReadDatabase is Database: give it a name of its own"))
	}
	if clientTLS[c.TLS] == "" {
		problems = append(problems, fmt.Errorf("pgbouncer: TLS is %q: want one of %q", c.TLS, room.Encryptions))
	}
	if c.WaitSeconds < 1 {
		problems = append(problems, fmt.Errorf("pgbouncer: WaitSeconds is %d: want at least 1", c.WaitSeconds))
	}
	return errors.Join(problems...)
}

// Render renders pgbouncer.ini.
func (c *Config) Render() (string, error) {
	if err := c.Validate(); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("; Rendered by the program; an edit here is lost.\n[databases]\n")
	fmt.Fprintf(&b, "%s = host=%s dbname=%s auth_dbname=%s pool_size=%d\n", c.Database, PrimaryDir, c.Database, c.Database, c.Pools.Primary)
	fmt.Fprintf(&b, "%s = host=%s dbname=%s auth_dbname=%s pool_size=%d\n", c.ReadDatabase, StandbyDir, c.Database, c.Database, c.Pools.Standby)
	b.WriteString("\n[pgbouncer]\n")
	lines := [][2]string{
		{"listen_addr", "*"},
		{"listen_port", strconv.Itoa(Port)},
		{"unix_socket_dir", SocketDir},
		{"auth_type", "scram-sha-256"},
		{"auth_file", ConfigDir + "/userlist.txt"},
		{"auth_user", c.Role},
		{"auth_query", "SELECT usename, passwd FROM " + c.Function + "($1)"},
		{"pool_mode", "transaction"},
		{"max_prepared_statements", "200"},
		{"max_client_conn", strconv.Itoa(c.Pools.MaxClients)},
		{"query_wait_timeout", strconv.Itoa(c.WaitSeconds)},
		// A client may log in while there is no primary, too: the lookup of its verifier
		// waits like a query.
		{"client_login_timeout", strconv.Itoa(c.WaitSeconds + 5)},
		// The agent answers when there is a server; it is the agent that gives up on one.
		{"server_connect_timeout", strconv.Itoa(c.WaitSeconds + 5)},
		{"server_login_retry", "0.1"},
		{"server_lifetime", "600"},
		// Connections to a former primary go at once.
		{"server_fast_close", "1"},
		{"tcp_keepalive", "1"},
		{"tcp_keepidle", "60"},
		{"tcp_keepintvl", "10"},
		// A parameter of a session cannot follow a client from server to server: those that
		// drivers send on their own are dropped. The time-outs among them have a bound here.
		{"ignore_startup_parameters", "extra_float_digits,options,search_path,statement_timeout,lock_timeout,idle_in_transaction_session_timeout"},
		{"idle_transaction_timeout", "120"},
		{"log_connections", "0"},
		{"log_disconnections", "0"},
		{"stats_period", "60"},
	}
	if mode := clientTLS[c.TLS]; mode != disabled {
		lines = append(lines,
			[2]string{"client_tls_sslmode", mode},
			[2]string{"client_tls_cert_file", TLSDir + "/tls.crt"},
			[2]string{"client_tls_key_file", TLSDir + "/tls.key"},
		)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%s = %s\n", l[0], l[1])
	}
	return b.String(), nil
}

// Userlist renders the file with the one password that PgBouncer has: its own.
func Userlist(role, password string) string {
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	return quote(role) + " " + quote(password) + "\n"
}
