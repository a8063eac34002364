// Package api answers the application's REST requests.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/session"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// Scopes of cached answers: what the engine invalidates after a write.
const (
	// MarketScope changes with every batch of prices.
	MarketScope = "market"
	// SignalScope changes with every new or newly scored signal.
	SignalScope = "signals"
)

// maxStale is how old prices may be while newer ones are loaded.
const maxStale = 10 * time.Second

// Store is what the API reads and writes; *store.Store is one.
type Store interface {
	MarketStatus(ctx context.Context, fresh time.Duration) (store.Status, error)
	Symbols(ctx context.Context, contains, order string, limit, offset int) (store.Page[store.Quote], error)
	Candles(ctx context.Context, symbol string, interval time.Duration, limit int) ([]store.Candle, error)
	Signals(ctx context.Context, f store.SignalFilter, limit, offset int) (store.Page[store.Signal], error)
	Positions(ctx context.Context) (store.Page[store.Position], error)
	Trades(ctx context.Context, limit int) (store.Page[store.Trade], error)
	PnLHistory(ctx context.Context, bucket time.Duration, limit int) (store.Page[store.EquityPoint], error)
	Watchlist(ctx context.Context, owner string) ([]string, error)
	UnknownSymbols(ctx context.Context, names []string) ([]string, error)
	SetWatchlist(ctx context.Context, owner string, symbols []string) error
}

// API answers from a cache and a store.
type API struct {
	Store Store
	Cache *cache.Cache
	// Sessions signs tokens; without it there are no sessions, and a browser's list is
	// named by a cookie that nobody has signed.
	Sessions *session.Keys
	// Fresh is the age up to which a quote counts as current.
	Fresh time.Duration
}

// Register adds the routes.
func (a *API) Register(t *httpx.Router) {
	t.Handle("GET /api/market/status", a.marketStatus)
	t.Handle("GET /api/symbols", a.symbols)
	t.Handle("GET /api/symbols/{symbol}/candles", a.candles)
	t.Handle("GET /api/signals/latest", a.signals(false))
	t.Handle("GET /api/signals/active", a.signals(true))
	t.Handle("GET /api/positions", a.positions)
	t.Handle("GET /api/trades", a.trades)
	t.Handle("GET /api/pnl", a.pnl)
	t.Handle("GET /api/watchlist", a.watchlist)
	t.Handle("POST /api/watchlist", a.saveWatchlist)
	if a.Sessions != nil {
		t.Handle("POST /api/session", a.beginSession)
		t.Handle("GET /api/session", a.readSession)
	}
}

