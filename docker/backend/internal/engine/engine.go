// Package engine is the one process that writes: it takes the simulated market's
// prices in, derives candles, signals and positions from them, and tells the others.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/config"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/market"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

const (
	// electionInterval is the time between two attempts of a waiting engine to lead.
	electionInterval = 2 * time.Second
	// candlesPerBatch bounds the memory that writing history takes.
	candlesPerBatch = 50_000
	// stuckAfter is how long one cycle may take before the engine counts as stuck.
	stuckAfter = 2 * time.Minute
)

// Publisher tells other processes what is new. It must not fail the engine.
type Publisher interface {
	Publish(ctx context.Context, batch Batch)
}

// Batch is what one cycle has brought.
type Batch struct {
	At     time.Time
	Quotes []store.Quote
}

// Engine runs the market.
type Engine struct {
	config    *config.Config
	store     *store.Store
	market    *market.Market
	publisher Publisher
	log       *slog.Logger
	// alive is when the last cycle, of leading or of waiting, ended; Unix nanoseconds.
	alive atomic.Int64
}

// New returns an engine.
func New(c *config.Config, s *store.Store, p Publisher, log *slog.Logger) *Engine {
	e := &Engine{config: c, store: s, market: market.New(c.Seed, c.MaxSymbols), publisher: p, log: log}
	e.alive.Store(time.Now().UnixNano())
	return e
}

// Check says whether the engine is stuck.
func (e *Engine) Check() error {
	if idle := time.Since(time.Unix(0, e.alive.Load())); idle > stuckAfter {
		return fmt.Errorf("the last cycle ended %s ago", idle.Round(time.Second))
	}
	return nil
}

// Run leads whenever no other engine does, until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := e.lead(ctx)
		e.alive.Store(time.Now().UnixNano())
		var lost *store.Unavailable
		if err != nil && ctx.Err() == nil && !errors.As(err, &lost) {
			e.log.Warn("leadership lost", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(electionInterval):
		}
	}
}

func (e *Engine) lead(ctx context.Context) error {
	l, err := e.store.Lead(ctx)
	if err != nil || l == nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = l.Close(stop) // the server ends what cannot be closed
	}()
	e.log.Info("leading", "symbols", len(e.market.Symbols()), "interval", e.config.IngestInterval.String(), "seed", e.config.Seed)

	s := &session{Engine: e, leader: l}
	if err := s.begin(ctx, time.Now()); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for {
		if err := s.step(ctx, time.Now()); err != nil {
			return err
		}
		e.alive.Store(time.Now().UnixNano())
		next := time.Now().Truncate(e.config.IngestInterval).Add(e.config.IngestInterval)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(next)):
		}
	}
}

// session is the time for which an engine leads.
type session struct {
	*Engine
	leader *store.Leader
	// last is the moment of the newest tick.
	last time.Time
	// rolled is up to when ticks are candles.
	rolled time.Time
}

// begin brings the database to the present: symbols, and the candles since the
// last engine stopped.
func (s *session) begin(ctx context.Context, now time.Time) error {
	names := make([]string, len(s.market.Symbols()))
	for i, symbol := range s.market.Symbols() {
		names[i] = symbol.Name
	}
	minute := now.UTC().Truncate(time.Minute)
	since := minute.Add(-s.config.Backfill)
	var have map[int]time.Time
	err := s.leader.InTransaction(ctx, func(tx *store.Tx) (err error) {
		if err = tx.SetSymbols(ctx, names); err != nil {
			return err
		}
		if s.last, s.rolled, err = tx.LastTick(ctx); err != nil {
			return err
		}
		have, err = tx.LastCandles(ctx, since)
		return err
	})
	if err != nil {
		return err
	}
	// Candles that an engine left half-done in ticks come first.
	if s.rolled.After(since) && s.last.After(s.rolled) {
		end := s.last.Truncate(time.Minute)
		if end.After(s.rolled) {
			if err := s.leader.InTransaction(ctx, func(tx *store.Tx) error { return tx.RollUp(ctx, s.rolled, end) }); err != nil {
				return err
			}
			for id := range have {
				have[id] = end.Add(-time.Minute)
			}
		}
	}
	return s.fill(ctx, since, minute, have)
}

// fill writes the candles that are missing between two moments.
func (s *session) fill(ctx context.Context, since, until time.Time, have map[int]time.Time) error {
	start, written := time.Now(), 0
	var batch []store.MinuteCandle
	flush := func() error {
		written += len(batch)
		err := s.leader.InTransaction(ctx, func(tx *store.Tx) error { return tx.InsertCandles(ctx, batch) })
		batch = batch[:0]
		s.alive.Store(time.Now().UnixNano())
		return err
	}
	for i := range s.market.Symbols() {
		symbol := &s.market.Symbols()[i]
		from := since
		if last, ok := have[symbol.ID]; ok {
			from = last.Add(time.Minute)
		}
		for _, c := range symbol.Candles(from, until) {
			batch = append(batch, store.MinuteCandle{SymbolID: symbol.ID, Candle: store.Candle{
				TS: c.Start, Open: c.Open, High: c.High, Low: c.Low, Close: c.Close, Volume: c.Volume,
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

// step takes in the prices of a moment.
func (s *session) step(ctx context.Context, now time.Time) error {
	at := now.UTC().Truncate(s.config.IngestInterval)
	if !at.After(s.last) {
		return nil
	}
	symbols := s.market.Symbols()
	ticks := make([]store.Tick, len(symbols))
	batch := Batch{At: at, Quotes: make([]store.Quote, len(symbols))}
	for i := range symbols {
		q := symbols[i].Quote(at)
		change := (q.Price/q.Open24h - 1) * 100
		ticks[i] = store.Tick{
			SymbolID: symbols[i].ID, Price: q.Price, Volume: symbols[i].Volume(at, s.config.IngestInterval),
			ChangePct: change, Volume24h: q.Volume24h,
		}
		batch.Quotes[i] = store.Quote{Symbol: symbols[i].Name, Price: q.Price, ChangePct: change, Volume: q.Volume24h, TS: at}
	}
	minute := at.Truncate(time.Minute)
	err := s.leader.InTransaction(ctx, func(tx *store.Tx) error {
		if err := tx.Ingest(ctx, at, ticks); err != nil {
			return err
		}
		if minute.After(s.rolled) {
			return tx.RollUp(ctx, s.rolled, minute)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.last = at
	if minute.After(s.rolled) {
		s.rolled = minute
	}
	s.publisher.Publish(ctx, batch)
	return nil
}
