package store

import (
	"context"
	"fmt"
	"time"
)

// Retention is what of the past is kept.
type Retention struct {
	// Ticks, Candles and Signals before these moments go. PnL goes with candles,
	// closed positions with signals, watchlists that nobody wrote with Watchlists.
	Ticks, Candles, Signals, Watchlists time.Time
	// Budget is how many bytes the tables may take.
	Budget int64
	// KeepCandles are never dropped for the budget: the engine needs them.
	KeepCandles time.Time
}

// Sizes of tables in bytes, with their indexes.
type Sizes map[string]int64

// Total of all tables.
func (s Sizes) Total() int64 {
	var total int64
	for _, n := range s {
		total += n
	}
	return total
}

// hypertables grow with time and are cut by whole chunks.
var hypertables = []string{"ticks", "candles", "equity"}

// plainTables are measured too.
var plainTables = []string{"quotes", "signals", "positions", "watchlists"}

// Trim drops what is older than the retention says, and then the oldest candles
// while the tables are larger than the budget. Policies of TimescaleDB's licensed
// edition would do the former by themselves; dropping chunks by hand is free.
func (l *Leader) Trim(ctx context.Context, r Retention) (sizes Sizes, dropped int, err error) {
	err = l.InTransaction(ctx, func(tx *Tx) error {
		// A reader that holds a chunk for long must not make everybody else queue
		// behind this; the next attempt is a minute away.
		if _, err := tx.exec(ctx, "trim", "SET LOCAL lock_timeout = '2s'"); err != nil {
			return err
		}
		for _, cut := range []struct {
			table  string
			before time.Time
		}{{"ticks", r.Ticks}, {"candles", r.Candles}, {"equity", r.Candles}} {
			n, err := tx.dropChunks(ctx, cut.table, cut.before)
			if err != nil {
				return err
			}
			dropped += n
		}
		for _, cut := range []struct {
			sql    string
			before time.Time
		}{
			{"DELETE FROM signals WHERE ts < $1 AND status <> 'active'", r.Signals},
			{"DELETE FROM positions WHERE closed_at < $1", r.Signals},
			{"DELETE FROM watchlists WHERE updated_at < $1", r.Watchlists},
		} {
			if _, err := tx.exec(ctx, "trim", cut.sql, cut.before); err != nil {
				return err
			}
		}
		for {
			if sizes, err = tx.sizes(ctx); err != nil || sizes.Total() <= r.Budget {
				return err
			}
			end, ok, err := tx.oldestChunkEnd(ctx, "candles", r.KeepCandles)
			if err != nil || !ok {
				return err
			}
			n, err := tx.dropChunks(ctx, "candles", end)
			if err != nil {
				return err
			}
			if n == 0 {
				return nil
			}
			dropped += n
		}
	})
	return sizes, dropped, err
}

func (t *Tx) dropChunks(ctx context.Context, table string, before time.Time) (int, error) {
	var n int
	if err := t.tx.QueryRow(ctx, "SELECT count(*) FROM drop_chunks($1::regclass, older_than => $2::timestamptz)", table, before).Scan(&n); err != nil {
		return 0, fmt.Errorf("drop chunks of %s: %w", table, err)
	}
	return n, nil
}

// oldestChunkEnd returns the end of a table's oldest chunk if that lies before a moment.
func (t *Tx) oldestChunkEnd(ctx context.Context, table string, before time.Time) (end time.Time, ok bool, err error) {
	var oldest *time.Time
	err = t.tx.QueryRow(ctx, `
		SELECT min(range_end) FROM timescaledb_information.chunks
		WHERE hypertable_schema = current_schema AND hypertable_name = $1 AND range_end <= $2`, table, before).Scan(&oldest)
	if err != nil || oldest == nil {
		return end, false, err
	}
	return *oldest, true, nil
}

func (t *Tx) sizes(ctx context.Context) (Sizes, error) {
	sizes := Sizes{}
	measure := func(table, function string) error {
		var n int64
		if err := t.tx.QueryRow(ctx, "SELECT coalesce("+function+"($1::regclass), 0)", table).Scan(&n); err != nil {
			return fmt.Errorf("size of %s: %w", table, err)
		}
		sizes[table] = n
		return nil
	}
	for _, table := range hypertables {
		if err := measure(table, "hypertable_size"); err != nil {
			return nil, err
		}
	}
	for _, table := range plainTables {
		if err := measure(table, "pg_total_relation_size"); err != nil {
			return nil, err
		}
	}
	return sizes, nil
}
