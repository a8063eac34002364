// Package fakeapi answers as the backend's API does, from memory, so that the user
// interface can be worked on and tested without a database, a cache or a cluster.
package fakeapi

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

type quote struct {
	Symbol    string    `json:"symbol"`
	Price     float64   `json:"price"`
	ChangePct float64   `json:"change_pct"`
	Volume    float64   `json:"volume"`
	TS        time.Time `json:"ts"`
}

type candle struct {
	TS     time.Time `json:"ts"`
	Open   float64   `json:"open"`
	High   float64   `json:"high"`
	Low    float64   `json:"low"`
	Close  float64   `json:"close"`
	Volume float64   `json:"volume"`
}

type signal struct {
	ID         int       `json:"id"`
	Symbol     string    `json:"symbol"`
	Type       string    `json:"signal_type"`
	Indicator  string    `json:"indicator"`
	Confidence float64   `json:"confidence"`
	Price      float64   `json:"price"`
	TS         time.Time `json:"ts"`
	Status     string    `json:"status"`
	OutcomePct *float64  `json:"outcome_pct"`
}

type position struct {
	Symbol     string    `json:"symbol"`
	Quantity   float64   `json:"quantity"`
	EntryPrice float64   `json:"entry_price"`
	Price      float64   `json:"price"`
	PnL        float64   `json:"pnl"`
	OpenedAt   time.Time `json:"opened_at"`
}

type pnl struct {
	Realized      float64 `json:"realized"`
	Unrealized    float64 `json:"unrealized"`
	Total         float64 `json:"total"`
	Equity        float64 `json:"equity"`
	Exposure      float64 `json:"exposure"`
	OpenPositions int     `json:"open_positions"`
	Risk          float64 `json:"risk"`
}

type equity struct {
	TS            time.Time `json:"ts"`
	Realized      float64   `json:"realized"`
	Unrealized    float64   `json:"unrealized"`
	Exposure      float64   `json:"exposure"`
	OpenPositions int       `json:"open_positions"`
}

// Server is a small market that moves while somebody watches it.
type Server struct {
	mux  *http.ServeMux
	tick time.Duration

	mu        sync.Mutex
	random    *rand.Rand
	opens     []float64 // price of each symbol 24 h ago
	quotes    []quote
	signals   []signal // newest first
	positions []position
	lists     map[string][]string // by the browser's cookie
	down      bool
	halted    time.Time // when prices stopped; zero while they come in
	sockets   map[*websocket.Conn]struct{}
}

// New returns a market whose prices move once per tick. The same seed gives the
// same market. With symbols = 0 it is empty, as a backend is before the engine's
// first prices.
func New(symbols int, tick time.Duration, seed uint64) *Server {
	s := &Server{
		mux: http.NewServeMux(), tick: tick,
		random:  rand.New(rand.NewPCG(seed, 1)),
		lists:   map[string][]string{},
		sockets: map[*websocket.Conn]struct{}{},
	}
	s.fill(symbols)

	s.mux.HandleFunc("GET /api/market/status", s.getStatus)
	s.mux.HandleFunc("GET /api/symbols", s.getSymbols)
	s.mux.HandleFunc("GET /api/symbols/{symbol}/candles", s.getCandles)
	s.mux.HandleFunc("GET /api/signals/latest", s.getSignals(false))
	s.mux.HandleFunc("GET /api/signals/active", s.getSignals(true))
	s.mux.HandleFunc("GET /api/positions", s.getPositions)
	s.mux.HandleFunc("GET /api/pnl", s.getPnLHistory)
	s.mux.HandleFunc("GET /api/watchlist", s.getWatchlist)
	s.mux.HandleFunc("POST /api/watchlist", s.postWatchlist)
	s.mux.HandleFunc("GET /ws", s.stream)
	s.mux.HandleFunc("GET /ws/streaming", s.stream)
	return s
}

// Fill gives an empty market its symbols, as the engine does at its first start.
func (s *Server) Fill(symbols int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fill(symbols)
}

