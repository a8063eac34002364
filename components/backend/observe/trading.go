package observe

import (
	"cmp"
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Trading says from when on what the engine does is worth a look; the default stands
// for zero. An alert on a metric that a build does not serve stays silent.
type Trading struct {
	// Accuracy is the share of the scored signals of six hours that were right; 0.3.
	// It counts from Scored signals on; 50.
	Accuracy float64
	Scored   int
	// Drawdown is the share by which the equity is below its highest of a week; 0.1.
	Drawdown float64
	// SilentHours are those without a signal; 6.
	SilentHours int
	// Refused are the orders refused in a quarter of an hour; 20. Refusals for one of
	// the Routine reasons do not count: they are how the portfolio's own limit works. Each
	// is the whole value of the label reason, and no pattern. "risk_limit" when nil.
	Refused int
	Routine []string
}

func (t Trading) withDefaults() Trading {
	routine := t.Routine
	if routine == nil {
		routine = []string{"risk_limit"}
	}
	return Trading{
		Accuracy: cmp.Or(t.Accuracy, 0.3), Scored: cmp.Or(t.Scored, 50), Drawdown: cmp.Or(t.Drawdown, 0.1),
		SilentHours: cmp.Or(t.SilentHours, 6), Refused: cmp.Or(t.Refused, 20), Routine: routine,
	}
}

// cyclesFailing is the share of the engine's cycles.
const cyclesFailing = 0.1

// business tells what trading itself does not get done.
func (w Watched) business() []rule.Rule {
	t := w.Trading
	on := func(format string, v ...any) string { return fmt.Sprintf(rule.On(w.Engine, format), v...) }
	exceeded := rule.Alert("RiskLimitExceeded", rule.Critical, "2m",
		on(`max by (job) (portfolio_risk_ratio{$job}) > on(job) max by (job) (portfolio_risk_limit_ratio{$job})`),
		"The portfolio is above its risk limit",
		"{{ $value | humanizePercentage }} of the equity is exposed, more than the limit allows. The engine should open nothing more, and close.")
	drawdown := rule.Alert("DrawdownHigh", rule.Critical, "5m",
		on(`1 - max by (job) (portfolio_equity{$job}) / (max by (job) (max_over_time(portfolio_equity{$job}[7d])) > 0) > %g`, t.Drawdown),
		"The portfolio has lost much",
		"The equity is {{ $value | humanizePercentage }} below its highest of the last seven days.")
	exceeded.Loud, drawdown.Loud = true, true // money follows from nothing else
	return []rule.Rule{
		exceeded,
		drawdown,
		rule.Alert("MarketDataMissing", rule.Critical, "5m",
			on(`sum by (job) (rate(market_ticks_ingested_total{$job}[5m])) == 0`),
			"No market data comes in",
			"{{ $labels.job }} has written no price for ten minutes. Signals and open positions rest on old ones."),
		rule.Alert("EngineCyclesFailing", rule.Warning, "10m",
			on(`sum by (job) (rate(alphapulse_engine_cycles_total{$job,result="error"}[10m])) / (sum by (job) (rate(alphapulse_engine_cycles_total{$job}[10m])) > 0) > %g`, cyclesFailing),
			"Cycles of the trading engine fail",
			"{{ $value | humanizePercentage }} of the engine's cycles end with an error: prices are missing, and signals come late."),
		rule.Alert("SignalsMissing", rule.Warning, "30m",
			on(`sum by (job) (increase(trading_signals_total{$job}[%dh])) == 0 and on(job) max by (job) (up{$job} offset %[1]dh) == 1`, t.SilentHours),
			"The trading engine gives no signal",
			fmt.Sprintf("{{ $labels.job }} works, but has given no signal for %d hours.", t.SilentHours)),
		rule.Alert("SignalAccuracyLow", rule.Warning, "1h",
			on(`sum by (job, indicator) (increase(signal_accuracy_total{$job,result="hit"}[6h])) / (sum by (job, indicator) (increase(signal_accuracy_total{$job,result=~"hit|missed"}[6h])) >= %d) < %g`, t.Scored, t.Accuracy),
			"Signals of {{ $labels.indicator }} are mostly wrong",
			"{{ $value | humanizePercentage }} of the signals of {{ $labels.indicator }} that were scored in six hours were right."),
		rule.Alert("OrdersRefused", rule.Warning, "",
			on(`sum by (job, reason) (increase(trading_orders_refused_total{$job,reason!~%q}[15m])) >= %d`, rule.AnyOf(t.Routine), t.Refused),
			"Orders are refused",
			"{{ $value | humanize }} orders were refused within a quarter of an hour: {{ $labels.reason }}."),
	}
}
