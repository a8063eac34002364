//go:build integration

package integration

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/member"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/pooler"
)

const verifier = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$o3DEmjSZgbLQ8I9HXwlzDYzDqMRZJlDHTbdj8L3ZQuA=:bLl/G9nvGtVFCeuSbDvqMp9hRpUmjyZEGpgLtpfzI2I="

func login(name, kind string) member.Login {
	return member.Login{Name: name, Kind: kind, Verifier: verifier}
}

func declared(logins ...member.Login) *member.Declared {
	return &member.Declared{Database: "app", Owner: "app_user", Logins: logins}
}

// used are the names of the logins.
func used(d *member.Declared) (names []string) {
	for _, l := range d.Logins {
		names = append(names, l.Name)
	}
	return names
}

var usual = []member.Login{login("watcher", member.Monitoring), login("pooler", member.Pooling), login("streamer", member.Replication), login("rewinder", member.Rewinding)}

func roles(s *server) *member.Roles {
	return &member.Roles{Log: slog.New(slog.DiscardHandler), Connect: func(ctx context.Context, database string, parameters map[string]string) (*pgx.Conn, error) {
		return s.connect(ctx, "postgres", database, parameters)
	}}
}

func apply(t *testing.T, r *member.Roles, d *member.Declared, used []string) {
	t.Helper()
	if err := r.Apply(t.Context(), d, used); err != nil {
		t.Fatal(err)
	}
}

// expect compares the answer of a query; want beginning with ! is a part of an error.
func expect(t *testing.T, s *server, role, database, sql, want string) {
	t.Helper()
	got, err := s.ask(role, database, sql)
	if part, fails := strings.CutPrefix(want, "!"); fails {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %s: %q, %v; want an error with %q", role, sql, got, err, part)
		}
	} else if err != nil || got != want {
		t.Errorf("%s: %s: %q, %v; want %q", role, sql, got, err, want)
	}
}

