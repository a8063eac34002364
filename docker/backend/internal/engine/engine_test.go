package engine

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/config"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/portfolio"
)

// What needs a database is tested against a real one in the folder integration.

func TestTrades(t *testing.T) {
	for _, c := range []struct {
		trading, paper bool
		trades         bool
		mode           string
	}{
		{false, true, false, "off"}, {false, false, false, "off"}, {true, true, true, "paper"},
		// There is no exchange: who asks for real money gets none of the made-up kind.
		{true, false, false, "refused"},
	} {
		if trades, mode := Trades(&config.Config{Trading: c.trading, PaperTrading: c.paper}); trades != c.trades || mode != c.mode {
			t.Errorf("%+v: %v %q", c, trades, mode)
		}
	}
	for paper, warns := range map[bool]bool{true: false, false: true} {
		var log bytes.Buffer
		New(&config.Config{Trading: true, PaperTrading: paper}, nil, nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
		if strings.Contains(log.String(), "no exchange to trade at") != warns {
			t.Errorf("PAPER_TRADING=%v: %s", paper, &log)
		}
	}
}

func TestStuckEngineIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(&config.Config{}, nil, nil, nil, slog.New(slog.DiscardHandler))
		time.Sleep(2 * time.Minute)
		if err := e.Check(); err != nil {
			t.Errorf("after one cycle's time-out: %v", err)
		}
		time.Sleep(time.Second)
		if err := e.Check(); err == nil || !strings.Contains(err.Error(), "2m1s ago") {
			t.Errorf("after two minutes of nothing: %v", err)
		}
		e.touch()
		if err := e.Check(); err != nil {
			t.Errorf("after a cycle: %v", err)
		}
	})
}

func TestSeriesAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry, 3, 3000, 0.25, 1<<20, true)
	for id := 1; id <= 3000; id++ {
		m.signals.WithLabelValues(m.symbol(id), "buy").Inc()
	}
	if n := testutil.CollectAndCount(m.signals); n != 2*(3+1) {
		t.Errorf("%d series for 3000 symbols", n)
	}
	if n := testutil.ToFloat64(m.signals.WithLabelValues("SIM0003USDT", "buy")); n != 1 {
		t.Errorf("the third symbol has %v signals", n)
	}
	if n := testutil.ToFloat64(m.signals.WithLabelValues("other", "buy")); n != 2997 {
		t.Errorf("the others have %v signals", n)
	}
	if m := NewMetrics(prometheus.NewRegistry(), 20, 2, 0, 0, false); testutil.CollectAndCount(m.signals) != 2*(2+1) {
		t.Error("symbols that do not exist have series")
	}
}

func TestOnlyALeaderTellsOfThePortfolio(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry, 1, 1, 0.25, 1<<20, true)
	if _, ok := gauges(t, registry)["portfolio_equity"]; ok {
		t.Error("a waiting engine tells of a portfolio that it does not know")
	}
	m.state.Store(&state{
		portfolio: portfolio.State{Unrealized: 2, Exposure: 3, Equity: 4, Risk: 0.75}, peak: 16, realized: 1, openPositions: 5, activeSignals: 6, hit: 3, missed: 1,
	})
	for name, want := range map[string]float64{
		"portfolio_equity": 4, "portfolio_equity_peak": 16, "portfolio_drawdown_ratio": 0.75, "market_data_timestamp_seconds": 0, "portfolio_exposure": 3, "portfolio_open_positions": 5, "portfolio_pnl_realized": 1, "portfolio_pnl_unrealized": 2,
		"portfolio_risk_ratio": 0.75, "portfolio_risk_limit_ratio": 0.25, "trading_enabled": 1, "trading_signal_accuracy_ratio": 0.75, "trading_signals_active": 6,
	} {
		if got, ok := gauges(t, registry)[name]; !ok || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// gauges of a registry that have no labels.
func gauges(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		values[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
	}
	return values
}
