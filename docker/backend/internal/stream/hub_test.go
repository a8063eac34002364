package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// patience bounds what a test waits for; it is no promise of speed.
const patience = 30 * time.Second

func newHub(t *testing.T, most int) (*Hub, string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	log := slog.New(slog.DiscardHandler)
	hub := NewHub(most, 4, NewMetrics(registry, most), log)
	router := httpx.NewRouter(log, registry, time.Second, 100)
	router.Handle("GET /ws", hub.Serve)
	server := httptest.NewServer(router)
	t.Cleanup(func() {
		hub.Close(0)
		server.Close()
	})
	return hub, server.URL + "/ws"
}

func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

type frame struct {
	Type       string `json:"type"`
	LastSignal int64  `json:"last_signal"`
	Since      int64  `json:"since"`
	Items      []struct {
		Symbol string  `json:"symbol"`
		Price  float64 `json:"price"`
	} `json:"items"`
	Signal    store.Signal `json:"signal"`
	PnL       store.PnL    `json:"pnl"`
	Simulated bool         `json:"simulated"`
	Error     string       `json:"error"`
}

// next reads frames up to one of a type; "" takes any.
func next(t *testing.T, conn *websocket.Conn, kind string) frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("waiting for %q: %v", kind, err)
		}
		var f frame
		if err := json.Unmarshal(raw, &f); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if kind == "" || f.Type == kind {
			return f
		}
	}
}

func batch(at int, symbols int) *Batch {
	b := &Batch{At: time.Unix(int64(at), 0), PnL: store.PnL{Total: float64(at)}}
	for i := range symbols {
		b.Quotes = append(b.Quotes, store.Quote{Symbol: fmt.Sprintf("S%d", i), Price: float64(at)})
	}
	b.Signals = []store.Signal{{ID: 2 * int64(at), Symbol: "S1"}, {ID: 2*int64(at) + 1, Symbol: "S2"}}
	return b
}

func TestBroadcast(t *testing.T) {
	hub, url := newHub(t, 10)
	hub.Broadcast(batch(1, 3))
	a, b := dial(t, url), dial(t, url)
	for _, conn := range []*websocket.Conn{a, b} {
		if !next(t, conn, "hello").Simulated {
			t.Error("the greeting does not say that the market is simulated")
		}
		// The present state comes at once, old signals do not.
		if f := next(t, conn, "prices"); len(f.Items) != 3 || f.Items[0].Price != 1 || !f.Simulated {
			t.Errorf("%+v", f)
		}
		if f := next(t, conn, ""); f.Type != "positions" {
			t.Errorf("after the prices of a snapshot comes %+v", f)
		}
		if f := next(t, conn, "pnl"); f.PnL.Total != 1 {
			t.Errorf("%+v", f)
		}
	}
	hub.Broadcast(batch(2, 3))
	for _, conn := range []*websocket.Conn{a, b} {
		if f := next(t, conn, "prices"); f.Items[0].Price != 2 {
			t.Errorf("%+v", f)
		}
		if f, g := next(t, conn, "signal"), next(t, conn, "signal"); f.Signal.ID != 4 || g.Signal.ID != 5 {
			t.Errorf("%+v %+v", f, g)
		}
		next(t, conn, "positions")
	}
}