func (s *Server) fill(symbols int) {
	now := time.Now().UTC()
	for i := range symbols {
		price := math.Pow(10, 4.5-4*float64(i)/float64(symbols)) * (0.8 + 0.4*s.random.Float64())
		s.opens = append(s.opens, price*(1+0.1*(s.random.Float64()-0.5)))
		s.quotes = append(s.quotes, quote{Symbol: fmt.Sprintf("SIM%04dUSDT", i+1), Price: price, Volume: 1e9 / float64(i+1), TS: now})
	}
	s.move(now)
	for i := range min(symbols*3, 40) {
		s.addSignal(now.Add(time.Duration(i-40) * 90 * time.Second))
	}
	for i := range min(symbols, 7) {
		q := s.quotes[i*symbols/7]
		entry := q.Price * (1 + 0.02*(s.random.Float64()-0.5))
		s.positions = append(s.positions, position{Symbol: q.Symbol, Quantity: 5000 / entry * float64(1-2*(i%2)), EntryPrice: entry, OpenedAt: now.Add(-time.Hour)})
	}
}

// ServeHTTP answers the API's paths, and 503 while the server is down.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down {
		fail(w, http.StatusServiceUnavailable, "the database cannot be reached")
		return
	}
	s.mux.ServeHTTP(w, r)
}

// SetDown takes the API away, open streams included, or brings it back.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
	if down {
		for c := range s.sockets {
			_ = c.CloseNow() // already closed is what is wanted
		}
	}
}

// Halt stops the prices, as a lost engine does.
func (s *Server) Halt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halted = time.Now().UTC()
}

// Run moves the market until ctx ends.
func (s *Server) Run(ctx context.Context) {
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s.step(now.UTC())
		}
	}
}

func (s *Server) step(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.halted.IsZero() {
		return
	}
	s.move(now)
	if s.random.IntN(5) == 0 {
		s.addSignal(now)
	}
}

func (s *Server) move(now time.Time) {
	for i := range s.quotes {
		q := &s.quotes[i]
		q.Price *= 1 + 0.0012*s.random.NormFloat64()
		q.ChangePct = (q.Price/s.opens[i] - 1) * 100
		q.TS = now
	}
}

func (s *Server) addSignal(now time.Time) {
	if len(s.quotes) == 0 {
		return
	}
	q := s.quotes[s.random.IntN(len(s.quotes))]
	sig := signal{
		ID: len(s.signals) + 1, Symbol: q.Symbol, Price: q.Price, TS: now, Status: "active",
		Type:       []string{"buy", "sell"}[s.random.IntN(2)],
		Indicator:  []string{"rsi_reversal", "ema_cross", "macd", "bollinger"}[s.random.IntN(4)],
		Confidence: 0.5 + 0.49*s.random.Float64(),
	}
	s.signals = slices.Insert(s.signals, 0, sig)
	if old := 12; len(s.signals) > old {
		outcome := 1.5 * s.random.NormFloat64()
		s.signals[old].OutcomePct = &outcome
		s.signals[old].Status = map[bool]string{true: "hit", false: "missed"}[outcome > 0]
	}
}

func (s *Server) getPnL() pnl {
	p := pnl{Realized: 1284.5, Equity: 100_000, OpenPositions: len(s.positions)}
	for i := range s.positions {
		pos := &s.positions[i]
		for _, q := range s.quotes {
			if q.Symbol == pos.Symbol {
				pos.Price = q.Price
			}
		}
		pos.PnL = (pos.Price - pos.EntryPrice) * pos.Quantity
		p.Unrealized += pos.PnL
		p.Exposure += math.Abs(pos.Price * pos.Quantity)
	}
	p.Total = p.Realized + p.Unrealized
	p.Equity += p.Total
	p.Risk = p.Exposure / p.Equity
	return p
}

func (s *Server) getStatus(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byChange := append([]quote{}, s.quotes...)
	slices.SortFunc(byChange, func(a, b quote) int { return cmp.Compare(b.ChangePct, a.ChangePct) })
	advancers, active := 0, 0
	for _, q := range s.quotes {
		if q.ChangePct > 0 {
			advancers++
		}
	}
	for _, sig := range s.signals {
		if sig.Status == "active" {
			active++
		}
	}
	top := min(5, len(byChange))
	losers := slices.Clone(byChange[len(byChange)-top:])
	slices.Reverse(losers)
	var accuracy *float64
	if len(s.signals) > 12 {
		share := 0.573
		accuracy = &share
	}
	state, updated := "open", time.Now().UTC()
	switch {
	case len(s.quotes) == 0:
		state = "waiting"
	case !s.halted.IsZero():
		state, updated = "stale", s.halted
	}
	answer(w, map[string]any{
		"simulated": true, "status": state, "updated_at": updated,
		"symbols": len(s.quotes), "advancers": advancers, "decliners": len(s.quotes) - advancers, "unchanged": 0,
		"top_gainers": byChange[:top:top], "top_losers": losers,
		"active_signals": active, "signal_accuracy": accuracy, "trading": "paper", "pnl": s.getPnL(),
	})
}

