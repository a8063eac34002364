package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Superuser comes in through the socket only, as the operating system's user of the
// same name.
const Superuser = "postgres"

// Schema holds the function that poolers ask for verifiers with.
const Schema = "pooling"

// mark is what the comment of a role of ours begins with; its kind follows.
const mark = "alphapulse:"

// Roles brings the roles, the database and the extension to what is declared.
type Roles struct {
	// Connect opens a session of the superuser in a database, with further parameters.
	Connect func(ctx context.Context, database string, parameters map[string]string) (*pgx.Conn, error)
	Log     *slog.Logger
}

// ErrUnprotected says that the application has to wait for a standby.
var ErrUnprotected = errors.New("no standby confirms commits yet")

// Apply makes what is missing. used are the logins that are in use: once these are
// just the declared ones, all others of ours are dropped.
func (r *Roles) Apply(ctx context.Context, d *Declared, used []string) error {
	conn, err := r.Connect(ctx, Superuser, nil)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	s := &session{conn: conn}
	// The statements below carry verifiers: neither a slow nor a failed one may put them
	// into the log.
	s.exec(ctx, "SET log_min_duration_statement = -1")
	s.exec(ctx, "SET log_min_error_statement = 'panic'")
	s.exec(ctx, "SET log_statement = 'none'")
	s.role(ctx, d.Owner, "NOLOGIN")
	// Standbys need their logins before they can confirm anything.
	for _, l := range d.Logins {
		if l.Kind != Application {
			s.login(ctx, d, l)
		}
	}
	if err := r.protected(ctx, s, d); err != nil {
		return err
	}
	for _, l := range d.Logins {
		if l.Kind == Application {
			s.login(ctx, d, l)
		}
	}
	if s.one(ctx, "SELECT count(*) FROM pg_database WHERE datname = $1", d.Database) == 0 {
		// template1 may be in use by the extension's scheduler.
		s.exec(ctx, "CREATE DATABASE "+id(d.Database)+" OWNER "+id(d.Owner)+" TEMPLATE template0")
	}
	s.exec(ctx, "ALTER DATABASE "+id(d.Database)+" OWNER TO "+id(d.Owner))
	s.exec(ctx, "REVOKE ALL ON DATABASE "+id(d.Database)+" FROM PUBLIC")
	for _, l := range d.Logins {
		if l.Kind != Replication && l.Name != d.Owner {
			s.exec(ctx, "GRANT CONNECT ON DATABASE "+id(d.Database)+" TO "+id(l.Name))
		}
	}
	if s.err != nil {
		return s.err
	}
	if err := r.extensions(ctx, s, d); err != nil {
		return err
	}
	if err := r.pooling(ctx, d); err != nil {
		return err
	}
	return r.retire(ctx, s, d, used)
}

