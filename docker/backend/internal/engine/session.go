package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/portfolio"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/strategy"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/stream"
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
	s.book.Realized, s.hit, s.missed, err = tx.LoadPortfolio(ctx)
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
	start := time.Now()
	defer func() {
		result := "ok"
		if err != nil {
			result = "error"
		}
		s.metrics.cycles.WithLabelValues(result).Inc()
	}()

	minute := at.Truncate(time.Minute)
	closed := minute.After(s.rolled)
	if closed && s.last.Before(minute.Add(-time.Minute)) {
		return fmt.Errorf("%w: the last prices are of %s", errGap, s.last.Format(time.RFC3339))
	}
	c := &cycle{Session: s, at: at, batch: Batch{Batch: stream.Batch{At: at, After: s.signal}}}
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
	s.last, s.looked = at, true
	c.count()
	s.publisher.Publish(ctx, c.batch)
	s.metrics.heartbeat.Set(float64(at.Unix()))
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

// cycle is one step of a session.
type cycle struct {
	*Session
	at    time.Time
	batch Batch
	// fresh signals by symbol.
	fresh   map[int]*portfolio.Signal
	scores  []scored
	opened  []*portfolio.Position
	closed  []string
	refused []string
	state   portfolio.State
}

type scored struct{ indicator, status string }

// closeBar rolls the minutes before a moment up, and takes their last prices as bars.
func (c *cycle) closeBar(ctx context.Context, tx *store.Tx, minute time.Time) error {
	if err := tx.RollUp(ctx, c.rolled, minute); err != nil {
		return err
	}
	c.rolled = minute
	for i, p := range c.prices {
		if p > 0 {
			c.bars[i] = append(c.bars[i], p)
			if n := len(c.bars[i]); n > 2*strategy.Window {
				c.bars[i] = slices.Clone(c.bars[i][n-strategy.Window:])
			}
		}
	}
	return nil
}

// ingest writes the prices of this moment.
func (c *cycle) ingest(ctx context.Context, tx *store.Tx) error {
	symbols := c.market.Symbols()
	ticks := make([]store.Tick, len(symbols))
	c.batch.Quotes = make([]store.Quote, len(symbols))
	for i := range symbols {
		q := symbols[i].Quote(c.at)
		change := math.Round((q.Price/q.Open24h-1)*1e6) / 1e4
		ticks[i] = store.Tick{
			SymbolID: symbols[i].ID, Price: q.Price, Volume: cents(symbols[i].Volume(c.at, c.config.IngestInterval)),
			ChangePct: change, Volume24h: cents(q.Volume24h),
		}
		c.batch.Quotes[i] = store.Quote{Symbol: symbols[i].Name, Price: q.Price, ChangePct: change, Volume: cents(q.Volume24h), TS: c.at}
		c.prices[i] = q.Price
	}
	return tx.Ingest(ctx, c.at, ticks)
}

func cents(v float64) float64 { return math.Round(v*100) / 100 }

func (c *cycle) price(symbolID int) (float64, bool) {
	if symbolID < 1 || symbolID > len(c.prices) {
		return 0, false // MAX_SYMBOLS became smaller
	}
	return c.prices[symbolID-1], true
}

// score compares the signals that are due with what the price did.
func (c *cycle) score(ctx context.Context, tx *store.Tx) error {
	var scores []store.Score
	for _, symbol := range slices.Sorted(maps.Keys(c.active)) {
		a := c.active[symbol]
		if a.DueAt.After(c.at) {
			continue
		}
		score := store.Score{SignalID: a.ID, Status: expired}
		// A price long after the horizon says nothing about the signal.
		if price, ok := c.price(symbol); ok && c.at.Sub(a.DueAt) < c.config.SignalHorizon {
			outcome := math.Round(strategy.Outcome(a.Type, a.Price, price)*1e4) / 1e4
			score.OutcomePct, score.Status = &outcome, missed
			if outcome > 0 {
				score.Status = hit
			}
		}
		scores = append(scores, score)
		c.scores = append(c.scores, scored{a.Indicator, score.Status})
		delete(c.active, symbol)
	}
	if len(scores) == 0 {
		return nil
	}
	return tx.ScoreSignals(ctx, scores)
}

// signal looks at the bars for new signals. A symbol with one that is not scored
// yet gets no other.
func (c *cycle) signal(ctx context.Context, tx *store.Tx) error {
	var signals []store.NewSignal
	for i, bars := range c.bars {
		symbol := c.market.Symbols()[i].ID
		if c.active[symbol] != nil {
			continue
		}
		if a, ok := strategy.Evaluate(bars); ok {
			signals = append(signals, store.NewSignal{
				SymbolID: symbol, Type: a.Type, Indicator: a.Indicator, Confidence: math.Round(a.Confidence*1e4) / 1e4, Price: c.prices[i],
			})
		}
	}
	if len(signals) == 0 {
		return nil
	}
	due := c.at.Add(c.config.SignalHorizon)
	ids, err := tx.InsertSignals(ctx, c.at, due, signals)
	if err != nil {
		return err
	}
	c.fresh = make(map[int]*portfolio.Signal, len(signals))
	for _, s := range signals {
		id := ids[s.SymbolID]
		c.active[s.SymbolID] = &store.ActiveSignal{ID: id, SymbolID: s.SymbolID, Type: s.Type, Indicator: s.Indicator, Price: s.Price, DueAt: due}
		c.fresh[s.SymbolID] = &portfolio.Signal{ID: id, SymbolID: s.SymbolID, Type: s.Type, Confidence: s.Confidence, Price: s.Price}
		c.batch.Signals = append(c.batch.Signals, store.Signal{
			ID: id, Symbol: c.market.Symbols()[s.SymbolID-1].Name, Type: s.Type, Indicator: s.Indicator,
			Confidence: s.Confidence, Price: s.Price, TS: c.at, DueAt: due, Status: "active",
		})
	}
	return nil
}

