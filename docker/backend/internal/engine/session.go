package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/portfolio"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/strategy"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/stream"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/telemetry"
)

const (
	// candlesPerBatch bounds the memory that writing history takes.
	candlesPerBatch = 20_000
	// recordInterval is the time between two points of the PnL's history.
	recordInterval = 10 * time.Second
	// keepCandles are needed to go on after a restart: the strategy's window, twice.
	keepCandles = 2 * strategy.Window * time.Minute
	// keepWatchlists that nobody has written for so long.
	keepWatchlists = 90 * 24 * time.Hour
	// cycleTimeout bounds one cycle.
	cycleTimeout = time.Minute
)

// Results of a signal.
const (
	hit     = "hit"
	missed  = "missed"
	expired = "expired"
)

// Session is the time for which an engine leads. What it keeps in memory is what
// the database says; after an error it ends, and the next one reads it anew.
type Session struct {
	*Engine
	leader *store.Leader
	// last is the moment of the newest ticks.
	last time.Time
	// rolled is up to when ticks are candles.
	rolled time.Time
	// prices are the newest ones, by the symbols' place in the market.
	prices []float64
	// bars are the closes of the last whole minutes, the oldest first.
	bars [][]float64
	// active signals by symbol.
	active map[int]*store.ActiveSignal
	book   *portfolio.Book
	// hit and missed count all signals that were ever scored.
	hit, missed int64
	// peak is the most that the portfolio was ever worth.
	peak float64
	// signal is the highest ID of a signal.
	signal int64
	// looked says that the bars were looked at for signals since Begin.
	looked bool
}

// Begin makes the engine the leader and brings the database to the present: symbols,
// and the candles since the last engine stopped. nil without an error means that
// another engine leads.
func (e *Engine) Begin(ctx context.Context, now func() time.Time) (*Session, error) {
	l, err := e.store.Lead(ctx)
	if err != nil || l == nil {
		return nil, err
	}
	s := &Session{
		Engine: e, leader: l,
		prices: make([]float64, len(e.market.Symbols())),
		bars:   make([][]float64, len(e.market.Symbols())),
		active: map[int]*store.ActiveSignal{},
		book:   &portfolio.Book{Limit: e.config.MaxPortfolioRisk, Horizon: e.config.SignalHorizon, Open: map[int]*portfolio.Position{}},
	}
	if err := s.begin(ctx, now); err != nil {
		s.Close(ctx)
		return nil, fmt.Errorf("begin: %w", err)
	}
	return s, nil
}

// Close gives the leadership up.
func (s *Session) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = s.leader.Close(ctx) // what cannot be closed, the server ends
}

func (s *Session) begin(ctx context.Context, now func() time.Time) error {
	minute := now().UTC().Truncate(time.Minute)
	names := make([]string, len(s.market.Symbols()))
	for i, symbol := range s.market.Symbols() {
		names[i] = symbol.Name
	}
	since := minute.Add(-s.config.Backfill)
	var have map[int]time.Time
	err := s.leader.InTransaction(ctx, func(tx *store.Tx) (err error) {
		if err = tx.SetSymbols(ctx, names); err != nil {
			return err
		}
		if s.last, s.rolled, err = tx.LastTick(ctx); err != nil {
			return err
		}
		// Minutes that the engine before has left as ticks become candles first.
		if end := s.last.Truncate(time.Minute); s.rolled.After(since) && end.After(s.rolled) {
			if err = tx.RollUp(ctx, s.rolled, end); err != nil {
				return err
			}
		}
		have, err = tx.LastCandles(ctx, since)
		return err
	})
	if err != nil {
		return err
	}
	for {
		if err := s.fill(ctx, since, minute, have); err != nil {
			return err
		}
		// A long history takes minutes to write, and the market does not wait.
		if later := now().UTC().Truncate(time.Minute); later.After(minute) {
			minute = later
			continue
		}
		break
	}
	return s.leader.InTransaction(ctx, func(tx *store.Tx) error { return s.remember(ctx, tx, minute) })
}

