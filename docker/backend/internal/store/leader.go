package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// leaderLock is the advisory lock that the one working engine holds.
const leaderLock = 0x616c706861 // "alpha"

// leaderIdle is after which silence the server gives the lock of an engine away
// that vanished without closing its connection. A working one is never silent that long.
const leaderIdle = 90 * time.Second

// Leader is the right to write to the market's tables. It is one connection that
// holds a lock, and every write goes over that same connection: an engine that was
// paused or cut off for so long that another took over cannot write a row.
type Leader struct {
	conn *pgx.Conn
}

// Lead tries to become the leader; nil without an error means that another process is.
func (s *Store) Lead(ctx context.Context) (*Leader, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	config, err := s.leaderConfig()
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, s.failed(ctx, "connect as leader", err)
	}
	var ours bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(leaderLock)).Scan(&ours); err != nil {
		_ = conn.Close(ctx) // the error before says more
		return nil, s.failed(ctx, "lock as leader", err)
	}
	if !ours {
		return nil, conn.Close(ctx)
	}
	return &Leader{conn}, nil
}

// leaderConfig is for the connection of the one that writes. It leads past any pooler,
// where the lock would belong to whoever gets the session next.
func (s *Store) leaderConfig() (*pgx.ConnConfig, error) {
	config, err := s.sessionConfig(s.endpoints().direct())
	if err != nil {
		return nil, err
	}
	primaryOnly(config)
	config.RuntimeParams["idle_session_timeout"] = fmt.Sprint(leaderIdle.Milliseconds())
	// Writing the history of an empty database takes longer than any query of a reader.
	config.RuntimeParams["statement_timeout"] = "60000"
	return config, nil
}

// Close gives the leadership up.
func (l *Leader) Close(ctx context.Context) error { return l.conn.Close(ctx) }

// InTransaction runs f in a transaction.
func (l *Leader) InTransaction(ctx context.Context, f func(*Tx) error) error {
	return pgx.BeginFunc(ctx, l.conn, func(tx pgx.Tx) error { return f(&Tx{tx}) })
}

// Tx is a transaction of the leader.
type Tx struct{ tx pgx.Tx }

func (t *Tx) exec(ctx context.Context, what, sql string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(ctx, sql, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return tag.RowsAffected(), nil
}

// SetSymbols makes exactly the named symbols, with IDs from 1, the active ones.
func (t *Tx) SetSymbols(ctx context.Context, names []string) error {
	_, err := t.exec(ctx, "symbols", `
		INSERT INTO symbols (id, name) SELECT n, name FROM unnest($1::text[]) WITH ORDINALITY AS u (name, n)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, active = true WHERE symbols.name <> excluded.name OR NOT symbols.active`, names)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "symbols", "UPDATE symbols SET active = false WHERE id > $1 AND active", len(names))
	return err
}

// LastTick is when the newest tick was, and up to when ticks are rolled up; zero
// for an empty database.
func (t *Tx) LastTick(ctx context.Context) (last, rolledUpTo time.Time, err error) {
	var newest, rolled *time.Time
	err = t.tx.QueryRow(ctx, `
		SELECT (SELECT max(ts) FROM quotes), nullif(rolled_up_to, '-infinity') FROM engine`).Scan(&newest, &rolled)
	if err != nil {
		return last, rolledUpTo, fmt.Errorf("last tick: %w", err)
	}
	if newest != nil {
		last = *newest
	}
	if rolled != nil {
		rolledUpTo = *rolled
	}
	return last, rolledUpTo, nil
}

// Tick is one price of one symbol.
type Tick struct {
	SymbolID int
	Price    float64
	// Volume since the tick before, in USDT.
	Volume float64
	// ChangePct and Volume24h are of the last 24 hours.
	ChangePct, Volume24h float64
}

