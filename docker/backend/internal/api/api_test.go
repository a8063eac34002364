package api

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// lost is an API whose database was never reached.
func lost(t *testing.T) http.Handler {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(store.Options{Endpoints: store.Endpoints{Primary: "postgresql://u:p@127.0.0.1:1/d"}, MaxConnections: 1, QueryTimeout: time.Second, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	registry := prometheus.NewRegistry()
	router := httpx.NewRouter(log, registry, 5*time.Second, 100)
	a := &API{Store: s, Cache: cache.New(cache.Options{LoadTimeout: time.Second, Metrics: cache.NewMetrics(registry), Log: log})}
	a.Register(router)
	router.Handle("POST /api/stress", Stress)
	return router
}

func ask(h http.Handler, method, target, body string) (*httptest.ResponseRecorder, map[string]any) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	h.ServeHTTP(w, r)
	var answer map[string]any
	if json.Unmarshal(w.Body.Bytes(), &answer) != nil {
		return w, nil
	}
	return w, answer
}

func read(t testing.TB, r *http.Response) string {
	t.Helper()
	defer func() { _ = r.Body.Close() }()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestBadInputNamesItsField(t *testing.T) {
	h := lost(t)
	for target, field := range map[string]string{
		"/api/symbols?limit=x":                                 "limit",
		"/api/symbols?limit=0":                                 "limit",
		"/api/symbols?limit=1001":                              "limit",
		"/api/symbols?limit=1&limit=2":                         "limit",
		"/api/symbols?limit=1e2":                               "limit",
		"/api/symbols?offset=-1":                               "offset",
		"/api/symbols?sort=price":                              "sort",
		"/api/symbols?query=a%00b":                             "query",
		"/api/symbols?query=%25":                               "query",
		"/api/symbols?query=" + strings.Repeat("x", 33):        "query",
		"/api/symbols?query=%zz":                               "query",
		"/api/symbols/SIM0001USDT/candles?interval=7m":         "interval",
		"/api/symbols/SIM0001USDT/candles?limit=99999":         "limit",
		"/api/symbols/a'b/candles":                             "symbol",
		"/api/symbols/" + strings.Repeat("x", 33) + "/candles": "symbol",
		"/api/signals/latest?type=hold":                        "type",
		"/api/signals/latest?symbol=a-b":                       "symbol",
		"/api/signals/active?limit=nine":                       "limit",
		"/api/trades?limit=-5":                                 "limit",
		"/api/pnl?interval=1d":                                 "interval",
	} {
		if w, answer := ask(h, "GET", target, ""); w.Code != http.StatusBadRequest || answer["field"] != field {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	for body, field := range map[string]string{
		`{`:                                "body",
		`{"symbols":"x"}`:                  "body",
		`{"names":["x"]}`:                  "body",
		`{"symbols":["x"]} {"symbols":[]}`: "body",
		`{}`:                               "symbols",
		`{"symbols":["x"],"symbol":"y"}`:   "symbols",
		`{"symbols":[` + names(101) + `]}`: "symbols",
	} {
		if w, answer := ask(h, "POST", "/api/watchlist", body); w.Code != http.StatusBadRequest || answer["field"] != field {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if w, answer := ask(h, "POST", "/api/stress?milliseconds=1001", ""); w.Code != http.StatusBadRequest || answer["field"] != "milliseconds" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// names lists n different names as JSON.
func names(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = `"S` + strings.Repeat("x", i) + `"`
	}
	return strings.Join(list, ",")
}

func TestLostDatabaseIsSaid(t *testing.T) {
	h := lost(t)
	for _, target := range []string{
		"/api/market/status", "/api/symbols", "/api/symbols/SIM0001USDT/candles", "/api/signals/latest", "/api/signals/active",
		"/api/positions", "/api/trades", "/api/pnl",
	} {
		w, answer := ask(h, "GET", target, "")
		if reason, _ := answer["error"].(string); w.Code != http.StatusServiceUnavailable || !strings.Contains(reason, "the database cannot be used: ") || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if w, _ := ask(h, "POST", "/api/watchlist", `{"symbols":["SIM0001USDT"]}`); w.Code != http.StatusServiceUnavailable || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestWatchlistBody(t *testing.T) {
	h := lost(t)
	r := httptest.NewRequest("POST", "/api/watchlist", strings.NewReader("symbols=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d %s", w.Code, w.Body)
	}
	if w, _ := ask(h, "POST", "/api/watchlist", `{"symbols":["`+strings.Repeat("x", largestBody)+`"]}`); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d %s", w.Code, w.Body)
	}
}

func TestNoCookieNoList(t *testing.T) {
	h := lost(t) // so a list that was looked for would be an error
	for _, cookie := range []string{"", "short", strings.Repeat("x", 200), "../../../../../../../../etc"} {
		r := httptest.NewRequest("GET", "/api/watchlist", nil)
		if cookie != "" {
			r.AddCookie(&http.Cookie{Name: ownerCookie, Value: cookie})
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 || w.Body.String() != `{"symbols":[]}` || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("cookie %q: %d %s", cookie, w.Code, w.Body)
		}
	}
}

func TestStressBurns(t *testing.T) {
	w, answer := ask(lost(t), "POST", "/api/stress?milliseconds=5", "")
	if rounds, _ := answer["rounds"].(float64); w.Code != 200 || rounds < 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
