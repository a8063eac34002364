//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/app"
	answers "github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/config"
)

// stack is a database, a cache and the processes on them.
type stack struct {
	testing.TB
	name string
	// database and cache can be taken away.
	database, cache *proxy
	env             []string
}

// in is the stack for a subtest.
func (s *stack) in(t testing.TB) *stack {
	sub := *s
	sub.TB = t
	return &sub
}

func newStack(t testing.TB, pairs ...string) *stack {
	t.Helper()
	s := &stack{TB: t, name: newDatabase(t), database: newProxy(t, database), cache: newProxy(t, cache)}
	flush(t)
	s.env = append([]string{
		"DATABASE_URL", databaseURL(s.name, s.database.port()), "REDIS_URL", cacheURL("app", password+"2", s.cache.port()),
		"MAX_SYMBOLS", "40", "INGEST_INTERVAL", "1s", "HISTORY_BACKFILL", "2h", "MAX_CONNECTIONS", "8", "REQUEST_TIMEOUT", "10", "DRAIN_SECONDS", "1", "DATABASE_PATIENCE", "0s",
		"TRADING_ENABLED", "true",
	}, pairs...)
	return s
}

// flush empties the cache.
func flush(t testing.TB) {
	t.Helper()
	client, err := answers.NewClient(answers.Server{URL: cacheURL("", password, cache.port)}, nil, "test", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// process is a mode that runs in this test.
type process struct {
	url string
	log *logBuffer
	// stop tells it to end, done says how it ended.
	stop context.CancelFunc
	done chan error
}

// logBuffer is read while it is written.
type logBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// start runs a mode until the test ends.
func (s *stack) start(mode string) *process {
	s.Helper()
	c := settings(s.TB, s.env...)
	for _, address := range []*string{&c.APIAddress, &c.DashboardAddress, &c.MetricsAddress} {
		*address = "127.0.0.1:0"
	}
	return s.startWith(mode, c)
}

func (s *stack) startWith(mode string, c *config.Config) *process {
	s.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &process{log: &logBuffer{}, stop: stop, done: make(chan error, 1)}
	address := make(chan string, 1)
	go func() {
		p.done <- app.Modes[mode](ctx, c, app.Process{Version: "test", Log: p.log, Listening: func(a net.Addr) { address <- a.String() }})
	}()
	select {
	case a := <-address:
		p.url = "http://" + a
	case err := <-p.done:
		s.Fatalf("%s: %v", mode, err)
	}
	s.Cleanup(func() {
		stop()
		if err := <-p.done; err != nil {
			s.Errorf("%s: %v", mode, err)
		}
		p.done <- nil
		if s.Failed() {
			s.Logf("%s:\n%s", mode, p.log)
		}
	})
	return p
}

// get asks for a path and returns the status and the body.
func get(t testing.TB, client *http.Client, url string) (int, string, http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return response.StatusCode, string(body), response.Header
}

func (s *stack) get(url string) (int, string) {
	s.Helper()
	status, body, _ := get(s.TB, http.DefaultClient, url)
	return status, body
}

// await waits until a path answers with a status and parts of a text.
func (s *stack) await(url string, status int, parts ...string) string {
	s.Helper()
	var body string
	eventually(s.TB, fmt.Sprintf("%d %q from %s", status, parts, url), func() error {
		var got int
		if got, body = s.get(url); got != status {
			return fmt.Errorf("%d %s", got, body)
		}
		return mustContain(body, parts...)
	})
	return body
}

// ready waits for an API on a market that moves.
func (s *stack) ready(api *process) {
	s.Helper()
	s.await(api.url+"/ready", 200, `"status":"ready"`)
	s.await(api.url+"/api/market/status", 200, `"status":"open"`, `"simulated":true`)
}

func decode[T any](t testing.TB, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return v
}

type listOf[T any] struct {
	Items []T `json:"items"`
	Total int `json:"total"`
}

type quote struct {
	Symbol    string    `json:"symbol"`
	Price     float64   `json:"price"`
	ChangePct float64   `json:"change_pct"`
	TS        time.Time `json:"ts"`
}

type candle struct {
	TS                     time.Time `json:"ts"`
	Open, High, Low, Close float64
}

func TestAPI(t *testing.T) {
	s := newStack(t)
	api, engine := s.start("api"), s.start("engine")
	s.ready(api)

	t.Run("symbols", func(t *testing.T) {
		s := s.in(t)
		_, body := s.get(api.url + "/api/symbols?limit=5&offset=2")
		page := decode[listOf[quote]](t, body)
		if page.Total != 40 || len(page.Items) != 5 || page.Items[0].Symbol != "SIM0003USDT" || page.Items[0].Price <= 0 {
			t.Errorf("%s", body)
		}
		_, body = s.get(api.url + "/api/symbols?query=sim001")
		if page := decode[listOf[quote]](t, body); page.Total != 10 {
			t.Errorf("%s", body)
		}
		_, body = s.get(api.url + "/api/symbols?sort=losers")
		page = decode[listOf[quote]](t, body)
		if !slices.IsSortedFunc(page.Items, func(a, b quote) int {
			return int(1e6 * (a.ChangePct - b.ChangePct))
		}) {
			t.Errorf("not sorted: %s", body)
		}
	})

	t.Run("candles", func(t *testing.T) {
		s := s.in(t)
		for interval, length := range map[string]time.Duration{"1m": time.Minute, "5m": 5 * time.Minute, "15m": 15 * time.Minute, "1h": time.Hour} {
			_, body := s.get(api.url + "/api/symbols/SIM0005USDT/candles?limit=7&interval=" + interval)
			items := decode[listOf[candle]](t, body).Items
			if want := min(7, int(2*time.Hour/length)); len(items) < want || len(items) > 7 {
				t.Fatalf("%s: %d candles: %s", interval, len(items), body)
			}
			for i, c := range items {
				if !c.TS.Equal(c.TS.Truncate(length)) || i > 0 && c.TS.Sub(items[i-1].TS) != length {
					t.Errorf("%s: candle %d starts at %s", interval, i, c.TS)
				}
				if c.Low > min(c.Open, c.Close) || c.High < max(c.Open, c.Close) {
					t.Errorf("%s: %+v", interval, c)
				}
			}
			if last := items[len(items)-1]; time.Since(last.TS) > 2*length {
				t.Errorf("%s: the newest candle is of %s", interval, last.TS)
			}
		}
		if status, body := s.get(api.url + "/api/symbols/NOPE/candles"); status != 404 || !strings.Contains(body, `symbol \"NOPE\" is not known`) {
			t.Errorf("%d %s", status, body)
		}
	})

	t.Run("signals", func(t *testing.T) {
		s := s.in(t)
		// The first look comes with the first prices; a bar later there are surely some.
		body := s.await(api.url+"/api/signals/latest", 200, `"signal_type"`)
		all := decode[listOf[map[string]any]](t, body)
		for _, g := range all.Items {
			for _, field := range []string{"id", "symbol", "signal_type", "indicator", "confidence", "price", "ts", "status"} {
				if g[field] == nil {
					t.Errorf("no %s in %v", field, g)
				}
			}
		}
		first := all.Items[0]
		_, body = s.get(fmt.Sprintf("%s/api/signals/active?symbol=%s&type=%s", api.url, first["symbol"], first["signal_type"]))
		for _, g := range decode[listOf[map[string]any]](t, body).Items {
			if g["symbol"] != first["symbol"] || g["signal_type"] != first["signal_type"] || g["status"] != "active" {
				t.Errorf("%v is not of the filter", g)
			}
		}
		if len(decode[listOf[map[string]any]](t, body).Items) == 0 {
			t.Errorf("the signal is not among the active ones: %s", body)
		}
	})

	t.Run("others", func(t *testing.T) {
		s := s.in(t)
		for _, path := range []string{"/api/positions", "/api/trades?limit=3", "/api/pnl?interval=5m"} {
			if status, body := s.get(api.url + path); status != 200 || !strings.Contains(body, `"items":[`) {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		if status, _ := s.get(api.url + "/api/stress"); status != 404 {
			t.Errorf("stress without STRESS_TEST_ENABLED: %d", status)
		}
	})

	t.Run("cache", func(t *testing.T) {
		s := s.in(t)
		seen := map[string]bool{}
		eventually(t, "a hit", func() error {
			_, _, header := get(t, http.DefaultClient, api.url+"/api/symbols?limit=1")
			seen[header.Get("X-Cache")] = true
			if !seen["hit"] {
				return fmt.Errorf("saw %v", seen)
			}
			return nil
		})
		// What the engine writes replaces what is cached long before CACHE_TTL ends.
		_, body := s.get(api.url + "/api/symbols?limit=1")
		before := decode[listOf[quote]](t, body).Items[0].TS
		eventually(t, "a newer price", func() error {
			_, body := s.get(api.url + "/api/symbols?limit=1")
			if !decode[listOf[quote]](t, body).Items[0].TS.After(before) {
				return errors.New(body)
			}
			return nil
		})
	})

	t.Run("metrics", func(t *testing.T) {
		s := s.in(t)
		_, text := s.get(api.url + "/metrics")
		for _, name := range []string{
			`http_requests_total{method="GET",route="/api/symbols/{symbol}/candles",status="404"} 1`, `http_request_duration_seconds_bucket{method="GET",route="/api/signals/latest"`,
			`cache_requests_total{kind="symbols",result="hit"}`, "cache_load_duration_seconds_count", "cache_errors_total 0", "cache_up 1", `cache_pool_connections{state="in_use"}`,
			"database_up 1", `database_pool_connections{state="idle"}`, "database_pool_max_connections 7", "database_pool_acquires_total", "websocket_clients 0",
			`stream_source{source="redis"} 1`, `alphapulse_build_info{go_version="go1`, "go_goroutines", "process_resident_memory_bytes",
		} {
			if !strings.Contains(text, name) {
				t.Errorf("the API has no %s", name)
			}
		}
		_, text = s.get(engine.url + "/metrics")
		for _, name := range []string{
			"alphapulse_engine_leader 1", "alphapulse_engine_heartbeat_timestamp_seconds 1.", "alphapulse_engine_cycle_duration_seconds_count", `alphapulse_engine_cycles_total{result="error"} 0`,
			"market_ticks_ingested_total", "market_symbols 40", `trading_signals_total{signal_type="buy",symbol="other"}`, `signal_accuracy_total{indicator="macd",result="hit"}`,
			"trading_signals_active", "trading_signal_accuracy_ratio", "portfolio_pnl_realized", "portfolio_pnl_unrealized", "portfolio_equity", "portfolio_exposure", "portfolio_open_positions",
			"portfolio_risk_ratio", "portfolio_risk_limit_ratio 0.1", "trading_enabled 1", `trading_positions_opened_total{side="long"}`, `trading_positions_closed_total{reason="stop_loss"}`,
			`trading_orders_refused_total{reason="risk_limit"}`, "market_storage_budget_bytes",
		} {
			if !strings.Contains(text, name) {
				t.Errorf("the engine has no %s", name)
			}
		}
	})

	t.Run("a second engine waits", func(t *testing.T) {
		s := s.in(t)
		second := s.start("engine")
		s.await(second.url+"/metrics", 200, "alphapulse_engine_leader 0", "database_up 1")
		if _, text := s.get(second.url + "/metrics"); strings.Contains(text, "portfolio_equity") {
			t.Error("an engine that waits tells of a portfolio")
		}
		s.await(second.url+"/health", 200, "alive")
		s.await(second.url+"/ready", 200, "ready")
		engine.stop()
		s.await(second.url+"/metrics", 200, "alphapulse_engine_leader 1", "portfolio_equity")
	})
}

func TestWatchlistIsKept(t *testing.T) {
	s := newStack(t, "CACHE_TTL", "300")
	one, two := s.start("api"), s.start("api")
	s.start("engine")
	s.ready(one)
	s.ready(two)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	// Cookies belong to a host whatever its port, as behind one edge.
	browser := &http.Client{Jar: jar}
	post := func(base, body string, status int) {
		t.Helper()
		response, err := browser.Post(base+"/api/watchlist", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if text, _ := io.ReadAll(response.Body); response.StatusCode != status {
			t.Fatalf("%s: %s %s", body, response.Status, text)
		}
	}
	list := func(base string) string {
		t.Helper()
		status, body, _ := get(t, browser, base+"/api/watchlist")
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		return body
	}
	if got := list(one.url); got != `{"symbols":[]}` {
		t.Errorf("a new browser has %s", got)
	}
	post(one.url, `{"symbols":["sim0001usdt","SIM0002USDT","SIM0001USDT"]}`, 200)
	// Every process reads the last write at once, though all cache for minutes.
	for i := range 20 {
		want := fmt.Sprintf(`{"symbols":["SIM%04dUSDT"]}`, i+1)
		writer, reader := one.url, two.url
		if i%2 == 1 {
			writer, reader = reader, writer
		}
		post(writer, fmt.Sprintf(`{"symbols":["SIM%04dUSDT"]}`, i+1), 200)
		for _, base := range []string{reader, writer, reader} {
			if got := list(base); got != want {
				t.Fatalf("write %d: read %s, want %s", i, got, want)
			}
		}
	}
	post(two.url, `{"symbol":"SIM0007USDT"}`, 200)
	const want = `{"symbols":["SIM0020USDT","SIM0007USDT"]}`
	if got := list(one.url); got != want {
		t.Errorf("one was added: %s", got)
	}
	post(one.url, `{"symbols":["NOPE"]}`, 400)
	if status, body, _ := get(t, http.DefaultClient, one.url+"/api/watchlist"); status != 200 || body != `{"symbols":[]}` {
		t.Errorf("another browser sees %s", body)
	}

	// A database that crashed and came back still has it, and so has no cache.
	database.kill()
	for _, api := range []*process{one, two} { // each has to notice by itself
		s.await(api.url+"/ready", 503, "the database cannot be used")
	}
	if err := database.start(); err != nil {
		t.Fatal(err)
	}
	flush(t)
	for _, api := range []*process{one, two} {
		s.await(api.url+"/ready", 200)
	}
	if got := list(one.url); got != want {
		t.Errorf("after the crash: %s", got)
	}
	post(one.url, `{"symbols":[]}`, 200)
	if got := list(two.url); got != `{"symbols":[]}` {
		t.Errorf("emptied: %s", got)
	}
}

func TestLostCacheOnlySlows(t *testing.T) {
	s := newStack(t)
	api := s.start("api")
	s.start("engine")
	s.ready(api)
	s.await(api.url+"/metrics", 200, `stream_source{source="redis"} 1`)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	save := func(symbol string) {
		t.Helper()
		response, err := browser.Post(api.url+"/api/watchlist", "application/json", strings.NewReader(`{"symbols":["`+symbol+`"]}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != 200 {
			t.Fatal(response.Status)
		}
	}
	saved := func(symbol string) {
		t.Helper()
		if _, body, _ := get(t, browser, api.url+"/api/watchlist"); body != `{"symbols":["`+symbol+`"]}` {
			t.Errorf("read %s after %s was written", body, symbol)
		}
	}
	save("SIM0001USDT")
	saved("SIM0001USDT")

	for name, m := range map[string]mode{"gone": refuse, "silent": freeze} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.cache.set(m)
			s.await(api.url+"/ready", 200, `"status":"degraded"`, `"database":"ok"`, `"cache":"cannot be reached"`)
			for _, path := range []string{"/api/market/status", "/api/symbols", "/api/symbols/SIM0001USDT/candles", "/api/signals/latest", "/api/positions"} {
				if status, body := s.get(api.url + path); status != 200 {
					t.Errorf("%s: %d %s", path, status, body)
				}
			}
			save("SIM0002USDT")
			saved("SIM0002USDT")
			// The stream goes on, from the database.
			s.await(api.url+"/metrics", 200, `stream_source{source="database"} 1`, "cache_up 0")
			conn := s.websocket(api)
			first := s.prices(conn)
			if second := s.prices(conn); !second.After(first) {
				t.Errorf("prices of %s after those of %s", second, first)
			}
			_ = conn.CloseNow()

			s.cache.set(pass)
			s.await(api.url+"/ready", 200, `"status":"ready"`)
			// What was cached before the loss must not come back.
			saved("SIM0002USDT")
			s.await(api.url+"/metrics", 200, `stream_source{source="redis"} 1`, "cache_up 1")
			saved("SIM0002USDT")
			save("SIM0001USDT")
			saved("SIM0001USDT")
		})
	}
}

func TestLostDatabaseIsSaidAndComesBack(t *testing.T) {
	s := newStack(t, "CACHE_TTL", "1")
	api, dashboard, engine := s.start("api"), s.start("dashboard"), s.start("engine")
	s.ready(api)
	for name, m := range map[string]mode{"gone": refuse, "silent": freeze} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.database.set(m)
			s.await(api.url+"/ready", 503, `"status":"unavailable"`, `"reason":"the database cannot be used: `)
			s.await(api.url+"/api/signals/latest", 503, `{"error":"the database cannot be used: `)
			s.await(dashboard.url+"/", 503, "The database cannot be used", "No data now")
			for _, p := range []*process{api, dashboard, engine} {
				if status, body := s.get(p.url + "/health"); status != 200 {
					t.Errorf("a process is not alive without a database: %d %s", status, body)
				}
			}
			// Who asks meanwhile is told at once, not after a time-out.
			before := time.Now()
			for range 20 {
				if status, body := s.get(api.url + "/api/symbols?offset=7"); status != 503 {
					t.Errorf("%d %s", status, body)
				}
			}
			if took := time.Since(before); took > 10*time.Second {
				t.Errorf("20 answers took %s: each waited for the database", took)
			}
			s.await(engine.url+"/metrics", 200, "alphapulse_engine_leader 0", "database_up 0")

			s.database.set(pass)
			s.ready(api)
			s.await(dashboard.url+"/", 200, "SIM0001USDT")
			s.await(engine.url+"/metrics", 200, "alphapulse_engine_leader 1", "database_up 1")
		})
	}
}

func TestProcessesWaitForTheDatabase(t *testing.T) {
	s := newStack(t)
	s.database.set(refuse)
	api, engine := s.start("api"), s.start("engine")
	s.await(api.url+"/health", 200)
	s.await(api.url+"/ready", 503, "the database cannot be used")
	s.await(engine.url+"/ready", 503)
	s.database.set(pass)
	s.ready(api)
}

func (s *stack) websocket(p *process, path ...string) *websocket.Conn {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, p.url+append(path, "/ws")[0], nil)
	if err != nil {
		s.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	s.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// prices waits for a frame of prices and returns its time.
func (s *stack) prices(conn *websocket.Conn) time.Time {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	for {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			s.Fatal(err)
		}
		f := decode[struct {
			Type  string
			TS    time.Time
			Items []quote
		}](s.TB, string(raw))
		if f.Type == "prices" {
			if len(f.Items) != 40 {
				s.Errorf("%d quotes", len(f.Items))
			}
			return f.TS
		}
	}
}

func TestLiveStream(t *testing.T) {
	s := newStack(t)
	api, dashboard := s.start("api"), s.start("dashboard")
	s.start("engine")
	s.ready(api)
	s.ready2(dashboard)
	for _, at := range []struct {
		process *process
		path    string
	}{{api, "/ws"}, {api, "/ws/streaming"}, {dashboard, "/ws"}} {
		conn := s.websocket(at.process, at.path)
		last := s.prices(conn)
		for range 3 {
			now := s.prices(conn)
			if !now.After(last) {
				t.Errorf("%s: prices of %s after those of %s", at.path, now, last)
			}
			last = now
		}
		_ = conn.CloseNow()
	}
	for _, path := range []string{"/ws/other", "/wsx"} {
		if status, _ := s.get(api.url + path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	// A stopping process sends its clients elsewhere at once.
	conn := s.websocket(api)
	s.prices(conn)
	api.stop()
	isSentAway(t, conn)
}

// isSentAway reads a stream to its end, which has to be that the process goes away.
func isSentAway(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the stream ended with %v", err)
			}
			return
		}
	}
}

// ready2 waits for a process that has no market status.
func (s *stack) ready2(p *process) {
	s.Helper()
	s.await(p.url+"/ready", 200, `"status":"ready"`)
}

func TestDashboard(t *testing.T) {
	s := newStack(t)
	dashboard := s.start("dashboard")
	s.start("engine")
	s.await(dashboard.url+"/", 200, "Simulated market", "SIM0001USDT")
	s.await(dashboard.url+"/api/health", 200, "alive")
	s.await(dashboard.url+"/", 200, `data-points="[[`, `class="tag"`)
	// Of the 40 symbols, those most traded: the page has room for 24.
	if _, body := s.get(dashboard.url + "/"); strings.Count(body, `</th><td class="price"`) != 24 {
		t.Errorf("%d prices on a page with room for 24", strings.Count(body, `</th><td class="price"`))
	}
}

// A request that was accepted is answered, whatever becomes of the process: as a
// proxy does, the client stops sending once the process says that it is not ready.
func TestStopDropsNoRequest(t *testing.T) {
	s := newStack(t)
	api := s.start("api")
	s.start("engine")
	s.ready(api)
	var sent, wrong atomic.Int64
	var first atomic.Value
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 8 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, body, _ := get(t, client, fmt.Sprintf("%s/api/symbols?limit=%d", api.url, i+1))
				sent.Add(1)
				if status != 200 {
					wrong.Add(1)
					first.CompareAndSwap(nil, fmt.Sprintf("%d %s", status, body))
				}
			}
		})
	}
	for sent.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	api.stop()
	s.await(api.url+"/ready", 503, "the process is stopping")
	before := sent.Load()
	for sent.Load() < before+50 {
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wg.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first with %v", n, sent.Load(), first.Load())
	}
	if err := <-api.done; err != nil {
		t.Error(err)
	}
	api.done <- nil
}

