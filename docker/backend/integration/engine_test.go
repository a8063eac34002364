//go:build integration

package integration

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/config"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/engine"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/market"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/strategy"
)

// start of the made-up time that engines run in.
var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// settings are read as a process reads them.
func settings(t testing.TB, pairs ...string) *config.Config {
	t.Helper()
	env := map[string]string{"DATABASE_URL": "postgresql://x@x/x", "MAX_SYMBOLS": "40", "TRADING_ENABLED": "true", "HISTORY_BACKFILL": "3h"}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	c, err := config.FromEnvironment(func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recorder keeps what an engine publishes.
type recorder struct{ batches []engine.Batch }

func (r *recorder) Publish(_ context.Context, b engine.Batch) { r.batches = append(r.batches, b) }

type rig struct {
	testing.TB
	name     string
	config   *config.Config
	store    *store.Store
	engine   *engine.Engine
	told     *recorder
	registry *prometheus.Registry
}

func newRig(t testing.TB, name string, c *config.Config) *rig {
	t.Helper()
	r := &rig{TB: t, name: name, config: c, store: open(t, name), told: &recorder{}, registry: prometheus.NewRegistry()}
	awaitUp(t, r.store)
	r.engine = r.another(r.registry)
	return r
}

// another engine on the same database.
func (r *rig) another(registry *prometheus.Registry) *engine.Engine {
	trades, _ := engine.Trades(r.config)
	m := engine.NewMetrics(registry, r.config.TopSymbols, r.config.MaxSymbols, r.config.MaxPortfolioRisk, r.config.StorageBudget, trades)
	return engine.New(r.config, r.store, r.told, m, slog.New(slog.DiscardHandler))
}

func begin(t testing.TB, e *engine.Engine, at time.Time) *engine.Session {
	t.Helper()
	s, err := e.Begin(t.Context(), func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	if s != nil {
		t.Cleanup(func() { s.Close(context.Background()) })
	}
	return s
}

// run steps from one moment to another.
func (r *rig) run(s *engine.Session, from, to time.Time) {
	r.Helper()
	for at := from; at.Before(to); at = at.Add(r.config.IngestInterval) {
		if err := s.Step(r.Context(), at); err != nil {
			r.Fatalf("step at %s: %v", at, err)
		}
	}
}

func value[T any](r *rig, sql string, args ...any) T {
	r.Helper()
	return query[T](r.TB, r.name, sql, args...)
}

func TestEngine(t *testing.T) {
	r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "5s"))
	s := begin(t, r.engine, start.Add(7*time.Second))
	end := start.Add(30 * time.Minute)
	r.run(s, start.Add(10*time.Second), end)
	m := market.New(r.config.Seed, r.config.MaxSymbols)

	t.Run("ticks", func(t *testing.T) {
		// 12 a minute but the two before the engine began.
		if got, want := value[int](r, "SELECT count(*) FROM ticks"), (30*12-2)*40; got != want {
			t.Errorf("%d ticks, want %d", got, want)
		}
		at := start.Add(90 * time.Second)
		for _, i := range []int{0, 39} {
			if got, want := value[float64](r, "SELECT price FROM ticks WHERE symbol_id = $1 AND ts = $2", i+1, at), m.Symbols()[i].Quote(at).Price; got != want {
				t.Errorf("symbol %d is stored at %v, the market said %v", i+1, got, want)
			}
		}
		if n := testutil.ToFloat64(metric(t, r.registry, "market_ticks_ingested_total")); n != (30*12-2)*40 {
			t.Errorf("%v ticks counted", n)
		}
	})

	t.Run("candles", func(t *testing.T) {
		if got, want := value[int](r, "SELECT count(*) FROM candles WHERE ts < $1", start), 180*40; got != want {
			t.Errorf("%d candles of the past, want %d", got, want)
		}
		if got, want := value[int](r, "SELECT count(*) FROM candles WHERE ts >= $1", start), 29*40; got != want {
			t.Errorf("%d candles of the engine's time, want %d", got, want)
		}
		// Each is exactly what the ticks of its minute say.
		if wrong := value[int](r, `
			SELECT count(*) FROM candles c JOIN (
				SELECT date_trunc('minute', ts) AS ts, symbol_id, max(price) AS high, min(price) AS low, sum(volume) AS volume,
					(array_agg(price ORDER BY ts))[1] AS open, (array_agg(price ORDER BY ts DESC))[1] AS close
				FROM ticks GROUP BY 1, 2
			) t USING (ts, symbol_id)
			WHERE (c.open, c.high, c.low, c.close) <> (t.open, t.high, t.low, t.close) OR abs(c.volume - t.volume) > 0.01`); wrong != 0 {
			t.Errorf("%d candles are not what the ticks say", wrong)
		}
		last := start.Add(-time.Minute)
		want := m.Symbols()[6].Candles(last, start)[0]
		if got := value[float64](r, "SELECT high FROM candles WHERE symbol_id = 7 AND ts = $1", last); got != want.High {
			t.Errorf("a candle of the past has the high %v, want %v", got, want.High)
		}
	})

	t.Run("signals", func(t *testing.T) {
		scored := value[int](r, "SELECT count(*) FROM signals WHERE status IN ('hit', 'missed')")
		active := value[int](r, "SELECT count(*) FROM signals WHERE status = 'active'")
		if scored < 20 || active == 0 {
			t.Fatalf("%d scored and %d active signals: too few to prove anything", scored, active)
		}
		if early := value[int](r, "SELECT count(*) FROM signals WHERE ts < $1", start.Add(time.Minute)); early == 0 {
			t.Error("the first look waited for a bar to end")
		}
		if late := value[int](r, "SELECT count(*) FROM signals WHERE status = 'active' AND due_at <= $1", end.Add(-r.config.IngestInterval)); late != 0 {
			t.Errorf("%d signals are due but not scored", late)
		}
		rows := signals(t, r.name)
		hit := 0
		for _, g := range rows {
			if g.Status == "active" {
				if g.OutcomePct != nil {
					t.Errorf("an active signal has an outcome: %+v", g)
				}
				continue
			}
			symbol := &m.Symbols()[g.SymbolID-1]
			want := strategy.Outcome(g.Type, symbol.Quote(g.TS).Price, symbol.Quote(g.TS.Add(r.config.SignalHorizon)).Price)
			if g.OutcomePct == nil || math.Abs(*g.OutcomePct-want) > 0.0001 || (g.Status == "hit") != (*g.OutcomePct > 0) {
				t.Errorf("%+v: the market says %v", g, want)
			}
			if g.Status == "hit" {
				hit++
			}
		}
		if got := value[int](r, "SELECT signals_hit FROM engine"); got != hit {
			t.Errorf("%d hits counted, %d there", got, hit)
		}
		if got := testutil.ToFloat64(metric(t, r.registry, "trading_signal_accuracy_ratio")); got != float64(hit)/float64(scored) {
			t.Errorf("accuracy %v, want %d of %d", got, hit, scored)
		}
		if n := sum(t, r.registry, "trading_signals_total"); n != float64(len(rows)) {
			t.Errorf("%v signals counted, %d there", n, len(rows))
		}
		if n := sum(t, r.registry, "signal_accuracy_total"); n != float64(scored) {
			t.Errorf("%v scores counted, %d there", n, scored)
		}
	})

	t.Run("portfolio", func(t *testing.T) {
		opened := value[int](r, "SELECT count(*) FROM positions")
		closed := value[int](r, "SELECT count(*) FROM positions WHERE closed_at IS NOT NULL")
		if opened == 0 || closed == 0 {
			t.Fatalf("%d positions, %d closed: too few to prove anything", opened, closed)
		}
		realized := value[float64](r, "SELECT sum((exit_price - entry_price) * quantity) FROM positions WHERE closed_at IS NOT NULL")
		if got := value[float64](r, "SELECT realized FROM engine"); math.Abs(got-realized) > 1e-6 {
			t.Errorf("realized %v, the trades say %v", got, realized)
		}
		unrealized := value[float64](r, "SELECT sum((price - entry_price) * quantity) FROM positions JOIN quotes USING (symbol_id) WHERE closed_at IS NULL")
		if got := testutil.ToFloat64(metric(t, r.registry, "portfolio_pnl_unrealized")); math.Abs(got-unrealized) > 1e-6 {
			t.Errorf("unrealized %v, the prices say %v", got, unrealized)
		}
		peak := value[float64](r, "SELECT greatest(100000, max(100000 + realized + unrealized)) FROM equity")
		if got := testutil.ToFloat64(metric(t, r.registry, "portfolio_equity_peak")); got < peak || got != value[float64](r, "SELECT peak_equity FROM engine") {
			t.Errorf("the peak is told as %v, the history has %v", got, peak)
		}
		// The limit holds for what is opened; afterwards prices move the exposure a little.
		if worst := value[float64](r, "SELECT max(exposure / (100000 + realized + unrealized)) FROM equity"); worst > 0.1*1.02 {
			t.Errorf("%v of the equity was exposed at a limit of 0.1", worst)
		}
		if n := sum(t, r.registry, "trading_positions_opened_total"); n != float64(opened) {
			t.Errorf("%v counted, %d there", n, opened)
		}
		if n := sum(t, r.registry, "trading_positions_closed_total"); n != float64(closed) {
			t.Errorf("%v counted, %d there", n, closed)
		}
		if n := value[int](r, "SELECT count(*) FROM equity"); n < 170 || n > 181 {
			t.Errorf("%d points of history in half an hour of one each ten seconds", n)
		}
	})

	t.Run("what is told", func(t *testing.T) {
		var told, changed int
		for _, b := range r.told.batches {
			told += len(b.Signals)
			if len(b.Quotes) != 40 || b.PnL.Equity == 0 {
				t.Fatalf("batch of %s: %d quotes, equity %v", b.At, len(b.Quotes), b.PnL.Equity)
			}
			if b.SignalsChanged {
				changed++
			} else if len(b.Signals) > 0 {
				t.Errorf("batch of %s has new signals, and says that none changed", b.At)
			}
		}
		if !r.told.batches[0].SignalsChanged {
			t.Error("what others hold of the time before is not told as old")
		}
		var last int64
		for _, b := range r.told.batches {
			if b.After != last {
				t.Fatalf("batch of %s: signal %d came before, it says %d", b.At, last, b.After)
			}
			for _, g := range b.Signals {
				last = max(last, g.ID)
			}
		}
		if want := value[int](r, "SELECT count(*) FROM signals"); told != want || changed == 0 {
			t.Errorf("%d signals told in %d batches, %d there", told, changed, want)
		}
	})
}

type signalRow struct {
	ID         int64
	TS         time.Time
	SymbolID   int
	Type       string `db:"signal_type"`
	Indicator  string
	Confidence float64
	Status     string
	OutcomePct *float64
}

func signals(t testing.TB, name string) []signalRow {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host=%s/test port=%d user=postgres dbname=%s", database.root, database.port, name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), "SELECT id, ts, symbol_id, signal_type, indicator, confidence, status, outcome_pct FROM signals ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[signalRow])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// metric collects one metric of a registry by its name.
func metric(t testing.TB, registry *prometheus.Registry, name string) prometheus.Collector {
	t.Helper()
	return &named{t, registry, name}
}

type named struct {
	t        testing.TB
	registry *prometheus.Registry
	name     string
}

func (n *named) Describe(out chan<- *prometheus.Desc) {
	out <- prometheus.NewDesc(n.name, "", nil, nil)
}

func (n *named) Collect(out chan<- prometheus.Metric) {
	families, err := n.registry.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != n.name {
			continue
		}
		for _, m := range f.GetMetric() {
			v := m.GetCounter().GetValue() + m.GetGauge().GetValue()
			out <- prometheus.MustNewConstMetric(prometheus.NewDesc(n.name, "", nil, nil), prometheus.UntypedValue, v)
		}
	}
}

