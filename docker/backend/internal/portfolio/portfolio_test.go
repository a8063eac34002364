package portfolio

import (
	"math"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/strategy"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func book(limit float64) *Book {
	return &Book{Limit: limit, Horizon: 5 * time.Minute, Open: map[int]*Position{}}
}

func prices(p map[int]float64) func(int) (float64, bool) {
	return func(id int) (float64, bool) { v, ok := p[id]; return v, ok }
}

func TestRiskLimit(t *testing.T) {
	b := book(0.05)
	at := map[int]float64{}
	opened, refused := 0, 0
	for id := 1; id <= 20; id++ {
		at[id] = 10
		p, reason := b.Entry(Signal{ID: int64(id), SymbolID: id, Type: strategy.Buy, Confidence: 0.9, Price: 10}, b.State(prices(at)), noon)
		if p != nil {
			opened++
			b.Open[id] = p
		}
		if reason == RiskLimit {
			refused++
		}
		if s := b.State(prices(at)); s.Risk > b.Limit+1e-9 {
			t.Fatalf("risk %v above the limit after %d positions", s.Risk, opened)
		}
	}
	if opened != 5 || refused != 15 {
		t.Errorf("opened %d and refused %d of 20, each 1 %%, at a limit of 5 %%", opened, refused)
	}
	if p, reason := book(0).Entry(Signal{SymbolID: 1, Confidence: 1, Price: 1}, book(0).State(prices(nil)), noon); p != nil || reason != RiskLimit {
		t.Errorf("a limit of 0 opens %v (%q)", p, reason)
	}
}

func TestEntry(t *testing.T) {
	b := book(1)
	state := b.State(prices(nil))
	long, _ := b.Entry(Signal{ID: 9, SymbolID: 1, Type: strategy.Buy, Confidence: 0.9, Price: 50}, state, noon)
	short, _ := b.Entry(Signal{SymbolID: 1, Type: strategy.Sell, Confidence: 0.9, Price: 50}, state, noon)
	if long.Quantity != 20 || short.Quantity != -20 || long.Side() != "long" || short.Side() != "short" || long.SignalID != 9 {
		t.Errorf("1 %% of 100,000 at 50: %+v and %+v", long, short)
	}
	if p, reason := b.Entry(Signal{SymbolID: 1, Type: strategy.Buy, Confidence: 0.55, Price: 50}, state, noon); p != nil || reason != "" {
		t.Errorf("a weak signal opens %v (%q)", p, reason)
	}
	b.Open[1] = long
	if p, reason := b.Entry(Signal{SymbolID: 1, Type: strategy.Sell, Confidence: 0.9, Price: 50}, state, noon); p != nil || reason != "" {
		t.Errorf("a second position in a symbol: %v (%q)", p, reason)
	}
}

func TestExit(t *testing.T) {
	b := book(1)
	long := &Position{SymbolID: 1, Quantity: 1, EntryPrice: 100, OpenedAt: noon}
	short := &Position{SymbolID: 1, Quantity: -1, EntryPrice: 100, OpenedAt: noon}
	buy, sell := &Signal{Type: strategy.Buy}, &Signal{Type: strategy.Sell}
	for _, c := range []struct {
		position *Position
		price    float64
		signal   *Signal
		after    time.Duration
		want     string
	}{
		{long, 101, nil, time.Minute, ""},
		{long, 97.9, nil, time.Minute, StopLoss},
		{long, 103.1, nil, time.Minute, TakeProfit},
		{short, 97.9, nil, time.Minute, ""},
		{short, 102.1, nil, time.Minute, StopLoss},
		{short, 96.9, nil, time.Minute, TakeProfit},
		{long, 101, sell, time.Minute, Opposite},
		{long, 101, buy, time.Minute, ""},
		{short, 101, buy, time.Minute, Opposite},
		{short, 101, sell, time.Minute, ""},
		{long, 101, nil, 15 * time.Minute, Time},
	} {
		if got := b.Exit(c.position, c.price, c.signal, noon.Add(c.after)); got != c.want {
			t.Errorf("%s at %v, signal %v, after %s: %q, want %q", c.position.Side(), c.price, c.signal, c.after, got, c.want)
		}
	}
}

func TestState(t *testing.T) {
	b := book(1)
	b.Realized = 500
	b.Open[1] = &Position{SymbolID: 1, Quantity: 10, EntryPrice: 100}
	b.Open[2] = &Position{SymbolID: 2, Quantity: -5, EntryPrice: 200}
	b.Open[3] = &Position{SymbolID: 3, Quantity: 1, EntryPrice: 7} // no price known
	s := b.State(prices(map[int]float64{1: 110, 2: 190}))
	if s.Unrealized != 150 || s.Exposure != 1100+950+7 || s.Equity != 100_650 || math.Abs(s.Risk-2057.0/100_650) > 1e-12 {
		t.Errorf("%+v", s)
	}
}