func TestRolesAreMadeAndRepaired(t *testing.T) {
	s := start(t)
	d := declared(append(usual, login("app_user", member.Application))...)
	r := roles(s)
	for range 2 { // the second time finds everything
		apply(t, r, d, used(d))
		expect(t, s, "app_user", "app", "SELECT current_user::text", "app_user")
		expect(t, s, "app_user", "app", "SELECT extname::text FROM pg_extension WHERE extname = 'timescaledb'", "timescaledb")
		expect(t, s, "postgres", "app", "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = 'app'", "app_user")
		expect(t, s, "watcher", "app", "SELECT count(*)::text FROM pg_stat_replication", "0")
		expect(t, s, "pooler", "app", "SELECT usename || ' ' || passwd FROM pooling.lookup('app_user')", "app_user "+verifier)
		// Damage that the second run repairs.
		for _, sql := range []string{"ALTER ROLE app_user PASSWORD 'x'", "REVOKE pg_monitor FROM watcher", "ALTER ROLE app_user CREATEDB"} {
			conn, err := s.connect(t.Context(), "postgres", "postgres", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close(t.Context())
		}
	}
	apply(t, r, d, used(d))
	expect(t, s, "postgres", "app", "SELECT rolcreatedb::text || rolsuper || rolreplication || rolcreaterole FROM pg_roles WHERE rolname = 'app_user'", "falsefalsefalsefalse")
	expect(t, s, "postgres", "app", "SELECT rolreplication::text FROM pg_roles WHERE rolname = 'streamer'", "true")
	expect(t, s, "postgres", "postgres", "SELECT has_function_privilege('rewinder', 'pg_read_binary_file(text)', 'EXECUTE')::text", "true")
}

// A pooler learns the verifiers of applications, and nobody else anything.
func TestVerifiersAreForPoolersOnly(t *testing.T) {
	s := start(t)
	d := declared(append(usual, login("app_user", member.Application))...)
	apply(t, roles(s), d, used(d))
	for _, role := range []string{"postgres", "pooler", "watcher", "streamer", "nobody"} {
		expect(t, s, "pooler", "app", "SELECT count(*)::text FROM pooling.lookup('"+role+"')", "0")
	}
	expect(t, s, "app_user", "app", "SELECT count(*)::text FROM pooling.lookup('app_user')", "!permission denied")
	expect(t, s, "watcher", "app", "SELECT count(*)::text FROM pooling.lookup('app_user')", "!permission denied")
	expect(t, s, "app_user", "app", "SELECT count(*)::text FROM pg_authid", "!permission denied")
}

func TestRotation(t *testing.T) {
	s := start(t)
	r := roles(s)
	first := declared(append(usual, login("app_user", member.Application))...)
	apply(t, r, first, used(first))
	expect(t, s, "app_user", "app", "WITH made AS (SELECT 1) SELECT 'ok' FROM made", "ok")
	before, err := s.connect(t.Context(), "app_user", "app", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Exec(t.Context(), "CREATE TABLE one (n int)"); err != nil {
		t.Fatal(err)
	}

	// The new login works while the old one does.
	second := declared(append(usual, login("app_user_2027", member.Application))...)
	apply(t, r, second, used(first))
	expect(t, s, "app_user_2027", "app", "SELECT session_user || ' as ' || current_user", "app_user_2027 as app_user")
	expect(t, s, "app_user", "app", "SELECT count(*)::text FROM one", "0")
	if _, err := before.Exec(t.Context(), "INSERT INTO one VALUES (1)"); err != nil {
		t.Errorf("the old login while it is in use: %v", err)
	}
	after, err := s.connect(t.Context(), "app_user_2027", "app", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.Exec(t.Context(), "CREATE TABLE two (n int); ALTER TABLE one ADD m int"); err != nil {
		t.Errorf("the new login with the old one's table: %v", err)
	}
	expect(t, s, "postgres", "app", "SELECT tableowner::text FROM pg_tables WHERE tablename = 'two'", "app_user")
	expect(t, s, "pooler", "app", "SELECT count(*)::text FROM pooling.lookup('app_user_2027')", "1")

	// Nobody uses the old one any more: it is refused, and its sessions have ended.
	apply(t, r, second, used(second))
	expect(t, s, "app_user", "app", "SELECT 1::text", "!not permitted to log in")
	if _, err := before.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a session of the old login goes on")
	}
	if _, err := after.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("a session of the new login has ended: %v", err)
	}

	// The next one drops its forerunner.
	third := declared(append(usual, login("app_user_2028", member.Application))...)
	apply(t, r, third, used(second))
	apply(t, r, third, used(third))
	expect(t, s, "postgres", "app", "SELECT count(*)::text FROM pg_roles WHERE rolname = 'app_user_2027'", "0")
	expect(t, s, "app_user_2028", "app", "SELECT count(*)::text FROM two", "0")

	// And it can come back to the owner's own name.
	apply(t, r, first, used(third))
	apply(t, r, first, used(first))
	expect(t, s, "app_user", "app", "SELECT current_user::text", "app_user")
	expect(t, s, "postgres", "app", "SELECT count(*)::text FROM pg_roles WHERE rolname LIKE 'app\\_user\\_%'", "0")
}

// A rotation that was interrupted leaves both logins, and the next run goes on with it.
func TestOtherKindsRotateToo(t *testing.T) {
	s := start(t)
	r := roles(s)
	first := declared(append(usual, login("app_user", member.Application))...)
	apply(t, r, first, used(first))
	const canLogIn = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin AND rolname ~ '^(watcher|pooler|streamer|rewinder)'"
	second := declared(append(another("2"), login("app_user", member.Application))...)
	for range 2 { // the second time finds everything
		apply(t, r, second, used(first))
		expect(t, s, "postgres", "app", canLogIn, "pooler pooler_2 rewinder rewinder_2 streamer streamer_2 watcher watcher_2")
		expect(t, s, "pooler", "app", "SELECT count(*)::text FROM pooling.lookup('app_user')", "1")
		expect(t, s, "pooler_2", "app", "SELECT count(*)::text FROM pooling.lookup('app_user')", "1")
	}
	// The first ones stay, as groups.
	for range 2 {
		apply(t, r, second, used(second))
		expect(t, s, "postgres", "app", canLogIn, "pooler_2 rewinder_2 streamer_2 watcher_2")
		expect(t, s, "pooler", "app", "SELECT 1::text", "!not permitted to log in")
	}
	expect(t, s, "pooler_2", "app", "SELECT count(*)::text FROM pooling.lookup('app_user')", "1")
	expect(t, s, "watcher_2", "app", "SELECT count(*)::text FROM pg_stat_replication", "0")
	// What a group once could, its members cannot by it.
	expect(t, s, "postgres", "app", "SELECT pg_has_role('pooler_2', 'pooler', 'USAGE')::text || pg_has_role('pooler_2', 'pooler', 'SET')", "falsefalse")
	// The next ones drop their forerunners.
	third := declared(append(another("3"), login("app_user", member.Application))...)
	apply(t, r, third, used(second))
	apply(t, r, third, used(third))
	expect(t, s, "postgres", "app", "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname ~ '^(watcher|pooler|streamer|rewinder)'",
		"pooler pooler_3 rewinder rewinder_3 streamer streamer_3 watcher watcher_3")
}

// another are the logins of a rotation.
func another(word string) (logins []member.Login) {
	for _, l := range usual {
		l.Group, l.Name = l.Name, l.Name+"_"+word
		logins = append(logins, l)
	}
	return logins
}

// The server's rules name the groups: the first logins, which releases before made, are
// admitted by them, and every later one, once it has been made.
func TestAKindIsAdmittedByItsGroup(t *testing.T) {
	s := start(t)
	r := roles(s)
	rules := "local all postgres trust\nlocal app +watcher trust\nlocal all +watcher reject\nlocal replication +streamer trust\nlocal all +streamer reject\nlocal app all trust\n"
	if err := os.WriteFile(image+s.dir+"/data/pg_hba.conf", []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "postgres", "postgres", "SELECT pg_reload_conf()::text", "true")
	eventually(t, "the rules are read", func() bool {
		n, err := s.ask("postgres", "postgres", "SELECT count(*)::text FROM pg_hba_file_rules WHERE database = '{app}'")
		_, refused := s.ask("watcher", "postgres", "SELECT 1::text")
		return err == nil && n == "2" && refused != nil && strings.Contains(refused.Error(), "pg_hba.conf")
	})
	check := func(suffix string) {
		t.Helper()
		expect(t, s, "watcher"+suffix, "app", "SELECT 1::text", "1")
		expect(t, s, "watcher"+suffix, "postgres", "SELECT 1::text", "!pg_hba.conf rejects")
		expect(t, s, "streamer"+suffix, "app", "SELECT 1::text", "!pg_hba.conf rejects")
		conn, err := s.connect(t.Context(), "streamer"+suffix, "", map[string]string{"replication": "true"})
		if err != nil {
			t.Errorf("replication as streamer%s: %v", suffix, err)
			return
		}
		_ = conn.Close(t.Context())
	}
	first := declared(append(usual, login("app_user", member.Application))...)
	apply(t, r, first, used(first))
	check("")
	second := declared(append(another("2"), login("app_user", member.Application))...)
	apply(t, r, second, used(first))
	check("")
	check("_2")
	apply(t, r, second, used(second))
	check("_2")
	expect(t, s, "app_user", "app", "SELECT 1::text", "1")
	if conn, err := s.connect(t.Context(), "rewinder_2", "", map[string]string{"replication": "true"}); err == nil {
		t.Error("replication as rewinder_2")
		_ = conn.Close(t.Context())
	}
}

// A new pooler's login works when all is there that it asks for.
func TestThePoolersOwnLogin(t *testing.T) {
	s := start(t)
	r := roles(s)
	first := declared(append(usual, login("app_user", member.Application))...)
	l := pooler.Login{Socket: image + s.dir, Role: "pooler_2", Database: "app", Function: "pooling.lookup"}
	if err := l.Try(t.Context()); err == nil {
		t.Error("without a database")
	}
	apply(t, r, first, used(first))
	if err := l.Try(t.Context()); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("without the role: %v", err)
	}
	stranger := l
	stranger.Role = "watcher"
	if err := stranger.Try(t.Context()); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("as somebody who may not ask: %v", err)
	}
	apply(t, r, declared(append(another("2"), login("app_user", member.Application))...), used(first))
	if err := l.Try(t.Context()); err != nil {
		t.Error(err)
	}
}