func TestSubscribe(t *testing.T) {
	hub, url := newHub(t, 10)
	hub.Broadcast(batch(1, longestFrame+50))
	conn := dial(t, url)
	if f := next(t, conn, "prices"); len(f.Items) != longestFrame {
		t.Errorf("%d quotes without a subscription", len(f.Items))
	}
	send := func(text string) {
		t.Helper()
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	send(`{"subscribe":["s2","S540","UNKNOWN"]}`)
	if f := next(t, conn, "prices"); len(f.Items) != 2 || f.Items[0].Symbol != "S2" || f.Items[1].Symbol != "S540" {
		t.Errorf("%+v", f)
	}
	hub.Broadcast(batch(10, longestFrame+50))
	if f := next(t, conn, "prices"); len(f.Items) != 2 || f.Items[0].Price != 10 {
		t.Errorf("%+v", f)
	}
	if f := next(t, conn, "signal"); f.Signal.Symbol != "S2" {
		t.Errorf("a signal of another symbol: %+v", f.Signal)
	}
	send(`{"subscribe":[]}`)
	if f := next(t, conn, "prices"); len(f.Items) != longestFrame {
		t.Errorf("%d quotes after the subscription ended", len(f.Items))
	}
	for _, bad := range []string{`{}`, `[1]`, `{"subscribe":"S1"}`, `{"other":1}`, `{"subscribe":[` + strings.Repeat(`"x",`, longestRequest) + `"x"]}`} {
		send(bad)
		if f := next(t, conn, "error"); !strings.Contains(f.Error, "subscribe") {
			t.Errorf("%s: %q", bad, f.Error)
		}
	}
}

func closeStatus(t *testing.T, conn *websocket.Conn) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func TestTooLargeARequest(t *testing.T) {
	_, url := newHub(t, 10)
	conn := dial(t, url)
	if err := conn.Write(t.Context(), websocket.MessageText, make([]byte, largestRequest+1)); err != nil {
		t.Fatal(err)
	}
	if s := closeStatus(t, conn); s != websocket.StatusMessageTooBig {
		t.Errorf("closed with %v", s)
	}
}

// A client that does not read must neither hold the others up nor grow a queue.
func TestSlowClientIsDropped(t *testing.T) {
	hub, url := newHub(t, 10)
	hub.writeTimeout = time.Hour // it is the full queue that ends it
	slow, good := dial(t, url), dial(t, url)
	next(t, slow, "hello")
	next(t, good, "hello")
	dropped := func() float64 { return testutil.ToFloat64(hub.metrics.dropped) }
	deadline := time.Now().Add(patience)
	// The kernel's buffers take some megabytes before the queue fills up.
	for at := 1; dropped() == 0; at++ {
		if time.Now().After(deadline) {
			t.Fatal("the slow client was never dropped")
		}
		hub.Broadcast(batch(at, longestFrame))
		if f := next(t, good, "prices"); f.Items[0].Price != float64(at) {
			t.Fatalf("the good client got batch %v, not %d", f.Items[0].Price, at)
		}
		next(t, good, "pnl")
	}
	for testutil.ToFloat64(hub.metrics.clients) != 1 {
		if time.Now().After(deadline) {
			t.Fatal("the slow client still counts")
		}
		time.Sleep(time.Millisecond)
	}
	hub.Broadcast(batch(1_000_000, 1))
	if f := next(t, good, "prices"); f.Items[0].Price != 1_000_000 {
		t.Errorf("%+v", f)
	}
}

func TestClientsAreBounded(t *testing.T) {
	hub, url := newHub(t, 2)
	first, second := dial(t, url), dial(t, url)
	next(t, first, "hello")
	next(t, second, "hello")
	_, response, err := websocket.Dial(t.Context(), url, nil)
	if err == nil || response == nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("the third of two: %v %v", response, err)
	}
	if n := testutil.ToFloat64(hub.metrics.connections.WithLabelValues("refused")); n != 1 {
		t.Errorf("%v refused", n)
	}
	_ = first.Close(websocket.StatusNormalClosure, "")
	deadline := time.Now().Add(patience)
	for {
		conn, _, err := websocket.Dial(t.Context(), url, nil)
		if err == nil {
			_ = conn.CloseNow()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a client that left stays taken")
		}
	}
}

// collect reads the IDs of all signals up to one.
func collect(t *testing.T, conn *websocket.Conn, last int64) (ids []int64) {
	t.Helper()
	for {
		id := next(t, conn, "signal").Signal.ID
		if ids = append(ids, id); id >= last {
			return ids
		}
	}
}