func TestPoolIsBounded(t *testing.T) {
	s := newStack(t, "MAX_CONNECTIONS", "3", "REDIS_ENABLED", "false")
	api := s.start("api")
	engine := s.start("engine")
	s.ready(api)
	engine.stop()
	most := 0
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			for j := range 5 {
				if status, body := s.get(fmt.Sprintf("%s/api/symbols/SIM%04dUSDT/candles?limit=%d", api.url, i%40+1, i*5+j+1)); status != 200 {
					t.Errorf("%d %s", status, body)
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	for {
		most = max(most, query[int](t, s.name, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'alphapulse-api'"))
		select {
		case <-done:
			if most > 3 || most == 0 {
				t.Errorf("%d connections to the database at once, MAX_CONNECTIONS is 3", most)
			}
			return
		default:
		}
	}
}

// newCache is a cache of its own process.
func newCache(t testing.TB, ttl time.Duration) *answers.Cache {
	t.Helper()
	client, err := answers.NewClient(answers.Server{URL: cacheURL("app", password+"2", cache.port)}, nil, "test", 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return answers.New(answers.Options{
		Client: client, TTL: ttl, LoadTimeout: patience, Metrics: answers.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
}

func TestStampede(t *testing.T) {
	flush(t)
	var loads atomic.Int32
	load := func(context.Context) ([]byte, error) {
		loads.Add(1)
		time.Sleep(200 * time.Millisecond)
		return []byte("value"), nil
	}
	var wg sync.WaitGroup
	for range 5 {
		c := newCache(t, time.Minute)
		for range 50 {
			wg.Go(func() {
				v, _, err := c.Fetch(t.Context(), answers.Request{Kind: "k", Key: "x", Scope: "s"}, load)
				if err != nil || string(v) != "value" {
					t.Errorf("%q %v", v, err)
				}
			})
		}
	}
	wg.Wait()
	if n := loads.Load(); n != 1 {
		t.Errorf("five processes with 50 requests each loaded %d times", n)
	}
}

func TestInvalidation(t *testing.T) {
	flush(t)
	c := newCache(t, time.Minute)
	var version atomic.Int32
	fetch := func(maxStale time.Duration) (string, answers.Outcome) {
		t.Helper()
		v, outcome, err := c.Fetch(t.Context(), answers.Request{Kind: "k", Key: "x", Scope: "s", MaxStale: maxStale}, func(context.Context) ([]byte, error) {
			return []byte(strconv.Itoa(int(version.Load()))), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(v), outcome
	}
	expect := func(what string, maxStale time.Duration, value string, outcome answers.Outcome) {
		t.Helper()
		if v, o := fetch(maxStale); v != value || o != outcome {
			t.Errorf("%s: %s (%s), want %s (%s)", what, v, o, value, outcome)
		}
	}
	expect("first", 0, "0", answers.Miss)
	version.Store(1)
	expect("cached", 0, "0", answers.Hit)
	c.Invalidate(t.Context(), "other")
	expect("another scope", 0, "0", answers.Hit)
	c.Invalidate(t.Context(), "s")
	expect("invalidated, and nothing stale is wanted", 0, "1", answers.Miss)
	version.Store(2)
	time.Sleep(2 * time.Millisecond)
	c.Invalidate(t.Context(), "s")
	expect("invalidated, and something stale will do", time.Hour, "1", answers.Stale)
	eventually(t, "the new value behind the stale one", func() error {
		if v, o := fetch(time.Hour); v != "2" || o != answers.Hit {
			return fmt.Errorf("%s (%s)", v, o)
		}
		return nil
	})
	version.Store(3)
	time.Sleep(20 * time.Millisecond)
	c.Invalidate(t.Context(), "s")
	expect("too stale", time.Millisecond, "3", answers.Miss)

	// A value that changes while it is loaded must not be cached as fresh.
	c.Invalidate(t.Context(), "s")
	_, _, err := c.Fetch(t.Context(), answers.Request{Kind: "k", Key: "x", Scope: "s"}, func(context.Context) ([]byte, error) {
		c.Invalidate(t.Context(), "s")
		return []byte("overtaken"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	expect("overtaken", 0, "3", answers.Miss)
}

func TestCachedValuesEnd(t *testing.T) {
	flush(t)
	c := newCache(t, time.Second)
	load := func(context.Context) ([]byte, error) { return []byte("v"), nil }
	request := answers.Request{Kind: "k", Key: "x", Scope: "s"}
	for _, want := range []answers.Outcome{answers.Miss, answers.Hit} {
		if _, o, err := c.Fetch(t.Context(), request, load); err != nil || o != want {
			t.Errorf("%s %v, want %s", o, err, want)
		}
	}
	eventually(t, "the end of CACHE_TTL", func() error {
		if _, o, err := c.Fetch(t.Context(), request, load); err != nil || o != answers.Miss {
			return fmt.Errorf("%s, %w", o, err)
		}
		return nil
	})
}

// The binary itself: signals, exit codes, the health check.
func TestBinary(t *testing.T) {
	s := newStack(t)
	binary := filepath.Join(t.TempDir(), "alphapulse")
	if out, err := exec.Command("go", "build", "-o", binary, "..").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"API_HOST=127.0.0.1", fmt.Sprintf("API_PORT=%d", port)}
	for i := 0; i < len(s.env); i += 2 {
		env = append(env, s.env[i]+"="+s.env[i+1])
	}
	run := func(extra []string, args ...string) (int, string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, args...)
		cmd.Env = append(slices.Clone(env), extra...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	for _, c := range []struct {
		args  []string
		extra []string
		code  int
		text  string
	}{
		{nil, []string{"ALPHAPULSE_MODE=trade"}, 2, `there is no mode ["trade"]`},
		{[]string{"trade"}, nil, 2, `there is no mode ["trade"]`},
		{[]string{"--help"}, nil, 0, "healthcheck"},
		{[]string{"version"}, nil, 0, "dev"},
		{[]string{"api"}, []string{"CACHE_TTL=x"}, 1, `CACHE_TTL is "x"`},
		{[]string{"healthcheck"}, nil, 1, "connection refused"},
		{[]string{"healthcheck", "nothing"}, nil, 1, `there is no mode "nothing"`},
	} {
		if code, out := run(c.extra, c.args...); code != c.code || !strings.Contains(out, c.text) {
			t.Errorf("%q: exit %d, %s", c.args, code, out)
		}
	}

	cmd := exec.Command(binary, "api")
	cmd.Env = env
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	s.await(fmt.Sprintf("http://127.0.0.1:%d/ready", port), 200)
	for _, args := range [][]string{{"healthcheck"}, {"healthcheck", "api"}} {
		if code, out := run(nil, args...); code != 0 {
			t.Errorf("%q: exit %d, %s", args, code, out)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, &log)
	}
	for line := range strings.Lines(log.String()) {
		entry := decode[map[string]any](t, line)
		if entry["market"] != "simulated" || entry["mode"] != "api" {
			t.Errorf("a line of the log: %s", line)
		}
	}
	if strings.Contains(log.String(), password) {
		t.Error("the log has a password")
	}
}

// A row that was read in an old transaction must not hold the engine's lock: the
// connection that leads is the only one that does.
func TestOnlyOneLock(t *testing.T) {
	s := newStack(t)
	api := s.start("api")
	s.start("engine")
	s.ready(api)
	conn, err := pgx.Connect(t.Context(), databaseURL(s.name, database.port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d advisory locks, %v", n, err)
	}
}