// trade closes positions whose time has come, and opens new ones within the risk limit.
func (c *cycle) trade(ctx context.Context, tx *store.Tx) error {
	for _, symbol := range slices.Sorted(maps.Keys(c.book.Open)) {
		p := c.book.Open[symbol]
		price, ok := c.price(symbol)
		reason := portfolio.Time
		if !ok {
			price = p.EntryPrice // of a symbol that is no longer followed
		} else if reason = c.book.Exit(p, price, c.fresh[symbol], c.at); reason == "" {
			continue
		}
		if err := tx.ClosePosition(ctx, p.ID, price, c.at); err != nil {
			return err
		}
		c.book.Realized += p.PnL(price)
		delete(c.book.Open, symbol)
		c.closed = append(c.closed, reason)
		c.report("position closed", p, price, reason)
	}
	if trades, _ := Trades(c.config); trades {
		// The most traded first: who comes first must not depend on a map's order.
		for i := range c.market.Symbols() {
			symbol := c.market.Symbols()[i].ID
			if c.fresh[symbol] == nil {
				continue
			}
			p, refused := c.book.Entry(*c.fresh[symbol], c.book.State(c.price), c.at)
			if refused != "" {
				c.refused = append(c.refused, refused)
			}
			if p == nil {
				continue
			}
			var err error
			p.ID, err = tx.Open(ctx, store.OpenPosition{
				SymbolID: p.SymbolID, SignalID: p.SignalID, Quantity: p.Quantity, EntryPrice: p.EntryPrice, OpenedAt: p.OpenedAt,
			})
			if err != nil {
				return err
			}
			c.book.Open[symbol] = p
			c.opened = append(c.opened, p)
			c.report("position opened", p, p.EntryPrice, "signal")
		}
	}
	return nil
}

// report writes the record that COMPLIANCE_REPORTING asks for.
func (c *cycle) report(what string, p *portfolio.Position, price float64, reason string) {
	if c.config.Compliance {
		c.log.Info(what, "trade", "paper", "position", p.ID, "symbol", p.SymbolID, "signal", p.SignalID,
			"side", p.Side(), "quantity", p.Quantity, "price", price, "pnl", p.PnL(price), "reason", reason)
	}
}

// account writes what the portfolio is worth now.
func (c *cycle) account(ctx context.Context, tx *store.Tx) error {
	c.state = c.book.State(c.price)
	c.batch.PnL = store.PnL{
		Realized: cents(c.book.Realized), Unrealized: cents(c.state.Unrealized), Exposure: cents(c.state.Exposure), OpenPositions: len(c.book.Open),
	}
	c.batch.PnL.Complete(portfolio.StartEquity)
	for symbol, p := range c.book.Open {
		price, _ := c.price(symbol) // those without one were closed
		c.batch.Positions = append(c.batch.Positions, store.Position{
			Symbol: c.market.Symbols()[symbol-1].Name, Quantity: p.Quantity, EntryPrice: p.EntryPrice, Price: price, PnL: cents(p.PnL(price)), OpenedAt: p.OpenedAt,
		})
	}
	slices.SortFunc(c.batch.Positions, func(a, b store.Position) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Quantity*b.Price), math.Abs(a.Quantity*a.Price)), cmp.Compare(a.Symbol, b.Symbol))
	})
	record := c.at.Truncate(recordInterval).After(c.last.Truncate(recordInterval))
	return tx.SavePortfolio(ctx, c.at, portfolio.StartEquity, store.Portfolio{
		Realized: c.book.Realized, Unrealized: c.state.Unrealized, Exposure: c.state.Exposure,
		OpenPositions: len(c.book.Open), Trading: c.trading,
	}, record)
}

// count shows what was written in the metrics.
func (c *cycle) count() {
	m := c.metrics
	m.ticks.Add(float64(len(c.batch.Quotes)))
	for symbol, s := range c.fresh {
		c.Session.signal = max(c.Session.signal, s.ID)
		m.signals.WithLabelValues(m.symbol(symbol), s.Type).Inc()
	}
	for _, s := range c.scores {
		m.scores.WithLabelValues(s.indicator, s.status).Inc()
		switch s.status {
		case hit:
			c.hit++
		case missed:
			c.missed++
		}
	}
	for _, p := range c.opened {
		m.opened.WithLabelValues(p.Side()).Inc()
	}
	for _, reason := range c.closed {
		m.closed.WithLabelValues(reason).Inc()
	}
	for _, reason := range c.refused {
		m.refused.WithLabelValues(reason).Inc()
	}
	m.state.Store(&state{
		portfolio: c.state, realized: c.book.Realized, openPositions: len(c.book.Open), activeSignals: len(c.active), hit: c.hit, missed: c.missed,
	})
	c.batch.SignalsChanged = len(c.fresh)+len(c.scores)+len(c.closed)+len(c.opened) > 0
}
