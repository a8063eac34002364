// Package portfolio keeps positions in made-up money and bounds what they risk.
package portfolio

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/strategy"
)

const (
	// StartEquity is what the portfolio begins with, in USDT.
	StartEquity = 100_000
	// positionShare is the share of the equity that one position exposes.
	positionShare = 0.01
	// leastConfidence of a signal that is followed.
	leastConfidence = 0.75
	// stopLoss and takeProfit close a position when its price has moved so far.
	stopLoss, takeProfit = -0.02, 0.03
	// horizons is how long a position is held at most, in horizons of its signal.
	horizons = 3
)

// Reasons to close a position.
const (
	StopLoss   = "stop_loss"
	TakeProfit = "take_profit"
	Opposite   = "opposite_signal"
	Time       = "time"
)

// Reasons lists all reasons to close a position.
var Reasons = []string{StopLoss, TakeProfit, Opposite, Time}

// RiskLimit is the reason to refuse a position that would expose too much.
const RiskLimit = "risk_limit"

// Position is open.
type Position struct {
	ID       int64
	SymbolID int
	SignalID int64
	// Quantity is below zero for a short position.
	Quantity   float64
	EntryPrice float64
	OpenedAt   time.Time
}

// PnL is what closing the position at a price realizes.
func (p *Position) PnL(price float64) float64 { return (price - p.EntryPrice) * p.Quantity }

// Side is long or short.
func (p *Position) Side() string {
	if p.Quantity < 0 {
		return "short"
	}
	return "long"
}

// Signal that may open or close a position.
type Signal struct {
	ID         int64
	SymbolID   int
	Type       string
	Confidence float64
	Price      float64
}

// Book is the portfolio.
type Book struct {
	// Limit is the largest share of the equity that positions may expose.
	Limit float64
	// Horizon of the signals.
	Horizon time.Duration
	// Realized PnL since the beginning.
	Realized float64
	// Open positions by symbol.
	Open map[int]*Position
}

// State is the book at the present prices.
type State struct {
	Unrealized, Exposure, Equity float64
	// Risk is the exposed share of the equity.
	Risk float64
}

// State of the book. A symbol without a price counts at its entry price.
func (b *Book) State(price func(symbolID int) (float64, bool)) State {
	var s State
	// In one order, so that equal books have equal sums to the last bit.
	for _, symbol := range slices.Sorted(maps.Keys(b.Open)) {
		p := b.Open[symbol]
		at, ok := price(p.SymbolID)
		if !ok {
			at = p.EntryPrice
		}
		s.Unrealized += p.PnL(at)
		s.Exposure += math.Abs(p.Quantity * at)
	}
	s.Equity = StartEquity + b.Realized + s.Unrealized
	if s.Equity > 0 {
		s.Risk = s.Exposure / s.Equity
	}
	return s
}

// Entry returns the position that a signal opens, or why it opens none: RiskLimit,
// or "" when nothing speaks for one.
func (b *Book) Entry(s Signal, state State, now time.Time) (*Position, string) {
	if s.Confidence < leastConfidence || b.Open[s.SymbolID] != nil || s.Price <= 0 {
		return nil, ""
	}
	notional := state.Equity * positionShare
	if notional <= 0 || state.Exposure+notional > b.Limit*state.Equity {
		return nil, RiskLimit
	}
	quantity := notional / s.Price
	if s.Type == strategy.Sell {
		quantity = -quantity
	}
	return &Position{SymbolID: s.SymbolID, SignalID: s.ID, Quantity: quantity, EntryPrice: s.Price, OpenedAt: now}, ""
}

// Exit returns why a position is to be closed at a price, "" if it is not. signal
// is the new one of its symbol, if there is any.
func (b *Book) Exit(p *Position, price float64, signal *Signal, now time.Time) string {
	moved := price/p.EntryPrice - 1
	if p.Quantity < 0 {
		moved = -moved
	}
	switch {
	case moved <= stopLoss:
		return StopLoss
	case moved >= takeProfit:
		return TakeProfit
	case signal != nil && (signal.Type == strategy.Sell) == (p.Quantity > 0):
		return Opposite
	case now.Sub(p.OpenedAt) >= horizons*b.Horizon:
		return Time
	}
	return ""
}
