package main

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// symbols are how many there are: more than the page shows.
const symbols = 60

// startEquity is what the made-up portfolio began with, in USDT.
const startEquity = 100_000

// market follows from the time alone, so that a process that is started again goes on
// with what another has told.
type market struct {
	state string
	tick  time.Duration
	kept  int64
}

// wave is a number from -1 to 1 that changes slowly and differs by name.
func wave(name string, at time.Time, period time.Duration) float64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // cannot fail
	phase := float64(h.Sum32()%6283) / 1000
	return math.Sin(2*math.Pi*float64(at.UnixMilli())/float64(period.Milliseconds()) + phase)
}

func (m *market) quotes(at time.Time) []store.Quote {
	if m.state == "empty" {
		return nil
	}
	quotes := make([]store.Quote, symbols)
	for i := range quotes {
		name := fmt.Sprintf("SIM%04dUSDT", i+1)
		base := math.Pow(10, 4.5-4.5*float64(i)/symbols)
		change := 3*wave(name, at, 5*time.Hour) + 0.2*wave(name, at, 40*time.Second)
		quotes[i] = store.Quote{
			Symbol: name, Price: base * (1 + change/100), ChangePct: change, TS: at,
			// Neighbours take each other's place all the time.
			Volume: math.Round(4e9 / float64(i+3) * (1 + 0.4*wave(name, at, 3*time.Minute))),
		}
	}
	return quotes
}

// signalPeriod is the time between two signals.
const signalPeriod = 4 * time.Second

func (m *market) signals(at time.Time, count int) []store.Signal {
	if m.state == "empty" {
		return nil
	}
	var signals []store.Signal
	for newest := at.UnixNano() / int64(signalPeriod); len(signals) < count; newest-- {
		given := time.Unix(0, newest*int64(signalPeriod)).UTC()
		q := m.quotes(given)[newest*7%symbols]
		signals = append(signals, store.Signal{
			ID: newest, Symbol: q.Symbol, Type: []string{"buy", "sell"}[newest%2], Price: q.Price, TS: given, Status: "active",
			Indicator: []string{"rsi_reversal", "ema_cross", "macd", "bollinger"}[newest%4], Confidence: 0.7,
		})
	}
	return signals
}

func (m *market) pnl(at time.Time) store.PnL {
	p := store.PnL{Realized: 1284.5, Unrealized: 420*wave("pnl", at, 95*time.Minute) + 60*wave("pnl", at, 11*time.Minute) + 8*wave("pnl", at, 30*time.Second), Exposure: 8700, OpenPositions: 5}
	p.Complete(startEquity)
	return p
}

func (m *market) positions(at time.Time) []store.Position {
	var positions []store.Position
	for i, q := range m.quotes(at) {
		if i%12 == 3 {
			side := float64(1 - 2*(i/12%2))
			entry := q.Price / (1 + q.ChangePct/100)
			quantity := side * 1500 / entry
			positions = append(positions, store.Position{Symbol: q.Symbol, Quantity: quantity, EntryPrice: entry, Price: q.Price, PnL: (q.Price - entry) * quantity, OpenedAt: at.Add(-time.Hour)})
		}
	}
	return positions
}

// MarketStatus sums the market up, or says that the database is lost.
func (m *market) MarketStatus(context.Context, time.Duration) (store.Status, error) {
	if m.state == "lost" {
		return store.Status{}, &store.Unavailable{Reason: "connection refused"}
	}
	now := time.Now().UTC()
	share := 0.573
	s := store.Status{Simulated: true, Status: "open", UpdatedAt: now, Trading: "off"}
	if m.state != "empty" {
		s.Symbols, s.ActiveSignals, s.SignalAccuracy, s.Trading = symbols, 40+int(now.Unix()%9), &share, "paper"
		s.PnL = m.pnl(now)
	} else {
		s.PnL.Complete(startEquity)
	}
	return s, nil
}

// Symbols lists quotes by name, or by volume.
func (m *market) Symbols(_ context.Context, _, order string, limit, _ int) (store.Page[store.Quote], error) {
	items := m.quotes(time.Now().UTC())
	if order == "volume" {
		slices.SortFunc(items, func(a, b store.Quote) int { return cmp.Compare(b.Volume, a.Volume) })
	}
	return store.Page[store.Quote]{Simulated: true, Items: items[:min(limit, len(items))], Total: symbols}, nil
}

// Signals lists the newest.
func (m *market) Signals(_ context.Context, _ store.SignalFilter, limit, _ int) (store.Page[store.Signal], error) {
	return store.Page[store.Signal]{Simulated: true, Items: m.signals(time.Now().UTC(), limit)}, nil
}

// Positions lists the open ones.
func (m *market) Positions(context.Context) (store.Page[store.Position], error) {
	return store.Page[store.Position]{Simulated: true, Items: m.positions(time.Now().UTC())}, nil
}

// PnLHistory lists the past, but for the gap.
func (m *market) PnLHistory(_ context.Context, bucket time.Duration, limit int) (store.Page[store.EquityPoint], error) {
	var items []store.EquityPoint
	now := time.Now().UTC()
	for n := limit - 1; n >= 0 && m.state != "empty"; n-- {
		at := now.Truncate(bucket).Add(-time.Duration(n) * bucket)
		if ago := now.Sub(at); ago > 35*time.Minute && ago < time.Hour {
			continue
		}
		p := m.pnl(at)
		items = append(items, store.EquityPoint{TS: at, Realized: p.Realized, Unrealized: p.Unrealized})
	}
	return store.Page[store.EquityPoint]{Simulated: true, Items: items}, nil
}