// sum of all series of a counter.
func sum(t testing.TB, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var total float64
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

func TestSameTimeSameSignals(t *testing.T) {
	var runs [2][]signalRow
	var equity [2]float64
	for i := range runs {
		r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "10s", "MAX_PORTFOLIO_RISK", "0.03"))
		r.run(begin(t, r.engine, start), start, start.Add(15*time.Minute))
		runs[i] = signals(t, r.name)
		equity[i] = value[float64](r, "SELECT realized + unrealized FROM engine")
	}
	if len(runs[0]) < 10 {
		t.Fatalf("%d signals: too few to prove anything", len(runs[0]))
	}
	if !slices.EqualFunc(runs[0], runs[1], func(a, b signalRow) bool {
		same := a.OutcomePct == nil && b.OutcomePct == nil || a.OutcomePct != nil && b.OutcomePct != nil && *a.OutcomePct == *b.OutcomePct
		a.OutcomePct, b.OutcomePct = nil, nil
		a.TS, b.TS = a.TS.UTC(), b.TS.UTC()
		return same && a == b
	}) {
		t.Errorf("two runs over the same time differ:\n%v\n%v", runs[0], runs[1])
	}
	if equity[0] != equity[1] {
		t.Errorf("PnL %v and %v", equity[0], equity[1])
	}
}

