package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// SymbolOrders are the orders that Symbols understands.
var SymbolOrders = map[string]string{
	"":        "id",
	"volume":  "volume DESC, id",
	"symbol":  "name",
	"gainers": "change_pct DESC, id",
	"losers":  "change_pct, id",
}

// Symbols lists quotes of symbols whose name contains a text.
func (s *Store) Symbols(ctx context.Context, contains, order string, limit, offset int) (Page[Quote], error) {
	const from = " FROM quotes JOIN symbols ON id = symbol_id WHERE active AND ($1 = '' OR strpos(name, $1) > 0)"
	contains = strings.ToUpper(contains)
	items, err := read(ctx, s, "symbols", many[Quote], "SELECT name, price, change_pct, volume, ts"+from+" ORDER BY "+SymbolOrders[order]+" LIMIT $2 OFFSET $3", contains, limit, offset)
	if err != nil {
		return Page[Quote]{}, err
	}
	total, err := read(ctx, s, "count of symbols", single[int], "SELECT count(*)"+from, contains)
	return page(items, total), err
}

// Quotes returns the newest quote of every symbol, the most traded first.
func (s *Store) Quotes(ctx context.Context) ([]Quote, error) {
	return read(ctx, s, "quotes", many[Quote], "SELECT name, price, change_pct, volume, ts FROM quotes JOIN symbols ON id = symbol_id WHERE active ORDER BY id")
}

// CandlePage is a series of candles, the oldest first.
type CandlePage struct {
	Symbol   string `json:"symbol"`
	Interval string `json:"interval"`
	Page[Candle]
}

// NewCandlePage returns a page of candles.
func NewCandlePage(symbol, interval string, candles []Candle) CandlePage {
	return CandlePage{Symbol: symbol, Interval: interval, Page: page(candles, len(candles))}
}

// Candles of a symbol: the newest limit intervals, as far as there are prices.
// Minutes that the engine has not rolled up yet are made of its ticks.
func (s *Store) Candles(ctx context.Context, symbol string, interval time.Duration, limit int) ([]Candle, error) {
	id, err := read(ctx, s, "symbol", single[int], "SELECT id FROM symbols WHERE name = $1 AND active", symbol)
	if err != nil {
		return nil, err
	}
	return read(ctx, s, "candles", many[Candle], `
		WITH rolled AS (SELECT rolled_up_to AS at FROM engine),
		since AS (SELECT time_bucket($2, coalesce((SELECT ts FROM quotes WHERE symbol_id = $1), now())) - ($3 - 1) * $2 AS at),
		minutes AS (
			SELECT ts, open, high, low, close, volume FROM candles
			WHERE symbol_id = $1 AND ts >= (SELECT at FROM since) AND ts < (SELECT at FROM rolled)
			UNION ALL
			SELECT time_bucket('1 minute', ts), first(price, ts), max(price), min(price), last(price, ts), sum(volume) FROM ticks
			WHERE symbol_id = $1 AND ts >= (SELECT at FROM since) AND ts >= (SELECT at FROM rolled)
			GROUP BY 1
		)
		SELECT time_bucket($2, ts) AS ts, first(open, ts) AS open, max(high) AS high, min(low) AS low, last(close, ts) AS close, sum(volume) AS volume
		FROM minutes GROUP BY 1 ORDER BY 1`, id, interval, limit)
}

// SignalFilter narrows a list of signals; empty fields do not.
type SignalFilter struct {
	Symbol, Type string
	// Active leaves out signals that are scored.
	Active bool
}

