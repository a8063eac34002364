package market

import (
	"math"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestSameSeedSameMarket(t *testing.T) {
	a, b, other := New(7, 50), New(7, 50), New(8, 50)
	same := 0
	for i := range a.Symbols() {
		for _, at := range []time.Time{noon, noon.Add(time.Second), noon.AddDate(-30, 0, 0), noon.AddDate(30, 0, 0)} {
			if x, y := a.Symbols()[i].Quote(at), b.Symbols()[i].Quote(at); x != y {
				t.Fatalf("%s at %s: %v and %v", a.Symbols()[i].Name, at, x, y)
			}
		}
		if a.Symbols()[i].Quote(noon) == other.Symbols()[i].Quote(noon) {
			same++
		}
	}
	if same > 0 {
		t.Errorf("%d of 50 symbols do not depend on the seed", same)
	}
}

// A symbol must not change when the market gets larger: MAX_SYMBOLS is a setting.
func TestSymbolsKeepTheirKey(t *testing.T) {
	small, large := New(7, 10), New(7, 3000)
	for i := range small.Symbols() {
		if small.Symbols()[i].key != large.Symbols()[i].key || small.Symbols()[i].Name != large.Symbols()[i].Name {
			t.Errorf("symbol %d is another one in a larger market", i)
		}
	}
}

func TestQuotesArePlausible(t *testing.T) {
	m := New(42, 3000)
	for i := range m.Symbols() {
		s := &m.Symbols()[i]
		q := s.Quote(noon)
		if !(q.Price > 0.001 && q.Price < 1e6) || !(q.Volume24h > 0) {
			t.Errorf("%s: %+v", s.Name, q)
		}
		if change := math.Abs(math.Log(q.Price / q.Open24h)); change > 0.4 {
			t.Errorf("%s moved by %.0f %% in a day", s.Name, change*100)
		}
		if v := s.Volume(noon, 2*time.Second); !(v > 0) || math.IsInf(v, 0) {
			t.Errorf("%s: volume %v", s.Name, v)
		}
	}
	if m.Symbols()[0].turnover < m.Symbols()[2999].turnover {
		t.Error("the first symbol is not the most traded")
	}
}

// The steps of the logarithm must be those of a Brownian motion with the symbol's
// volatility, at every scale.
func TestVolatility(t *testing.T) {
	m := New(1, 20)
	for _, step := range []int64{60, 900, 3600} {
		var sum float64
		var n int
		for i := range m.Symbols() {
			s := &m.Symbols()[i]
			for at := noon.Unix(); at < noon.Unix()+200*step; at += step {
				change := math.Log(s.price(at+step)/s.price(at)) / (s.volatility * math.Sqrt(float64(step)))
				sum += change * change
				n++
			}
		}
		// The variance of n = 4000 squares of normals is 2/n: five deviations of it.
		if ratio := sum / float64(n); math.Abs(ratio-1) > 5*math.Sqrt(2/float64(n)) {
			t.Errorf("variance over %d s is %.3f of what it should be", step, ratio)
		}
	}
}

func TestPricesAtOnceArePricesOneByOne(t *testing.T) {
	s := &New(3, 1).Symbols()[0]
	// Across the end of the longest period too.
	for _, first := range []int64{noon.Unix(), floor(noon.Unix(), period) + period - 100, -50} {
		prices := s.prices(first, first+200)
		if len(prices) != 200 {
			t.Fatalf("%d prices of 200 seconds", len(prices))
		}
		for i, p := range prices {
			if want := s.price(first + int64(i)); p != want {
				t.Fatalf("second %d: %v at once, %v alone", first+int64(i), p, want)
			}
		}
	}
}

func TestNoJumpBetweenPeriods(t *testing.T) {
	s := &New(3, 1).Symbols()[0]
	end := floor(noon.Unix(), period) + period
	if change := math.Abs(math.Log(s.price(end) / s.price(end-1))); change > 8*s.volatility {
		t.Errorf("the price jumps by %.1f deviations", change/s.volatility)
	}
}

func TestCandles(t *testing.T) {
	s := &New(3, 1).Symbols()[0]
	candles := s.Candles(noon.Add(30*time.Second), noon.Add(10*time.Minute+59*time.Second))
	if len(candles) != 10 {
		t.Fatalf("%d candles", len(candles))
	}
	for i, c := range candles {
		if want := noon.Add(time.Duration(i) * time.Minute); !c.Start.Equal(want) {
			t.Errorf("candle %d starts at %s", i, c.Start)
		}
		if c.Open != s.price(c.Start.Unix()) || c.Close != s.price(c.Start.Unix()+59) {
			t.Errorf("candle %d: %+v is not what the price did", i, c)
		}
		if c.Low > min(c.Open, c.Close) || c.High < max(c.Open, c.Close) || c.Volume <= 0 {
			t.Errorf("candle %d: %+v", i, c)
		}
	}
	if got := s.Candles(noon, noon); got != nil {
		t.Errorf("candles of no time: %v", got)
	}
}

func TestSixDigits(t *testing.T) {
	s := &Symbol{base: 1}
	for log, want := range map[float64]float64{
		math.Log(31234.5678): 31234.6, math.Log(1.23456789): 1.23457, math.Log(0.0123456789): 0.0123457,
	} {
		if got := s.value(log); got != want {
			t.Errorf("%v is quoted as %v", want, got)
		}
	}
}
