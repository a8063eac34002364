package observe

import (
	"fmt"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Trades is the dashboard of the engine.
var Trades = board.Dashboard{
	File: "trading.json", UID: "alphapulse-trading", Title: "AlphaPulse Trading",
	Description: "Signals, their accuracy, profit and risk, and how fresh the market data is.",
}

// Panels show the backend.
func Panels(w Watched) []board.Contribution {
	w = w.withDefaults()
	var all []board.Contribution
	if w.API != "" {
		all = append(all, w.apiPanels()...)
	}
	if w.Engine != "" {
		all = append(all, w.trading()...)
	}
	return all
}

// apiPanels show what users get.
func (w Watched) apiPanels() []board.Contribution {
	q := func(expr, legend string) board.Query {
		return board.Query{Expr: w.fill(expr, "$__rate_interval"), Legend: legend}
	}
	quantile := func(of string) board.Query {
		v := q(`histogram_quantile(`+of+`, sum by (le) (rate($duration_bucket{$users}[$window])))`, "p"+strings.TrimPrefix(of, "0."))
		v.Examples = of == "0.99" // once: they are the same of each
		return v
	}
	o := w.Objectives
	return []board.Contribution{
		{Dashboard: board.Overview, Row: "Now", Panels: []board.Panel{
			board.Number("API requests", "reqps", 4, apiRequests("5m")),
			board.Number("API errors", "percentunit", 4, apiErrors("5m")).Thresholds(board.Limit(o.ErrorBudget)).Decimals(2),
			board.Number("API p95", "s", 4, quantile("0.95").Expr).Thresholds(board.Limit(o.Latency)),
			board.Number("API pods", "short", 4, rule.On(w.API, `count(up{$job} == 1)`)),
		}},
		{Dashboard: board.Overview, Row: "API", Panels: []board.Panel{
			board.Series("Requests by status", "reqps", 2, q(`sum by ($status) (rate($requests{$job}[$window]))`, "{{"+w.HTTP.Status+"}}")),
			board.Line(board.Series("Response time", "s", 2, quantile("0.50"), quantile("0.95"), quantile("0.99")), o.Latency),
			board.Line(board.Series("Share of failed requests", "percentunit", 2,
				q(apiErrors("5m"), "5 minutes"), q(apiErrors("1h"), "1 hour"), q(apiErrors("1d"), "1 day")), o.ErrorBudget),
			board.Line(board.Series(fmt.Sprintf("Share of requests above %g ms", o.Latency*1000), "percentunit", 2,
				q(apiSlow("5m"), "5 minutes"), q(apiSlow("1h"), "1 hour"), q(apiSlow("1d"), "1 day")), o.LatencyBudget).
				Description("Measured at the build's nearest bucket at or above it."),
			board.Series("Reads served from the cache", "percentunit", 2, q(
				`sum by (kind) (rate(cache_requests_total{$job,result=~"hit|stale"}[$window])) / sum by (kind) (rate(cache_requests_total{$job}[$window]))`,
				"{{kind}}")).Max(1),
			board.Series("Live clients", "short", 2, q(`sum by (pod) (websocket_clients{$job})`, "{{pod}}")),
		}},
	}
}

func (w Watched) trading() []board.Contribution {
	job, accuracy := w.Engine, w.Trading.Accuracy
	q := board.On(job)
	return []board.Contribution{
		{Dashboard: Trades, Row: "Now", Panels: []board.Panel{
			board.Number("Engines at work", "short", 4, rule.On(job, `sum(alphapulse_engine_leader{$job})`)).Thresholds(board.Limit(2)),
			board.Number("Age of market data", "s", 4, rule.On(job, `time() - max(alphapulse_engine_heartbeat_timestamp_seconds{$job})`)).Thresholds(board.Limit(stalledSeconds)),
			board.Number("Equity", "short", 4, rule.On(job, `sum(portfolio_equity{$job})`)).Decimals(2),
			board.Number("Open positions", "short", 4, rule.On(job, `sum(portfolio_open_positions{$job})`)),
		}},
		{Dashboard: Trades, Row: "Signals", Panels: []board.Panel{
			board.Series("Signals per minute", "short", 2, q(`60 * sum by (signal_type) (rate(trading_signals_total{$job}[$__rate_interval]))`, "{{signal_type}}")),
			board.Floor(board.Series("Accuracy over an hour", "percentunit", 2, q(
				`sum by (indicator) (increase(signal_accuracy_total{$job,result="hit"}[1h])) / (sum by (indicator) (increase(signal_accuracy_total{$job}[1h])) > 0)`,
				"{{indicator}}")).Max(1), accuracy).
				Description("Share of the scored signals that reached their target. Below a half an indicator is worse than a coin; the line is where SignalAccuracyLow begins, over six hours."),
			board.Series("Symbols with most signals in an hour", "short", 2, q(
				`topk(10, sum by (symbol) (increase(trading_signals_total{$job,symbol!="other"}[1h])))`, "{{symbol}}")),
			board.Series("Open signals", "short", 2, q(`sum(trading_signals_active{$job})`, "open")),
		}},
		{Dashboard: Trades, Row: "Profit and risk", Panels: []board.Panel{
			board.Series("Profit and loss", "short", 3,
				q(`sum(portfolio_pnl_realized{$job})`, "realized"), q(`sum(portfolio_pnl_unrealized{$job})`, "unrealized")).
				Description("In USDT."),
			board.Series("Equity and exposure", "short", 3,
				q(`sum(portfolio_equity{$job})`, "equity"), q(`sum(portfolio_exposure{$job})`, "exposure")).
				Description("In USDT."),
			board.Series("Risk", "percentunit", 3,
				q(`sum(portfolio_risk_ratio{$job})`, "exposure of equity"), q(`max(portfolio_risk_limit_ratio{$job})`, "limit")),
			board.Series("Positions per minute", "short", 3,
				q(`60 * sum by (side) (rate(trading_positions_opened_total{$job}[$__rate_interval]))`, "opened {{side}}"),
				q(`60 * sum by (reason) (rate(trading_positions_closed_total{$job}[$__rate_interval]))`, "closed: {{reason}}")),
			board.Series("Orders refused per minute", "short", 3, q(`60 * sum by (reason) (rate(trading_orders_refused_total{$job}[$__rate_interval]))`, "{{reason}}")),
			board.Series("Market data", "wps", 3, q(`sum(rate(market_ticks_ingested_total{$job}[$__rate_interval]))`, "rows written")),
		}},
	}
}
