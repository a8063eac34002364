package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// firstPause and longestPause between two attempts of one query.
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

// try runs f on the primary until it works, fails for good, or ctx ends. What f does
// may happen more than once: a connection that breaks does not tell whether the
// statement was carried out. So f reads, or writes the same row to the same effect.
func try[T any](ctx context.Context, s *Store, what string, f func(context.Context, *pgxpool.Pool) (T, error)) (T, error) {
	var none T
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if err := s.Check(); err != nil {
			return none, err
		}
		v, err := attempt(ctx, s, f)
		if err == nil {
			return v, nil
		}
		if !transient(err) || s.o.Patience == 0 || ctx.Err() != nil {
			return none, s.failed(ctx, what, err)
		}
		s.suspect(ctx, what, err)
		select {
		case <-ctx.Done():
			return none, s.failed(ctx, what, err)
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// attempt runs f once. It ends when ctx does, or when Watch finds the database lost:
// a server that vanished would never answer.
func attempt[T any](ctx context.Context, s *Store, f func(context.Context, *pgxpool.Pool) (T, error)) (T, error) {
	now := s.era.Load()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(now, func() { cancel(errLost) })()
	v, err := f(ctx, s.pool)
	if err != nil && errors.Is(context.Cause(ctx), errLost) {
		err = &lostError{err}
	}
	return v, err
}

// lostError is what an attempt ends with when the database was lost meanwhile.
type lostError struct{ error }

// SafeToRetry is for pgconn.SafeToRetry: nothing speaks against another attempt.
func (*lostError) SafeToRetry() bool { return true }

// suspect notes that a query met a failover.
func (s *Store) suspect(ctx context.Context, what string, err error) {
	s.o.Metrics.retries.WithLabelValues(what).Inc()
	s.log.DebugContext(ctx, "query is tried again", "query", what, "error", err)
	// Other connections of the pool lead to the same server. Those in use go when
	// they are given back.
	s.pool.Reset()
	select {
	case s.kick <- struct{}{}:
	default: // Watch is about to look anyway
	}
}

// many collects rows by the names of their columns.
func many[T any](r pgx.Rows) ([]T, error) { return pgx.CollectRows(r, pgx.RowToStructByNameLax[T]) }

// single collects one row of one column.
func single[T any](r pgx.Rows) (T, error) { return pgx.CollectExactlyOneRow(r, pgx.RowTo[T]) }

// read runs a query that changes nothing, on a standby if there is one that is fresh
// enough, and has collect make an answer of the rows.
func read[T any](ctx context.Context, s *Store, what string, collect func(pgx.Rows) (T, error), sql string, args ...any) (T, error) {
	if v, ok, err := fromStandby(ctx, s, what, collect, sql, args); ok {
		return v, err
	}
	return readPrimary(ctx, s, what, collect, sql, args...)
}

// readPrimary is read for what must see every write that was acknowledged.
func readPrimary[T any](ctx context.Context, s *Store, what string, collect func(pgx.Rows) (T, error), sql string, args ...any) (T, error) {
	v, err := try(ctx, s, what, func(ctx context.Context, pool *pgxpool.Pool) (T, error) {
		r, err := pool.Query(ctx, sql, args...)
		if err != nil {
			var none T
			return none, err
		}
		return collect(r)
	})
	if err == nil {
		s.o.Metrics.reads.WithLabelValues("primary").Inc()
	}
	return v, err
}
