package stream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/telemetry"
)

// resubscribeInterval is the time between two attempts to reach a Redis that is lost.
const resubscribeInterval = 5 * time.Second

// Store is the part of the database that a Source reads; *store.Store is one.
type Store interface {
	Quotes(ctx context.Context) ([]store.Quote, error)
	LastSignal(ctx context.Context) (int64, error)
	SignalsAfter(ctx context.Context, id int64, limit int) ([]store.Signal, error)
	Positions(ctx context.Context) (store.Page[store.Position], error)
	Portfolio(ctx context.Context) (store.PnL, store.Scores, error)
}

// Source of batches.
type Source struct {
	// Client of Redis; nil reads the database only.
	Client *redis.Client
	Store  Store
	Hub    *Hub
	// Interval between two batches of the engine.
	Interval time.Duration
	Metrics  *Metrics
	Log      *slog.Logger

	// last is the moment of the newest batch, signal the ID of its newest signal.
	last   time.Time
	signal int64
	// begun says that signal is known.
	begun bool
}

// Run hands batches to the hub until ctx ends.
func (s *Source) Run(ctx context.Context) {
	// Whoever connects before the first batch gets the present state.
	s.poll(ctx)
	for ctx.Err() == nil {
		if s.Client != nil {
			err := s.follow(ctx)
			if ctx.Err() != nil {
				return
			}
			s.Log.Warn("live data comes from the database: Redis is lost", "error", err)
		}
		s.from("database")
		s.pollFor(ctx, resubscribeInterval)
	}
}

// from notes where batches come from.
func (s *Source) from(source string) {
	for _, name := range []string{"redis", "database"} {
		value := 0.0
		if name == source {
			value = 1
		}
		s.Metrics.source.WithLabelValues(name).Set(value)
	}
}

// errSilent says that Redis does not even answer a ping.
var errSilent = errors.New("it does not answer")

// follow hands over what the engine publishes until Redis is lost.
func (s *Source) follow(ctx context.Context) error {
	subscription := s.Client.Subscribe(ctx, Channel)
	defer func() { _ = subscription.Close() }() // it is of no more use
	// A read that waits does not look at ctx.
	defer context.AfterFunc(ctx, func() { _ = subscription.Close() })()
	// A silence this long means that the engine cannot reach Redis, or is gone, or
	// that the connection is dead without a sign.
	silence := 2*s.Interval + time.Second
	asked := false
	for ctx.Err() == nil {
		message, err := subscription.ReceiveTimeout(ctx, silence)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			s.from("database")
			if asked {
				return errSilent
			}
			asked = true
			if err := subscription.Ping(ctx); err != nil {
				return err
			}
			s.poll(ctx)
			continue
		}
		if err != nil {
			return err
		}
		asked = false
		switch m := message.(type) {
		case *redis.Subscription:
			s.from("redis")
			s.Log.Info("live data comes from Redis")
		case *redis.Message:
			s.from("redis")
			var b Batch
			if err := json.Unmarshal([]byte(m.Payload), &b); err != nil {
				s.Log.Error("a batch that cannot be read", "error", err)
				continue
			}
			if err := s.catchUp(ctx, &b); err != nil {
				s.Log.Warn("signals that were missed cannot be read", "error", err)
				continue // the next batch misses them as well, and tries again
			}
			s.take(&b)
		}
	}
	return ctx.Err()
}

// catchUp adds the signals to a batch that were published while Redis could not be
// heard.
func (s *Source) catchUp(ctx context.Context, b *Batch) error {
	if !s.begun {
		return s.begin(ctx)
	}
	var missed []store.Signal
	for s.signal < b.After {
		next, err := s.Store.SignalsAfter(ctx, s.signal, longestCatchUp)
		if err != nil {
			return err
		}
		next = slices.DeleteFunc(next, func(signal store.Signal) bool { return signal.ID > b.After })
		if len(next) == 0 {
			break // dropped long since
		}
		missed = append(missed, next...)
		s.signal = next[len(next)-1].ID
	}
	b.Signals = append(missed, b.Signals...)
	return nil
}

// begin finds out which signals are past, and has the hub remember the last of them
// for clients that come from another process.
func (s *Source) begin(ctx context.Context) error {
	last, err := s.Store.LastSignal(ctx)
	if err != nil {
		return err
	}
	after := max(0, last-longestCatchUp)
	past, err := s.Store.SignalsAfter(ctx, after, longestCatchUp)
	if err != nil {
		return err
	}
	for _, signal := range past {
		last = max(last, signal.ID)
	}
	if err := s.Hub.Remember(past, after); err != nil {
		return err
	}
	s.signal, s.begun = last, true
	return nil
}

func (s *Source) take(b *Batch) {
	if !b.At.After(s.last) {
		return // the database had it first
	}
	_, span := s.Hub.Tracer.Start(telemetry.Propagator.Extract(context.Background(), propagation.MapCarrier(b.Trace)), "stream broadcast",
		trace.WithAttributes(attribute.Int("stream.signals", len(b.Signals))))
	defer span.End()
	s.last = b.At
	s.Metrics.newest.Set(float64(b.At.Unix()))
	for _, signal := range b.Signals {
		s.signal = max(s.signal, signal.ID)
	}
	s.Hub.Broadcast(b)
}

// pollFor reads the database for a while.
func (s *Source) pollFor(ctx context.Context, d time.Duration) {
	end := time.After(d)
	ticker := time.NewTicker(s.Interval)
	defer ticker.Stop()
	for {
		s.poll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-end:
			return
		case <-ticker.C:
		}
	}
}

// longestCatchUp is how many signals one poll brings at most.
const longestCatchUp = 200

// poll makes a batch of what the database has, if that is new.
func (s *Source) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	b, err := s.read(ctx)
	if err != nil {
		s.Log.Debug("live data cannot be read", "error", err)
		return
	}
	if b != nil {
		s.take(b)
	}
}

func (s *Source) read(ctx context.Context) (*Batch, error) {
	quotes, err := s.Store.Quotes(ctx)
	if err != nil || len(quotes) == 0 {
		return nil, err
	}
	b := &Batch{Quotes: quotes}
	for _, q := range quotes {
		if q.TS.After(b.At) {
			b.At = q.TS
		}
	}
	if !b.At.After(s.last) {
		return nil, nil
	}
	if !s.begun {
		if err := s.begin(ctx); err != nil {
			return nil, err
		}
	}
	if b.Signals, err = s.Store.SignalsAfter(ctx, s.signal, longestCatchUp); err != nil {
		return nil, err
	}
	positions, err := s.Store.Positions(ctx)
	if err != nil {
		return nil, err
	}
	b.Positions = positions.Items
	b.PnL, _, err = s.Store.Portfolio(ctx)
	return b, err
}
