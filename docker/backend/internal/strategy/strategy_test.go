package strategy

import (
	"math"
	"slices"
	"testing"

	"github.com/markcheno/go-talib"
)

func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > tolerance {
			t.Errorf("%s: value %d is %.4f, want %.4f", what, i, got[i], want[i])
		}
	}
}

// The library must compute what its functions are called: published examples.
func TestPublishedRSI(t *testing.T) {
	// StockCharts, ChartSchool, "Relative Strength Index (RSI)": QQQQ, 14 days.
	closes := []float64{
		44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328, 45.6140, 46.2820, 46.2820,
		46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521, 45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314,
	}
	near(t, "RSI", talib.Rsi(closes, rsiPeriod)[rsiPeriod:],
		[]float64{70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38, 54.71, 50.42, 39.99, 41.46, 41.87, 45.46, 37.30, 33.08, 37.77}, 0.006)
}

func TestPublishedEMA(t *testing.T) {
	// StockCharts, ChartSchool, "Moving Averages": Intel, 10 days.
	closes := []float64{22.27, 22.19, 22.08, 22.17, 22.18, 22.13, 22.23, 22.43, 22.24, 22.29, 22.15, 22.39, 22.38, 22.61, 23.36, 24.05, 23.75, 23.83, 23.95, 23.63}
	near(t, "EMA", talib.Ema(closes, 10)[9:], []float64{22.22, 22.21, 22.24, 22.27, 22.33, 22.52, 22.80, 22.97, 23.13, 23.28, 23.34}, 0.006)
}

func TestMACDIsTheDifferenceOfAverages(t *testing.T) {
	closes := wave(200, 0.02)
	macd, signal, histogram := talib.Macd(closes, macdFast, macdSlow, macdSmoothed)
	fast, slow := talib.Ema(closes, macdFast), talib.Ema(closes, macdSlow)
	smoothed := make([]float64, 200)
	for i := 33; i < 200; i++ {
		smoothed[i] = fast[i] - slow[i]
	}
	smoothed = talib.Ema(smoothed[33:], macdSmoothed)
	// Where an average starts is forgotten after a hundred bars.
	for i := 150; i < 200; i++ {
		near(t, "MACD", []float64{macd[i], signal[i], histogram[i]}, []float64{fast[i] - slow[i], smoothed[i-33], fast[i] - slow[i] - smoothed[i-33]}, 1e-4)
	}
}

func TestBollingerBandsAreTwoDeviationsWide(t *testing.T) {
	closes := wave(40, 0.02)
	upper, middle, lower := talib.BBands(closes, bandPeriod, bandDeviations, bandDeviations, talib.SMA)
	window := closes[40-bandPeriod:]
	var mean, variance float64
	for _, c := range window {
		mean += c / bandPeriod
	}
	for _, c := range window {
		variance += (c - mean) * (c - mean) / bandPeriod
	}
	d := 2 * math.Sqrt(variance)
	near(t, "Bollinger", []float64{upper[39], middle[39], lower[39]}, []float64{mean + d, mean, mean - d}, 1e-9)
}

// wave goes up and down around 100.
func wave(n int, height float64) []float64 {
	closes := make([]float64, n)
	for i := range closes {
		closes[i] = 100 * (1 + height*math.Sin(float64(i)/9) + 0.001*math.Sin(float64(i)*2.1))
	}
	return closes
}

func TestEveryIndicatorSpeaks(t *testing.T) {
	heard := map[string]int{}
	add := func(closes []float64) {
		for end := Warmup; end <= len(closes); end++ {
			if a, ok := Evaluate(closes[:end]); ok {
				if a.Type != Buy && a.Type != Sell || a.Confidence < leastConfidence || a.Confidence > 1 {
					t.Errorf("advice %+v", a)
				}
				heard[a.Indicator+" "+a.Type]++
			}
		}
	}
	add(wave(600, 0.02))
	// Single spikes leave and re-enter the bands; steep runs exhaust the RSI.
	spikes := wave(400, 0.0005)
	for i := 50; i < 400; i += 37 {
		spikes[i] *= 1 + 0.02*float64(i%2*2-1)
	}
	add(spikes)
	runs := make([]float64, 0, 400)
	for i, price := 0, 100.0; i < 400; i++ {
		switch phase := i % 80; {
		case phase < 30:
			price *= 1.004
		case phase < 40:
			price *= 0.9985
		case phase < 70:
			price *= 0.996
		default:
			price *= 1.0015
		}
		runs = append(runs, price)
	}
	add(runs)
	for _, i := range Indicators {
		for _, kind := range []string{Buy, Sell} {
			if heard[i+" "+kind] == 0 {
				t.Errorf("%s never said %s (heard %v)", i, kind, heard)
			}
		}
	}
	for key := range heard {
		if !slices.ContainsFunc(Indicators, func(i string) bool { return key == i+" "+Buy || key == i+" "+Sell }) {
			t.Errorf("advice of an indicator that is not listed: %s", key)
		}
	}
}

func TestCrossingUpIsToBuy(t *testing.T) {
	// A long fall, then a rise: the fast average crosses the slow one upwards.
	closes := make([]float64, 0, 100)
	price := 100.0
	for i := range 100 {
		if i < 60 {
			price *= 0.999
		} else {
			price *= 1.001
		}
		closes = append(closes, price)
	}
	for end := 61; end <= len(closes); end++ {
		if a, ok := Evaluate(closes[:end]); ok && a.Type == Sell {
			t.Errorf("advice to sell in a rise: %+v at bar %d", a, end)
		}
		mirrored := make([]float64, end)
		for i := range mirrored {
			mirrored[i] = 10000 / closes[i]
		}
		if a, ok := Evaluate(mirrored); ok && a.Type == Buy {
			t.Errorf("advice to buy in a fall: %+v at bar %d", a, end)
		}
	}
}

func TestSilence(t *testing.T) {
	flat := slices.Repeat([]float64{5}, Window)
	if a, ok := Evaluate(flat); ok {
		t.Errorf("a price that never moves gives %+v", a)
	}
	if a, ok := Evaluate(wave(Warmup-1, 0.02)); ok {
		t.Errorf("too few bars give %+v", a)
	}
}

// The evaluation must not depend on what lies before the window.
func TestOnlyTheWindowCounts(t *testing.T) {
	closes := wave(600, 0.02)
	for end := Window + 1; end < len(closes); end++ {
		a, _ := Evaluate(closes[:end])
		b, _ := Evaluate(closes[end-Window : end])
		if a != b {
			t.Fatalf("bar %d: %+v with the past, %+v without", end, a, b)
		}
	}
}

func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		kind                string
		before, after, want float64
	}{{Buy, 100, 101, 1}, {Buy, 100, 99, -1}, {Sell, 100, 99, 1}, {Sell, 100, 101, -1}} {
		if got := Outcome(c.kind, c.before, c.after); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
