package rules_test

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

var tradingSituations = map[string][]situation{
	"EngineAbsent": {
		{name: "no pod", at: "10m", quietUntil: "4m", fires: []firing{{rule.Critical, map[string]string{"job": "backend-engine"}, engineAbsent, engineAbsentText}}},
		{name: "a pod that does not work", at: "10m", series: map[string]string{
			`up{job="backend-engine",pod="a"}`: "1x10", `alphapulse_engine_leader{job="backend-engine",pod="a"}`: "0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "backend-engine"}, engineAbsent, engineAbsentText}}},
		{name: "it works", at: "10m", series: map[string]string{
			`up{job="backend-engine",pod="a"}`: "1x10", `alphapulse_engine_leader{job="backend-engine",pod="a"}`: "1x10"}},
		{name: "a build without a leader", at: "10m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x10"}},
		{name: "the gap of a rollout", at: "10m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x4 stale", `up{job="backend-engine",pod="b"}`: "_x7 1x10"}},
	},
	"EngineDoubled": {
		{name: "two leaders", at: "5m", quietUntil: "0m", series: map[string]string{
			`up{job="backend-engine",pod="a"}`: "1x10", `up{job="backend-engine",pod="b"}`: "1x10",
			`alphapulse_engine_leader{job="backend-engine",pod="a"}`: "1x10", `alphapulse_engine_leader{job="backend-engine",pod="b"}`: "1x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "backend-engine"}, engineDoubled, engineDoubledText}}},
		{name: "two pods of a build without a leader", at: "5m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x10", `up{job="backend-engine",pod="b"}`: "1x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "backend-engine"}, engineDoubled, engineDoubledText}}},
		{name: "one leader and one that waits", at: "5m", series: map[string]string{
			`up{job="backend-engine",pod="a"}`: "1x10", `up{job="backend-engine",pod="b"}`: "1x10",
			`alphapulse_engine_leader{job="backend-engine",pod="a"}`: "1x10", `alphapulse_engine_leader{job="backend-engine",pod="b"}`: "0x10"}},
		{name: "one leader, and a former one that went while Prometheus started anew", at: "5m", series: map[string]string{
			`up{job="backend-engine",pod="a"}`: "1x2", `up{job="backend-engine",pod="b"}`: "_x2 1x10",
			`alphapulse_engine_leader{job="backend-engine",pod="a"}`: "1x2", `alphapulse_engine_leader{job="backend-engine",pod="b"}`: "_x2 1x10"}},
		{name: "the same of a build without a leader", at: "5m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x2", `up{job="backend-engine",pod="b"}`: "_x2 1x10"}},
		{name: "one pod", at: "5m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x10", `up{job="backend",pod="b"}`: "1x10"}},
		{name: "one pod and one that does not answer", at: "5m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x10", `up{job="backend-engine",pod="b"}`: "0x10"}},
	},
	"EngineStalled": {
		{name: "no batch for ten minutes", at: "10m", quietUntil: "3m", series: map[string]string{`alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="a"}`: "0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "backend-engine"}, "The trading engine has stopped working",
				"backend-engine answers, but has not taken in any market data for 10m 0s."}}},
		{name: "a batch every minute", at: "10m", series: map[string]string{`alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="a"}`: "0+60x10"}},
		{name: "one that always ends just before a minute is over", at: "10m", series: map[string]string{`alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="a"}`: "-58+60x10"}},
		{name: "one that waits beside one that works", at: "10m", series: map[string]string{
			`alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="a"}`: "0x10", `alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="b"}`: "0+60x10"}},
	},
	"RiskLimitExceeded": {
		{name: "12 of 10 %", at: "5m", quietUntil: "1m", series: map[string]string{`portfolio_risk_ratio{job="backend-engine",pod="a"}`: "0.12x10", `portfolio_risk_limit_ratio{job="backend-engine",pod="a"}`: "0.1x10"},
			fires: []firing{{rule.Critical, engineJob, "The portfolio is above its risk limit",
				"12% of the equity is exposed, more than the limit allows. The engine should open nothing more, and close."}}},
		{name: "at the limit", at: "5m", series: map[string]string{`portfolio_risk_ratio{job="backend-engine",pod="a"}`: "0.1x10", `portfolio_risk_limit_ratio{job="backend-engine",pod="a"}`: "0.1x10"}},
	},
	"DrawdownHigh": {
		{name: "11 % lost", at: "20m", quietUntil: "16m", series: map[string]string{`portfolio_equity{job="backend-engine",pod="a"}`: "9000x5 10000x5 8900x30"},
			fires: []firing{{rule.Critical, engineJob, "The portfolio has lost much", "The equity is 11% below its highest of the last seven days."}}},
		{name: "9.5 % lost", at: "20m", series: map[string]string{`portfolio_equity{job="backend-engine",pod="a"}`: "9000x5 10000x5 9050x30"}},
		{name: "a new engine goes on", at: "20m", series: map[string]string{
			`portfolio_equity{job="backend-engine",pod="a"}`: "10000x5 stale", `portfolio_equity{job="backend-engine",pod="b"}`: "_x8 9900x30"}},
	},
	"MarketDataMissing": {
		{name: "for a quarter of an hour", at: "25m", series: map[string]string{`market_ticks_ingested_total{job="backend-engine",pod="a"}`: "0+60x10 600x30"},
			fires: []firing{{rule.Critical, engineJob, "No market data comes in",
				"backend-engine has written no price for ten minutes. Signals and open positions rest on old ones."}}},
		{name: "a row a minute", at: "25m", series: map[string]string{`market_ticks_ingested_total{job="backend-engine",pod="a"}`: "0+1x40"}},
		{name: "the market rests for eight minutes", at: "18m", series: map[string]string{`market_ticks_ingested_total{job="backend-engine",pod="a"}`: "0+60x10 600x30"}},
	},
	"EngineCyclesFailing": {
		{name: "one of six", at: "25m", quietUntil: "10m", series: cycles(10, 2),
			fires: []firing{{rule.Warning, engineJob, "Cycles of the trading engine fail",
				"16.67% of the engine's cycles end with an error: prices are missing, and signals come late."}}},
		{name: "one of eleven", at: "25m", series: cycles(10, 1)},
	},
	"SignalsMissing": {
		{name: "none for seven hours", at: "7h", quietUntil: "389m", series: map[string]string{
			`trading_signals_total{job="backend-engine",pod="a",symbol="BTCUSDT",signal_type="BUY"}`: "7x480", `up{job="backend-engine",pod="a"}`: "1x480"},
			fires: []firing{{rule.Warning, engineJob, "The trading engine gives no signal", "backend-engine works, but has given no signal for 6 hours."}}},
		{name: "one five hours ago", at: "7h", series: map[string]string{
			`trading_signals_total{job="backend-engine",pod="a",symbol="BTCUSDT",signal_type="BUY"}`: "7x120 8x360", `up{job="backend-engine",pod="a"}`: "1x480"}},
		{name: "an engine that is five hours old", at: "7h", series: map[string]string{
			`trading_signals_total{job="backend-engine",pod="a",symbol="BTCUSDT",signal_type="BUY"}`: "_x120 0x360", `up{job="backend-engine",pod="a"}`: "_x120 1x360"}},
	},
	"SignalAccuracyLow": {
		{name: "a fifth", at: "8h", quietUntil: "160m", series: scores("0.1", "0.4", "0"),
			fires: []firing{{rule.Warning, map[string]string{"job": "backend-engine", "indicator": "rsi"}, "Signals of rsi are mostly wrong",
				"20% of the signals of rsi that were scored in six hours were right."}}},
		{name: "31 %", at: "8h", series: scores("0.1", "0.22", "0")},
		{name: "those without an end do not count", at: "8h", series: scores("0.1", "0.1", "2")},
		{name: "fewer than fifty", at: "8h", series: scores("0.02", "0.11", "0")},
	},
	"OrdersRefused": {
		{name: "25", at: "10m", series: map[string]string{`trading_orders_refused_total{job="backend-engine",pod="a",reason="exchange"}`: "0x4 25x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "backend-engine", "reason": "exchange"}, "Orders are refused",
				"25 orders were refused within a quarter of an hour: exchange."}}},
		{name: "19", at: "10m", series: map[string]string{`trading_orders_refused_total{job="backend-engine",pod="a",reason="exchange"}`: "0x4 19x20"}},
		{name: "by the portfolio's own limit", at: "10m", series: map[string]string{`trading_orders_refused_total{job="backend-engine",pod="a",reason="risk_limit"}`: "0x4 1000x20"}},
	},
}

var engineJob = map[string]string{"job": "backend-engine"}

// cycles a minute.
func cycles(ok, failed int) map[string]string {
	return map[string]string{
		`alphapulse_engine_cycles_total{job="backend-engine",pod="a",result="ok"}`:    fmt.Sprintf("0+%dx40", ok),
		`alphapulse_engine_cycles_total{job="backend-engine",pod="a",result="error"}`: fmt.Sprintf("0+%dx40", failed),
	}
}

// scores a minute.
func scores(hit, missed, expired string) map[string]string {
	all := map[string]string{}
	for result, perMinute := range map[string]string{"hit": hit, "missed": missed, "expired": expired} {
		all[fmt.Sprintf(`signal_accuracy_total{job="backend-engine",pod="a",indicator="rsi",result=%q}`, result)] = "0+" + perMinute + "x500"
	}
	return all
}
