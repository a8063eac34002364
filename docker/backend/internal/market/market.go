// Package market simulates a market. Nothing in it is real: every price follows
// from a seed, the symbol and the time, so two processes with the same seed see the
// same market, today and for any moment of the past.
//
// The logarithm of a price is a Brownian motion, which makes the price a geometric
// one. It is evaluated as a bridge: the values at both ends of a long period are
// drawn first, then the one in the middle given those two, and so on down to the
// second that is asked for. So a price costs the same whenever it is asked for, and
// nothing has to be stored.
package market

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

const (
	// levels of the bridge; the longest period is 2^levels seconds, 48 days.
	levels = 22
	period = int64(1) << levels
	// turnoverOfLargest is what the most traded symbol turns over in 24 hours.
	turnoverOfLargest = 4e9
)

// Symbol is one traded thing.
type Symbol struct {
	// ID counts from 1; a smaller one is traded more.
	ID int
	// Name says what it is: SIM0001USDT.
	Name string
	// base price, around which the price moves.
	base float64
	// volatility of the logarithm over one second.
	volatility float64
	// turnover in 24 hours, in USDT.
	turnover float64
	key      uint64
}

// Market is a set of symbols.
type Market struct {
	symbols []Symbol
}

// Name of the symbol with an ID.
func Name(id int) string { return fmt.Sprintf("SIM%04dUSDT", id) }

// New returns a market of n symbols.
func New(seed uint64, n int) *Market {
	m := &Market{symbols: make([]Symbol, n)}
	for i := range m.symbols {
		s := &m.symbols[i]
		s.ID, s.Name = i+1, Name(i+1)
		s.key = mix(seed ^ mix(uint64(s.ID)))
		r := rand.New(rand.NewPCG(s.key, 1))
		// From 31,623 down to about 0.1, log-uniformly with the rank.
		s.base = math.Pow(10, 4.5-5.5*(float64(i)+r.Float64())/float64(n+1))
		// 2 % to 5 % a day.
		s.volatility = (0.02 + 0.03*r.Float64()) / math.Sqrt(86400)
		s.turnover = turnoverOfLargest / math.Pow(float64(s.ID), 0.9)
	}
	return m
}

// Symbols of the market, the most traded first. The slice is not to be changed.
func (m *Market) Symbols() []Symbol { return m.symbols }

// Quote is the state of a symbol at a moment.
type Quote struct {
	// Price in USDT.
	Price float64
	// Open24h is the price 24 hours before.
	Open24h float64
	// Volume24h is the turnover of the last 24 hours, in USDT.
	Volume24h float64
}

// Quote of a symbol at a moment, which counts in whole seconds.
func (s *Symbol) Quote(at time.Time) Quote {
	t := at.Unix()
	return Quote{
		Price:     s.price(t),
		Open24h:   s.price(t - 86400),
		Volume24h: s.turnover * (1 + 0.3*s.wave(t, 3600)),
	}
}

// Volume traded in the interval that ends at a moment, in USDT.
func (s *Symbol) Volume(at time.Time, interval time.Duration) float64 {
	t := at.Unix()
	mean := s.turnover * interval.Seconds() / 86400
	// More is traded when the price moves.
	moved := math.Abs(math.Log(s.price(t) / s.price(t-int64(interval.Seconds()))))
	usual := s.volatility * math.Sqrt(interval.Seconds())
	return mean * (0.4 + 0.6*moved/usual) * (0.5 + float64(mix(s.key^uint64(t)^3)>>11)/(1<<53))
}

// Candle is what a price did in one minute.
type Candle struct {
	// Start of the minute.
	Start                  time.Time
	Open, High, Low, Close float64
	// Volume in USDT.
	Volume float64
}

// Candles of the whole minutes from start (inclusive) to end (exclusive).
func (s *Symbol) Candles(start, end time.Time) []Candle {
	first, last := start.Truncate(time.Minute).Unix(), end.Truncate(time.Minute).Unix()
	if last <= first {
		return nil
	}
	prices := s.prices(first, last)
	candles := make([]Candle, 0, (last-first)/60)
	for t := first; t < last; t += 60 {
		minute := prices[t-first : t-first+60]
		c := Candle{Start: time.Unix(t, 0).UTC(), Open: minute[0], High: minute[0], Low: minute[0], Close: minute[59]}
		for _, p := range minute {
			c.High, c.Low = max(c.High, p), min(c.Low, p)
		}
		width := math.Log(c.High/c.Low) / (s.volatility * math.Sqrt(60))
		c.Volume = s.turnover / 1440 * (0.4 + 0.4*width) * (0.5 + float64(mix(s.key^uint64(t)^3)>>11)/(1<<53))
		candles = append(candles, c)
	}
	return candles
}

func (s *Symbol) value(log float64) float64 {
	p := s.base * math.Exp(log)
	// Six significant digits, as exchanges quote.
	unit := math.Pow(10, math.Floor(math.Log10(p))-5)
	if unit < 1 {
		return math.Round(p/unit) / math.Round(1/unit)
	}
	return math.Round(p/unit) * unit
}

// price at a second.
func (s *Symbol) price(t int64) float64 {
	from := floor(t, period)
	lo, hi := s.anchor(from), s.anchor(from+period)
	for length := period; length > 1; length /= 2 {
		if t == from {
			break
		}
		middle := from + length/2
		at := s.middle(middle, length, lo, hi)
		if t < middle {
			hi = at
		} else {
			from, lo = middle, at
		}
	}
	return s.value(lo)
}

// prices of the seconds from first (inclusive) to last (exclusive). It walks the
// bridge once, which is some ten times cheaper than asking for each second.
func (s *Symbol) prices(first, last int64) []float64 {
	out := make([]float64, 0, last-first)
	var walk func(from, length int64, lo, hi float64)
	walk = func(from, length int64, lo, hi float64) {
		if from >= last || from+length <= first {
			return
		}
		if length == 1 {
			out = append(out, s.value(lo))
			return
		}
		middle := from + length/2
		at := s.middle(middle, length, lo, hi)
		walk(from, length/2, lo, at)
		walk(middle, length/2, at, hi)
	}
	for from := floor(first, period); from < last; from += period {
		walk(from, period, s.anchor(from), s.anchor(from+period))
	}
	return out
}

// anchor is the logarithm at the end of a period. Anchors do not depend on each
// other, so that no price wanders off over the years.
func (s *Symbol) anchor(t int64) float64 {
	return s.volatility * math.Sqrt(float64(period)) * 0.5 * s.normal(t, 0)
}

// middle of a bridge over length seconds, given both ends.
func (s *Symbol) middle(t, length int64, lo, hi float64) float64 {
	return (lo+hi)/2 + s.volatility*math.Sqrt(float64(length)/4)*s.normal(t, 1)
}

// normal is a standard normal number that belongs to a second.
func (s *Symbol) normal(t int64, kind uint64) float64 {
	h := mix(s.key ^ mix(uint64(t)*2+kind))
	u := (float64(h>>11) + 0.5) / (1 << 53)
	v := float64(mix(h)>>11) / (1 << 53)
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

// wave is a number from -1 to 1 that changes slowly, with steps of the given seconds.
func (s *Symbol) wave(t, step int64) float64 {
	from := floor(t, step)
	at := func(t int64) float64 { return float64(mix(s.key^mix(uint64(t))^7)>>11)/(1<<52) - 1 }
	share := float64(t-from) / float64(step)
	return at(from)*(1-share) + at(from+step)*share
}

func floor(t, step int64) int64 {
	f := t / step * step
	if f > t {
		f -= step
	}
	return f
}

// mix spreads the bits of a number over all of them (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
