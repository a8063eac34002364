package dashboard

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// newPage is a dashboard whose database was never reached.
func newPage(t *testing.T) (*Dashboard, *httpx.Router) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(store.Options{Endpoints: store.Endpoints{Primary: "postgresql://u:p@127.0.0.1:1/d"}, MaxConnections: 1, QueryTimeout: time.Second, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	registry := prometheus.NewRegistry()
	d, err := New(s, cache.New(cache.Options{LoadTimeout: time.Second, Metrics: cache.NewMetrics(registry), Log: log}), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	router := httpx.NewRouter(log, registry, time.Second, 100)
	d.Register(router)
	return d, router
}

// shelf is a reader that has one of everything.
type shelf struct {
	simulated bool
	order     string // that symbols were asked for in
}

func (s *shelf) MarketStatus(context.Context, time.Duration) (store.Status, error) {
	return store.Status{Simulated: s.simulated, ActiveSignals: 7, PnL: store.PnL{Equity: 100_010, Total: 10}}, nil
}

func (s *shelf) Symbols(_ context.Context, _, order string, _, _ int) (store.Page[store.Quote], error) {
	s.order = order
	return store.Page[store.Quote]{Items: []store.Quote{{Symbol: "S2", Volume: 2}, {Symbol: "S1", Volume: 1}}}, nil
}

func (s *shelf) Signals(context.Context, store.SignalFilter, int, int) (store.Page[store.Signal], error) {
	return store.Page[store.Signal]{}, nil
}

func (s *shelf) Positions(context.Context) (store.Page[store.Position], error) {
	return store.Page[store.Position]{Items: []store.Position{{Symbol: "S1"}}}, nil
}

func (s *shelf) PnLHistory(context.Context, time.Duration, int) (store.Page[store.EquityPoint], error) {
	return store.Page[store.EquityPoint]{Items: []store.EquityPoint{{TS: time.Unix(60, 0), Realized: 3}, {TS: time.Unix(240, 0), Unrealized: 4}}}, nil
}

func TestWhatThePageShows(t *testing.T) {
	d, router := newPage(t)
	s := &shelf{simulated: true}
	d.reader = s
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	w := get("/data")
	var v data
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != 200 {
		t.Fatalf("%d %v %s", w.Code, err, w.Body)
	}
	if s.order != "volume" {
		t.Errorf("the most traded symbols are asked for by %q, not by volume", s.order)
	}
	// The times without data are left out, and the step tells that they are.
	if v.Points != "[[60,100003],[240,100004]]" || v.Step != 60 || v.Status.ActiveSignals != 7 {
		t.Errorf("%+v", v)
	}
	body := get("/").Body.String()
	if !strings.Contains(body, `data-points="[[60,100003],[240,100004]]" data-step="60"`) {
		t.Error("the chart does not get its points with their step")
	}
	if strings.Index(body, "S2") > strings.Index(body, "S1") {
		t.Error("the most traded symbol is not the first")
	}
}

// The page says of the market what its data says.
func TestMarketIsCalledWhatItIs(t *testing.T) {
	for simulated, want := range map[bool]string{true: `id="notice">`, false: `id="notice" hidden>`} {
		d, router := newPage(t)
		d.reader = &shelf{simulated: simulated}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		body := w.Body.String()
		if !strings.Contains(body, want) || strings.Contains(body, "made-up money") != simulated {
			t.Errorf("simulated %t: no %s, or the positions say otherwise", simulated, want)
		}
	}
}

func TestEveryAnswerIsSecured(t *testing.T) {
	d, router := newPage(t)
	for _, path := range []string{"/", "/data", d.path + "/app.js", d.path + "/icon.svg", d.path + "/none.js"} {
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'", "Permissions-Policy": "camera=()",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		} {
			if got := w.Header().Get(name); !strings.Contains(got, want) || strings.Contains(got, "unsafe") {
				t.Errorf("%s: %s is %q, want %s in it and nothing unsafe", path, name, got, want)
			}
		}
		if w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", path)
		}
	}
}

func TestLostDatabaseIsSaid(t *testing.T) {
	_, router := newPage(t)
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	body := w.Body.String()
	if w.Code != 503 || !strings.Contains(body, "The database cannot be used") || !strings.Contains(body, "data-lost") {
		t.Errorf("%d %s", w.Code, body)
	}
}