func (s *Server) getSymbols(w http.ResponseWriter, r *http.Request) {
	limit, ok := number(w, r, "limit", 100)
	if !ok {
		return
	}
	query := strings.ToUpper(r.FormValue("query"))
	s.mu.Lock()
	defer s.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(s.quotes), func(q quote) bool { return !strings.Contains(q.Symbol, query) })
	sign := map[string]float64{"gainers": 1, "losers": -1}[r.FormValue("sort")]
	slices.SortStableFunc(found, func(a, b quote) int { return cmp.Compare(b.ChangePct*sign, a.ChangePct*sign) })
	answer(w, map[string]any{"items": append([]quote{}, found[:min(limit, len(found))]...), "total": len(found)})
}

func (s *Server) getCandles(w http.ResponseWriter, r *http.Request) {
	interval, ok := map[string]time.Duration{"": time.Minute, "1m": time.Minute, "5m": 5 * time.Minute, "15m": 15 * time.Minute, "1h": time.Hour}[r.FormValue("interval")]
	if !ok {
		fail(w, http.StatusBadRequest, "interval must be one of 1m, 5m, 15m, 1h")
		return
	}
	limit, ok := number(w, r, "limit", 300)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.quotes, func(q quote) bool { return q.Symbol == r.PathValue("symbol") })
	if i < 0 {
		fail(w, http.StatusNotFound, fmt.Sprintf("symbol %q is not known", r.PathValue("symbol")))
		return
	}
	// Backwards from the present price, so that the chart ends where the stream is;
	// seeded by symbol and minute, so that a reload shows the same past.
	items := make([]candle, limit)
	start := time.Now().UTC().Truncate(interval)
	price := s.quotes[i].Price
	for n := range limit {
		at := start.Add(-time.Duration(n) * interval)
		past := rand.New(rand.NewPCG(uint64(i), uint64(at.Unix())))
		width := 0.0016 * math.Sqrt(interval.Minutes())
		c := candle{TS: at, Close: price, Open: price * (1 + width*past.NormFloat64()), Volume: 1e5 * (0.3 + past.ExpFloat64())}
		c.High = max(c.Open, c.Close) * (1 + width*past.Float64())
		c.Low = min(c.Open, c.Close) * (1 - width*past.Float64())
		items[limit-1-n] = c
		price = c.Open
	}
	answer(w, map[string]any{"symbol": r.PathValue("symbol"), "interval": r.FormValue("interval"), "items": items, "total": limit})
}

func (s *Server) getSignals(activeOnly bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		limit, ok := number(w, r, "limit", 50)
		if !ok {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		found := slices.DeleteFunc(slices.Clone(s.signals), func(sig signal) bool {
			return activeOnly && sig.Status != "active" ||
				r.FormValue("symbol") != "" && sig.Symbol != r.FormValue("symbol") ||
				r.FormValue("type") != "" && sig.Type != r.FormValue("type")
		})
		answer(w, map[string]any{"items": append([]signal{}, found[:min(limit, len(found))]...), "total": len(found)})
	}
}

func (s *Server) getPositions(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.getPnL()
	answer(w, map[string]any{"items": append([]position{}, s.positions...), "total": len(s.positions)})
}

func (s *Server) getPnLHistory(w http.ResponseWriter, r *http.Request) {
	limit, ok := number(w, r, "limit", 300)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	items := make([]equity, limit)
	now, current := time.Now().UTC().Truncate(time.Minute), s.getPnL()
	past := rand.New(rand.NewPCG(2, 3))
	for n := range limit {
		items[limit-1-n] = equity{TS: now.Add(-time.Duration(n) * time.Minute), Realized: current.Realized, Unrealized: current.Unrealized, Exposure: current.Exposure, OpenPositions: current.OpenPositions}
		current.Unrealized += 12 * past.NormFloat64()
	}
	answer(w, map[string]any{"simulated": true, "items": items, "total": limit})
}

