// Package strategy derives advice to buy or sell from closing prices, with four
// well-known indicators in their customary settings.
package strategy

import (
	"math"

	"github.com/markcheno/go-talib"
)

const (
	// Window is how many closes an evaluation looks at. Exponential averages forget
	// what lies further back: of the slowest one, less than a thousandth remains.
	Window = 120
	// Warmup is how many closes the slowest indicator needs.
	Warmup = 35
	// Buy is one type of advice.
	Buy = "buy"
	// Sell is the other.
	Sell = "sell"
)

// Settings of the indicators, in bars.
const (
	fastEMA, slowEMA                 = 9, 21
	rsiPeriod                        = 14
	oversold, overbought             = 30, 70
	macdFast, macdSlow, macdSmoothed = 12, 26, 9
	bandPeriod                       = 20
	bandDeviations                   = 2
	// Averages move less in one bar than prices do; this makes their crossings as
	// clear, on average, as what the other indicators say.
	emaScale, macdScale = 1.5, 3
	// leastConfidence of what is said at all: about half of what there would be.
	leastConfidence = 0.65
)

// Indicators lists the names of all indicators.
var Indicators = []string{"ema_cross", "rsi_reversal", "macd", "bollinger"}

// Advice is what an indicator says.
type Advice struct {
	// Type is Buy or Sell.
	Type string
	// Indicator that gave it.
	Indicator string
	// Confidence from 0.65 to 1: how clear the indicator was, not how likely the
	// advice is right.
	Confidence float64
}

// Evaluate returns the clearest advice at the newest of the closing prices, which
// come oldest first; false if no indicator has one.
func Evaluate(closes []float64) (Advice, bool) {
	if len(closes) < Warmup {
		return Advice{}, false
	}
	if len(closes) > Window {
		closes = closes[len(closes)-Window:]
	}
	now := len(closes) - 1
	// What the price usually moves in one bar.
	usual := deviation(closes) * closes[now]
	if usual == 0 {
		return Advice{}, false // a price that never moves says nothing
	}

	var best Advice
	consider := func(kind, indicator string, clearness float64) {
		if a := (Advice{kind, indicator, 1 - 0.5*math.Exp(-clearness)}); a.Confidence > best.Confidence {
			best = a
		}
	}
	crossing := func(indicator string, before, after, scale float64) {
		switch strength := scale * math.Abs(after-before) / usual; {
		case before <= 0 && after > 0:
			consider(Buy, indicator, strength)
		case before >= 0 && after < 0:
			consider(Sell, indicator, strength)
		}
	}

	fast, slow := talib.Ema(closes, fastEMA), talib.Ema(closes, slowEMA)
	crossing("ema_cross", fast[now-1]-slow[now-1], fast[now]-slow[now], emaScale)

	_, _, histogram := talib.Macd(closes, macdFast, macdSlow, macdSmoothed)
	crossing("macd", histogram[now-1], histogram[now], macdScale)

	rsi := talib.Rsi(closes, rsiPeriod)
	switch before, after := rsi[now-1], rsi[now]; {
	case before < oversold && after >= oversold:
		consider(Buy, "rsi_reversal", (oversold-before)/10)
	case before > overbought && after <= overbought:
		consider(Sell, "rsi_reversal", (before-overbought)/10)
	}

	upper, _, lower := talib.BBands(closes, bandPeriod, bandDeviations, bandDeviations, talib.SMA)
	switch before, after := closes[now-1], closes[now]; {
	case before < lower[now-1] && after >= lower[now]:
		consider(Buy, "bollinger", (lower[now-1]-before)/usual)
	case before > upper[now-1] && after <= upper[now]:
		consider(Sell, "bollinger", (before-upper[now-1])/usual)
	}
	return best, best.Confidence >= leastConfidence
}

// deviation is the standard deviation of the relative change from bar to bar.
func deviation(closes []float64) float64 {
	var sum, squares float64
	for i := 1; i < len(closes); i++ {
		change := closes[i]/closes[i-1] - 1
		sum += change
		squares += change * change
	}
	n := float64(len(closes) - 1)
	mean := sum / n
	return math.Sqrt(max(0, squares/n-mean*mean))
}

// Outcome is what following an advice has gained, in percent.
func Outcome(kind string, before, after float64) float64 {
	change := (after/before - 1) * 100
	if kind == Sell {
		return -change
	}
	return change
}
