package pgbouncer

import (
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Whatever the poolers do, the server has a connection for everybody else.
func TestPoolsNeverExhaustTheServer(t *testing.T) {
	for connections := 1; connections <= 400; connections += 7 {
		for reserved := 0; reserved < 40; reserved += 13 {
			for poolers := 1; poolers <= 6; poolers++ {
				d := Demand{ServerConnections: connections, Reserved: reserved, Poolers: poolers, Clients: 300}
				p, err := Size(d)
				if err != nil {
					if connections-reserved >= poolers*(2+lookups) {
						t.Errorf("%+v is refused: %v", d, err)
					}
					continue
				}
				if most := poolers * (p.Primary + p.Standby + lookups); most > connections-reserved {
					t.Errorf("%+v: up to %d connections, %d are there", d, most, connections-reserved)
				}
				if p.Primary < 1 || p.Standby < 1 {
					t.Errorf("%+v: %+v", d, p)
				}
				if p.MaxClients <= d.Clients {
					t.Errorf("%+v: %d clients", d, p.MaxClients)
				}
			}
		}
	}
}

func TestTooFewConnectionsSayHowManyAreNeeded(t *testing.T) {
	_, err := Size(Demand{ServerConnections: 25, Reserved: 20, Poolers: 4})
	if err == nil || !strings.Contains(err.Error(), "raise the server's connections to 32") {
		t.Fatalf("%v", err)
	}
	if _, err := Size(Demand{ServerConnections: 32, Reserved: 20, Poolers: 4}); err != nil {
		t.Errorf("what it asks for is refused: %v", err)
	}
}

func TestImagesThatAreTooOld(t *testing.T) {
	for image, ok := range map[string]bool{
		"ghcr.io/cloudnative-pg/pgbouncer:1.26.1": true, "localhost:5000/pgbouncer:v1.26.2-p0": true, "pgbouncer:1.27": true, "pgbouncer:2.0.0": true,
		"pgbouncer:stable": true, "registry:1.2/pgbouncer": true, "pgbouncer@sha256:0123": true,
		"pgbouncer:1.26.0": false, "edoburu/pgbouncer:v1.25.2-p0": false, "pgbouncer:1.26": false, "x/pgbouncer:0.9.9": false,
	} {
		if err := CheckImage(image); (err == nil) != ok {
			t.Errorf("%s: %v", image, err)
		}
	}
}

func good() *Config {
	return &Config{Database: "app", ReadDatabase: "app_read", Role: "pooler", Function: "pooling.lookup", Pools: Pools{20, 10, 330}, WaitSeconds: 60, TLS: room.Preferred}
}

func TestRender(t *testing.T) {
	text, err := good().Render()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"app = host=/run/primary dbname=app auth_dbname=app pool_size=20\n",
		"app_read = host=/run/standby dbname=app auth_dbname=app pool_size=10\n",
		"pool_mode = transaction\n", "auth_type = scram-sha-256\n", "auth_query = SELECT usename, passwd FROM pooling.lookup($1)\n",
		"max_client_conn = 330\n", "query_wait_timeout = 60\n", "client_tls_sslmode = allow\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for asked, want := range map[room.Encryption]string{room.Unencrypted: "", room.Preferred: "client_tls_sslmode = allow\n", room.Required: "client_tls_sslmode = require\n"} {
		c := good()
		c.TLS = asked
		switch text, err := c.Render(); {
		case err != nil:
			t.Error(err)
		case want == "" && strings.Contains(text, "tls"), !strings.Contains(text, want):
			t.Errorf("%s: want %q in\n%s", asked, want, text)
		}
	}
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, " ="); ok {
			if seen[name] {
				t.Errorf("%s is set twice", name)
			}
			seen[name] = true
		}
	}
}

func TestUserlistQuotes(t *testing.T) {
	if got, want := Userlist("pooler", `a"b`), `"pooler" "a""b"`+"\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	for what, edit := range map[string]func(*Config){
		"Role is empty": func(c *Config) { c.Role = "" }, "ReadDatabase is Database": func(c *Config) { c.ReadDatabase = "app" }, "WaitSeconds is 0": func(c *Config) { c.WaitSeconds = 0 },
		`TLS is "sometimes"`: func(c *Config) { c.TLS = "sometimes" },
	} {
		c := good()
		edit(c)
		if _, err := c.Render(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