// fill writes the candles that are missing between two moments, as an exchange
// would give them to a client that was away. have is the newest candle of each
// symbol, and is brought up to date.
func (s *Session) fill(ctx context.Context, since, until time.Time, have map[int]time.Time) error {
	start, written := time.Now(), 0
	var batch []store.MinuteCandle
	flush := func() error {
		written += len(batch)
		err := s.leader.InTransaction(ctx, func(tx *store.Tx) error { return tx.InsertCandles(ctx, batch) })
		batch = batch[:0]
		s.touch()
		return err
	}
	for i := range s.market.Symbols() {
		symbol := &s.market.Symbols()[i]
		from := since
		if last, ok := have[symbol.ID]; ok {
			from = last.Add(time.Minute)
		}
		for _, c := range symbol.Candles(from, until) {
			have[symbol.ID] = c.Start
			batch = append(batch, store.MinuteCandle{SymbolID: symbol.ID, Candle: store.Candle{
				TS: c.Start, Open: c.Open, High: c.High, Low: c.Low, Close: c.Close, Volume: cents(c.Volume),
			}})
		}
		if len(batch) >= candlesPerBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	s.rolled = until
	err := s.leader.InTransaction(ctx, func(tx *store.Tx) error { return tx.SetRolledUpTo(ctx, until) })
	if err == nil && written > 0 {
		s.log.Info("simulated history written", "candles", written, "seconds", time.Since(start).Seconds())
	}
	return err
}

// remember reads what the strategy and the portfolio go on from.
func (s *Session) remember(ctx context.Context, tx *store.Tx, minute time.Time) error {
	closes, err := tx.Closes(ctx, minute.Add(-strategy.Window*time.Minute), minute)
	if err != nil {
		return err
	}
	for i := range s.bars {
		s.bars[i] = closes[s.market.Symbols()[i].ID]
	}
	signals, err := tx.ActiveSignals(ctx)
	if err != nil {
		return err
	}
	for _, a := range signals {
		s.active[a.SymbolID] = a
	}
	positions, err := tx.OpenPositions(ctx)
	if err != nil {
		return err
	}
	for _, p := range positions {
		s.book.Open[p.SymbolID] = &portfolio.Position{
			ID: p.ID, SymbolID: p.SymbolID, SignalID: p.SignalID, Quantity: p.Quantity, EntryPrice: p.EntryPrice, OpenedAt: p.OpenedAt,
		}
	}
	if s.signal, err = tx.LastSignal(ctx); err != nil {
		return err
	}
	left, err := tx.LoadPortfolio(ctx)
	s.book.Realized, s.peak, s.hit, s.missed = left.Realized, left.Peak, left.Hit, left.Missed
	return err
}

// errGap ends a session that has missed a whole minute: the next one fills it.
var errGap = errors.New("the engine was held up")

// Step takes in the prices of a moment, and does all that follows from them in one
// transaction.
func (s *Session) Step(ctx context.Context, now time.Time) (err error) {
	at := now.UTC().Truncate(s.config.IngestInterval)
	if !at.After(s.last) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cycleTimeout)
	defer cancel()
	ctx, span := s.Tracer.Start(ctx, "engine cycle", trace.WithAttributes(attribute.Int("market.symbols", len(s.prices))))
	defer span.End()
	start := time.Now()
	defer func() {
		result := "ok"
		if err != nil {
			result = "error"
			span.RecordError(err)
			span.SetStatus(codes.Error, "the cycle failed")
		}
		s.metrics.cycles.WithLabelValues(result).Inc()
	}()

	minute := at.Truncate(time.Minute)
	closed := minute.After(s.rolled)
	if closed && s.last.Before(minute.Add(-time.Minute)) {
		return fmt.Errorf("%w: the last prices are of %s", errGap, s.last.Format(time.RFC3339))
	}
	c := &cycle{Session: s, at: at, batch: Batch{Batch: stream.Batch{At: at, After: s.signal, Trace: map[string]string{}}}}
	err = s.leader.InTransaction(ctx, func(tx *store.Tx) error {
		if closed {
			// The bar ends with the prices before these.
			if err := c.closeBar(ctx, tx, minute); err != nil {
				return err
			}
		}
		if err := c.ingest(ctx, tx); err != nil {
			return err
		}
		if err := c.score(ctx, tx); err != nil {
			return err
		}
		// The first look does not wait for a bar to end: a symbol that got a signal
		// from the bar before still has it.
		if closed || !s.looked {
			if err := c.signal(ctx, tx); err != nil {
				return err
			}
		}
		if err := c.trade(ctx, tx); err != nil {
			return err
		}
		return c.account(ctx, tx)
	})
	if err != nil {
		return err
	}
	s.last = at
	c.count()
	telemetry.Propagator.Inject(ctx, propagation.MapCarrier(c.batch.Trace))
	s.looked = true
	s.publisher.Publish(ctx, c.batch)
	s.metrics.heartbeat.Set(float64(at.Unix()))
	s.metrics.newest.Set(float64(at.Unix()))
	s.metrics.cycle.Observe(time.Since(start).Seconds())
	if closed {
		return s.trim(ctx, at)
	}
	return nil
}

// trim keeps the tables within their retention and budget.
func (s *Session) trim(ctx context.Context, at time.Time) error {
	before := func(d time.Duration) time.Time { return at.Add(-d) }
	r := store.Retention{
		Ticks: before(s.config.TickRetention), Candles: before(s.config.CandleRetention), Signals: before(s.config.SignalRetention),
		Watchlists: before(keepWatchlists), Budget: s.config.StorageBudget, KeepCandles: before(keepCandles),
	}
	if s.rolled.Before(r.Ticks) {
		r.Ticks = s.rolled
	}
	sizes, dropped, err := s.leader.Trim(ctx, r)
	if err != nil {
		// A reader may hold what is to go; a broken connection ends the next cycle.
		s.log.Warn("old data was not dropped", "error", err)
		return nil
	}
	s.metrics.stored(sizes)
	if dropped > 0 {
		s.log.Debug("old data dropped", "chunks", dropped, "bytes_left", sizes.Total())
	}
	return nil
}