// protected waits with the first login of the application until a standby has every
// commit. A restored database has none that can log in, see package restore.
func (r *Roles) protected(ctx context.Context, s *session, d *Declared) error {
	if d.Copies == 0 || s.one(ctx, "SELECT count(*) FROM pg_roles r, pg_roles o WHERE o.rolname = $1 AND r.rolcanlogin AND NOT r.rolsuper AND pg_has_role(r.oid, o.oid, 'MEMBER')", d.Owner) > 0 {
		return s.err
	}
	n := s.one(ctx, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')")
	if s.err == nil && n < d.Copies {
		return fmt.Errorf("%w: %d of %d", ErrUnprotected, n, d.Copies)
	}
	return s.err
}

// A session runs statements until one fails.
type session struct {
	conn *pgx.Conn
	err  error
}

func (s *session) exec(ctx context.Context, sql string) {
	if s.err == nil {
		_, s.err = s.conn.Exec(ctx, sql)
	}
}

func (s *session) one(ctx context.Context, sql string, args ...any) (n int) {
	if s.err == nil {
		s.err = s.conn.QueryRow(ctx, sql, args...).Scan(&n)
	}
	return n
}

// role makes a role, if it is not there.
func (s *session) role(ctx context.Context, name, options string) {
	if s.one(ctx, "SELECT count(*) FROM pg_roles WHERE rolname = $1", name) == 0 {
		s.exec(ctx, "CREATE ROLE "+id(name)+" "+options)
	}
}

// attributes of every login that says nothing else.
const attributes = "LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS"

// login brings one login to what is declared.
func (s *session) login(ctx context.Context, d *Declared, l Login) {
	s.role(ctx, l.Name, "NOLOGIN")
	options := attributes + " NOREPLICATION"
	if l.Kind == Replication {
		options = attributes + " REPLICATION"
	}
	s.exec(ctx, "ALTER ROLE "+id(l.Name)+" "+options)
	if s.one(ctx, "SELECT count(*) FROM pg_authid WHERE rolname = $1 AND rolpassword = $2", l.Name, l.Verifier) == 0 {
		s.exec(ctx, "ALTER ROLE "+id(l.Name)+" PASSWORD "+literal(l.Verifier))
	}
	if l.Name != d.Owner { // whose kind its members have
		s.exec(ctx, "COMMENT ON ROLE "+id(l.Name)+" IS "+literal(mark+l.Kind))
	}
	if l.Group != "" {
		// The first login of a kind was its group, and is one to this day.
		s.role(ctx, l.Group, "NOLOGIN")
		s.exec(ctx, "GRANT "+id(l.Group)+" TO "+id(l.Name)+" WITH INHERIT FALSE, SET FALSE")
	}
	switch l.Kind {
	case Application:
		if l.Name != d.Owner {
			// What it makes belongs to the owner, as if that had made it.
			s.exec(ctx, "GRANT "+id(d.Owner)+" TO "+id(l.Name))
			s.exec(ctx, "ALTER ROLE "+id(l.Name)+" SET role = "+literal(d.Owner))
		}
	case Monitoring:
		s.exec(ctx, "ALTER ROLE "+id(l.Name)+" CONNECTION LIMIT 5")
		s.exec(ctx, "GRANT pg_monitor, pg_use_reserved_connections TO "+id(l.Name))
	case Rewinding:
		// What pg_rewind reads with (PostgreSQL's documentation, "pg_rewind", Notes).
		for _, f := range []string{"pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)",
			"pg_read_binary_file(text)", "pg_read_binary_file(text, bigint, bigint, boolean)"} {
			s.exec(ctx, "GRANT EXECUTE ON FUNCTION pg_catalog."+f+" TO "+id(l.Name))
		}
	}
}

// extensions brings the extension up to the image's version in every database that
// has it, and into the application's.
func (r *Roles) extensions(ctx context.Context, s *session, d *Declared) error {
	rows, err := s.conn.Query(ctx, "SELECT datname FROM pg_database WHERE datallowconn")
	if err != nil {
		return err
	}
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, database := range databases {
		// The library of the installed version may be gone: disable_load lets the
		// question be asked without it.
		installed, err := r.count(ctx, database, map[string]string{"timescaledb.disable_load": "on"}, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'")
		if err != nil {
			return err
		}
		if installed == 0 {
			continue
		}
		// An update must be the first command of its session: any other loads the
		// version that is installed.
		if err := r.run(ctx, database, "ALTER EXTENSION timescaledb UPDATE"); err != nil {
			return err
		}
	}
	return r.run(ctx, d.Database, "CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
}

// pooling makes the function that a pooler asks for verifiers with. It tells those of
// applications only, and it tells them to nobody but poolers.
func (r *Roles) pooling(ctx context.Context, d *Declared) error {
	statements := []string{
		"CREATE SCHEMA IF NOT EXISTS " + Schema,
		"REVOKE ALL ON SCHEMA " + Schema + " FROM PUBLIC",
		"CREATE OR REPLACE FUNCTION " + Schema + ".lookup(name text, OUT usename name, OUT passwd text) RETURNS SETOF record" +
			" LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$" +
			" SELECT rolname, rolpassword FROM pg_authid WHERE rolname = lookup.name AND rolcanlogin AND NOT rolsuper AND NOT rolreplication" +
			" AND (rolvaliduntil IS NULL OR rolvaliduntil > now()) AND pg_has_role(oid, " + literal(d.Owner) + ", 'MEMBER') $$",
		"REVOKE ALL ON FUNCTION " + Schema + ".lookup(text) FROM PUBLIC",
	}
	for _, l := range d.Logins {
		if l.Kind == Pooling {
			statements = append(statements, "GRANT USAGE ON SCHEMA "+Schema+" TO "+id(l.Name), "GRANT EXECUTE ON FUNCTION "+Schema+".lookup(text) TO "+id(l.Name))
		}
	}
	return r.run(ctx, d.Database, statements...)
}

// retire drops the logins of ours that are no longer declared, once nobody uses them.
func (r *Roles) retire(ctx context.Context, s *session, d *Declared, used []string) error {
	used = slices.Clone(used)
	slices.Sort(used)
	if !slices.Equal(used, d.names()) {
		return nil
	}
	if !slices.Contains(d.names(), d.Owner) {
		s.lockOut(ctx, d.Owner)
	}
	for _, group := range d.groups() {
		s.lockOut(ctx, group)
	}
	if s.err != nil {
		return s.err
	}
	rows, err := s.conn.Query(ctx, "SELECT rolname FROM pg_roles WHERE starts_with(shobj_description(oid, 'pg_authid'), $1) AND rolname <> ALL ($2)", mark, append(d.groups(), d.names()...))
	if err != nil {
		return err
	}
	old, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := r.drop(ctx, s, d, name); err != nil {
			return fmt.Errorf("drop login %s: %w", name, err)
		}
		r.Log.Info("dropped a login that nobody uses", "role", name)
	}
	return nil
}

// lockOut ends the sessions of a role and lets it have no others.
func (s *session) lockOut(ctx context.Context, name string) {
	s.exec(ctx, "ALTER ROLE "+id(name)+" NOLOGIN PASSWORD NULL")
	s.one(ctx, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1", name)
}

// drop ends the sessions of a role and removes it.
func (r *Roles) drop(ctx context.Context, s *session, d *Declared, name string) error {
	s.lockOut(ctx, name)
	if s.err != nil {
		return s.err
	}
	for _, database := range []string{d.Database, Superuser} {
		if err := r.run(ctx, database, "REASSIGN OWNED BY "+id(name)+" TO "+id(d.Owner), "DROP OWNED BY "+id(name)); err != nil {
			return err
		}
	}
	s.exec(ctx, "DROP ROLE "+id(name))
	return s.err
}

// run executes statements in a session of their own.
func (r *Roles) run(ctx context.Context, database string, statements ...string) error {
	conn, err := r.Connect(ctx, database, nil)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("in database %s: %w", database, err)
		}
	}
	return nil
}

func (r *Roles) count(ctx context.Context, database string, parameters map[string]string, sql string) (n int, err error) {
	conn, err := r.Connect(ctx, database, parameters)
	if err != nil {
		return 0, err
	}
	defer closeConn(ctx, conn)
	return n, conn.QueryRow(ctx, sql).Scan(&n)
}

func closeConn(ctx context.Context, conn *pgx.Conn) { _ = conn.Close(context.WithoutCancel(ctx)) }

func id(name string) string { return pgx.Identifier{name}.Sanitize() }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
