// Package store keeps the application's data in PostgreSQL with TimescaleDB. It
// uses nothing of the Timescale-licensed edition.
//
// A failover of the database is latency, not errors: what reads or can be repeated is
// tried again until its request's time is over. Queries come over three ways: the
// primary, which may be behind a pooler in transaction mode; standbys, if an address
// for reading is given; and sessions of their own, for the engine and for migrations.
package store

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options of a Store.
type Options struct {
	Endpoints
	// Current, when set, returns the endpoints as they are now: new connections use
	// renewed credentials.
	Current func() (Endpoints, error)
	// Name under which the process shows in pg_stat_activity.
	Name string
	// MaxConnections of each pool.
	MaxConnections int
	// QueryTimeout bounds one query on the server.
	QueryTimeout time.Duration
	// Patience is how long after a loss requests wait for the database to come back
	// before they are told at once that it is lost. 0 never waits.
	Patience time.Duration
	// MaxLag is how old what a standby tells may be while the primary cannot be asked.
	MaxLag  time.Duration
	Metrics *Metrics
	// Tracer of queries; may be nil.
	Tracer pgx.QueryTracer
	Log    *slog.Logger
}

// Store is pools of connections to one database, and what is known of its health.
type Store struct {
	o    Options
	log  *slog.Logger
	pool *pgxpool.Pool
	// standby is nil without an address for reading.
	standby *standby

	// lost is why and since when the database cannot be used; nil while it can.
	lost atomic.Pointer[loss]
	// era ends, and with it every query under way, when the database is lost.
	era atomic.Pointer[era]
	// up is closed when the database could be used for the first time.
	up     chan struct{}
	upOnce sync.Once
	// kick makes Watch look now.
	kick chan struct{}

	// What follows belongs to Watch.
	probe    *pgx.Conn
	probed   time.Time // when the probe was connected
	migrated bool
}

// Open prepares the pools. It connects to nothing: Watch does.
func Open(o Options) (*Store, error) {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	s := &Store{o: o, log: o.Log, up: make(chan struct{}), kick: make(chan struct{}, 1)}
	if _, err := s.connConfig(o.direct()); err != nil {
		return nil, err
	}
	var err error
	if s.pool, err = s.openPool(o.MaxConnections, s.primaryConfig); err != nil {
		return nil, err
	}
	if o.Standby != "" {
		pool, err := s.openPool(o.MaxConnections, s.standbyConfig)
		if err != nil {
			s.pool.Close()
			return nil, err
		}
		s.standby = &standby{pool: pool}
	}
	s.era.Store(newEra())
	s.lost.Store(&loss{Unavailable: Unavailable{"it has not been reached since the process started"}})
	return s, nil
}

// Close ends all connections.
func (s *Store) Close() {
	s.pool.Close()
	if s.standby != nil {
		s.standby.pool.Close()
	}
}

// Up is closed when the database could be used for the first time.
func (s *Store) Up() <-chan struct{} { return s.up }

// Check says whether requests can be answered: the database is there, or was until so
// lately that it is worth waiting for.
func (s *Store) Check() error {
	if l := s.lost.Load(); l != nil && !l.waits(s.o.Patience) {
		return &l.Unavailable
	}
	return nil
}

// Lost returns why the database cannot be used now, "" while it can, as far as the
// last look at it knows.
func (s *Store) Lost() string {
	if l := s.lost.Load(); l != nil {
		return l.Reason
	}
	return ""
}

// Pool statistics of the primary's connections, for the metrics.
func (s *Store) Pool() *pgxpool.Stat { return s.pool.Stat() }

// StandbyPool statistics; nil without an address for reading.
func (s *Store) StandbyPool() *pgxpool.Stat {
	if s.standby == nil {
		return nil
	}
	return s.standby.pool.Stat()
}

// loss of the database.
type loss struct {
	Unavailable
	// at is zero if the database was never there.
	at time.Time
}

// waits says whether the loss is so young that requests wait for its end.
func (l *loss) waits(patience time.Duration) bool {
	return !l.at.IsZero() && time.Since(l.at) < patience
}

// era is the time between two losses.
type era struct {
	context.Context
	end context.CancelCauseFunc
}

func newEra() *era {
	ctx, end := context.WithCancelCause(context.Background())
	return &era{ctx, end}
}
