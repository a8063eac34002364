package store

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// connectTimeout bounds one attempt to connect, TLS and log-in included.
	connectTimeout = 5 * time.Second
	// dialTimeout bounds the first answer of an address: of two poolers the one on a lost
	// node stays in the Service until the node is known to be lost.
	dialTimeout = 1500 * time.Millisecond
	// sentTimeout is how long what was sent may stay unconfirmed.
	sentTimeout = 5 * time.Second
	// pooledLifetime, and up to a half more, is how long a connection to a pooler is used.
	pooledLifetime = 10 * time.Second
	// cancelDelay is how long the server may take to end a query whose request is over
	// before the connection is given up.
	cancelDelay = time.Second
)

// keepAlive finds a server that vanished without a word (a lost node, a cut cable) in
// about ten seconds, also while an answer is waited for. The kernel's own default is
// two hours.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}

// Endpoints are where the database is reached.
type Endpoints struct {
	// Primary takes reads and writes. It may be a pooler in transaction mode if Direct
	// is given.
	Primary string
	// Standby, if not empty, takes reads. It may lead to one standby or to several.
	Standby string
	// Direct, if not empty, leads to the primary past any pooler, for what needs a
	// session of its own: the engine's lock and the migrations.
	Direct string
}

// pooled says whether Primary may be a pooler, which gives each transaction another
// session.
func (e Endpoints) pooled() bool { return e.Direct != "" }

// direct is where a session of its own is to be had.
func (e Endpoints) direct() string {
	if e.Direct != "" {
		return e.Direct
	}
	return e.Primary
}

// endpoints are the present ones: a credential in a file may have been renewed.
func (s *Store) endpoints() Endpoints {
	if s.o.Current != nil {
		if now, err := s.o.Current(); err == nil {
			return now
		}
		// A file that is just being replaced: the next connection finds it.
	}
	return s.o.Endpoints
}

// connConfig parses a URL. Certificates are read anew each time.
func (s *Store) connConfig(text string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(text)
	if err != nil {
		// pgx leaves the password out of what it quotes.
		return nil, fmt.Errorf("database URL: %w", err)
	}
	config.ConnectTimeout = connectTimeout
	config.DialFunc = (&net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive, Control: vanished}).DialContext
	// A query does not outlive its request, pooler or not: the server is told.
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: cancelDelay}
	}
	config.Tracer = s.o.Tracer
	config.RuntimeParams["application_name"] = s.o.Name
	config.RuntimeParams["timezone"] = "UTC"
	return config, nil
}

// sessionConfig is connConfig for a connection that is a session of its own on the
// server, so that it can have settings.
func (s *Store) sessionConfig(text string) (*pgx.ConnConfig, error) {
	config, err := s.connConfig(text)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["statement_timeout"] = fmt.Sprint(s.o.QueryTimeout.Milliseconds())
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "30000"
	return config, nil
}

// primaryOnly refuses a server that was the primary until now, or is not it yet.
func primaryOnly(config *pgx.ConnConfig) {
	if config.ValidateConnect == nil { // target_session_attrs of the URL says it otherwise
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
}

// primaryConfig is for connections that requests are answered over.
func (s *Store) primaryConfig(e Endpoints) (*pgx.ConnConfig, error) {
	if !e.pooled() {
		config, err := s.sessionConfig(e.Primary)
		if err == nil {
			primaryOnly(config)
		}
		return config, err
	}
	// A pooler refuses session parameters that it does not track, and what a session
	// is validated for says nothing about the next transaction. The server bounds
	// queries by what was set for the role or the database, if anything.
	config, err := s.connConfig(e.Primary)
	if err == nil {
		unprepared(config, e.Primary)
	}
	return config, err
}

// standbyConfig is for connections to read over. It has nothing that a pooler refuses.
func (s *Store) standbyConfig(e Endpoints) (*pgx.ConnConfig, error) {
	config, err := s.connConfig(e.Standby)
	if err == nil {
		unprepared(config, e.Standby)
	}
	return config, err
}

// unprepared does without named prepared statements, which belong to a session: a
// pooler may hand the next transaction to a session that has never seen them. Unlike
// the modes that describe nothing, this one still knows each statement's types, and a
// query still takes one round trip.
func unprepared(config *pgx.ConnConfig, text string) {
	if u, err := url.Parse(text); err == nil && u.Query().Has("default_query_exec_mode") {
		return
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
}

// poolConfig is a pool of connections as build says.
func (s *Store) poolConfig(most int, build func(Endpoints) (*pgx.ConnConfig, error)) (*pgxpool.Config, error) {
	first, err := build(s.o.Endpoints)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig("host=/") // all of it is replaced
	if err != nil {
		return nil, fmt.Errorf("database pool: %w", err)
	}
	config.ConnConfig = first
	config.MaxConns = int32(most)
	config.MaxConnIdleTime = 5 * time.Minute
	// Connections do not all end at once.
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = time.Hour, 10*time.Minute
	if s.o.pooled() {
		// A pooler that is to stop waits until its clients have left it by themselves; a new
		// connection leads to another one, and costs no process of the server.
		config.MaxConnLifetime, config.MaxConnLifetimeJitter = pooledLifetime, pooledLifetime/2
		config.HealthCheckPeriod = pooledLifetime / 2 // which closes those that nobody uses
	}
	config.PingTimeout = pingTimeout
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		now, err := build(s.endpoints())
		if err != nil {
			return err
		}
		c.Host, c.Port, c.Database, c.User, c.Password = now.Host, now.Port, now.Database, now.User, now.Password
		c.TLSConfig, c.Fallbacks = now.TLSConfig, now.Fallbacks
		return nil
	}
	return config, nil
}

func (s *Store) openPool(most int, build func(Endpoints) (*pgx.ConnConfig, error)) (*pgxpool.Pool, error) {
	config, err := s.poolConfig(most, build)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("database pool: %w", err)
	}
	return pool, nil
}

// becomeOwner makes a session act as the role that owns the database, if its own
// role is a member of that one. So what it creates belongs to the owner, whatever
// role logs in: login roles come and go when credentials are renewed.
func becomeOwner(ctx context.Context, conn *pgx.Conn) error {
	var role string
	err := conn.QueryRow(ctx, `
		SELECT coalesce((
			SELECT quote_ident(r.rolname) FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba
			WHERE d.datname = current_database() AND r.rolname <> current_user AND pg_has_role(current_user, r.oid, 'MEMBER')
		), '')`).Scan(&role)
	if err != nil || role == "" {
		return err
	}
	_, err = conn.Exec(ctx, "SET ROLE "+role)
	return err
}