func TestTradingModes(t *testing.T) {
	for _, c := range []struct {
		trading, paper, mode string
		opens                bool
	}{{"false", "true", "off", false}, {"true", "true", "paper", true}, {"true", "false", "refused", false}} {
		t.Run(c.mode, func(t *testing.T) {
			r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "20s", "TRADING_ENABLED", c.trading, "PAPER_TRADING", c.paper))
			r.run(begin(t, r.engine, start), start, start.Add(5*time.Minute))
			if n := value[int](r, "SELECT count(*) FROM signals"); n == 0 {
				t.Error("no signals")
			}
			if n := value[int](r, "SELECT count(*) FROM positions"); (n > 0) != c.opens {
				t.Errorf("%d positions", n)
			}
			if got := value[string](r, "SELECT trading FROM engine"); got != c.mode {
				t.Errorf("the mode is told as %q", got)
			}
		})
	}
}

func TestOneEngineLeads(t *testing.T) {
	r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "10s"))
	first := begin(t, r.engine, start)
	r.run(first, start, start.Add(3*time.Minute+30*time.Second))
	second := r.another(prometheus.NewRegistry())
	if s := begin(t, second, start.Add(3*time.Minute)); s != nil {
		t.Fatal("two engines lead")
	}
	first.Close(t.Context())

	// Ten minutes nobody led. What the first left as ticks becomes candles, the rest
	// comes from the market.
	later := start.Add(13*time.Minute + 5*time.Second)
	var s *engine.Session
	eventually(t, "the lock to be free", func() error {
		if s = begin(t, second, later); s == nil {
			return fmt.Errorf("another engine leads")
		}
		return nil
	})
	r.run(s, later.Add(5*time.Second), start.Add(15*time.Minute))
	if gaps := value[int](r, `
		SELECT count(*) FROM generate_series($1::timestamptz, $2::timestamptz, '1 minute') m CROSS JOIN symbols s
		WHERE NOT EXISTS (SELECT FROM candles c WHERE c.ts = m AND c.symbol_id = s.id)`, start.Add(-3*time.Hour), start.Add(13*time.Minute)); gaps != 0 {
		t.Errorf("%d candles are missing", gaps)
	}
	if n := value[int](r, "SELECT count(*) FROM candles"); n != (180+14)*40 {
		t.Errorf("%d candles", n)
	}
	if peak, told := value[float64](r, "SELECT greatest(max(100000 + realized + unrealized), 100000) FROM equity"), value[float64](r, "SELECT peak_equity FROM engine"); told < peak {
		t.Errorf("the second engine knows of a peak of %v, there was %v", told, peak)
	}
	// Signals that came due meanwhile have an outcome at their time no more.
	if n := value[int](r, "SELECT count(*) FROM signals WHERE status = 'expired'"); n == 0 {
		t.Error("signals whose time passed unseen were scored as if it had not")
	}
	if open, told := value[int](r, "SELECT count(*) FROM positions WHERE closed_at IS NULL"), value[int](r, "SELECT open_positions FROM engine"); open != told {
		t.Errorf("the second engine knows of %d open positions, there are %d", told, open)
	}
}