func TestPageNeedsNoOtherHostAndNoInlineScript(t *testing.T) {
	d, router := newPage(t)
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	page, err := files.ReadFile("page.html.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`<script>`, `<style`, ` style=`, ` onclick=`, ` onload=`, `//`} {
		if strings.Contains(string(page), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for name, raw := range d.static {
		for _, address := range regexp.MustCompile(`https?://[^"'\s]+`).FindAllString(string(raw), -1) {
			if address != "http://www.w3.org/2000/svg" {
				t.Errorf("%s refers to %s", name, address)
			}
		}
	}
	for _, file := range regexp.MustCompile(`/static/[^"]+`).FindAllString(w.Body.String(), -1) {
		f := httptest.NewRecorder()
		router.ServeHTTP(f, httptest.NewRequest("GET", file, nil))
		if f.Code != 200 || f.Body.Len() == 0 || !strings.Contains(f.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %s", file, f.Code, f.Header())
		}
	}
	f := httptest.NewRecorder()
	router.ServeHTTP(f, httptest.NewRequest("GET", "/static/old-version/app.js", nil))
	if f.Code != 200 || f.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("another version's file: %d, %s", f.Code, f.Header())
	}
	f = httptest.NewRecorder()
	router.ServeHTTP(f, httptest.NewRequest("GET", d.path+"/page.html.tmpl", nil))
	if f.Code != 404 {
		t.Errorf("a file that is not static: %d", f.Code)
	}
}

func TestRender(t *testing.T) {
	d, _ := newPage(t)
	share := 0.573
	at := time.Date(2026, 3, 2, 12, 34, 56, 0, time.UTC)
	v := data{
		Status: store.Status{ActiveSignals: 7, Symbols: 300, SignalAccuracy: &share, Trading: "paper",
			PnL: store.PnL{Realized: -1234.5, Unrealized: 10, Total: -1224.5, Equity: 98775.5, Exposure: 9876.54, OpenPositions: 1, Risk: 0.09999}},
		Quotes:    []store.Quote{{Symbol: "<b>", Price: 31612.7, ChangePct: -3.27, Volume: 4.4e9, TS: at}, {Symbol: "S2", Price: 0.1234567, ChangePct: 0.001}},
		Signals:   []store.Signal{{ID: 5, Symbol: "S1", Type: "sell", Indicator: "rsi_reversal", Price: 12.34567, TS: at}},
		Positions: []store.Position{{Symbol: "S1", Quantity: -2, EntryPrice: 100, Price: 90, PnL: 20}},
		Points:    `[[1,2]]`,
	}
	var page strings.Builder
	if err := d.page.Execute(&page, map[string]any{"Static": d.path, "Problem": "", "Data": v}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"98,775.50", "-1,234.50", "&#43;10.00", "10.00 %", "9,876.54", "57 %", "31,612.70", "-3.27 %", "4.4B", "0.123457", "0.00 %", "&lt;b&gt;",
		"RSI reversal", "12.3457", `data-side="short">short`, `data-side="sell">sell`, "&#43;20.00", "12:34:56", `data-points="[[1,2]]"`, "trading on paper",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(page.String(), "<b>") {
		t.Error("a name is not escaped")
	}

	page.Reset()
	if err := d.page.Execute(&page, map[string]any{"Static": d.path, "Problem": "", "Data": data{}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"No prices yet", "No open position.", "No signal yet.", "trading is off"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the empty page has no %q", want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		group(0, 2): "0.00", group(-0.001, 2): "0.00", group(1234567.891, 2): "1,234,567.89", group(-999.999, 2): "-1,000.00", group(12, 0): "12",
		compact(999): "999", compact(1500): "1.5K", compact(2.345e6): "2.35M", compact(4.4e9): "4.4B",
		price(100): "100.00", price(99.99999): "100.0000", price(0.5): "0.500000", label("ema_cross"): "EMA cross", label("bollinger"): "Bollinger",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if sign(0.001) != 0 || sign(-0.01) != -1 || sign(0.01) != 1 {
		t.Error("sign")
	}
}

func TestCachedDataSurvivesEncoding(t *testing.T) {
	raw, err := json.Marshal(data{Points: "[]", Quotes: []store.Quote{{Symbol: "S"}}})
	if err != nil {
		t.Fatal(err)
	}
	var back data
	if err := json.Unmarshal(raw, &back); err != nil || back.Points != "[]" || back.Quotes[0].Symbol != "S" {
		t.Errorf("%+v %v", back, err)
	}
}
