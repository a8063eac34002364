package stream

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// table is what the engine has written.
type table struct {
	mu      sync.Mutex
	at      time.Time
	signals []store.Signal
}

// write makes the table as the engine leaves it after a batch with new signals.
func (d *table) write(at int, signals ...int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = time.Unix(int64(at), 0)
	for _, id := range signals {
		d.signals = append(d.signals, store.Signal{ID: id, Symbol: "S0"})
	}
}

func (d *table) Quotes(context.Context) ([]store.Quote, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.IsZero() {
		return nil, nil
	}
	// The last is the newest: a symbol that is no longer followed keeps its old time.
	return []store.Quote{{Symbol: "OLD", TS: d.at.Add(-time.Hour)}, {Symbol: "S0", Price: float64(d.at.Unix()), TS: d.at}}, nil
}

func (d *table) LastSignal(context.Context) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.signals) == 0 {
		return 0, nil
	}
	return d.signals[len(d.signals)-1].ID, nil
}

func (d *table) SignalsAfter(_ context.Context, id int64, limit int) (after []store.Signal, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.signals {
		if s.ID > id && len(after) < limit {
			after = append(after, s)
		}
	}
	return after, nil
}

func (d *table) Positions(context.Context) (store.Page[store.Position], error) {
	return store.Page[store.Position]{Items: []store.Position{{Symbol: "S0"}}}, nil
}

func (d *table) Portfolio(context.Context) (store.PnL, store.Scores, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return store.PnL{Total: float64(d.at.Unix())}, store.Scores{}, nil
}

// feed runs a source for the test's time, changed by what is given. server may be nil.
func feed(t *testing.T, hub *Hub, d *table, server *miniredis.Miniredis, change ...func(*Source)) *Source {
	t.Helper()
	s := &Source{Store: d, Hub: hub, Interval: 20 * time.Millisecond, Metrics: hub.metrics, Log: slog.New(slog.DiscardHandler)}
	if server != nil {
		s.Client = redis.NewClient(&redis.Options{Addr: server.Addr(), DialTimeout: time.Second, MaxRetries: -1})
		t.Cleanup(func() { _ = s.Client.Close() })
	}
	for _, c := range change {
		c(s)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	return s
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never saw %s", what)
		}
	}
}

func publish(t *testing.T, server *miniredis.Miniredis, at int, signals ...int64) {
	t.Helper()
	publishAfter(t, server, at, 0, signals...)
}

// publishAfter publishes a batch that says which signal came before it.
func publishAfter(t *testing.T, server *miniredis.Miniredis, at int, after int64, signals ...int64) {
	t.Helper()
	b := Batch{At: time.Unix(int64(at), 0), After: after, Quotes: []store.Quote{{Symbol: "S0", Price: float64(at), TS: time.Unix(int64(at), 0)}}}
	for _, id := range signals {
		b.Signals = append(b.Signals, store.Signal{ID: id, Symbol: "S0"})
	}
	raw, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "a subscriber", func() bool { return server.Publish(Channel, string(raw)) > 0 })
}

func priceOf(t *testing.T, conn *websocket.Conn) float64 {
	t.Helper()
	f := next(t, conn, "prices")
	return f.Items[len(f.Items)-1].Price
}

func TestWithoutRedisTheDatabaseIsRead(t *testing.T) {
	hub, url := newHub(t, 10)
	var d table
	d.write(100, 1, 2, 3)
	conn := dial(t, url)
	next(t, conn, "hello") // before the process knows anything
	feed(t, hub, &d, nil)
	if p := priceOf(t, conn); p != 100 {
		t.Errorf("the present price is told as %v", p)
	}
	// What was there before this process is no news.
	if f := next(t, conn, ""); f.Type != "positions" {
		t.Errorf("after the prices comes %+v", f)
	}
	d.write(102, 4, 5)
	if p := priceOf(t, conn); p != 102 {
		t.Errorf("the next price is told as %v", p)
	}
	for _, want := range []int64{4, 5} {
		if f := next(t, conn, "signal"); f.Signal.ID != want {
			t.Errorf("signal %d is told, want %d", f.Signal.ID, want)
		}
	}
	if f := next(t, conn, "pnl"); f.PnL.Total != 102 {
		t.Errorf("PnL %v", f.PnL.Total)
	}
	if n := testutil.ToFloat64(hub.metrics.newest); n != 102 {
		t.Errorf("the newest prices are told to be of %v", n)
	}
	if testutil.ToFloat64(hub.metrics.source.WithLabelValues("database")) != 1 || testutil.ToFloat64(hub.metrics.source.WithLabelValues("redis")) != 0 {
		t.Error("the metric does not say that the database is read")
	}
}

