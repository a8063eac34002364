package database

import (
	"fmt"
	"strings"
	"testing"
)

func configOf(t *testing.T, m Machine) map[string]string {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(RenderConfig(Tune(m))) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok {
			t.Fatalf("not a setting: %q", line)
		}
		if _, twice := values[name]; twice {
			t.Errorf("%s is set twice", name)
		}
		values[name] = value
	}
	return values
}

func TestConfigHoldsWhatTheServerDependsOn(t *testing.T) {
	got := configOf(t, Machine{MemoryBytes: giB, CPUs: 1, StorageBytes: 2 * giB})
	for name, want := range map[string]string{
		"shared_preload_libraries":    "'timescaledb'",
		"password_encryption":         "scram-sha-256",
		"listen_addresses":            "'*'",
		"unix_socket_directories":     "'" + SocketPath + "'",
		"timescaledb.telemetry_level": "off",
		"huge_pages":                  "off",
		"shared_buffers":              "256MB",
	} {
		if got[name] != want {
			t.Errorf("%s = %s, want %s", name, got[name], want)
		}
	}
	// The full edition's features stay where an image has them.
	if _, ok := got["timescaledb.license"]; ok {
		t.Error("timescaledb.license is forced")
	}
}

// Slow statements are logged, what they carried is not.
func TestLogHoldsNoValues(t *testing.T) {
	got := configOf(t, Machine{MemoryBytes: giB, CPUs: 1, StorageBytes: 2 * giB})
	if got["log_min_duration_statement"] != "'1s'" {
		t.Errorf("log_min_duration_statement = %s, want '1s'", got["log_min_duration_statement"])
	}
	for name, want := range map[string]string{
		"log_statement": "none", "log_parameter_max_length": "0", "log_parameter_max_length_on_error": "0",
	} {
		if got[name] != want {
			t.Errorf("%s = %s, want %s", name, got[name], want)
		}
	}
}

// The first matching rule decides, as in the server.
func TestAccessRules(t *testing.T) {
	type rule struct{ kind, role, address, method string }
	var rules []rule
	for line := range strings.Lines(RenderAccess()) {
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case f[0] == "local" && len(f) == 4:
			rules = append(rules, rule{f[0], f[2], "", f[3]})
		case f[0] == "host" && len(f) == 5:
			rules = append(rules, rule{f[0], f[2], f[3], f[4]})
		default:
			t.Fatalf("not a rule: %q", line)
		}
	}
	decide := func(kind, role, address string) string {
		for _, r := range rules {
			if r.kind == kind && (r.role == "all" || r.role == role) && (kind == "local" || r.address == "all" || r.address == address+"/32") {
				return r.method
			}
		}
		return "no rule"
	}
	for _, c := range []struct{ kind, role, address, want string }{
		{"local", SuperuserRole, "", "peer"},
		{"local", ApplicationRole, "", "no rule"},
		{"local", MonitoringRole, "", "scram-sha-256"},
		{"host", SuperuserRole, "127.0.0.1", "reject"},
		{"host", SuperuserRole, "10.1.2.3", "reject"},
		{"host", MonitoringRole, "127.0.0.1", "scram-sha-256"},
		{"host", MonitoringRole, "10.1.2.3", "reject"},
		{"host", ApplicationRole, "10.1.2.3", "scram-sha-256"},
	} {
		if got := decide(c.kind, c.role, c.address); got != c.want {
			t.Errorf("%s as %s from %q: %s, want %s", c.kind, c.role, c.address, got, c.want)
		}
	}
	if strings.Contains(RenderAccess(), "trust") || strings.Contains(RenderAccess(), "md5") {
		t.Error("a rule lets somebody in without scram-sha-256")
	}
}

// Every variable that the scripts read is one that the container sets, and none is
// a password: the values come from files, inside the server's own client.
func TestScriptsReadOnlyWhatTheContainerGives(t *testing.T) {
	for _, name := range []string{"SERVER_HOST", "SOCKET_PATH", "SCRIPTS_PATH", "DATABASE", "APPLICATION_ROLE", "MONITORING_ROLE"} {
		if !strings.Contains(reconcileScript, "$"+name) {
			t.Errorf("reconcile.sh does not read %s", name)
		}
	}
	for _, role := range []string{"superuser", "application", "monitoring"} {
		if want := fmt.Sprintf("\\set %s_verifier `cat \"$VERIFIERS_PATH/%s\"`", role, role); !strings.Contains(rolesSQL, want) {
			t.Errorf("roles.sql lacks %s", want)
		}
	}
	for _, guard := range []string{"log_min_duration_statement = -1", "log_min_error_statement = 'panic'", "log_statement = 'none'"} {
		if i := strings.Index(rolesSQL, guard); i < 0 || i > strings.Index(rolesSQL, "PASSWORD") {
			t.Errorf("roles.sql does not say %q before the first password", guard)
		}
	}
}
