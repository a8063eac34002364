package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Quote is the last known price of a symbol.
type Quote struct {
	Symbol string  `json:"symbol" db:"name"`
	Price  float64 `json:"price"`
	// ChangePct is the change over 24 hours, in percent.
	ChangePct float64 `json:"change_pct"`
	// Volume is the turnover of 24 hours, in USDT.
	Volume float64   `json:"volume"`
	TS     time.Time `json:"ts"`
}

// Candle is what a price did in one interval.
type Candle struct {
	// TS is the start of the interval.
	TS     time.Time `json:"ts"`
	Open   float64   `json:"open"`
	High   float64   `json:"high"`
	Low    float64   `json:"low"`
	Close  float64   `json:"close"`
	Volume float64   `json:"volume"`
}

// Signal is an advice to buy or sell.
type Signal struct {
	ID     int64  `json:"id"`
	Symbol string `json:"symbol" db:"name"`
	// Type is buy or sell.
	Type string `json:"signal_type" db:"signal_type"`
	// Indicator that gave the signal.
	Indicator string `json:"indicator"`
	// Confidence from 0 to 1.
	Confidence float64   `json:"confidence"`
	Price      float64   `json:"price"`
	TS         time.Time `json:"ts"`
	// DueAt is when the signal is scored.
	DueAt time.Time `json:"due_at"`
	// Status is active, hit, missed or expired.
	Status string `json:"status"`
	// OutcomePct is what following the signal would have gained, in percent; nil
	// before it is scored.
	OutcomePct *float64 `json:"outcome_pct"`
}

// Position is a holding that is open.
type Position struct {
	Symbol string `json:"symbol" db:"name"`
	// Quantity is below zero for a short position.
	Quantity   float64 `json:"quantity"`
	EntryPrice float64 `json:"entry_price"`
	// Price is the last known one.
	Price float64 `json:"price"`
	// PnL is what closing the position now would realize, in USDT.
	PnL      float64   `json:"pnl" db:"pnl"`
	OpenedAt time.Time `json:"opened_at"`
}

// Trade is a position that was closed.
type Trade struct {
	ID         int64     `json:"id"`
	Symbol     string    `json:"symbol" db:"name"`
	Quantity   float64   `json:"quantity"`
	EntryPrice float64   `json:"entry_price"`
	ExitPrice  float64   `json:"exit_price"`
	PnL        float64   `json:"pnl" db:"pnl"`
	OpenedAt   time.Time `json:"opened_at"`
	ClosedAt   time.Time `json:"closed_at"`
}

// PnL is the state of the portfolio, in USDT.
type PnL struct {
	Realized      float64 `json:"realized"`
	Unrealized    float64 `json:"unrealized"`
	Total         float64 `json:"total"`
	Equity        float64 `json:"equity"`
	Exposure      float64 `json:"exposure"`
	OpenPositions int     `json:"open_positions"`
	// Risk is the exposed share of the equity.
	Risk float64 `json:"risk"`
}

// EquityPoint is the portfolio at a moment of the past.
type EquityPoint struct {
	TS            time.Time `json:"ts"`
	Realized      float64   `json:"realized"`
	Unrealized    float64   `json:"unrealized"`
	Exposure      float64   `json:"exposure"`
	OpenPositions int       `json:"open_positions"`
}

// Status is the market at a glance.
type Status struct {
	// Simulated is always true: no price here is real.
	Simulated bool `json:"simulated"`
	// Status is open while prices come in, stale when they stopped, waiting before the first.
	Status     string    `json:"status"`
	UpdatedAt  time.Time `json:"updated_at"`
	Symbols    int       `json:"symbols"`
	Advancers  int       `json:"advancers"`
	Decliners  int       `json:"decliners"`
	Unchanged  int       `json:"unchanged"`
	TopGainers []Quote   `json:"top_gainers"`
	TopLosers  []Quote   `json:"top_losers"`
	// ActiveSignals are those that are not scored yet.
	ActiveSignals int `json:"active_signals"`
	// SignalAccuracy is the share of scored signals that were right; nil before any was.
	SignalAccuracy *float64 `json:"signal_accuracy"`
	// Trading is off, paper or refused.
	Trading string `json:"trading"`
	PnL     PnL    `json:"pnl"`
}

