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
	e := w.Engine
	b.WithRow(row("Now"))
	b.WithPanel(number("Engines at work", "short", 4, of(`sum(alphapulse_engine_leader{job=%q})`, e)).Thresholds(limit(2).thresholds()))
	b.WithPanel(number("Age of market data", "s", 4, of(`time() - max(alphapulse_engine_heartbeat_timestamp_seconds{job=%q})`, e)).Thresholds(limit(60).thresholds()))
	b.WithPanel(number("Equity", "short", 4, of(`sum(portfolio_equity{job=%q})`, e)).Decimals(2))
	b.WithPanel(number("Open positions", "short", 4, of(`sum(portfolio_open_positions{job=%q})`, e)))

	b.WithRow(row("Signals"))
	b.WithPanel(series("Signals per minute", "short", 2, query{
		`60 * sum by (signal_type) (rate(` + of(`trading_signals_total{job=%q}`, e) + `[$__rate_interval]))`, "{{signal_type}}"}))
	b.WithPanel(line(series("Accuracy over an hour", "percentunit", 2, query{
		`sum by (indicator) (increase(` + of(`signal_accuracy_total{job=%q,result="hit"}`, e) + `[1h])) / (sum by (indicator) (increase(` +
			of(`signal_accuracy_total{job=%q}`, e) + `[1h])) > 0)`, "{{indicator}}"}).Max(1), 0.5).
		Description("Share of the scored signals that reached their target. Below a half an indicator is worse than a coin."))
	b.WithPanel(series("Symbols with most signals in an hour", "short", 2, query{
		`topk(10, sum by (symbol) (increase(` + of(`trading_signals_total{job=%q,symbol!="other"}`, e) + `[1h])))`, "{{symbol}}"}))
	b.WithPanel(series("Open signals", "short", 2, query{of(`sum(trading_signals_active{job=%q})`, e), "open"}))

	b.WithRow(row("Profit and risk"))
	b.WithPanel(series("Profit and loss", "short", 3,
		query{of(`sum(portfolio_pnl_realized{job=%q})`, e), "realized"}, query{of(`sum(portfolio_pnl_unrealized{job=%q})`, e), "unrealized"}).
		Description("In USDT."))
	b.WithPanel(series("Equity and exposure", "short", 3,
		query{of(`sum(portfolio_equity{job=%q})`, e), "equity"}, query{of(`sum(portfolio_exposure{job=%q})`, e), "exposure"}).
		Description("In USDT."))
	b.WithPanel(series("Risk", "percentunit", 3,
		query{of(`sum(portfolio_risk_ratio{job=%q})`, e), "exposure of equity"}, query{of(`max(portfolio_risk_limit_ratio{job=%q})`, e), "limit"}))
	b.WithPanel(series("Positions per minute", "short", 3,
		query{`60 * sum by (side) (rate(` + of(`trading_positions_opened_total{job=%q}`, e) + `[$__rate_interval]))`, "opened {{side}}"},
		query{`60 * sum by (reason) (rate(` + of(`trading_positions_closed_total{job=%q}`, e) + `[$__rate_interval]))`, "closed: {{reason}}"}))
	b.WithPanel(series("Orders refused per minute", "short", 3, query{
		`60 * sum by (reason) (rate(` + of(`trading_orders_refused_total{job=%q}`, e) + `[$__rate_interval]))`, "{{reason}}"}))

	b.WithPanel(series("Market data", "wps", 3, query{of(`sum(rate(market_ticks_ingested_total{job=%q}[$__rate_interval]))`, e), "rows written"}))
	return b
}
