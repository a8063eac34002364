// Package patroni renders the configuration of a PostgreSQL cluster that fails over by
// itself: Patroni's file, its dynamic configuration, and the rights that it needs.
//
// Patroni keeps its state in ConfigMaps of its own namespace. (Endpoints, its other way,
// are deprecated since Kubernetes 1.33.) Nothing here needs a right beyond the namespace.
package patroni

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// Port of the REST API, which probes and the agent ask.
const Port = 8008

// Labels of members' pods.
const (
	// ScopeLabel has the scope on every member's pod, and on Patroni's ConfigMaps.
	ScopeLabel = "cluster-name"
	// RoleLabel is set by Patroni and selects the primary's pod by its value Primary.
	RoleLabel = "role"
	Primary   = "primary"
	Replica   = "replica"
)

// Clocks of the cluster, in seconds. A lost primary is replaced ttl after its last sign
// of life at the latest, and 20 is the least that Patroni allows; loopWait + 2 ×
// retryTimeout must not exceed it (Patroni's documentation, "Dynamic Configuration").
const (
	ttl          = 20
	loopWait     = 3
	retryTimeout = 8
)

// failoverLag is how many bytes a standby outside of the quorum may be behind to take
// over.
const failoverLag = 1 << 20

// Setting is one parameter of the server.
type Setting struct{ Name, Value string }

// Config is what the members of a cluster have in common.
type Config struct {
	// Scope names the cluster: the prefix of its ConfigMaps and the value of ScopeLabel.
	Scope string
	// Labels of Patroni's ConfigMaps and of the members' pods, which it finds by them.
	Labels map[string]string
	// Strict stops commits while no standby can confirm them. Without it they go on, and
	// are on one member alone.
	Strict bool
	// BinDir, DataDir and SocketDir are folders in the container: PostgreSQL's programs,
	// the data, which must lie below a volume's root, and the socket.
	BinDir, DataDir, SocketDir string
	// Agent is the path of the agent in the container; "" leaves its callback out.
	Agent string
	// TLSDir is the folder with tls.crt, tls.key and ca.crt.
	TLSDir string
	// Encrypted has the REST API speak TLS alone, with the certificate in TLSDir.
	Encrypted bool
	// ReplicationRole and RewindRole stream the write-ahead log and read files. Members of
	// these roles may what they may.
	ReplicationRole, RewindRole string
	// ReplicationLogin and RewindLogin are those that this one logs in as, members of the
	// roles; "" for the roles themselves.
	ReplicationLogin, RewindLogin string
	// MonitoringRole may log in over the socket and from the pod itself, and so may its
	// members.
	MonitoringRole string
	// ArchiveCommand keeps the write-ahead log; "" archives nothing.
	ArchiveCommand string
	// Bootstrap is the command that fills the data of a cluster which has none; "" makes a
	// new database. One member runs it, and the others copy that one.
	Bootstrap string
	// Settings of the server, beside those of this package.
	Settings []Setting
}

// Validate reports everything that keeps the configuration from being rendered.
func (c *Config) Validate() error {
	var problems []error
	for _, required := range []struct{ name, value string }{
		{"Scope", c.Scope}, {"BinDir", c.BinDir}, {"DataDir", c.DataDir}, {"SocketDir", c.SocketDir}, {"TLSDir", c.TLSDir},
		{"ReplicationRole", c.ReplicationRole}, {"RewindRole", c.RewindRole},
	} {
		if required.value == "" {
			problems = append(problems, fmt.Errorf("patroni: %s is empty: set it", required.name))
		}
	}
	if len(c.Labels) == 0 {
		problems = append(problems, errors.New("patroni: Labels are empty: members find each other by them"))
	}
	own := map[string]bool{}
	for _, s := range c.local() {
		own[s.Name] = true
	}
	for _, s := range c.Settings {
		if own[s.Name] || s.Name == "synchronous_standby_names" || s.Name == "primary_conninfo" {
			problems = append(problems, fmt.Errorf("patroni: parameter %s is not for Settings: it follows from the cluster", s.Name))
		}
	}
	return errors.Join(problems...)
}

// shared are the parameters that Patroni takes from the dynamic configuration alone,
// since members must agree on them (Patroni's documentation, "PostgreSQL parameters
// controlled by Patroni"); all need a restart.
var shared = []string{
	"max_connections", "max_locks_per_transaction", "max_worker_processes", "max_prepared_transactions", "wal_level",
	"track_commit_timestamp", "max_wal_senders", "max_replication_slots", "hot_standby",
}

// reloaded are parameters that follow from the volume's size: they are in the dynamic
// configuration, so that a larger volume changes them without a restart.
var reloaded = []string{"max_wal_size", "min_wal_size", "max_slot_wal_keep_size", "wal_keep_size"}