// Page is a part of a list.
type Page[T any] struct {
	Simulated bool `json:"simulated"`
	Items     []T  `json:"items"`
	// Total is how many there are beyond this page too.
	Total int `json:"total"`
}

func page[T any](items []T, total int) Page[T] {
	if items == nil {
		items = []T{}
	}
	return Page[T]{Simulated: true, Items: items, Total: total}
}

// rows runs a query and collects its rows by the names of their columns.
func rows[T any](ctx context.Context, s *Store, what, query string, args ...any) ([]T, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	r, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	items, err := pgx.CollectRows(r, pgx.RowToStructByNameLax[T])
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	return items, nil
}

func one[T any](ctx context.Context, s *Store, what, query string, args ...any) (T, error) {
	var v T
	if err := s.Check(); err != nil {
		return v, err
	}
	if err := s.pool.QueryRow(ctx, query, args...).Scan(&v); err != nil {
		return v, s.failed(ctx, what, err)
	}
	return v, nil
}

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
	items, err := rows[Quote](ctx, s, "symbols",
		"SELECT name, price, change_pct, volume, ts"+from+" ORDER BY "+SymbolOrders[order]+" LIMIT $2 OFFSET $3", contains, limit, offset)
	if err != nil {
		return Page[Quote]{}, err
	}
	total, err := one[int](ctx, s, "count of symbols", "SELECT count(*)"+from, contains)
	return page(items, total), err
}

