package fakeapi

import (
	"fmt"
	"math"
	"slices"
	"time"
)

type quote struct {
	Symbol    string    `json:"symbol"`
	Price     float64   `json:"price"`
	ChangePct float64   `json:"change_pct"`
	Volume    float64   `json:"volume"`
	TS        time.Time `json:"ts"`
}

type candle struct {
	TS     time.Time `json:"ts"`
	Open   float64   `json:"open"`
	High   float64   `json:"high"`
	Low    float64   `json:"low"`
	Close  float64   `json:"close"`
	Volume float64   `json:"volume"`
}

type signal struct {
	ID         int       `json:"id"`
	Symbol     string    `json:"symbol"`
	Type       string    `json:"signal_type"`
	Indicator  string    `json:"indicator"`
	Confidence float64   `json:"confidence"`
	Price      float64   `json:"price"`
	TS         time.Time `json:"ts"`
	Status     string    `json:"status"`
	OutcomePct *float64  `json:"outcome_pct"`
}

type position struct {
	Symbol     string    `json:"symbol"`
	Quantity   float64   `json:"quantity"`
	EntryPrice float64   `json:"entry_price"`
	Price      float64   `json:"price"`
	PnL        float64   `json:"pnl"`
	OpenedAt   time.Time `json:"opened_at"`
}

type pnl struct {
	Realized      float64 `json:"realized"`
	Unrealized    float64 `json:"unrealized"`
	Total         float64 `json:"total"`
	Equity        float64 `json:"equity"`
	Exposure      float64 `json:"exposure"`
	OpenPositions int     `json:"open_positions"`
	Risk          float64 `json:"risk"`
}

type equity struct {
	TS            time.Time `json:"ts"`
	Realized      float64   `json:"realized"`
	Unrealized    float64   `json:"unrealized"`
	Exposure      float64   `json:"exposure"`
	OpenPositions int       `json:"open_positions"`
}

func (s *Server) fill(symbols int) {
	now := time.Now().UTC()
	for i := range symbols {
		price := math.Pow(10, 4.5-4*float64(i)/float64(symbols)) * (0.8 + 0.4*s.random.Float64())
		s.opens = append(s.opens, price*(1+0.1*(s.random.Float64()-0.5)))
		s.quotes = append(s.quotes, quote{Symbol: fmt.Sprintf("SIM%04dUSDT", i+1), Price: price, Volume: 1e9 / float64(i+1), TS: now})
	}
	s.move(now)
	for i := range min(symbols*3, 40) {
		s.addSignal(now.Add(time.Duration(i-40) * 90 * time.Second))
	}
	for i := range min(symbols, 7) {
		q := s.quotes[i*symbols/7]
		entry := q.Price * (1 + 0.02*(s.random.Float64()-0.5))
		s.positions = append(s.positions, position{Symbol: q.Symbol, Quantity: 5000 / entry * float64(1-2*(i%2)), EntryPrice: entry, OpenedAt: now.Add(-time.Hour)})
	}
}

func (s *Server) step(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.halted.IsZero() {
		return
	}
	s.move(now)
	if s.random.IntN(5) == 0 {
		s.addSignal(now)
	}
}

func (s *Server) move(now time.Time) {
	for i := range s.quotes {
		q := &s.quotes[i]
		q.Price *= 1 + 0.0012*s.random.NormFloat64()
		q.ChangePct = (q.Price/s.opens[i] - 1) * 100
		q.TS = now
	}
}

func (s *Server) addSignal(now time.Time) {
	if len(s.quotes) == 0 {
		return
	}
	q := s.quotes[s.random.IntN(len(s.quotes))]
	sig := signal{
		ID: len(s.signals) + 1, Symbol: q.Symbol, Price: q.Price, TS: now, Status: "active",
		Type:       []string{"buy", "sell"}[s.random.IntN(2)],
		Indicator:  []string{"rsi_reversal", "ema_cross", "macd", "bollinger"}[s.random.IntN(4)],
		Confidence: 0.5 + 0.49*s.random.Float64(),
	}
	s.signals = slices.Insert(s.signals, 0, sig)
	if old := 12; len(s.signals) > old {
		outcome := 1.5 * s.random.NormFloat64()
		s.signals[old].OutcomePct = &outcome
		s.signals[old].Status = map[bool]string{true: "hit", false: "missed"}[outcome > 0]
	}
}

func (s *Server) getPnL() pnl {
	p := pnl{Realized: 1284.5, Equity: 100_000, OpenPositions: len(s.positions)}
	for i := range s.positions {
		pos := &s.positions[i]
		for _, q := range s.quotes {
			if q.Symbol == pos.Symbol {
				pos.Price = q.Price
			}
		}
		pos.PnL = (pos.Price - pos.EntryPrice) * pos.Quantity
		p.Unrealized += pos.PnL
		p.Exposure += math.Abs(pos.Price * pos.Quantity)
	}
	p.Total = p.Realized + p.Unrealized
	p.Equity += p.Total
	p.Risk = p.Exposure / p.Equity
	return p
}