// An engine that lost the lock without noticing must not write a row.
func TestLostLeaderCannotWrite(t *testing.T) {
	r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "10s"))
	old := begin(t, r.engine, start)
	r.run(old, start, start.Add(time.Minute))
	superuser(t, r.name, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
	successor := r.another(prometheus.NewRegistry())
	var s *engine.Session
	eventually(t, "a new leader", func() error {
		if s = begin(t, successor, start.Add(70*time.Second)); s == nil {
			return fmt.Errorf("another engine leads")
		}
		return nil
	})
	before := value[int](r, "SELECT count(*) FROM ticks")
	if err := old.Step(t.Context(), start.Add(80*time.Second)); err == nil {
		t.Error("the old leader still writes")
	}
	if after := value[int](r, "SELECT count(*) FROM ticks"); after != before {
		t.Errorf("the old leader has written %d ticks", after-before)
	}
	if err := s.Step(t.Context(), start.Add(80*time.Second)); err != nil {
		t.Errorf("the new leader: %v", err)
	}
}

func TestHeldUpEngineFillsTheGap(t *testing.T) {
	r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "10s"))
	s := begin(t, r.engine, start)
	r.run(s, start, start.Add(time.Minute))
	late := start.Add(5 * time.Minute)
	if err := s.Step(t.Context(), late); err == nil || !strings.Contains(err.Error(), "held up") {
		t.Fatalf("a pause of four minutes: %v", err)
	}
	s.Close(t.Context())
	eventually(t, "the next session", func() error {
		if s = begin(t, r.engine, late); s == nil {
			return fmt.Errorf("the lock is taken")
		}
		return nil
	})
	r.run(s, late, late.Add(time.Minute))
	if n := value[int](r, "SELECT count(*) FROM candles WHERE symbol_id = 1 AND ts >= $1 AND ts < $2", start, late); n != 5 {
		t.Errorf("%d candles for five minutes", n)
	}
}