// Who comes back gets every signal that it has missed, and none twice.
func TestResume(t *testing.T) {
	hub, url := newHub(t, 10)
	if err := hub.Remember([]store.Signal{{ID: 4, Symbol: "S1"}, {ID: 6, Symbol: "S1"}, {ID: 7, Symbol: "S2"}}, 3); err != nil {
		t.Fatal(err)
	}
	first := dial(t, url)
	if f := next(t, first, "hello"); f.LastSignal != 7 {
		t.Errorf("the newest signal is told as %d", f.LastSignal)
	}
	hub.Broadcast(batch(5, 3)) // signals 10 and 11
	if ids := collect(t, first, 11); !slices.Equal(ids, []int64{10, 11}) {
		t.Errorf("who did not ask for the past got %v", ids)
	}
	_ = first.Close(websocket.StatusNormalClosure, "")
	hub.Broadcast(batch(6, 3)) // 12 and 13, while nobody listens

	for since, want := range map[int64][]int64{11: {12, 13, 14, 15}, 6: {7, 10, 11, 12, 13, 14, 15}, 3: {4, 6, 7, 10, 11, 12, 13, 14, 15}, 14: {15}} {
		hub, url := newHub(t, 10)
		if err := hub.Remember([]store.Signal{{ID: 4, Symbol: "S1"}, {ID: 6, Symbol: "S1"}, {ID: 7, Symbol: "S2"}}, 3); err != nil {
			t.Fatal(err)
		}
		hub.Broadcast(batch(5, 3))
		hub.Broadcast(batch(6, 3))
		conn := dial(t, fmt.Sprintf("%s?since=%d", url, since))
		if f := next(t, conn, ""); f.Type != "hello" || f.LastSignal != 13 {
			t.Errorf("%+v", f)
		}
		until(t, "the client", func() bool { return testutil.ToFloat64(hub.metrics.clients) == 1 })
		// 14 and 15; a client from a process that was ahead has had 14.
		hub.Broadcast(batch(7, 3))
		if ids := collect(t, conn, 15); !slices.Equal(ids, want) {
			t.Errorf("since %d: %v, want %v", since, ids, want)
		}
	}
}

// What is no longer remembered is told as missing, so that the client reads it elsewhere.
func TestResumeAfterTooLong(t *testing.T) {
	hub, url := newHub(t, 10)
	// Nothing is known yet.
	if f := next(t, dial(t, url+"?since=1"), "gap"); f.Since != 1 {
		t.Errorf("%+v", f)
	}
	for at := 1; at <= remembered; at++ { // two signals each, so half of them are forgotten
		hub.Broadcast(batch(at, 1))
	}
	conn := dial(t, url+"?since=5")
	if f := next(t, conn, "gap"); f.Since != 5 {
		t.Errorf("%+v", f)
	}
	ids := collect(t, conn, 2*remembered+1)
	if len(ids) != remembered || ids[0] != remembered+2 {
		t.Errorf("%d signals from %d on", len(ids), ids[0])
	}
	for _, since := range []int{remembered + 1, 2*remembered + 1} {
		conn := dial(t, fmt.Sprintf("%s?since=%d", url, since))
		next(t, conn, "hello")
		if f := next(t, conn, ""); f.Type == "gap" {
			t.Errorf("since %d: %+v", since, f)
		}
	}
	for _, bad := range []string{"x", "-1", "1.5"} {
		_, response, err := websocket.Dial(t.Context(), url+"?since="+bad, nil)
		if err == nil || response.StatusCode != http.StatusBadRequest {
			t.Errorf("since=%s: %v", bad, err)
		}
	}
}

// A thousand that come at once are opened a few at a time, and all of them.
func TestStormOfWebSockets(t *testing.T) {
	const storm = 300
	hub, url := newHub(t, storm)
	hub.Broadcast(batch(1, longestFrame))
	var most atomic.Int64
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				most.Store(max(most.Load(), int64(len(hub.turns))))
			}
		}
	})
	var wg sync.WaitGroup
	for range storm {
		wg.Go(func() {
			conn, response, err := websocket.Dial(t.Context(), url, nil)
			// A slow machine has some wait too long for their turn; they are told to come again.
			for err != nil && response != nil && response.StatusCode == http.StatusServiceUnavailable {
				conn, response, err = websocket.Dial(t.Context(), url, nil)
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.CloseNow() }()
			conn.SetReadLimit(1 << 20)
			if f := next(t, conn, "prices"); len(f.Items) != longestFrame {
				t.Errorf("%d prices", len(f.Items))
			}
		})
	}
	wg.Wait()
	close(done)
	watch.Wait()
	if n := most.Load(); n > 4 {
		t.Errorf("%d were opened at once, 4 may be", n)
	}
	until(t, "the places free", func() bool {
		hub.mu.Lock()
		defer hub.mu.Unlock()
		return hub.opening == 0
	})
}

