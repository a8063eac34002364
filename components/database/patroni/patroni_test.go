package patroni

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func good() *Config {
	return &Config{
		Scope: "db", Labels: map[string]string{"app": "db"}, BinDir: "/bin", DataDir: "/volume/data", SocketDir: "/run", Agent: "/opt/agent", TLSDir: "/tls",
		ReplicationRole: "streamer", RewindRole: "rewinder", MonitoringRole: "monitor", ArchiveCommand: `archive "%p"`,
		Settings: []Setting{{"max_connections", "100"}, {"shared_buffers", "128MB"}, {"max_wal_size", "1GB"}},
	}
}

// file is the rendered file as Patroni reads it.
func file(t *testing.T, c *Config) map[string]any {
	t.Helper()
	raw, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	var f map[string]any
	if err := yaml.Unmarshal([]byte(raw), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// at follows keys into a file.
func at(t *testing.T, f map[string]any, keys ...string) any {
	t.Helper()
	var v any = f
	for i, k := range keys {
		m, ok := v.(map[string]any)
		if !ok || m[k] == nil {
			t.Fatalf("no %s", strings.Join(keys[:i+1], "."))
		}
		v = m[k]
	}
	return v
}

func TestCommitsAreOnTwoMembers(t *testing.T) {
	for _, strict := range []bool{false, true} {
		c := good()
		c.Strict = strict
		dcs := at(t, file(t, c), "bootstrap", "dcs").(map[string]any)
		if dcs["synchronous_mode"] != "quorum" || dcs["synchronous_node_count"] != float64(1) || dcs["synchronous_mode_strict"] != strict {
			t.Errorf("strict %t: %v", strict, dcs)
		}
		// What a new cluster begins with is what the agent declares later: no change that
		// nobody made.
		text, err := c.Dynamic()
		if err != nil {
			t.Fatal(err)
		}
		var dynamic map[string]any
		if err := json.Unmarshal([]byte(text), &dynamic); err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(dcs)
		b, _ := json.Marshal(dynamic)
		if string(a) != string(b) {
			t.Errorf("bootstrap says %s, the agent %s", a, b)
		}
	}
}

// Patroni refuses other values, or replaces them by its defaults.
func TestClocksAreWithinPatronisBounds(t *testing.T) {
	if ttl < 20 || loopWait < 1 || retryTimeout < 3 || loopWait+2*retryTimeout > ttl {
		t.Errorf("ttl %d, loop_wait %d, retry_timeout %d", ttl, loopWait, retryTimeout)
	}
}

func TestSharedParametersAreInTheDynamicConfigurationOnly(t *testing.T) {
	f := file(t, good())
	dynamic := at(t, f, "bootstrap", "dcs", "postgresql", "parameters").(map[string]any)
	local := at(t, f, "postgresql", "parameters").(map[string]any)
	for name, want := range map[string]string{"max_connections": "100", "max_wal_size": "1GB", "wal_level": "replica"} {
		if dynamic[name] != want || local[name] != nil {
			t.Errorf("%s is %v in the dynamic configuration and %v in the file", name, dynamic[name], local[name])
		}
	}
	for name, want := range map[string]string{"shared_buffers": "128MB", "shared_preload_libraries": "timescaledb", "ssl": "on", "archive_mode": "on", "archive_command": `archive "%p"`, "archive_timeout": "60s"} {
		if local[name] != want || dynamic[name] != nil {
			t.Errorf("%s is %v in the file and %v in the dynamic configuration", name, local[name], dynamic[name])
		}
	}
}

// A larger volume has to reload the server, not to restart it.
func TestWhatFollowsFromTheVolumeNeedsNoRestart(t *testing.T) {
	parts := func(c *Config) (file, dynamic, restart string) {
		file, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		if dynamic, err = c.Dynamic(); err != nil {
			t.Fatal(err)
		}
		return file, dynamic, c.NeedsRestart()
	}
	_, dynamic, restart := parts(good())
	for _, name := range reloaded {
		c := good()
		c.Settings = append(slices.DeleteFunc(c.Settings, func(s Setting) bool { return s.Name == name }), Setting{name, "2GB"})
		_, changed, again := parts(c)
		if changed == dynamic {
			t.Errorf("%s is not in the dynamic configuration", name)
		}
		if again != restart {
			t.Errorf("%s would roll the pods", name)
		}
	}
	c := good()
	c.Settings[0].Value = "101"
	if _, _, again := parts(c); again == restart {
		t.Error("max_connections would not roll the pods")
	}
}

func TestAnArchiveThatIsOffCanBeTurnedOnWithoutARestart(t *testing.T) {
	c := good()
	c.ArchiveCommand = ""
	local := at(t, file(t, c), "postgresql", "parameters").(map[string]any)
	if local["archive_mode"] != "on" || local["archive_command"] != "/bin/true" || local["archive_timeout"] != nil {
		t.Errorf("archive_mode %v, archive_command %v, archive_timeout %v", local["archive_mode"], local["archive_command"], local["archive_timeout"])
	}
}

// The first matching rule decides, as in the server, for which a plus means a role and its
// members. Another login of a kind is admitted and refused as the first one.
func TestAccess(t *testing.T) {
	members := map[string]string{"streamer_2": "streamer", "rewinder_2": "rewinder", "monitor_2": "monitor"}
	decide := func(kind, database, role, address string) string {
		for _, rule := range good().Access() {
			f := strings.Fields(rule)
			method := f[len(f)-1]
			if f[0] != kind && (f[0] != "host" || kind != "hostssl") {
				continue
			}
			// "all" databases do not take in the replication that is none.
			if f[1] != database && (f[1] != "all" || database == "replication") {
				continue
			}
			group, any := strings.CutPrefix(f[2], "+")
			if group != role && f[2] != "all" && (!any || group != members[role]) || kind != "local" && f[3] != "all" && f[3] != address+"/32" {
				continue
			}
			return method
		}
		return "no rule"
	}
	for _, c := range []struct{ kind, database, role, address, want string }{
		{"local", "postgres", "postgres", "", "peer"},
		{"local", "app", "app", "", "no rule"},
		{"local", "app", "monitor", "", "scram-sha-256"},
		{"hostssl", "app", "postgres", "127.0.0.1", "reject"},
		{"hostssl", "app", "postgres", "10.1.1.1", "reject"},
		{"hostssl", "replication", "postgres", "10.1.1.1", "no rule"},
		{"hostssl", "replication", "streamer", "10.1.1.1", "scram-sha-256"},
		{"host", "replication", "streamer", "10.1.1.1", "no rule"},
		{"hostssl", "app", "streamer", "10.1.1.1", "reject"},
		{"hostssl", "postgres", "rewinder", "10.1.1.1", "scram-sha-256"},
		{"hostssl", "app", "rewinder", "10.1.1.1", "reject"},
		{"hostssl", "app", "monitor", "10.1.1.1", "reject"},
		{"host", "app", "monitor", "127.0.0.1", "scram-sha-256"},
		{"hostssl", "app", "app", "10.1.1.1", "scram-sha-256"},
		{"host", "app", "app", "10.1.1.1", "no rule"},
		{"hostssl", "replication", "app", "10.1.1.1", "no rule"},
		{"local", "app", "monitor_2", "", "scram-sha-256"},
		{"host", "app", "monitor_2", "127.0.0.1", "scram-sha-256"},
		{"hostssl", "app", "monitor_2", "10.1.1.1", "reject"},
		{"hostssl", "replication", "streamer_2", "10.1.1.1", "scram-sha-256"},
		{"hostssl", "app", "streamer_2", "10.1.1.1", "reject"},
		{"hostssl", "postgres", "rewinder_2", "10.1.1.1", "scram-sha-256"},
		{"hostssl", "app", "rewinder_2", "10.1.1.1", "reject"},
		{"hostssl", "replication", "rewinder_2", "10.1.1.1", "no rule"},
	} {
		if got := decide(c.kind, c.database, c.role, c.address); got != c.want {
			t.Errorf("%s %s as %s from %q: %s, want %s", c.kind, c.database, c.role, c.address, got, c.want)
		}
	}
}

// Another login is no other rule, which would restart a server.
func TestLogins(t *testing.T) {
	before, c := good(), good()
	c.ReplicationLogin, c.RewindLogin = "streamer_2", "rewinder_2"
	if !slices.Equal(before.Access(), c.Access()) {
		t.Errorf("rules %q, were %q", c.Access(), before.Access())
	}
	for kind, names := range map[string][2]string{"replication": {"streamer", "streamer_2"}, "rewind": {"rewinder", "rewinder_2"}} {
		for i, config := range []*Config{before, c} {
			if got := at(t, file(t, config), "postgresql", "authentication", kind, "username"); got != names[i] {
				t.Errorf("%s logs in as %v, want %s", kind, got, names[i])
			}
		}
	}
}

// Clients without a certificate are let in, by the password, in every case: probes have none,
// and members of before in a rolling update.
func TestControl(t *testing.T) {
	plain := file(t, good())
	if got := at(t, plain, "restapi").(map[string]any); len(got) != 1 || got["listen"] != "*:8008" || plain["ctl"] != nil {
		t.Errorf("without TLS: %v, and asks as %v", got, plain["ctl"])
	}
	c := good()
	c.Encrypted = true
	secure := file(t, c)
	for section, want := range map[string]map[string]any{
		"restapi": {"listen": "*:8008", "certfile": "/tls/tls.crt", "keyfile": "/tls/tls.key"},
		// With a certificate of its own as a client a member cannot ask one without TLS.
		"ctl": {"insecure": true},
	} {
		if got := at(t, secure, section).(map[string]any); !maps.Equal(got, want) {
			t.Errorf("%s is %v, want %v", section, got, want)
		}
	}
	if a, b := c.NeedsRestart(), good().NeedsRestart(); a != b {
		t.Errorf("TLS of the REST API is a parameter of the server: %q, %q", a, b)
	}
}

func TestRulesAreNarrow(t *testing.T) {
	for _, r := range Rules("db") {
		for _, resource := range r.Resources {
			if resource != "configmaps" && resource != "pods" {
				t.Errorf("a right over %s", resource)
			}
		}
		for _, verb := range r.Verbs {
			if verb == "*" || strings.HasPrefix(verb, "delete") {
				t.Errorf("the right to %s", verb)
			}
			// A ConfigMap is read and written by name: others stay what they are.
			if (verb == "patch" || verb == "update" || verb == "get") && slices.Contains(r.Resources, "configmaps") && !slices.Equal(r.ResourceNames, Objects("db")) {
				t.Errorf("the right to %s any ConfigMap", verb)
			}
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	if _, err := good().File(); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for what, c := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"no scope":                {func(c *Config) { c.Scope = "" }, "Scope is empty"},
		"no labels":               {func(c *Config) { c.Labels = nil }, "Labels are empty"},
		"no certificate":          {func(c *Config) { c.TLSDir = "" }, "TLSDir is empty"},
		"the cluster's parameter": {func(c *Config) { c.Settings = append(c.Settings, Setting{"synchronous_standby_names", "x"}) }, "synchronous_standby_names is not for Settings"},
		"the package's parameter": {func(c *Config) { c.Settings = append(c.Settings, Setting{"ssl", "off"}) }, "ssl is not for Settings"},
	} {
		config := good()
		c.edit(config)
		if _, err := config.File(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Who fills the data of a new cluster is one member, by a command that knows where.
func TestBootstrap(t *testing.T) {
	read := func(command string) map[string]any {
		c := good()
		c.Bootstrap = command
		text, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Bootstrap map[string]any `json:"bootstrap"`
		}
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			t.Fatal(err)
		}
		return file.Bootstrap
	}
	if b := read(""); b["method"] != nil || b["initdb"] == nil {
		t.Errorf("a new database: %v", b)
	}
	b := read("/opt/agent fill")
	method, _ := b["method"].(string)
	restore, _ := b[method].(map[string]any)
	if restore["command"] != "/opt/agent fill" || restore["no_params"] != true {
		t.Errorf("a restored one: %v", b)
	}
}