func TestMarketOfAnotherSize(t *testing.T) {
	name := newDatabase(t)
	large := newRig(t, name, settings(t, "INGEST_INTERVAL", "20s", "MAX_SYMBOLS", "40"))
	s := begin(t, large.engine, start)
	large.run(s, start, start.Add(5*time.Minute))
	s.Close(t.Context())
	small := newRig(t, name, settings(t, "INGEST_INTERVAL", "20s", "MAX_SYMBOLS", "3"))
	if value[int](small, "SELECT count(*) FROM positions WHERE closed_at IS NULL AND symbol_id > 3") == 0 {
		t.Fatal("no position of a symbol that goes: this proves nothing")
	}
	eventually(t, "the lock to be free", func() error {
		if s = begin(t, small.engine, start.Add(5*time.Minute)); s == nil {
			return fmt.Errorf("taken")
		}
		return nil
	})
	small.run(s, start.Add(5*time.Minute), start.Add(8*time.Minute))
	if n := value[int](small, "SELECT count(*) FROM positions WHERE closed_at IS NULL AND symbol_id > 3"); n != 0 {
		t.Errorf("%d positions of symbols that are gone stay open", n)
	}
	page, err := small.store.Symbols(t.Context(), "", "", 100, 0)
	if err != nil || page.Total != 3 || len(page.Items) != 3 {
		t.Errorf("%d of %d symbols, %v", len(page.Items), page.Total, err)
	}
}

func TestOldDataGoes(t *testing.T) {
	r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "30s", "MAX_SYMBOLS", "5",
		"TICK_RETENTION", "10m", "CANDLE_RETENTION", "5h", "SIGNAL_RETENTION", "1h"))
	superuser(t, r.name, "INSERT INTO watchlists (owner, symbols, updated_at) VALUES ('old', '{}', '2025-01-01'), ('new', '{}', '2026-03-01')")
	r.run(begin(t, r.engine, start), start, start.Add(4*time.Hour))
	end := start.Add(4 * time.Hour)
	// A chunk goes as a whole once all of it is old enough.
	for what, c := range map[string]struct {
		sql   string
		least time.Duration
		most  time.Duration
	}{
		"ticks":     {"SELECT min(ts) FROM ticks", 10 * time.Minute, 17 * time.Minute},
		"candles":   {"SELECT min(ts) FROM candles", 5 * time.Hour, 7*time.Hour + 5*time.Minute},
		"signals":   {"SELECT min(ts) FROM signals", 0, time.Hour + time.Minute},
		"positions": {"SELECT min(closed_at) FROM positions", 0, time.Hour + time.Minute},
	} {
		age := end.Sub(value[time.Time](r, c.sql))
		if age < c.least-time.Minute || age > c.most {
			t.Errorf("the oldest of %s is %s old, want %s to %s", what, age, c.least, c.most)
		}
	}
	if owner := value[string](r, "SELECT string_agg(owner, ',') FROM watchlists"); owner != "new" {
		t.Errorf("watchlists of %s are left", owner)
	}
	if n := testutil.ToFloat64(metric(t, r.registry, "portfolio_pnl_realized")); n != value[float64](r, "SELECT realized FROM engine") {
		t.Errorf("the realized PnL forgot what was dropped: %v", n)
	}
}

