package engine

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/portfolio"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/strategy"
)

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
	// peak with this cycle.
	peak float64
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
	c.peak = max(c.Session.peak, c.state.Equity)
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
		OpenPositions: len(c.book.Open), Peak: c.peak, Trading: c.trading,
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
		portfolio: c.state, peak: c.peak, realized: c.book.Realized, openPositions: len(c.book.Open), activeSignals: len(c.active), hit: c.hit, missed: c.missed,
	})
	c.Session.peak = c.peak
	// What others hold may be of before the failover that made this engine lead.
	c.batch.SignalsChanged = !c.looked || len(c.fresh)+len(c.scores)+len(c.closed)+len(c.opened) > 0
}