// Signals lists signals, the newest first.
func (s *Store) Signals(ctx context.Context, f SignalFilter, limit, offset int) (Page[Signal], error) {
	conditions, args := []string{"true"}, []any{}
	add := func(condition string, value any) {
		args = append(args, value)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if f.Active {
		conditions = append(conditions, "status = 'active'")
	}
	if f.Type != "" {
		add("signal_type = $%d", f.Type)
	}
	if f.Symbol != "" {
		add("symbol_id = (SELECT id FROM symbols WHERE name = $%d)", f.Symbol)
	}
	where := " WHERE " + strings.Join(conditions, " AND ")
	total, err := read(ctx, s, "count of signals", single[int], "SELECT count(*) FROM signals"+where, args...)
	if err != nil {
		return Page[Signal]{}, err
	}
	items, err := read(ctx, s, "signals", many[Signal], fmt.Sprintf(`
		SELECT s.id, name, signal_type, indicator, confidence, price, ts, due_at, status, outcome_pct
		FROM (SELECT * FROM signals%s ORDER BY id DESC LIMIT %d OFFSET %d) s JOIN symbols ON symbols.id = symbol_id
		ORDER BY s.id DESC`, where, limit, offset), args...)
	return page(items, total), err
}

// SignalsAfter lists the signals with a higher ID, the oldest first.
func (s *Store) SignalsAfter(ctx context.Context, id int64, limit int) ([]Signal, error) {
	return read(ctx, s, "new signals", many[Signal], `
		SELECT s.id, name, signal_type, indicator, confidence, price, ts, due_at, status, outcome_pct
		FROM signals s JOIN symbols ON symbols.id = symbol_id WHERE s.id > $1 ORDER BY s.id LIMIT $2`, id, limit)
}

// Positions lists the open positions, the largest first.
func (s *Store) Positions(ctx context.Context) (Page[Position], error) {
	items, err := read(ctx, s, "positions", many[Position], `
		SELECT name, quantity, entry_price, price, (price - entry_price) * quantity AS pnl, opened_at
		FROM positions p JOIN symbols ON symbols.id = p.symbol_id JOIN quotes q ON q.symbol_id = p.symbol_id
		WHERE closed_at IS NULL ORDER BY abs(quantity * price) DESC`)
	return page(items, len(items)), err
}

// Trades lists the positions that were closed, the newest first.
func (s *Store) Trades(ctx context.Context, limit int) (Page[Trade], error) {
	items, err := read(ctx, s, "trades", many[Trade], `
		SELECT p.id, name, quantity, entry_price, exit_price, (exit_price - entry_price) * quantity AS pnl, opened_at, closed_at
		FROM positions p JOIN symbols ON symbols.id = symbol_id
		WHERE closed_at IS NOT NULL ORDER BY closed_at DESC, p.id DESC LIMIT $1`, limit)
	if err != nil {
		return Page[Trade]{}, err
	}
	total, err := read(ctx, s, "count of trades", single[int], "SELECT count(*) FROM positions WHERE closed_at IS NOT NULL")
	return page(items, total), err
}

// PnLHistory lists the portfolio's past, one point per bucket, the oldest first.
func (s *Store) PnLHistory(ctx context.Context, bucket time.Duration, limit int) (Page[EquityPoint], error) {
	items, err := read(ctx, s, "PnL history", many[EquityPoint], `
		SELECT * FROM (
			SELECT time_bucket($1, ts) AS ts, last(realized, ts) AS realized, last(unrealized, ts) AS unrealized,
				last(exposure, ts) AS exposure, last(open_positions, ts) AS open_positions
			FROM equity WHERE ts >= now() - $2 * $1 GROUP BY 1 ORDER BY 1 DESC LIMIT $2
		) newest ORDER BY ts`, bucket, limit)
	return page(items, len(items)), err
}

// topMovers is how many gainers and losers a Status has.
const topMovers = 5

// MarketStatus sums the market up. A quote older than fresh means that prices have stopped.
func (s *Store) MarketStatus(ctx context.Context, fresh time.Duration) (Status, error) {
	st, err := read(ctx, s, "market status", exactly(func(r pgx.CollectableRow, v *sum) error {
		return r.Scan(&v.Symbols, &v.Advancers, &v.Decliners, &v.newest, &v.ActiveSignals)
	}), `
		SELECT count(*), count(*) FILTER (WHERE change_pct > 0), count(*) FILTER (WHERE change_pct < 0), max(ts),
			(SELECT count(*) FROM signals WHERE status = 'active')
		FROM quotes JOIN symbols ON id = symbol_id WHERE active`)
	if err != nil {
		return Status{}, err
	}
	st.Simulated = true
	var scores Scores
	if st.PnL, scores, err = s.Portfolio(ctx); err != nil {
		return Status{}, err
	}
	st.Trading = scores.Trading
	st.Unchanged = st.Symbols - st.Advancers - st.Decliners
	if scored := scores.Hit + scores.Missed; scored > 0 {
		share := float64(scores.Hit) / float64(scored)
		st.SignalAccuracy = &share
	}
	switch {
	case st.newest == nil:
		st.Status.Status, st.UpdatedAt = "waiting", time.Now().UTC()
	case time.Since(*st.newest) > fresh:
		st.Status.Status, st.UpdatedAt = "stale", *st.newest
	default:
		st.Status.Status, st.UpdatedAt = "open", *st.newest
	}
	gainers, err := s.Symbols(ctx, "", "gainers", topMovers, 0)
	if err != nil {
		return Status{}, err
	}
	losers, err := s.Symbols(ctx, "", "losers", topMovers, 0)
	st.TopGainers, st.TopLosers = gainers.Items, losers.Items
	return st.Status, err
}

// sum is what the quotes say.
type sum struct {
	Status
	newest *time.Time
}

// exactly collects one row as scan does.
func exactly[T any](scan func(pgx.CollectableRow, *T) error) func(pgx.Rows) (T, error) {
	return func(r pgx.Rows) (T, error) {
		return pgx.CollectExactlyOneRow(r, func(row pgx.CollectableRow) (v T, err error) {
			err = scan(row, &v)
			return v, err
		})
	}
}

// Scores is how the engine has fared.
type Scores struct {
	// Hit and Missed count all signals that were ever scored.
	Hit, Missed int64
	// Trading is off, paper or refused.
	Trading string
}

// Portfolio returns the portfolio as the engine last wrote it.
func (s *Store) Portfolio(ctx context.Context) (p PnL, scores Scores, err error) {
	type row struct {
		PnL
		Scores
		start float64
	}
	v, err := read(ctx, s, "portfolio", exactly(func(r pgx.CollectableRow, v *row) error {
		return r.Scan(&v.Realized, &v.Unrealized, &v.Exposure, &v.OpenPositions, &v.Hit, &v.Missed, &v.Trading, &v.start)
	}), "SELECT realized, unrealized, exposure, open_positions, signals_hit, signals_missed, trading, start_equity FROM engine")
	if err != nil {
		return p, scores, err
	}
	v.Complete(v.start)
	return v.PnL, v.Scores, nil
}

// LastSignal returns the highest ID of a signal, 0 if there is none.
func (s *Store) LastSignal(ctx context.Context) (int64, error) {
	return read(ctx, s, "last signal", single[int64], "SELECT coalesce(max(id), 0) FROM signals")
}

// Watchlist of an owner; empty for one who has none.
func (s *Store) Watchlist(ctx context.Context, owner string) ([]string, error) {
	list, err := readPrimary(ctx, s, "watchlist", single[[]string], "SELECT coalesce((SELECT symbols FROM watchlists WHERE owner = $1), '{}')", owner)
	if list == nil {
		list = []string{}
	}
	return list, err
}

// UnknownSymbols returns those of the names that are no active symbol.
func (s *Store) UnknownSymbols(ctx context.Context, names []string) ([]string, error) {
	return readPrimary(ctx, s, "symbols by name", single[[]string], `
		SELECT coalesce(array_agg(n), '{}') FROM unnest($1::text[]) n
		WHERE NOT EXISTS (SELECT FROM symbols WHERE name = n AND active)`, names)
}

// SetWatchlist replaces an owner's list. Doing so twice is doing so once: a failover
// meanwhile is waited for.
func (s *Store) SetWatchlist(ctx context.Context, owner string, symbols []string) error {
	_, err := try(ctx, s, "save watchlist", func(ctx context.Context, pool *pgxpool.Pool) (pgconn.CommandTag, error) {
		return pool.Exec(ctx, `
			INSERT INTO watchlists (owner, symbols) VALUES ($1, $2)
			ON CONFLICT (owner) DO UPDATE SET symbols = excluded.symbols, updated_at = now()`, owner, symbols)
	})
	return err
}
