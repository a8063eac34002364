package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// From when on what the engine does is worth a look. An alert on a metric that a build does
// not serve stays silent.
const (
	// accuracyLow is the share of the scored signals of six hours that were right. It
	// counts from scoredLeast signals on.
	accuracyLow = 0.3
	scoredLeast = 50
	// drawdownHigh is the share by which the equity is below its highest of a week.
	drawdownHigh = 0.1
	// silentHours are those without a signal.
	silentHours = 6
	// refusedMany are the orders refused in a quarter of an hour. Refusals for a routine
	// reason do not count: they are how the portfolio's own limit works.
	refusedMany    = 20
	refusedRoutine = "risk_limit"
	// cyclesFailing is the share of the engine's cycles.
	cyclesFailing = 0.1
)

// business tells what trading itself does not get done.
func (w Watched) business() []rule.Rule {
	on := func(format string, v ...any) string { return rule.On(w.Engine, fmt.Sprintf(format, v...)) }
	exceeded := rule.Alert("RiskLimitExceeded", rule.Critical, "2m",
		on(`max by (job) (portfolio_risk_ratio{$job}) > on(job) max by (job) (portfolio_risk_limit_ratio{$job})`),
		"The portfolio is above its risk limit",
		"{{ $value | humanizePercentage }} of the equity is exposed, more than the limit allows. The engine should open nothing more, and close.")
	drawdown := rule.Alert("DrawdownHigh", rule.Critical, "5m",
		on(`1 - max by (job) (portfolio_equity{$job}) / (max by (job) (max_over_time(portfolio_equity{$job}[7d])) > 0) > %g`, drawdownHigh),
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
			on(`sum by (job) (increase(trading_signals_total{$job}[%dh])) == 0 and on(job) max by (job) (up{$job} offset %[1]dh) == 1`, silentHours),
			"The trading engine gives no signal",
			fmt.Sprintf("{{ $labels.job }} works, but has given no signal for %d hours.", silentHours)),
		rule.Alert("SignalAccuracyLow", rule.Warning, "1h",
			on(`sum by (job, indicator) (increase(signal_accuracy_total{$job,result="hit"}[6h])) / (sum by (job, indicator) (increase(signal_accuracy_total{$job,result=~"hit|missed"}[6h])) >= %d) < %g`, scoredLeast, accuracyLow),
			"Signals of {{ $labels.indicator }} are mostly wrong",
			"{{ $value | humanizePercentage }} of the signals of {{ $labels.indicator }} that were scored in six hours were right."),
		rule.Alert("OrdersRefused", rule.Warning, "",
			on(`sum by (job, reason) (increase(trading_orders_refused_total{$job,reason!~%q}[15m])) >= %d`, refusedRoutine, refusedMany),
			"Orders are refused",
			"{{ $value | humanize }} orders were refused within a quarter of an hour: {{ $labels.reason }}."),
	}
}
