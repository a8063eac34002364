package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/session"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// echo is a store whose answers say what was asked for.
type echo struct {
	lists map[string][]string
	known []string
}

func said[T any](item T) (store.Page[T], error) { return store.Page[T]{Items: []T{item}}, nil }

func (e *echo) MarketStatus(_ context.Context, fresh time.Duration) (store.Status, error) {
	return store.Status{Status: fresh.String()}, nil
}

func (e *echo) Symbols(_ context.Context, contains, order string, limit, offset int) (store.Page[store.Quote], error) {
	return said(store.Quote{Symbol: fmt.Sprint("symbols ", contains, "|", order, "|", limit, "|", offset)})
}

func (e *echo) Candles(_ context.Context, symbol string, interval time.Duration, limit int) ([]store.Candle, error) {
	if symbol == "NOPE" {
		return nil, store.ErrNotFound
	}
	return []store.Candle{{Volume: interval.Seconds(), Open: float64(limit), Close: float64(len(symbol))}}, nil
}

func (e *echo) Signals(_ context.Context, f store.SignalFilter, limit, offset int) (store.Page[store.Signal], error) {
	return said(store.Signal{Symbol: fmt.Sprint("signals ", f.Symbol, "|", f.Type, "|", f.Active, "|", limit, "|", offset)})
}

func (e *echo) Positions(context.Context) (store.Page[store.Position], error) {
	return said(store.Position{Symbol: "positions"})
}

func (e *echo) Trades(_ context.Context, limit int) (store.Page[store.Trade], error) {
	return said(store.Trade{Symbol: fmt.Sprint("trades ", limit)})
}

func (e *echo) PnLHistory(_ context.Context, bucket time.Duration, limit int) (store.Page[store.EquityPoint], error) {
	return said(store.EquityPoint{Realized: bucket.Seconds(), Unrealized: float64(limit)})
}

func (e *echo) Watchlist(_ context.Context, owner string) ([]string, error) {
	return append([]string{}, e.lists[owner]...), nil
}

func (e *echo) UnknownSymbols(_ context.Context, names []string) (unknown []string, err error) {
	for _, n := range names {
		if !slices.Contains(e.known, n) {
			unknown = append(unknown, n)
		}
	}
	return unknown, nil
}

func (e *echo) SetWatchlist(_ context.Context, owner string, symbols []string) error {
	e.lists[owner] = symbols
	return nil
}

// answering is an API with a cache that keeps everything for an hour.
func answering(t *testing.T) (*httptest.Server, *echo) {
	t.Helper()
	return signed(t, &echo{lists: map[string][]string{}}, nil)
}

// signed is answering with keys for sessions and a store that may be another's, too.
func signed(t *testing.T, e *echo, keys *session.Keys) (*httptest.Server, *echo) {
	t.Helper()
	client, err := cache.NewClient(cache.Server{URL: "redis://" + miniredis.RunT(t).Addr()}, nil, "test", 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	log, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	e.known = []string{"AAA", "BBB", "CCC"}
	router := httpx.NewRouter(log, registry, 5*time.Second, 100)
	c := cache.New(cache.Options{Client: client, TTL: time.Hour, LoadTimeout: time.Minute, Metrics: cache.NewMetrics(registry), Log: log})
	(&API{Store: e, Cache: c, Fresh: 7 * time.Second, Sessions: keys}).Register(router)
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return server, e
}

// Whatever was asked for before and is kept, an answer is to the question asked.
func TestEveryParameterCounts(t *testing.T) {
	server, _ := answering(t)
	for round, want := range []string{"miss", "hit"} {
		for target, part := range map[string]string{
			"/api/market/status":                                  `"status":"7s"`,
			"/api/symbols":                                        `"symbols ||100|0"`,
			"/api/symbols?query=sim":                              `"symbols SIM||100|0"`,
			"/api/symbols?sort=gainers":                           `"symbols |gainers|100|0"`,
			"/api/symbols?sort=losers":                            `"symbols |losers|100|0"`,
			"/api/symbols?limit=1000":                             `"symbols ||1000|0"`,
			"/api/symbols?limit=10":                               `"symbols ||10|0"`,
			"/api/symbols?limit=1&offset=10":                      `"symbols ||1|10"`,
			"/api/symbols?offset=100000":                          `"symbols ||100|100000"`,
			"/api/symbols/aaa/candles":                            `"symbol":"AAA","interval":"1m","simulated":true,"items":[{"ts":"0001-01-01T00:00:00Z","open":300,"high":0,"low":0,"close":3,"volume":60}]`,
			"/api/symbols/aaaa/candles?interval=5m":               `"open":300,"high":0,"low":0,"close":4,"volume":300}`,
			"/api/symbols/aaa/candles?interval=15m":               `"open":300,"high":0,"low":0,"close":3,"volume":900}`,
			"/api/symbols/aaa/candles?interval=1h&limit=2":        `"open":2,"high":0,"low":0,"close":3,"volume":3600}`,
			"/api/signals/latest":                                 `"signals ||false|50|0"`,
			"/api/signals/active":                                 `"signals ||true|50|0"`,
			"/api/signals/latest?symbol=aaa":                      `"signals AAA||false|50|0"`,
			"/api/signals/latest?type=buy":                        `"signals |buy|false|50|0"`,
			"/api/signals/active?type=sell":                       `"signals |sell|true|50|0"`,
			"/api/signals/active?symbol=aaa&limit=3":              `"signals AAA||true|3|0"`,
			"/api/signals/latest?symbol=aaa&limit=3&offset=6":     `"signals AAA||false|3|6"`,
			"/api/positions":                                      `"positions"`,
			"/api/trades":                                         `"trades 50"`,
			"/api/trades?limit=5":                                 `"trades 5"`,
			"/api/pnl":                                            `"realized":60,"unrealized":300`,
			"/api/pnl?interval=5m":                                `"realized":300,"unrealized":300`,
			"/api/pnl?interval=1h&limit=9":                        `"realized":3600,"unrealized":9`,
			"/api/symbols?query=" + strings.Repeat("x", 32):       `"symbols ` + strings.Repeat("X", 32),
			"/api/symbols?query=&sort=volume&limit=7&offset=0":    `"symbols |volume|7|0"`,
			"/api/signals/latest?symbol=&type=&limit=1000&offset": `"signals ||false|1000|0"`,
		} {
			w, err := http.Get(server.URL + target)
			if err != nil {
				t.Fatal(err)
			}
			body := read(t, w)
			if w.StatusCode != 200 || !strings.Contains(body, part) || w.Header.Get("X-Cache") != want {
				t.Errorf("round %d, %s: %s (%s) %s, want %s", round, target, w.Status, w.Header.Get("X-Cache"), body, part)
			}
			if w.Header.Get("Content-Type") != "application/json" || w.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %v", target, w.Header)
			}
		}
	}
	w, err := http.Get(server.URL + "/api/symbols/nope/candles")
	if err != nil {
		t.Fatal(err)
	}
	if body := read(t, w); w.StatusCode != 404 || !strings.Contains(body, `symbol \"NOPE\" is not known`) {
		t.Errorf("%s %s", w.Status, body)
	}
}