// Ingest writes one tick of each symbol and makes it the symbol's quote.
func (t *Tx) Ingest(ctx context.Context, at time.Time, ticks []Tick) error {
	_, err := t.tx.CopyFrom(ctx, pgx.Identifier{"ticks"}, []string{"ts", "symbol_id", "price", "volume"},
		pgx.CopyFromSlice(len(ticks), func(i int) ([]any, error) {
			k := &ticks[i]
			return []any{at, int32(k.SymbolID), k.Price, k.Volume}, nil
		}))
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	ids, prices, changes, volumes := make([]int32, len(ticks)), make([]float64, len(ticks)), make([]float64, len(ticks)), make([]float64, len(ticks))
	for i, k := range ticks {
		ids[i], prices[i], changes[i], volumes[i] = int32(k.SymbolID), k.Price, k.ChangePct, k.Volume24h
	}
	_, err = t.exec(ctx, "quotes", `
		INSERT INTO quotes (symbol_id, ts, price, change_pct, volume)
		SELECT id, $1, price, change_pct, volume FROM unnest($2::int[], $3::float8[], $4::float8[], $5::float8[]) AS u (id, price, change_pct, volume)
		ON CONFLICT (symbol_id) DO UPDATE SET ts = excluded.ts, price = excluded.price, change_pct = excluded.change_pct, volume = excluded.volume`,
		at, ids, prices, changes, volumes)
	return err
}

// MinuteCandle is a minute of one symbol.
type MinuteCandle struct {
	SymbolID int
	Candle
}

// InsertCandles writes history in one batch. The candles must be new.
func (t *Tx) InsertCandles(ctx context.Context, candles []MinuteCandle) error {
	_, err := t.tx.CopyFrom(ctx, pgx.Identifier{"candles"}, []string{"ts", "symbol_id", "open", "high", "low", "close", "volume"},
		pgx.CopyFromSlice(len(candles), func(i int) ([]any, error) {
			c := &candles[i]
			return []any{c.TS, int32(c.SymbolID), c.Open, c.High, c.Low, c.Close, c.Volume}, nil
		}))
	if err != nil {
		return fmt.Errorf("insert candles: %w", err)
	}
	return nil
}

// LastCandles returns the start of each symbol's newest candle from a moment on;
// a symbol without one is left out.
func (t *Tx) LastCandles(ctx context.Context, since time.Time) (map[int]time.Time, error) {
	r, err := t.tx.Query(ctx, "SELECT symbol_id, max(ts) FROM candles WHERE ts >= $1 GROUP BY symbol_id", since)
	if err != nil {
		return nil, fmt.Errorf("last candles: %w", err)
	}
	last := map[int]time.Time{}
	var id int
	var ts time.Time
	if _, err := pgx.ForEachRow(r, []any{&id, &ts}, func() error { last[id] = ts; return nil }); err != nil {
		return nil, fmt.Errorf("last candles: %w", err)
	}
	return last, nil
}

// RollUp turns the ticks of the minutes up to a moment (exclusive) into candles.
// Rolling a minute up again replaces its candle.
func (t *Tx) RollUp(ctx context.Context, from, to time.Time) error {
	_, err := t.exec(ctx, "roll up", `
		INSERT INTO candles (ts, symbol_id, open, high, low, close, volume)
		SELECT time_bucket('1 minute', ts), symbol_id, first(price, ts), max(price), min(price), last(price, ts), sum(volume)
		FROM ticks WHERE ts >= $1 AND ts < $2 GROUP BY 1, 2
		ON CONFLICT (symbol_id, ts) DO UPDATE SET
			open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume`, from, to)
	if err != nil {
		return err
	}
	return t.SetRolledUpTo(ctx, to)
}

// SetRolledUpTo notes up to when readers find candles.
func (t *Tx) SetRolledUpTo(ctx context.Context, to time.Time) error {
	_, err := t.exec(ctx, "roll up", "UPDATE engine SET rolled_up_to = $1", to)
	return err
}