func TestRedisBringsBatches(t *testing.T) {
	hub, url := newHub(t, 10)
	server := miniredis.RunT(t)
	var d table
	d.write(100)
	// Nothing comes from the database but the beginning.
	feed(t, hub, &d, server, func(s *Source) { s.Interval = time.Hour })
	conn := dial(t, url)
	if p := priceOf(t, conn); p != 100 {
		t.Errorf("the present price is told as %v", p)
	}
	publish(t, server, 104, 7)
	if p := priceOf(t, conn); p != 104 {
		t.Errorf("price %v", p)
	}
	if f := next(t, conn, "signal"); f.Signal.ID != 7 {
		t.Errorf("signal %d", f.Signal.ID)
	}
	// What is older than what was told is not told any more; what cannot be read is skipped.
	publish(t, server, 103, 8)
	if n := server.Publish(Channel, "{"); n != 1 {
		t.Fatalf("%d subscribers", n)
	}
	publish(t, server, 105)
	if p := priceOf(t, conn); p != 105 {
		t.Errorf("after 104 comes %v", p)
	}
	if testutil.ToFloat64(hub.metrics.source.WithLabelValues("redis")) != 1 {
		t.Error("the metric does not say that Redis brings the batches")
	}
}

// The engine writes but cannot reach Redis: its silence must not stop the pages.
func TestSilentRedisIsNotTrusted(t *testing.T) {
	hub, url := newHub(t, 10)
	server := miniredis.RunT(t)
	var d table
	d.write(100, 1)
	feed(t, hub, &d, server)
	conn := dial(t, url)
	priceOf(t, conn)
	publish(t, server, 101, 2)
	if p := priceOf(t, conn); p != 101 {
		t.Fatalf("price %v", p)
	}
	d.write(102, 2, 3)
	if p := priceOf(t, conn); p != 102 {
		t.Errorf("price %v", p)
	}
	// The signal that Redis brought is not told again.
	if f := next(t, conn, "signal"); f.Signal.ID != 3 {
		t.Errorf("signal %d", f.Signal.ID)
	}
	until(t, "the source of the silence", func() bool {
		return testutil.ToFloat64(hub.metrics.source.WithLabelValues("database")) == 1
	})
}

func TestLostRedisIsFoundAgain(t *testing.T) {
	hub, url := newHub(t, 10)
	server := miniredis.RunT(t)
	var d table
	d.write(100)
	feed(t, hub, &d, server)
	conn := dial(t, url)
	priceOf(t, conn)
	publish(t, server, 101)
	priceOf(t, conn)
	server.Close()
	until(t, "the loss", func() bool { return testutil.ToFloat64(hub.metrics.source.WithLabelValues("database")) == 1 })
	d.write(102)
	if p := priceOf(t, conn); p != 102 {
		t.Errorf("without Redis: %v", p)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	publish(t, server, 103)
	if p := priceOf(t, conn); p != 103 {
		t.Errorf("with Redis back: %v", p)
	}
}

// What was published while Redis could not be heard is read from the database.
func TestMissedSignalsAreMadeUpFor(t *testing.T) {
	hub, url := newHub(t, 10)
	server := miniredis.RunT(t)
	var d table
	d.write(100, 1, 2)
	feed(t, hub, &d, server, func(s *Source) { s.Interval = time.Hour })
	conn := dial(t, url)
	if f := next(t, conn, "hello"); f.LastSignal != 0 && f.LastSignal != 2 {
		t.Errorf("%+v", f)
	}
	priceOf(t, conn)
	var many []int64
	for id := int64(3); id <= 3+longestCatchUp; id++ {
		many = append(many, id)
	}
	last := many[len(many)-1]
	d.write(101, many...) // nobody hears of this one
	d.write(102, last+1)
	publishAfter(t, server, 102, last, last+1)
	want := append(many, last+1)
	if ids := collect(t, conn, last+1); !slices.Equal(ids, want) {
		t.Errorf("%d signals from %d to %d, want %d", len(ids), ids[0], ids[len(ids)-1], len(want))
	}
	d.write(103, last+2)
	publishAfter(t, server, 103, last+1, last+2)
	if ids := collect(t, conn, last+2); !slices.Equal(ids, []int64{last + 2}) {
		t.Errorf("then %v", ids)
	}
	// Those who come now can ask for what was before this process.
	if ids := collect(t, dial(t, url+"?since=1"), last+2); ids[0] != 2 || len(ids) != len(want)+2 {
		t.Errorf("%d signals from %d on", len(ids), ids[0])
	}
}