// local are the parameters that this package decides on.
func (c *Config) local() []Setting {
	settings := []Setting{
		{"unix_socket_directories", c.SocketDir},
		{"password_encryption", "scram-sha-256"},
		{"shared_preload_libraries", "timescaledb"},
		{"ssl", "on"},
		{"ssl_cert_file", c.TLSDir + "/tls.crt"},
		{"ssl_key_file", c.TLSDir + "/tls.key"},
		// A standby or a primary that has vanished is noticed within seconds.
		{"wal_sender_timeout", "5s"},
		{"wal_receiver_timeout", "5s"},
		// A standby finds a new primary at once; by default it tries every 5 s, and commits
		// wait for it.
		{"wal_retrieve_retry_interval", "500ms"},
		// A standby may answer queries for this long before it goes on with the log.
		{"max_standby_streaming_delay", "10s"},
		{"hot_standby_feedback", "on"},
		{"archive_mode", "on"},
	}
	command := c.ArchiveCommand
	if command == "" {
		// archive_mode cannot be changed without a restart; this can.
		command = "/bin/true"
	} else {
		// What is lost with every volume is a minute at most.
		settings = append(settings, Setting{"archive_timeout", "60s"})
	}
	return append(settings, Setting{"archive_command", command})
}

// constants are dynamic parameters that no caller has to think about.
var constants = []Setting{
	{"wal_level", "replica"},
	{"hot_standby", "on"},
	{"max_wal_senders", "10"},
	{"max_replication_slots", "10"},
}

// split gives the parameters of the dynamic configuration and the others.
func (c *Config) split() (dynamic, local map[string]string) {
	dynamic, local = map[string]string{}, map[string]string{}
	for _, s := range slices.Concat(constants, c.local(), c.Settings) {
		if slices.Contains(shared, s.Name) || slices.Contains(reloaded, s.Name) {
			dynamic[s.Name] = s.Value
		} else {
			local[s.Name] = s.Value
		}
	}
	return dynamic, local
}

// dynamic is Patroni's dynamic configuration. Every value has the type that Patroni
// gives back, so that the agent sees whether something has changed.
func (c *Config) dynamic() map[string]any {
	parameters, _ := c.split()
	return map[string]any{
		"ttl": ttl, "loop_wait": loopWait, "retry_timeout": retryTimeout,
		"maximum_lag_on_failover": failoverLag,
		// A crashed primary is not started again where a standby has every commit.
		"primary_start_timeout": 0,
		"primary_stop_timeout":  30,
		// An acknowledged commit is on two members.
		"synchronous_mode":        "quorum",
		"synchronous_mode_strict": c.Strict,
		"synchronous_node_count":  1,
		// An API server that is away stops nobody while all members see each other.
		"failsafe_mode": true,
		"postgresql": map[string]any{
			"use_pg_rewind": true,
			"use_slots":     true,
			"parameters":    parameters,
		},
	}
}

// Dynamic renders the dynamic configuration, which the agent hands to Patroni.
func (c *Config) Dynamic() (string, error) {
	raw, err := json.MarshalIndent(c.dynamic(), "", "  ")
	return string(raw) + "\n", err
}