// browser is one visitor.
type browser struct {
	testing.TB
	client *http.Client
	base   string
}

func newBrowser(t *testing.T, server *httptest.Server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Jar: jar}, server.URL + "/api/watchlist"}
}

func (b *browser) list() string {
	b.Helper()
	w, err := b.client.Get(b.base)
	if err != nil {
		b.Fatal(err)
	}
	if w.Header.Get("Vary") != "Cookie" {
		b.Error("a cache between may serve one visitor's list to another")
	}
	return read(b, w)
}

func (b *browser) save(body string) (*http.Response, string) {
	b.Helper()
	w, err := b.client.Post(b.base, "application/json; charset=utf-8", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	return w, read(b, w)
}

func TestWatchlistsAreKeptApart(t *testing.T) {
	server, e := answering(t)
	one, two := newBrowser(t, server), newBrowser(t, server)
	for i, step := range []struct {
		who        *browser
		body, want string
	}{
		{one, `{"symbols":["bbb","AAA","BBB"]}`, `{"symbols":["BBB","AAA"]}`},
		{two, `{"symbols":["CCC"]}`, `{"symbols":["CCC"]}`},
		{one, `{"symbol":"ccc"}`, `{"symbols":["BBB","AAA","CCC"]}`},
		{one, `{"symbol":"AAA"}`, `{"symbols":["BBB","AAA","CCC"]}`},
		{two, `{"symbols":[]}`, `{"symbols":[]}`},
		{one, `{"symbols":["AAA"]}`, `{"symbols":["AAA"]}`},
	} {
		if w, body := step.who.save(step.body); w.StatusCode != 200 || body != step.want {
			t.Errorf("step %d: %s %s, want %s", i, w.Status, body, step.want)
		}
		for range 2 { // the second comes from the cache
			if got := step.who.list(); got != step.want {
				t.Errorf("after step %d: %s, want %s", i, got, step.want)
			}
		}
	}
	if got := two.list(); got != `{"symbols":[]}` {
		t.Errorf("another visitor has %s", got)
	}
	if len(e.lists) != 2 {
		t.Errorf("two visitors have %d lists", len(e.lists))
	}
	if w, body := one.save(`{"symbols":["AAA","XXX"]}`); w.StatusCode != 400 || !strings.Contains(body, `\"XXX\" is not known`) {
		t.Errorf("%s %s", w.Status, body)
	}
}

func TestWatchlistCookie(t *testing.T) {
	server, _ := answering(t)
	for proto, secure := range map[string]bool{"https": true, "http": false, "": false} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/watchlist", strings.NewReader(`{"symbols":["AAA"]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "X-Forwarded-Proto": {proto}}
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Body.Close()
		c := w.Cookies()
		if len(c) != 1 {
			t.Fatalf("%d cookies", len(c))
		}
		if !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode || c[0].Secure != secure || c[0].Path != "/api/watchlist" || c[0].MaxAge != 90*86400 {
			t.Errorf("over %q: %+v", proto, c[0])
		}
	}
}

// A page of another site can make a browser send these without asking first.
func TestFormsCannotWrite(t *testing.T) {
	server, e := answering(t)
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		w, err := http.Post(server.URL+"/api/watchlist", media, strings.NewReader(`{"symbols":["AAA"]}`))
		if err != nil {
			t.Fatal(err)
		}
		if body := read(t, w); w.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(body, "application/json") {
			t.Errorf("%s: %s %s", media, w.Status, body)
		}
	}
	w, err := http.PostForm(server.URL+"/api/watchlist", url.Values{"symbol": {"AAA"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Body.Close()
	if len(e.lists) != 0 {
		t.Errorf("%d lists were written", len(e.lists))
	}
}