// Quotes returns the newest quote of every symbol, the most traded first.
func (s *Store) Quotes(ctx context.Context) ([]Quote, error) {
	return rows[Quote](ctx, s, "quotes", "SELECT name, price, change_pct, volume, ts FROM quotes JOIN symbols ON id = symbol_id WHERE active ORDER BY id")
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
	id, err := one[int](ctx, s, "symbol", "SELECT id FROM symbols WHERE name = $1 AND active", symbol)
	if err != nil {
		return nil, err
	}
	return rows[Candle](ctx, s, "candles", `
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
	total, err := one[int](ctx, s, "count of signals", "SELECT count(*) FROM signals"+where, args...)
	if err != nil {
		return Page[Signal]{}, err
	}
	items, err := rows[Signal](ctx, s, "signals", fmt.Sprintf(`
		SELECT s.id, name, signal_type, indicator, confidence, price, ts, due_at, status, outcome_pct
		FROM (SELECT * FROM signals%s ORDER BY id DESC LIMIT %d OFFSET %d) s JOIN symbols ON symbols.id = symbol_id
		ORDER BY s.id DESC`, where, limit, offset), args...)
	return page(items, total), err
}

// SignalsAfter lists the signals with a higher ID, the oldest first.
func (s *Store) SignalsAfter(ctx context.Context, id int64, limit int) ([]Signal, error) {
	return rows[Signal](ctx, s, "new signals", `
		SELECT s.id, name, signal_type, indicator, confidence, price, ts, due_at, status, outcome_pct
		FROM signals s JOIN symbols ON symbols.id = symbol_id WHERE s.id > $1 ORDER BY s.id LIMIT $2`, id, limit)
}

// Positions lists the open positions, the largest first.
func (s *Store) Positions(ctx context.Context) (Page[Position], error) {
	items, err := rows[Position](ctx, s, "positions", `
		SELECT name, quantity, entry_price, price, (price - entry_price) * quantity AS pnl, opened_at
		FROM positions p JOIN symbols ON symbols.id = p.symbol_id JOIN quotes q ON q.symbol_id = p.symbol_id
		WHERE closed_at IS NULL ORDER BY abs(quantity * price) DESC`)
	return page(items, len(items)), err
}

// Trades lists the positions that were closed, the newest first.
func (s *Store) Trades(ctx context.Context, limit int) (Page[Trade], error) {
	items, err := rows[Trade](ctx, s, "trades", `
		SELECT p.id, name, quantity, entry_price, exit_price, (exit_price - entry_price) * quantity AS pnl, opened_at, closed_at
		FROM positions p JOIN symbols ON symbols.id = symbol_id
		WHERE closed_at IS NOT NULL ORDER BY closed_at DESC, p.id DESC LIMIT $1`, limit)
	if err != nil {
		return Page[Trade]{}, err
	}
	total, err := one[int](ctx, s, "count of trades", "SELECT count(*) FROM positions WHERE closed_at IS NOT NULL")
	return page(items, total), err
}

// PnLHistory lists the portfolio's past, one point per bucket, the oldest first.
func (s *Store) PnLHistory(ctx context.Context, bucket time.Duration, limit int) (Page[EquityPoint], error) {
	items, err := rows[EquityPoint](ctx, s, "PnL history", `
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
	if err := s.Check(); err != nil {
		return Status{}, err
	}
	st := Status{Simulated: true}
	var newest *time.Time
	err := s.pool.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE change_pct > 0), count(*) FILTER (WHERE change_pct < 0), max(ts),
			(SELECT count(*) FROM signals WHERE status = 'active')
		FROM quotes JOIN symbols ON id = symbol_id WHERE active`).
		Scan(&st.Symbols, &st.Advancers, &st.Decliners, &newest, &st.ActiveSignals)
	if err != nil {
		return Status{}, s.failed(ctx, "market status", err)
	}
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
	case newest == nil:
		st.Status, st.UpdatedAt = "waiting", time.Now().UTC()
	case time.Since(*newest) > fresh:
		st.Status, st.UpdatedAt = "stale", *newest
	default:
		st.Status, st.UpdatedAt = "open", *newest
	}
	gainers, err := s.Symbols(ctx, "", "gainers", topMovers, 0)
	if err != nil {
		return Status{}, err
	}
	losers, err := s.Symbols(ctx, "", "losers", topMovers, 0)
	st.TopGainers, st.TopLosers = gainers.Items, losers.Items
	return st, err
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
	if err := s.Check(); err != nil {
		return p, scores, err
	}
	var start float64
	err = s.pool.QueryRow(ctx, `
		SELECT realized, unrealized, exposure, open_positions, signals_hit, signals_missed, trading, start_equity FROM engine`).
		Scan(&p.Realized, &p.Unrealized, &p.Exposure, &p.OpenPositions, &scores.Hit, &scores.Missed, &scores.Trading, &start)
	if err != nil {
		return p, scores, s.failed(ctx, "portfolio", err)
	}
	p.Complete(start)
	return p, scores, nil
}

// LastSignal returns the highest ID of a signal, 0 if there is none.
func (s *Store) LastSignal(ctx context.Context) (int64, error) {
	return one[int64](ctx, s, "last signal", "SELECT coalesce(max(id), 0) FROM signals")
}

// Complete computes what follows from the other fields and the equity at the start.
func (p *PnL) Complete(startEquity float64) {
	p.Total = p.Realized + p.Unrealized
	p.Equity = startEquity + p.Total
	p.Risk = 0
	if p.Equity > 0 {
		p.Risk = p.Exposure / p.Equity
	}
}

// Watchlist of an owner; empty for one who has none.
func (s *Store) Watchlist(ctx context.Context, owner string) ([]string, error) {
	list, err := one[[]string](ctx, s, "watchlist", "SELECT coalesce((SELECT symbols FROM watchlists WHERE owner = $1), '{}')", owner)
	if list == nil {
		list = []string{}
	}
	return list, err
}

// UnknownSymbols returns those of the names that are no active symbol.
func (s *Store) UnknownSymbols(ctx context.Context, names []string) ([]string, error) {
	return one[[]string](ctx, s, "symbols by name", `
		SELECT coalesce(array_agg(n), '{}') FROM unnest($1::text[]) n
		WHERE NOT EXISTS (SELECT FROM symbols WHERE name = n AND active)`, names)
}

// SetWatchlist replaces an owner's list.
func (s *Store) SetWatchlist(ctx context.Context, owner string, symbols []string) error {
	if err := s.Check(); err != nil {
		return err
	}
	_, err := s.pool.Exec(ctx, `
		INSERT INTO watchlists (owner, symbols) VALUES ($1, $2)
		ON CONFLICT (owner) DO UPDATE SET symbols = excluded.symbols, updated_at = now()`, owner, symbols)
	if err != nil {
		return s.failed(ctx, "save watchlist", err)
	}
	return nil
}