// Nothing is written before a standby has it.
func TestTheFirstCommitWaitsForAStandby(t *testing.T) {
	s := start(t)
	r := roles(s)
	d := declared(append(usual, login("app_user", member.Application))...)
	d.Copies = 1
	if err := r.Apply(t.Context(), d, used(d)); !errors.Is(err, member.ErrUnprotected) {
		t.Fatalf("%v", err)
	}
	expect(t, s, "postgres", "postgres", "SELECT count(*)::text FROM pg_database WHERE datname = 'app'", "0")
	expect(t, s, "postgres", "postgres", "SELECT rolcanlogin::text FROM pg_roles WHERE rolname = 'app_user'", "false")
	expect(t, s, "postgres", "postgres", "SELECT rolcanlogin::text FROM pg_roles WHERE rolname = 'streamer'", "true")
	// A database that is there is not taken away from its clients.
	d.Copies = 0
	apply(t, r, d, used(d))
	d.Copies = 1
	apply(t, r, d, used(d))
	// Nor does a rotation wait for one.
	second := declared(append(usual, login("app_user_2027", member.Application))...)
	second.Copies = 1
	apply(t, r, second, used(d))
}

// Neither a slow nor a failed statement shows a verifier in the server's log.
func TestNoVerifierInTheLog(t *testing.T) {
	s := start(t, "log_min_duration_statement=0", "log_statement=all")
	d := declared(append(usual, login("app_user", member.Application))...)
	apply(t, roles(s), d, used(d))
	expect(t, s, "app_user", "app", "SELECT 'in the log'::text", "in the log")
	raw, err := os.ReadFile(s.cmd.Stdout.(*os.File).Name())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), "in the log") {
		t.Error("the log shows no statement: this test sees nothing")
	}
	if strings.Contains(string(raw), verifier[:30]) {
		t.Error("the log shows a verifier")
	}
}
