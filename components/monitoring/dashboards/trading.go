package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/rules"
)

func trading(w rules.Watched) *dashboard.DashboardBuilder {
	b := board("AlphaPulse Trading", "alphapulse-trading", "Signals, their accuracy, profit and risk, and how fresh the market data is.")
	if w.Engine == "" {
		return b
	}
	b.WithRow(row("Now"))
	b.WithPanel(number("Engines running", "short", 4, `count(up`+of(`{job=%q}`, w.Engine)+` == 1) or vector(0)`).Thresholds(limit(2).thresholds()))
	b.WithPanel(number("Age of market data", "s", 4, of(`time() - max(market_last_update_timestamp_seconds{job=%q})`, w.Engine)).Thresholds(limit(60).thresholds()))
	b.WithPanel(number("Total profit", "short", 4, of(`sum(trading_pnl{job=%q})`, w.Engine)).Decimals(2))
	b.WithPanel(number("Open positions", "short", 4, of(`sum(trading_open_positions{job=%q})`, w.Engine)))

	b.WithRow(row("Signals"))
	b.WithPanel(series("Signals per minute", "short", 2, query{
		`60 * sum by (signal_type) (rate(trading_signals_total` + of(`{job=%q}`, w.Engine) + `[$__rate_interval]))`, "{{signal_type}}"}))
	b.WithPanel(series("Accuracy over an hour", "percentunit", 2, query{
		`sum(increase(signal_accuracy_total` + of(`{job=%q,outcome="hit"}`, w.Engine) + `[1h])) / (sum(increase(signal_accuracy_total` + of(`{job=%q}`, w.Engine) + `[1h])) > 0)`, "share of hits"}).Max(1))
	b.WithPanel(series("Symbols with most signals in an hour", "short", 2, query{
		`topk(10, sum by (symbol) (increase(trading_signals_total` + of(`{job=%q}`, w.Engine) + `[1h])))`, "{{symbol}}"}))
	b.WithPanel(series("Symbols", "short", 2, query{of(`market_symbols{job=%q}`, w.Engine), "symbols"}))

	b.WithRow(row("Profit and risk"))
	b.WithPanel(series("Profit", "short", 3, query{of(`sum by (kind) (trading_pnl{job=%q})`, w.Engine), "{{kind}}"}))
	b.WithPanel(series("Equity", "short", 3, query{of(`trading_equity{job=%q}`, w.Engine), "equity"}))
	b.WithPanel(series("Exposure", "short", 3, query{of(`trading_exposure{job=%q}`, w.Engine), "exposure"}))
	return b
}
