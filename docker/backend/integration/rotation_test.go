//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Login roles come and go, two in turn, while requests are answered: all that was
// created belongs to the role that owns the database.
func TestLoginRoleIsRenewedWithoutAnOutage(t *testing.T) {
	databases++
	name := fmt.Sprintf("test%d", databases)
	createDatabase(t, name)
	owner, blue, green := name+"_owner", name+"_blue", name+"_green"
	superuser(t, "postgres", "CREATE ROLE "+owner+" NOLOGIN", "ALTER DATABASE "+name+" OWNER TO "+owner,
		"CREATE ROLE "+blue+" LOGIN PASSWORD 'one' IN ROLE "+owner, "CREATE ROLE "+green+" LOGIN PASSWORD 'two' IN ROLE "+owner)
	superuser(t, name, "CREATE EXTENSION timescaledb SCHEMA public")
	s := newStack(t)
	file := filepath.Join(t.TempDir(), "url")
	logIn := func(role, password string) {
		t.Helper()
		url := fmt.Sprintf("postgresql://%s:%s@127.0.0.1:%d/%s", role, password, s.database.port(), name)
		if err := os.WriteFile(file, []byte(url), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	logIn(blue, "one")
	s.env = append(s.env, "DATABASE_URL", "", "DATABASE_URL_FILE", file, "DATABASE_PATIENCE", "1m", "REQUEST_TIMEOUT", "60", "REDIS_ENABLED", "false")
	api := s.start("api")
	engine := s.start("engine")
	s.ready(api)
	if owners := query[string](t, name, "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname IN ('public', '_timescaledb_internal') AND tablename !~ '^(bgw|job)'"); owners != owner {
		t.Errorf("tables and chunks belong to %s", owners)
	}

	v := newVisitors(t, api.url)
	v.more(t, 10)
	logIn(green, "two")
	superuser(t, "postgres", "ALTER ROLE "+blue+" NOLOGIN", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+blue+"'")
	v.more(t, 20)
	v.report(t)
	s.await(engine.url+"/metrics", 200, "alphapulse_engine_leader 1")
	superuser(t, "postgres", "DROP ROLE "+blue) // which fails if it owns anything
	for _, p := range []*process{api, engine} {
		if strings.Contains(p.log.String(), `"severity":"ERROR"`) {
			t.Errorf("%s", p.log)
		}
	}
}

// Redis that restarts costs no request, though the cache and the stream use it.
func TestRestartOfRedisCostsNoRequest(t *testing.T) {
	s := newStack(t, "CACHE_TTL", "2")
	api := s.start("api")
	s.start("engine")
	s.ready(api)
	v := newVisitors(t, api.url)
	for range 3 {
		v.more(t, 20)
		cache.kill()
		v.more(t, 20)
		if err := cache.start(); err != nil {
			t.Fatal(err)
		}
		s.await(api.url+"/metrics", 200, "cache_up 1")
	}
	told := func() bool {
		return strings.Contains(api.log.String(), "cache lost") && strings.Contains(api.log.String(), "cache reached")
	}
	// A cache that was lost is asked again after a while, by a request.
	for end := time.Now().Add(20 * time.Second); !told() && time.Now().Before(end); {
		v.more(t, 20)
	}
	v.report(t)
	if !told() {
		t.Error("the log does not tell of the loss and its end")
	}
	if _, text := s.get(api.url + "/metrics"); strings.Contains(text, "cache_errors_total 0\n") {
		t.Error("no error is counted")
	}
}
