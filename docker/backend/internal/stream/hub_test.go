package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// patience bounds what a test waits for; it is no promise of speed.
const patience = 30 * time.Second

func newHub(t *testing.T, most int) (*Hub, string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	log := slog.New(slog.DiscardHandler)
	hub := NewHub(most, NewMetrics(registry, most), log)
	router := httpx.NewRouter(log, registry, time.Second, 100)
	router.Handle("GET /ws", hub.Serve)
	server := httptest.NewServer(router)
	t.Cleanup(func() {
		hub.Close()
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
	Type  string `json:"type"`
	Items []struct {
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
	b.Signals = []store.Signal{{ID: int64(at), Symbol: "S1"}, {ID: int64(at) + 1, Symbol: "S2"}}
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
		if f, g := next(t, conn, "signal"), next(t, conn, "signal"); f.Signal.ID != 2 || g.Signal.ID != 3 {
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

func TestCloseSaysGoingAway(t *testing.T) {
	hub, url := newHub(t, 10)
	conn := dial(t, url)
	next(t, conn, "hello")
	hub.Close()
	if s := closeStatus(t, conn); s != websocket.StatusGoingAway {
		t.Errorf("closed with %v", s)
	}
	if _, response, err := websocket.Dial(t.Context(), url, nil); err == nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a stopping process accepts: %v", err)
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