// answer writes what is cached for a request, or what load returns.
func answer[T any](w http.ResponseWriter, r *http.Request, c *cache.Cache, request cache.Request, load func(context.Context) (T, error)) error {
	raw, outcome, err := c.Fetch(r.Context(), request, func(ctx context.Context) ([]byte, error) {
		v, err := load(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	})
	if err != nil {
		return err
	}
	w.Header().Set("X-Cache", string(outcome))
	httpx.WriteJSON(w, http.StatusOK, raw)
	return nil
}

func (a *API) marketStatus(w http.ResponseWriter, r *http.Request) error {
	return answer(w, r, a.Cache, cache.Request{Kind: "status", Scope: MarketScope, MaxStale: maxStale}, func(ctx context.Context) (store.Status, error) {
		return a.Store.MarketStatus(ctx, a.Fresh)
	})
}

func (a *API) symbols(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	contains := q.text("query", "", 32, isName)
	sort := q.oneOf("sort", "", keys(store.SymbolOrders))
	limit, offset := q.number("limit", 100, 1, 1000), q.number("offset", 0, 0, 100_000)
	if q.err != nil {
		return q.err
	}
	contains = strings.ToUpper(contains)
	key := fmt.Sprintf("%s:%s:%d:%d", contains, sort, limit, offset)
	return answer(w, r, a.Cache, cache.Request{Kind: "symbols", Key: key, Scope: MarketScope, MaxStale: maxStale}, func(ctx context.Context) (store.Page[store.Quote], error) {
		return a.Store.Symbols(ctx, contains, sort, limit, offset)
	})
}

// intervals of candles.
var intervals = map[string]time.Duration{"1m": time.Minute, "5m": 5 * time.Minute, "15m": 15 * time.Minute, "1h": time.Hour}

func (a *API) candles(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	interval := q.oneOf("interval", "1m", keys(intervals))
	limit := q.number("limit", 300, 1, 1000)
	symbol := strings.ToUpper(r.PathValue("symbol"))
	if symbol == "" || len(symbol) > 32 || !isName(symbol) {
		q.bad("symbol", "%q cannot be a symbol: use letters and digits, e.g. SIM0001USDT", r.PathValue("symbol"))
	}
	if q.err != nil {
		return q.err
	}
	key := fmt.Sprintf("%s:%s:%d", symbol, interval, limit)
	err := answer(w, r, a.Cache, cache.Request{Kind: "candles", Key: key, Scope: MarketScope, MaxStale: maxStale}, func(ctx context.Context) (store.CandlePage, error) {
		items, err := a.Store.Candles(ctx, symbol, intervals[interval], limit)
		return store.NewCandlePage(symbol, interval, items), err
	})
	return notFound(err, "symbol %q is not known", symbol)
}

func (a *API) signals(active bool) httpx.Handler {
	kind := "signals"
	if active {
		kind = "active_signals"
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		q := newQuery(r)
		f := store.SignalFilter{
			Symbol: strings.ToUpper(q.text("symbol", "", 32, isName)),
			Type:   q.oneOf("type", "", []string{"", "buy", "sell"}),
			Active: active,
		}
		limit, offset := q.number("limit", 50, 1, 1000), q.number("offset", 0, 0, 100_000)
		if q.err != nil {
			return q.err
		}
		key := fmt.Sprintf("%s:%s:%d:%d", f.Symbol, f.Type, limit, offset)
		return answer(w, r, a.Cache, cache.Request{Kind: kind, Key: key, Scope: SignalScope, MaxStale: maxStale}, func(ctx context.Context) (store.Page[store.Signal], error) {
			return a.Store.Signals(ctx, f, limit, offset)
		})
	}
}

func (a *API) positions(w http.ResponseWriter, r *http.Request) error {
	return answer(w, r, a.Cache, cache.Request{Kind: "positions", Scope: MarketScope, MaxStale: maxStale}, a.Store.Positions)
}

func (a *API) trades(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	limit := q.number("limit", 50, 1, 1000)
	if q.err != nil {
		return q.err
	}
	return answer(w, r, a.Cache, cache.Request{Kind: "trades", Key: strconv.Itoa(limit), Scope: SignalScope, MaxStale: maxStale}, func(ctx context.Context) (store.Page[store.Trade], error) {
		return a.Store.Trades(ctx, limit)
	})
}

func (a *API) pnl(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	interval := q.oneOf("interval", "1m", keys(intervals))
	limit := q.number("limit", 300, 1, 1000)
	if q.err != nil {
		return q.err
	}
	key := fmt.Sprintf("%s:%d", interval, limit)
	return answer(w, r, a.Cache, cache.Request{Kind: "pnl", Key: key, Scope: MarketScope, MaxStale: maxStale}, func(ctx context.Context) (store.Page[store.EquityPoint], error) {
		return a.Store.PnLHistory(ctx, intervals[interval], limit)
	})
}

// notFound gives a missing row a message of its own.
func notFound(err error, format string, args ...any) error {
	if errors.Is(err, store.ErrNotFound) {
		return &httpx.StatusError{Status: http.StatusNotFound, Message: fmt.Sprintf(format, args...)}
	}
	return err
}

// query reads the parameters of a request and remembers the first that is wrong.
type query struct {
	values url.Values
	err    error
}

func newQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.bad("query", "it cannot be read: escape it as a URL")
	}
	return q
}

func (q *query) bad(field, format string, args ...any) {
	if q.err == nil {
		q.err = &httpx.BadInput{Field: field, Problem: fmt.Sprintf(format, args...)}
	}
}

// get returns a parameter that is given once at most.
func (q *query) get(field string) string {
	if len(q.values[field]) > 1 {
		q.bad(field, "it is given %d times: give it once", len(q.values[field]))
	}
	return q.values.Get(field)
}

func (q *query) number(field string, fallback, least, most int) int {
	text := q.get(field)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		q.bad(field, "%q is not a number from %d to %d", text, least, most)
	}
	return n
}

func (q *query) oneOf(field, fallback string, allowed []string) string {
	text := q.get(field)
	if text == "" {
		return fallback
	}
	if !slices.Contains(allowed, text) {
		q.bad(field, "%q is not one of %s", text, strings.Join(slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" }), ", "))
	}
	return text
}

func (q *query) text(field, fallback string, longest int, valid func(string) bool) string {
	text := q.get(field)
	if text == "" {
		return fallback
	}
	if len(text) > longest || !valid(text) {
		q.bad(field, "%q is not a name: use up to %d letters and digits", text, longest)
	}
	return text
}

// isName says whether a text is made of letters and digits, as symbols are.
func isName(s string) bool {
	for _, r := range s {
		switch {
		case '0' <= r && r <= '9', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		default:
			return false
		}
	}
	return true
}

func keys[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
