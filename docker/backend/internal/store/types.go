package store

import "time"

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

// Complete computes what follows from the other fields and the equity at the start.
func (p *PnL) Complete(startEquity float64) {
	p.Total = p.Realized + p.Unrealized
	p.Equity = startEquity + p.Total
	p.Risk = 0
	if p.Equity > 0 {
		p.Risk = p.Exposure / p.Equity
	}
}
