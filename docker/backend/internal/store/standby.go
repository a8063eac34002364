package store

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// standbyTimeout bounds a query on a standby; the primary has what remains of the
	// request's time.
	standbyTimeout = 3 * time.Second
	// positionTimeout bounds the question how far the primary is.
	positionTimeout = time.Second
	// standbyPause is how long standbys that failed are left alone.
	standbyPause = 2 * time.Second
)

// standby is a pool of connections to servers that follow the primary.
type standby struct {
	pool *pgxpool.Pool
	// until is when the standbys are tried again after an error, in Unix nanoseconds.
	until atomic.Int64
	away  atomic.Bool
}

// standbyState is asked before each query, in the query's own transaction: an address
// for reading, or a pooler, may lead each transaction to another server. The columns
// say whether it is a standby, whether it is as far as the primary was, and for how
// many seconds it has repeated nothing.
const standbyState = `
	SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() >= $1::text::pg_lsn,
		extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8`

// fromStandby runs a query on a standby; ok is false if the primary has to be asked.
//
// An answer counts as fresh if the standby has repeated all that the primary had
// committed when the request was made: so whoever was told of a change sees it. While
// the primary cannot be asked, as during a failover, the standby's age decides.
func fromStandby[T any](ctx context.Context, s *Store, what string, collect func(pgx.Rows) (T, error), sql string, args []any) (v T, ok bool, err error) {
	if s.standby == nil || time.Now().UnixNano() < s.standby.until.Load() || s.Check() != nil {
		return v, false, nil
	}
	position := s.position(ctx)
	ctx, cancel := context.WithTimeout(ctx, standbyTimeout)
	defer cancel()
	batch := &pgx.Batch{}
	batch.Queue(standbyState, position)
	batch.Queue(sql, args...)
	r := s.standby.pool.SendBatch(ctx, batch)
	defer func() { _ = r.Close() }() // its error is one that was seen
	var follows bool
	var reached *bool
	var seconds *float64
	if err := r.QueryRow().Scan(&follows, &reached, &seconds); err != nil {
		return v, false, s.standbyFailed(ctx, what, err)
	}
	lag := math.Inf(1)
	if seconds != nil {
		lag = *seconds
	}
	s.standby.back(s)
	// Behind the address for reading is the primary itself where no standby is left.
	if follows && (reached != nil && !*reached || reached == nil && lag > s.o.MaxLag.Seconds()) {
		s.o.Metrics.fallbacks.WithLabelValues("behind").Inc()
		return v, false, nil
	}
	rows, err := r.Query()
	if err == nil {
		v, err = collect(rows)
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return v, false, s.standbyFailed(ctx, what, err)
	}
	s.o.Metrics.reads.WithLabelValues("standby").Inc()
	if err != nil {
		err = s.failed(ctx, what, err)
	}
	return v, true, err
}

// position is how far the primary has committed; nil if it cannot be asked.
func (s *Store) position(ctx context.Context) *string {
	if s.lost.Load() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, positionTimeout)
	defer cancel()
	var lsn string
	if err := s.pool.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&lsn); err != nil {
		return nil
	}
	return &lsn
}

// standbyFailed leaves the standbys alone for a while, unless the request itself has
// ended. It returns nil: the primary answers.
func (s *Store) standbyFailed(ctx context.Context, what string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	s.o.Metrics.fallbacks.WithLabelValues("away").Inc()
	s.standby.until.Store(time.Now().Add(standbyPause).UnixNano())
	s.standby.pool.Reset()
	if !s.standby.away.Swap(true) {
		s.log.WarnContext(ctx, "standby lost: the primary is read", "query", what, "error", err)
	}
	return nil
}

func (b *standby) back(s *Store) {
	if b.away.Load() && b.away.Swap(false) {
		s.log.Info("standby reached")
	}
}