// A position that is open for longer than closed ones are kept is not old.
func TestOpenPositionsStay(t *testing.T) {
	r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "1m", "SIGNAL_HORIZON", "1h", "SIGNAL_RETENTION", "1h"))
	r.run(begin(t, r.engine, start), start, start.Add(100*time.Minute))
	if n := value[int](r, "SELECT count(*) FROM positions WHERE closed_at IS NULL AND opened_at < $1", start.Add(30*time.Minute)); n == 0 {
		t.Error("no position of the beginning is left")
	}
	if there, told := value[int](r, "SELECT count(*) FROM positions WHERE closed_at IS NULL"), value[int](r, "SELECT open_positions FROM engine"); there != told {
		t.Errorf("the engine holds %d positions, %d are there", told, there)
	}
}

func TestStorageBudget(t *testing.T) {
	c := settings(t, "INGEST_INTERVAL", "30s", "MAX_SYMBOLS", "200", "HISTORY_BACKFILL", "24h")
	// 200 symbols × 1440 minutes take more than this; the least that the setting
	// allows would make the test long.
	c.StorageBudget = 20 << 20
	r := newRig(t, newDatabase(t), c)
	s := begin(t, r.engine, start)
	size := func() int64 { return value[int64](r, "SELECT hypertable_size('candles')") }
	if size() < c.StorageBudget*3/2 {
		t.Fatalf("the history has %d bytes: this proves nothing", size())
	}
	r.run(s, start, start.Add(2*time.Minute))
	if total := size() + value[int64](r, "SELECT hypertable_size('ticks')"); total > c.StorageBudget {
		t.Errorf("%d bytes are left at a budget of %d", total, c.StorageBudget)
	}
	if oldest := start.Sub(value[time.Time](r, "SELECT min(ts) FROM candles")); oldest < 4*time.Hour {
		t.Errorf("the oldest candle is %s old: more was dropped than needed", oldest)
	}
	// However small the budget, what the strategy needs stays.
	c.StorageBudget = 1
	r.run(s, start.Add(2*time.Minute), start.Add(4*time.Minute))
	if oldest := start.Sub(value[time.Time](r, "SELECT min(ts) FROM candles")); oldest < 4*time.Hour {
		t.Errorf("the oldest candle is %s old: the engine needs four hours", oldest)
	}
}

// A reader that sits on old data must not stop the market.
func TestReaderDoesNotStopTheMarket(t *testing.T) {
	r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "30s", "MAX_SYMBOLS", "5", "TICK_RETENTION", "10m"))
	s := begin(t, r.engine, start)
	r.run(s, start, start.Add(10*time.Minute))
	conn, err := pgx.Connect(t.Context(), databaseURL(r.name, database.port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT count(*) FROM ticks"); err != nil {
		t.Fatal(err)
	}
	// 18 minutes on, the first chunk would go, were it not for the reader.
	for at := start.Add(10 * time.Minute); at.Before(start.Add(18 * time.Minute)); at = at.Add(30 * time.Second) {
		if err := s.Step(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	if n := value[int](r, "SELECT count(*) FROM ticks WHERE ts < $1", start.Add(5*time.Minute)); n == 0 {
		t.Fatal("the reader held nothing up: this proves nothing")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.run(s, start.Add(18*time.Minute), start.Add(20*time.Minute))
	if n := value[int](r, "SELECT count(*) FROM ticks WHERE ts < $1", start.Add(5*time.Minute)); n != 0 {
		t.Errorf("%d old ticks are left after the reader", n)
	}
}

func TestSignalMetricIsBounded(t *testing.T) {
	r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "30s", "METRICS_TOP_SYMBOLS", "3"))
	r.run(begin(t, r.engine, start), start, start.Add(10*time.Minute))
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "trading_signals_total" {
			continue
		}
		if n := len(f.GetMetric()); n != 2*(3+1) {
			t.Errorf("%d series for 3 top symbols and the others", n)
		}
		var other float64
		for _, m := range f.GetMetric() {
			if m.GetLabel()[1].GetValue() == "other" {
				other += m.GetCounter().GetValue()
			}
		}
		if want := value[int](r, "SELECT count(*) FROM signals WHERE symbol_id > 3"); other != float64(want) || want == 0 {
			t.Errorf("other counts %v, there are %d", other, want)
		}
		return
	}
	t.Error("trading_signals_total is not there")
}