const ownerCookie = "alphapulse_watchlist"

func (s *Server) getWatchlist(w http.ResponseWriter, r *http.Request) {
	owner := ""
	if c, err := r.Cookie(ownerCookie); err == nil {
		owner = c.Value
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer(w, map[string]any{"symbols": append([]string{}, s.lists[owner]...)})
}

func (s *Server) postWatchlist(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Symbols []string `json:"symbols"`
	}
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
		fail(w, http.StatusBadRequest, `body: it is not of the form {"symbols": ["SIM0001USDT"]}`)
		return
	}
	owner := cryptorand.Text()
	if c, err := r.Cookie(ownerCookie); err == nil {
		owner = c.Value
	}
	s.mu.Lock()
	s.lists[owner] = wanted.Symbols
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: ownerCookie, Value: owner, Path: "/api/watchlist", MaxAge: 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	answer(w, wanted)
}

// mostTraded is how many quotes a stream brings that has not asked for symbols.
const mostTraded = 500

// subscription is what one stream has asked for.
type subscription struct {
	mu     sync.Mutex
	wanted []string
}

func (sub *subscription) wants(symbol string) bool {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return len(sub.wanted) == 0 || slices.Contains(sub.wanted, symbol)
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	s.mu.Lock()
	s.sockets[c] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.sockets, c)
		s.mu.Unlock()
		_ = c.CloseNow() // nothing is left to say to a stream that ended
	}()

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	sub, asked := &subscription{}, make(chan struct{}, 1)
	go func() {
		defer cancel()
		for {
			var request struct {
				Subscribe []string `json:"subscribe"`
			}
			if wsjson.Read(ctx, c, &request) != nil {
				return
			}
			sub.mu.Lock()
			sub.wanted = request.Subscribe
			sub.mu.Unlock()
			select {
			case asked <- struct{}{}:
			default: // an answer is on its way
			}
		}
	}()

	frames := []any{map[string]any{"type": "hello", "simulated": true}}
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	s.mu.Lock()
	newest := len(s.signals)
	s.mu.Unlock()
	for {
		s.mu.Lock()
		frames = append(frames, s.frames(sub, &newest)...)
		s.mu.Unlock()
		for _, f := range frames {
			if err := wsjson.Write(ctx, c, f); err != nil {
				return
			}
		}
		frames = nil
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-asked:
				waiting = false
			case <-ticker.C:
				s.mu.Lock()
				waiting = len(s.quotes) == 0 || !s.halted.IsZero()
				s.mu.Unlock()
			}
		}
	}
}

// frames are what a stream gets of the present state; newest is the last signal that
// it was told.
func (s *Server) frames(sub *subscription, newest *int) []any {
	if len(s.quotes) == 0 {
		return nil
	}
	var frames []any
	quotes := slices.DeleteFunc(slices.Clone(s.quotes), func(q quote) bool { return !sub.wants(q.Symbol) })
	frames = append(frames, map[string]any{"type": "prices", "simulated": true, "ts": time.Now().UTC(), "items": quotes[:min(mostTraded, len(quotes))]})
	for _, sig := range slices.Backward(s.signals) {
		if sig.ID > *newest && sub.wants(sig.Symbol) {
			frames = append(frames, map[string]any{"type": "signal", "signal": sig})
		}
	}
	*newest = len(s.signals)
	current := s.getPnL()
	return append(frames,
		map[string]any{"type": "positions", "items": append([]position{}, s.positions...)},
		map[string]any{"type": "pnl", "ts": time.Now().UTC(), "pnl": current})
}

func number(w http.ResponseWriter, r *http.Request, field string, fallback int) (int, bool) {
	text := r.FormValue(field)
	if text == "" {
		return fallback, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		fail(w, http.StatusBadRequest, fmt.Sprintf("%s must be a number from 1 to 1000", field))
		return 0, false
	}
	return n, true
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // fails only if the client has gone
}

func fail(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": reason}) // fails only if the client has gone
}
