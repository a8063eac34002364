// Package store keeps the application's data in PostgreSQL with TimescaleDB. It
// uses nothing of the Timescale-licensed edition.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// pingTimeout is how long the database may take to answer before it counts as lost.
	pingTimeout = 2 * time.Second
	// watchInterval is the time between two looks at the database.
	watchInterval = 2 * time.Second
	// longestPause between two attempts to reach a database that is lost.
	longestPause = 5 * time.Second
	// migrationTimeout bounds one attempt to migrate, waiting for another process included.
	migrationTimeout = 5 * time.Minute
)

// Unavailable says that the database cannot be used now, and why.
type Unavailable struct{ Reason string }

func (u *Unavailable) Error() string { return "the database cannot be used: " + u.Reason }

// Options of a Store.
type Options struct {
	// URL of the database.
	URL string
	// Name under which the process shows in pg_stat_activity.
	Name string
	// MaxConnections of the pool.
	MaxConnections int
	// QueryTimeout bounds one query on the server.
	QueryTimeout time.Duration
	Log          *slog.Logger
}

// Store is a pool of connections to one database, and what is known of its health.
type Store struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	// down is why the database cannot be used; nil while it can.
	down atomic.Pointer[Unavailable]
	// up is closed when the database could be used for the first time.
	up       chan struct{}
	upOnce   sync.Once
	migrated bool
}

// Open prepares a pool. It connects to nothing: Watch does.
func Open(o Options) (*Store, error) {
	config, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("database pool: %w", err)
	}
	s := &Store{pool: pool, log: o.Log, up: make(chan struct{})}
	s.down.Store(&Unavailable{"it has not been reached since the process started"})
	return s, nil
}

func poolConfig(o Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		// pgx leaves the password out of what it quotes.
		return nil, fmt.Errorf("database URL: %w", err)
	}
	config.MaxConns = int32(o.MaxConnections)
	config.MaxConnIdleTime = 5 * time.Minute
	// Connections do not all end at once.
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = time.Hour, 10*time.Minute
	config.ConnConfig.ConnectTimeout = 5 * time.Second
	p := config.ConnConfig.RuntimeParams
	p["application_name"] = o.Name
	p["timezone"] = "UTC"
	p["statement_timeout"] = fmt.Sprint(o.QueryTimeout.Milliseconds())
	p["idle_in_transaction_session_timeout"] = "30000"
	return config, nil
}

// Close ends all connections.
func (s *Store) Close() { s.pool.Close() }

// Up is closed when the database could be used for the first time.
func (s *Store) Up() <-chan struct{} { return s.up }

// Check says whether the database can be used, as far as the last look at it knows.
func (s *Store) Check() error {
	if down := s.down.Load(); down != nil {
		return down
	}
	return nil
}

// Watch looks at the database until ctx ends: it migrates the schema when it first
// reaches the database, and notices when that is lost and when it is back.
func (s *Store) Watch(ctx context.Context) {
	pause := 100 * time.Millisecond
	for {
		wait := watchInterval
		err := s.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			u := &Unavailable{reason(err)}
			if old := s.down.Swap(u); old == nil || old.Reason != u.Reason {
				s.log.Warn("database lost", "reason", u.Reason)
			}
			// What is in the pool belongs to a server that may never answer.
			s.pool.Reset()
			wait = pause + rand.N(pause)
			pause = min(2*pause, longestPause/2)
		} else {
			if s.down.Swap(nil) != nil {
				s.log.Info("database reached")
			}
			s.upOnce.Do(func() { close(s.up) })
			pause = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (s *Store) look(ctx context.Context) error {
	ping, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := s.pool.Ping(ping); err != nil {
		return err
	}
	if s.migrated {
		return nil
	}
	ctx, cancel = context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	if err := s.migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	s.migrated = true
	return nil
}

// migrate brings the schema forward. Processes that start together wait for each
// other; a schema that is newer than this build is left alone.
func (s *Store) migrate(ctx context.Context) error {
	if err := s.requireExtension(ctx); err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(migrationTimeout.Seconds())))
	if err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { _ = db.Close() }() // the pool below stays open
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker), goose.WithSlog(s.log))
	if err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return err
	}
	for _, r := range results {
		s.log.Info("migrated", "migration", r.Source.Path, "seconds", r.Duration.Seconds())
	}
	return nil
}

// requireExtension creates the extension where this role may: it is a trusted one,
// so the right to create in the database is enough. Elsewhere whoever runs the
// database has created it, or will soon.
func (s *Store) requireExtension(ctx context.Context) error {
	var there bool
	if err := s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')").Scan(&there); err != nil || there {
		return err
	}
	if _, err := s.pool.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS timescaledb"); err != nil {
		return fmt.Errorf("the database has no extension timescaledb and this role cannot create it: run CREATE EXTENSION timescaledb as a superuser: %w", err)
	}
	return nil
}

// reason is what a user may be told: no address, no role.
func reason(err error) string {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &pg):
		return fmt.Sprintf("%s (%s)", pg.Message, pg.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return "it does not answer in time"
	case errors.As(err, &connect):
		return "it cannot be reached"
	}
	return "the connection broke"
}

// unavailable says whether an error means that the database is lost, rather than
// that the query was wrong.
func unavailable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code[:2] {
		case "08", "53", "57", "58": // connection, resources, operator, system
			return true
		}
		return false
	}
	return !errors.Is(err, pgx.ErrNoRows)
}

// failed turns an error of a query into what the callers tell apart.
func (s *Store) failed(ctx context.Context, what string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	if unavailable(err) {
		s.log.Warn("query failed", "query", what, "error", err)
		return &Unavailable{reason(err)}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("not found")

// Pool statistics, for the metrics.
func (s *Store) Pool() *pgxpool.Stat { return s.pool.Stat() }
