package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
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
	// longestWait between two attempts to reach a database that is lost.
	longestWait = 2500 * time.Millisecond
	// migrationTimeout bounds one attempt to migrate, waiting for another process included.
	migrationTimeout = 5 * time.Minute
)

// Watch looks at the database until ctx ends: it migrates the schema when it first
// reaches the database, and notices when that is lost and when it is back.
func (s *Store) Watch(ctx context.Context) {
	defer s.forget()
	wait := 100 * time.Millisecond
	for {
		pause := watchInterval
		err := s.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.lose(err)
			pause = wait + rand.N(wait)
			wait = min(2*wait, longestWait)
		} else {
			if s.lost.Swap(nil) != nil {
				s.log.Info("database reached")
			}
			s.upOnce.Do(func() { close(s.up) })
			wait = 100 * time.Millisecond
		}
		kick := s.kick
		if err != nil {
			kick = nil // it looks soon, and every query would ask for it
		}
		select {
		case <-ctx.Done():
			return
		case <-kick:
		case <-time.After(pause):
		}
	}
}

// lose notes that the database cannot be used.
func (s *Store) lose(err error) {
	old := s.lost.Load()
	now := &loss{Unavailable: Unavailable{reason(err)}, at: time.Now()}
	if old != nil {
		now.at = old.at
	}
	if old == nil || old.Reason != now.Reason {
		s.log.Warn("database lost", "reason", now.Reason)
	}
	s.lost.Store(now)
	// What is in the pool belongs to a server that may never answer, and so does what
	// waits for an answer.
	s.era.Swap(newEra()).end(errLost)
	s.pool.Reset()
}

// look says whether the database can be used. It has a connection of its own, since
// those of the pool may all be in use: a process with much to do has not lost anything.
func (s *Store) look(ctx context.Context) error {
	err := s.ask(ctx)
	if err != nil && ctx.Err() == nil && s.lost.Load() == nil {
		// One broken connection, or one answer that came late, is no loss yet.
		err = s.ask(ctx)
	}
	if err != nil || s.migrated {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	if err := s.migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	s.migrated = true
	return nil
}

// errStandby says that what should be the primary is none.
var errStandby = errors.New("it is a standby")

func (s *Store) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if s.o.pooled() && time.Since(s.probed) > pooledLifetime {
		s.forget() // as every connection to a pooler is given back
	}
	if s.probe == nil {
		s.probed = time.Now()
		config, err := s.primaryConfig(s.endpoints())
		if err != nil {
			return err
		}
		if s.probe, err = pgx.ConnectConfig(ctx, config); err != nil {
			s.probe = nil
			return err
		}
	}
	var follows bool
	err := s.probe.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&follows)
	if err == nil && follows {
		err = errStandby
	}
	if err != nil {
		s.forget()
	}
	return err
}

// forget ends the connection of the looks.
func (s *Store) forget() {
	if s.probe == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.probe.Close(ctx) // what cannot be closed, the server ends
	s.probe = nil
}

// migrate brings the schema forward. Processes that start together wait for each
// other; a schema that is newer than this build is left alone.
func (s *Store) migrate(ctx context.Context) error {
	config, err := s.sessionConfig(s.endpoints().direct())
	if err != nil {
		return err
	}
	primaryOnly(config)
	config.RuntimeParams["statement_timeout"] = fmt.Sprint(migrationTimeout.Milliseconds())
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(becomeOwner))
	defer func() { _ = db.Close() }() // the work is done or undone
	var there bool
	if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')").Scan(&there); err != nil {
		return err
	}
	if !there {
		// The extension is a trusted one, so the right to create in the database is
		// enough. Elsewhere whoever runs the database creates it.
		if _, err := db.ExecContext(ctx, "CREATE EXTENSION IF NOT EXISTS timescaledb"); err != nil {
			return fmt.Errorf("the database has no extension timescaledb and this role cannot create it: run CREATE EXTENSION timescaledb as a superuser: %w", err)
		}
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(migrationTimeout.Seconds())))
	if err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
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