// NeedsRestart renders what of the dynamic configuration takes effect with a restart
// only: a change of it has to roll the pods.
func (c *Config) NeedsRestart() string {
	parameters, _ := c.split()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if slices.Contains(shared, name) {
			lines = append(lines, name+" = "+parameters[name])
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// Access renders pg_hba.conf's lines: the superuser comes in through the socket only,
// as the operating system's user of the same name; everybody else over TLS, with a
// password. A plus admits a role and all that are members of it, so that another login of
// the kind is no other rule (PostgreSQL's documentation, "The pg_hba.conf File").
func (c *Config) Access() []string {
	rules := []string{"local all postgres peer"}
	if c.MonitoringRole != "" {
		rules = append(rules,
			"local all +"+c.MonitoringRole+" scram-sha-256",
			"host all +"+c.MonitoringRole+" 127.0.0.1/32 scram-sha-256",
			"host all +"+c.MonitoringRole+" all reject",
		)
	}
	return append(rules,
		"host all postgres all reject",
		"hostssl replication +"+c.ReplicationRole+" all scram-sha-256",
		"hostssl all +"+c.ReplicationRole+" all reject",
		"hostssl postgres +"+c.RewindRole+" all scram-sha-256",
		"hostssl all +"+c.RewindRole+" all reject",
		"hostssl all all all scram-sha-256",
	)
}

// File renders Patroni's configuration. What differs between members, and what is
// secret, comes from the environment (see Env).
func (c *Config) File() (string, error) {
	if err := c.Validate(); err != nil {
		return "", err
	}
	_, local := c.split()
	postgresql := map[string]any{
		"listen":               "*:5432",
		"data_dir":             c.DataDir,
		"bin_dir":              c.BinDir,
		"pgpass":               "/tmp/pgpass",
		"use_unix_socket":      true,
		"use_unix_socket_repl": false,
		"authentication": map[string]any{
			"superuser":   map[string]any{"username": "postgres"},
			"replication": map[string]any{"username": cmp.Or(c.ReplicationLogin, c.ReplicationRole), "sslmode": "verify-ca", "sslrootcert": c.TLSDir + "/ca.crt"},
			"rewind":      map[string]any{"username": cmp.Or(c.RewindLogin, c.RewindRole), "sslmode": "verify-ca", "sslrootcert": c.TLSDir + "/ca.crt"},
		},
		"parameters": local,
		"pg_hba":     c.Access(),
		// An idle primary would make a new standby wait for its next checkpoint.
		"basebackup": []any{map[string]any{"checkpoint": "fast"}},
	}
	if c.Agent != "" {
		postgresql["callbacks"] = map[string]any{"on_role_change": c.Agent + " role-changed"}
	}
	file := map[string]any{
		"scope": c.Scope,
		"log": map[string]any{"level": "INFO", "format": "%(asctime)s %(levelname)s: %(message)s",
			// That nothing has happened is said once, not every three seconds.
			"deduplicate_heartbeat_logs": true},
		"restapi": c.control(),
		"kubernetes": map[string]any{
			"scope_label": ScopeLabel, "role_label": RoleLabel, "labels": c.Labels, "use_endpoints": false, "bypass_api_service": false,
		},
		"bootstrap":  c.bootstrap(),
		"postgresql": postgresql,
	}
	if c.Encrypted {
		// patronictl asks members by their addresses, which no certificate names.
		file["ctl"] = map[string]any{"insecure": true}
	}
	raw, err := yaml.Marshal(file)
	if err != nil {
		return "", fmt.Errorf("patroni: %w", err)
	}
	return "# Rendered by the program; an edit here is lost.\n" + string(raw), nil
}

// control is the REST API. What changes the cluster needs the password, as it does without
// TLS. No certificate is asked of a client (verify_client): the kubelet's probes have none,
// and neither has a member of before in a rolling update that turns TLS on, which may be the
// primary that has to be heard while the API server is away (POST /failsafe).
//
// A cluster of which some speak TLS already and some do not yet elects as any other does:
// members find each other by the addresses in their pods' annotations, which say http or
// https, and each asks by that, whatever it speaks itself. They do not check who answers,
// which Patroni does for a member with a certificate as a client (ctl.certfile) alone, and
// such a one cannot ask without TLS at all: its requests to members of before would fail,
// and a standby that is not heard is no vote for the next primary (Patroni 4.0 and 4.1,
// patroni/request.py and ha.py).
func (c *Config) control() map[string]any {
	control := map[string]any{"listen": fmt.Sprintf("*:%d", Port)}
	if c.Encrypted {
		control["certfile"], control["keyfile"] = c.TLSDir+"/tls.crt", c.TLSDir+"/tls.key"
	}
	return control
}

// bootstrap is how a cluster without data gets it.
func (c *Config) bootstrap() map[string]any {
	b := map[string]any{"dcs": c.dynamic(), "initdb": initdb}
	if c.Bootstrap != "" {
		b["method"] = "restore"
		b["restore"] = map[string]any{"command": c.Bootstrap, "no_params": true}
	}
	return b
}

// initdb makes a new database: checksums on every page; text sorted by PostgreSQL's own
// C.UTF-8, so that no C library, and no update of one, ever changes the order under an
// index.
var initdb = []any{
	"data-checksums",
	map[string]any{"encoding": "UTF8"},
	map[string]any{"locale": "C"},
	map[string]any{"locale-provider": "builtin"},
	map[string]any{"builtin-locale": "C.UTF-8"},
	map[string]any{"auth-local": "peer"},
	map[string]any{"auth-host": "scram-sha-256"},
}

// Objects are the ConfigMaps that Patroni keeps its state in. They are Patroni's own:
// who made them would have to know the cluster's identity.
func Objects(scope string) []string {
	return []string{scope + "-leader", scope + "-config", scope + "-sync", scope + "-failover"}
}

// Rules are the rights of the members' ServiceAccount. A name cannot restrict "create",
// nor a label "list": what is secret in the namespace is no ConfigMap.
func Rules(scope string) []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: Objects(scope), Verbs: []string{"get", "patch", "update"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch", "patch"}},
	}
}