// Who waits too long for its turn is told to come again.
func TestBusyHubSaysWhenToComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := NewHub(10, 1, NewMetrics(prometheus.NewRegistry(), 10), slog.New(slog.DiscardHandler))
		leave, err := hub.place(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := hub.place(t.Context()); !errors.Is(err, errBusy) || time.Since(start) != handshakeWait {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := hub.place(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone: %v", err)
		}
		if hub.opening != 1 {
			t.Errorf("%d places are taken by one", hub.opening)
		}
		leave()
		again, err := hub.place(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again()
		if hub.opening != 0 {
			t.Errorf("%d places are taken by none", hub.opening)
		}
	})
}

// Those that are sent elsewhere go one after the other, with all that was said to them.
func TestCloseIsSpread(t *testing.T) {
	const clients = 4
	hub, url := newHub(t, clients)
	var conns []*websocket.Conn
	for range clients {
		conn := dial(t, url)
		next(t, conn, "hello")
		conns = append(conns, conn)
	}
	hub.Broadcast(batch(1, 1))
	hub.Close(time.Hour)
	gone := make(chan websocket.StatusCode, clients)
	for _, conn := range conns {
		go func() {
			if f := next(t, conn, "pnl"); f.PnL.Total != 1 {
				t.Errorf("%+v", f)
			}
			gone <- closeStatus(t, conn)
		}()
	}
	if code := <-gone; code != websocket.StatusGoingAway {
		t.Errorf("closed with %v", code)
	}
	waited, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if hub.Wait(waited) {
		t.Error("all have gone, though an hour is given")
	}
	if n := testutil.ToFloat64(hub.metrics.clients); n != clients-1 {
		t.Errorf("%v are left", n)
	}
}

func TestCloseSaysGoingAway(t *testing.T) {
	hub, url := newHub(t, 10)
	conn := dial(t, url)
	next(t, conn, "hello")
	hub.Close(0)
	if s := closeStatus(t, conn); s != websocket.StatusGoingAway {
		t.Errorf("closed with %v", s)
	}
	if _, response, err := websocket.Dial(t.Context(), url, nil); err == nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("a stopping process accepts: %v", err)
	}
	ended, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if !hub.Wait(ended) {
		t.Error("the WebSockets never end")
	}
}

func TestOtherOriginsAreRefused(t *testing.T) {
	_, url := newHub(t, 10)
	_, response, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://other.example"}}})
	if err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another site connects: %v", err)
	}
}

func TestPlainRequest(t *testing.T) {
	_, url := newHub(t, 10)
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("%s", response.Status)
	}
}

// A connection is opened in the trace of its request; each message has a trace of its own,
// which leads there, and tells nothing of what was sent.
func TestMessagesAreTraced(t *testing.T) {
	hub, url := newHub(t, 10)
	spans := tracetest.NewSpanRecorder()
	hub.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	const parent = "4bf92f3577b34da6a3ce929d0e0e4736"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: http.Header{"Traceparent": {"00-" + parent + "-00f067aa0ba902b7-01"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	next(t, conn, "hello")
	for _, message := range []string{`{"subscribe": "s3cret"}`, `{"subscribe": ["SIM0001USDT"]}`, `{"subscribe": []}`} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(patience); len(spans.Ended()) < 4 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	ended := spans.Ended()
	if len(ended) != 4 {
		t.Fatalf("%d spans", len(ended))
	}
	opened := ended[slices.IndexFunc(ended, func(s sdktrace.ReadOnlySpan) bool { return s.Name() == "websocket open" })]
	if got := opened.SpanContext().TraceID().String(); got != parent {
		t.Errorf("the connection is opened in the trace %s", got)
	}
	understood := 0
	for _, s := range ended {
		if s.Name() != "stream subscribe" {
			continue
		}
		if s.SpanContext().TraceID() == opened.SpanContext().TraceID() || s.Parent().IsValid() {
			t.Error("a message belongs to a trace that ended long ago")
		}
		if len(s.Links()) != 1 || !s.Links()[0].SpanContext.Equal(opened.SpanContext()) {
			t.Errorf("a message does not lead to its connection: %+v", s.Links())
		}
		for _, a := range s.Attributes() {
			if a.Key == "stream.understood" && a.Value.AsBool() {
				understood++
			}
			if strings.Contains(a.Value.String(), "s3cret") {
				t.Errorf("%s tells what was sent", a.Key)
			}
		}
	}
	if understood != 2 {
		t.Errorf("%d messages were understood, want 2", understood)
	}
}
