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

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/config"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/market"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/stream"
)

const (
	// electionInterval is the time between two attempts of a waiting engine to lead.
	electionInterval = 2 * time.Second
	// stuckAfter is how long one cycle may take before the engine counts as stuck.
	stuckAfter = 2 * time.Minute
)

// Publisher tells other processes what is new. It must not fail the engine.
type Publisher interface {
	Publish(ctx context.Context, batch Batch)
}

// Batch is what one cycle has brought.
type Batch struct {
	stream.Batch
	// SignalsChanged says that signals are new or newly scored, or that positions were
	// opened or closed.
	SignalsChanged bool
}

// Engine runs the market.
type Engine struct {
	config    *config.Config
	store     *store.Store
	market    *market.Market
	publisher Publisher
	metrics   *Metrics
	log       *slog.Logger
	// Tracer records a span of each cycle; one that records nothing unless it is set.
	Tracer trace.Tracer
	// trading is off, paper or refused.
	trading string
	// alive is when the last cycle, of leading or of waiting, ended; Unix nanoseconds.
	alive atomic.Int64
}

// Trades says whether an engine with these settings opens positions, and how that
// is called. Here is no exchange to trade with real money at: who asks for that gets
// signals and nothing else.
func Trades(c *config.Config) (bool, string) {
	switch {
	case !c.Trading:
		return false, "off"
	case !c.PaperTrading:
		return false, "refused"
	}
	return true, "paper"
}

// New returns an engine.
func New(c *config.Config, s *store.Store, p Publisher, m *Metrics, log *slog.Logger) *Engine {
	e := &Engine{config: c, store: s, market: market.New(c.Seed, c.MaxSymbols), publisher: p, metrics: m, log: log, Tracer: noop.Tracer{}}
	if _, e.trading = Trades(c); e.trading == "refused" {
		log.Warn("PAPER_TRADING is false, but this engine has no exchange to trade at: it gives signals and opens no position")
	}
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

func (e *Engine) touch() { e.alive.Store(time.Now().UnixNano()) }

// Run leads whenever no other engine does, until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	waiting := false
	for ctx.Err() == nil {
		led, err := e.lead(ctx)
		e.touch()
		var lost *store.Unavailable
		switch {
		case ctx.Err() != nil:
		case err != nil && (led || !errors.As(err, &lost)):
			e.log.Warn("the leadership ended", "error", err)
		case err == nil && !led && !waiting:
			e.log.Info("another engine leads: waiting")
		}
		waiting = err == nil && !led
		select {
		case <-ctx.Done():
		case <-time.After(electionInterval):
		}
	}
}

// lead works as long as this engine leads; led says whether it did at all.
func (e *Engine) lead(ctx context.Context) (led bool, err error) {
	s, err := e.Begin(ctx, time.Now)
	if err != nil || s == nil {
		return false, err
	}
	e.metrics.leader.Set(1)
	defer func() {
		e.metrics.leader.Set(0)
		e.metrics.state.Store(nil)
		s.Close(ctx)
	}()
	e.log.Info("leading", "symbols", len(e.market.Symbols()), "interval", e.config.IngestInterval.String(), "seed", e.config.Seed, "trading", e.trading)
	for {
		if err := s.Step(ctx, time.Now()); err != nil {
			return true, err
		}
		e.touch()
		next := time.Now().Truncate(e.config.IngestInterval).Add(e.config.IngestInterval)
		select {
		case <-ctx.Done():
			return true, nil
		case <-time.After(time.Until(next)):
		}
	}
}