// Closes returns the closing prices of each symbol's candles from a moment on, the
// oldest first.
func (t *Tx) Closes(ctx context.Context, since, until time.Time) (map[int][]float64, error) {
	r, err := t.tx.Query(ctx, "SELECT symbol_id, close FROM candles WHERE ts >= $1 AND ts < $2 ORDER BY symbol_id, ts", since, until)
	if err != nil {
		return nil, fmt.Errorf("closes: %w", err)
	}
	closes := map[int][]float64{}
	var id int
	var price float64
	if _, err := pgx.ForEachRow(r, []any{&id, &price}, func() error { closes[id] = append(closes[id], price); return nil }); err != nil {
		return nil, fmt.Errorf("closes: %w", err)
	}
	return closes, nil
}

// OpenPosition is one that an engine before has left.
type OpenPosition struct {
	ID         int64
	SymbolID   int
	SignalID   int64
	Quantity   float64
	EntryPrice float64
	OpenedAt   time.Time
}

// OpenPositions lists the open positions.
func (t *Tx) OpenPositions(ctx context.Context) ([]OpenPosition, error) {
	r, err := t.tx.Query(ctx, "SELECT id, symbol_id, signal_id, quantity, entry_price, opened_at FROM positions WHERE closed_at IS NULL")
	if err != nil {
		return nil, fmt.Errorf("open positions: %w", err)
	}
	positions, err := pgx.CollectRows(r, pgx.RowToStructByName[OpenPosition])
	if err != nil {
		return nil, fmt.Errorf("open positions: %w", err)
	}
	return positions, nil
}

// Open writes a position and returns its ID.
func (t *Tx) Open(ctx context.Context, p OpenPosition) (id int64, err error) {
	err = t.tx.QueryRow(ctx, `
		INSERT INTO positions (symbol_id, signal_id, quantity, entry_price, opened_at) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		p.SymbolID, p.SignalID, p.Quantity, p.EntryPrice, p.OpenedAt).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("open position: %w", err)
	}
	return id, nil
}

// ClosePosition writes the end of a position.
func (t *Tx) ClosePosition(ctx context.Context, id int64, price float64, at time.Time) error {
	_, err := t.exec(ctx, "close position", "UPDATE positions SET exit_price = $2, closed_at = $3 WHERE id = $1", id, price, at)
	return err
}

// Portfolio is what the engine keeps of it between cycles.
type Portfolio struct {
	Realized, Unrealized, Exposure float64
	OpenPositions                  int
	// Peak is the most that the portfolio was ever worth.
	Peak float64
	// Trading is off, paper or refused.
	Trading string
}

// Left is what the engine before has left of the portfolio.
type Left struct {
	Realized float64
	// Peak is the most that the portfolio was ever worth, as far as is known.
	Peak float64
	// Hit and Missed count the signals that were right and wrong.
	Hit, Missed int64
}

// LoadPortfolio returns what the engine before has left.
func (t *Tx) LoadPortfolio(ctx context.Context) (l Left, err error) {
	err = t.tx.QueryRow(ctx, `
		SELECT realized, greatest(peak_equity, start_equity, (SELECT max(start_equity + e.realized + e.unrealized) FROM equity e)), signals_hit, signals_missed
		FROM engine`).Scan(&l.Realized, &l.Peak, &l.Hit, &l.Missed)
	if err != nil {
		err = fmt.Errorf("portfolio: %w", err)
	}
	return l, err
}

// SavePortfolio writes the portfolio at a moment; with record, into its history too.
func (t *Tx) SavePortfolio(ctx context.Context, at time.Time, startEquity float64, p Portfolio, record bool) error {
	_, err := t.exec(ctx, "portfolio", `
		UPDATE engine SET start_equity = $1, realized = $2, unrealized = $3, exposure = $4, open_positions = $5, trading = $6, updated_at = $7,
			peak_equity = $8`,
		startEquity, p.Realized, p.Unrealized, p.Exposure, p.OpenPositions, p.Trading, at, p.Peak)
	if err != nil || !record {
		return err
	}
	_, err = t.exec(ctx, "portfolio history", `
		INSERT INTO equity (ts, realized, unrealized, exposure, open_positions) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		at, p.Realized, p.Unrealized, p.Exposure, p.OpenPositions)
	return err
}
