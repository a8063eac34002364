package fakeapi

import (
	"cmp"
	cryptorand "crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
	answer(w, s.said(map[string]any{
		"status": state, "updated_at": updated,
		"symbols": len(s.quotes), "advancers": advancers, "decliners": len(s.quotes) - advancers, "unchanged": 0,
		"top_gainers": byChange[:top:top], "top_losers": losers,
		"active_signals": active, "signal_accuracy": accuracy, "trading": "paper", "pnl": s.getPnL(),
	}))
}

// said adds what the API says of its market.
func (s *Server) said(body map[string]any) map[string]any {
	if s.simulated != nil {
		body["simulated"] = *s.simulated
	}
	return body
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
	answer(w, s.said(map[string]any{"items": items, "total": limit}))
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
