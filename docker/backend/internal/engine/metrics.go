package engine

import (
	"math"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/market"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/portfolio"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/strategy"
)

// Metrics of the engine.
type Metrics struct {
	leader    prometheus.Gauge
	heartbeat prometheus.Gauge
	newest    prometheus.Gauge
	cycle     prometheus.Histogram
	cycles    *prometheus.CounterVec
	ticks     prometheus.Counter
	signals   *prometheus.CounterVec
	scores    *prometheus.CounterVec
	opened    *prometheus.CounterVec
	closed    *prometheus.CounterVec
	refused   *prometheus.CounterVec
	storage   *prometheus.GaugeVec
	// state of the market as the leader last saw it; nil in a waiting engine, which
	// knows nothing of it.
	state atomic.Pointer[state]

	top int
}

// state is what the gauges of a leader show.
type state struct {
	portfolio     portfolio.State
	peak          float64
	realized      float64
	openPositions int
	activeSignals int
	hit, missed   int64
}

// otherSymbol is the label of all symbols that have no series of their own.
const otherSymbol = "other"

// NewMetrics registers the metrics. top is how many of the most traded symbols have
// a series of their own, which bounds trading_signals_total to 2 × (top + 1) series
// however many symbols there are.
func NewMetrics(r prometheus.Registerer, top, symbols int, riskLimit float64, budget int64, trading bool) *Metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string, value float64) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		g.Set(value)
		r.MustRegister(g)
		return g
	}
	m := &Metrics{
		leader:    gauge("alphapulse_engine_leader", "1 in the engine that works, 0 in one that waits for it to end.", 0),
		heartbeat: gauge("alphapulse_engine_heartbeat_timestamp_seconds", "Unix time of the last batch that this engine has written; 0 before the first.", 0),
		newest:    gauge("market_data_timestamp_seconds", "Unix time of the newest prices that this process knows; 0 before the first.", 0),
		cycle: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "alphapulse_engine_cycle_duration_seconds", Help: "Time to take one batch of prices in, with all that follows from it.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		cycles:  counters("alphapulse_engine_cycles_total", "Batches by result (ok, error).", "result"),
		signals: counters("trading_signals_total", "Signals given, by symbol and type. Symbols that are traded less are summed up as \"other\".", "symbol", "signal_type"),
		scores:  counters("signal_accuracy_total", "Scored signals by indicator and result (hit, missed, expired).", "indicator", "result"),
		opened:  counters("trading_positions_opened_total", "Positions opened, by side (long, short).", "side"),
		closed:  counters("trading_positions_closed_total", "Positions closed, by reason.", "reason"),
		refused: counters("trading_orders_refused_total", "Positions that were not opened, by reason.", "reason"),
		storage: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "market_storage_bytes", Help: "Size of a table with its indexes."}, []string{"table"}),
		ticks:   prometheus.NewCounter(prometheus.CounterOpts{Name: "market_ticks_ingested_total", Help: "Prices written."}),
		top:     min(top, symbols),
	}
	r.MustRegister(m.cycle, m.storage, m.ticks, &stateCollector{m})
	gauge("market_symbols", "Symbols of the simulated market.", float64(symbols))
	gauge("market_storage_budget_bytes", "Size of all tables above which the oldest candles are dropped.", float64(budget))
	gauge("portfolio_risk_limit_ratio", "Largest share of the equity that positions may expose.", riskLimit)
	enabled := 0.0
	if trading {
		enabled = 1
	}
	gauge("trading_enabled", "1 if signals open positions (in made-up money), 0 if they are only given.", enabled)

	// A rate over a series that is not there yet is no rate: known series start at 0.
	for _, result := range []string{"ok", "error"} {
		m.cycles.WithLabelValues(result)
	}
	for id := 1; id <= m.top; id++ {
		m.signals.WithLabelValues(market.Name(id), strategy.Buy)
		m.signals.WithLabelValues(market.Name(id), strategy.Sell)
	}
	m.signals.WithLabelValues(otherSymbol, strategy.Buy)
	m.signals.WithLabelValues(otherSymbol, strategy.Sell)
	for _, i := range strategy.Indicators {
		for _, result := range []string{hit, missed, expired} {
			m.scores.WithLabelValues(i, result)
		}
	}
	for _, side := range []string{"long", "short"} {
		m.opened.WithLabelValues(side)
	}
	for _, reason := range portfolio.Reasons {
		m.closed.WithLabelValues(reason)
	}
	m.refused.WithLabelValues(portfolio.RiskLimit)
	return m
}

func (m *Metrics) symbol(id int) string {
	if id <= m.top {
		return market.Name(id)
	}
	return otherSymbol
}

func (m *Metrics) stored(sizes store.Sizes) {
	for table, n := range sizes {
		m.storage.WithLabelValues(table).Set(float64(n))
	}
}

// stateCollector serves the gauges that only the leader knows.
type stateCollector struct{ m *Metrics }

type stateGauge struct {
	desc  *prometheus.Desc
	value func(*state) float64
}

func newStateGauge(name, help string, value func(*state) float64) stateGauge {
	return stateGauge{prometheus.NewDesc(name, help, nil, nil), value}
}

var stateGauges = []stateGauge{
	newStateGauge("portfolio_pnl_realized", "PnL of the closed positions, in USDT of made-up money.", func(s *state) float64 { return s.realized }),
	newStateGauge("portfolio_pnl_unrealized", "PnL of the open positions at present prices, in USDT.", func(s *state) float64 { return s.portfolio.Unrealized }),
	newStateGauge("portfolio_equity", "What the portfolio is worth, in USDT.", func(s *state) float64 { return s.portfolio.Equity }),
	newStateGauge("portfolio_equity_peak", "The most that the portfolio was ever worth, in USDT.", func(s *state) float64 { return s.peak }),
	newStateGauge("portfolio_drawdown_ratio", "Share of its peak that the portfolio has lost.", func(s *state) float64 {
		if s.peak <= 0 {
			return 0
		}
		return 1 - s.portfolio.Equity/s.peak
	}),
	newStateGauge("portfolio_exposure", "Value of the open positions, in USDT.", func(s *state) float64 { return s.portfolio.Exposure }),
	newStateGauge("portfolio_risk_ratio", "Exposed share of the equity.", func(s *state) float64 { return s.portfolio.Risk }),
	newStateGauge("portfolio_open_positions", "Open positions.", func(s *state) float64 { return float64(s.openPositions) }),
	newStateGauge("trading_signals_active", "Signals that are not scored yet.", func(s *state) float64 { return float64(s.activeSignals) }),
	newStateGauge("trading_signal_accuracy_ratio", "Share of all scored signals that were right; NaN before the first.", func(s *state) float64 {
		if s.hit+s.missed == 0 {
			return math.NaN()
		}
		return float64(s.hit) / float64(s.hit+s.missed)
	}),
}

func (c *stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, g := range stateGauges {
		out <- g.desc
	}
}

func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	s := c.m.state.Load()
	if s == nil {
		return
	}
	for _, g := range stateGauges {
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(s))
	}
}