// A cycle that fails ends the lead at once, not when the server loses its patience with
// a silent connection.
func TestFailedCycleGivesTheLeadUp(t *testing.T) {
	s := newStack(t)
	engine := s.start("engine")
	s.await(engine.url+"/metrics", 200, "alphapulse_engine_leader 1", "portfolio_equity")
	const leader = "SELECT coalesce(max(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
	first := query[int](t, s.name, leader)
	superuser(t, s.name, "ALTER TABLE quotes RENAME TO gone")
	// The server would end it after leaderIdle, 90 s.
	deadline := time.Now().Add(45 * time.Second)
	for query[int](t, s.name, leader) == first {
		if time.Now().After(deadline) {
			t.Fatal("an engine that does not work keeps the lead")
		}
		time.Sleep(100 * time.Millisecond)
	}
	superuser(t, s.name, "ALTER TABLE gone RENAME TO quotes")
	s.await(engine.url+"/metrics", 200, "alphapulse_engine_leader 1", "portfolio_equity")
}

func TestMarketThatStandsStillIsStale(t *testing.T) {
	r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "20s"))
	status := func(fresh time.Duration) store.Status {
		t.Helper()
		st, err := r.store.MarketStatus(t.Context(), fresh)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if st := status(time.Hour); st.Status != "waiting" || st.Symbols != 0 {
		t.Errorf("before the first price: %+v", st)
	}
	r.run(begin(t, r.engine, start), start, start.Add(2*time.Minute))
	age := time.Since(start.Add(2 * time.Minute))
	if st := status(age / 2); st.Status != "stale" || st.UpdatedAt.Unix() != start.Add(100*time.Second).Unix() {
		t.Errorf("%s after the last price: %s, %s", age, st.Status, st.UpdatedAt)
	}
	st := status(2 * age)
	if st.Status != "open" || st.Symbols != 40 || st.Advancers+st.Decliners+st.Unchanged != 40 || st.Advancers == 0 || st.Decliners == 0 {
		t.Errorf("%+v", st)
	}
	if n := value[int](r, "SELECT count(*) FROM quotes WHERE change_pct > 0"); n != st.Advancers {
		t.Errorf("%d advance, told are %d", n, st.Advancers)
	}
	if len(st.TopGainers) != 5 || len(st.TopLosers) != 5 || st.TopGainers[0].ChangePct < st.TopGainers[4].ChangePct || st.TopLosers[0].ChangePct > st.TopLosers[4].ChangePct || st.TopGainers[0].ChangePct <= st.TopLosers[0].ChangePct {
		t.Errorf("gainers %+v, losers %+v", st.TopGainers, st.TopLosers)
	}
}

// Longer candles are made of those of a minute, the one that is still going on too.
func TestCandlesOfLongerIntervals(t *testing.T) {
	r := newRig(t, newDatabase(t), settings(t, "INGEST_INTERVAL", "10s"))
	r.run(begin(t, r.engine, start), start, start.Add(12*time.Minute+30*time.Second))
	candles := func(interval time.Duration, limit int) []store.Candle {
		t.Helper()
		c, err := r.store.Candles(t.Context(), "SIM0003USDT", interval, limit)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	minutes := candles(time.Minute, 200)
	for _, interval := range []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour} {
		var want []store.Candle
		for _, m := range minutes {
			at := m.TS.Truncate(interval)
			if n := len(want); n == 0 || !want[n-1].TS.Equal(at) {
				m.TS = at
				want = append(want, m)
				continue
			}
			c := &want[len(want)-1]
			c.High, c.Low, c.Close, c.Volume = max(c.High, m.High), min(c.Low, m.Low), m.Close, c.Volume+m.Volume
		}
		// The first may be cut off by how many minutes were asked for.
		want = want[1:]
		got := candles(interval, len(want))
		if len(got) != len(want) {
			t.Fatalf("%s: %d candles, want %d", interval, len(got), len(want))
		}
		for i, g := range got {
			w := want[i]
			if !g.TS.Equal(w.TS) || g.Open != w.Open || g.High != w.High || g.Low != w.Low || g.Close != w.Close || math.Abs(g.Volume-w.Volume) > 0.01 {
				t.Errorf("%s: %+v, the minutes say %+v", interval, g, w)
			}
		}
	}
}
