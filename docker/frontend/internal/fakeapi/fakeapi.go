// Package fakeapi answers as the backend's API does, from memory, so that the user
// interface can be worked on and tested without a database, a cache or a cluster. It can
// also be lost, lack parts, answer nonsense, and say other things of its market.
package fakeapi

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

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

	simulated *bool // nil says nothing
	instead   map[string]Answer
	numbered  bool
	forgotten int // the newest signal that streams are not told of any more
}

// Answer is what a path answers instead of what belongs there.
type Answer struct {
	Status int
	// Type is the Content-Type; empty means JSON.
	Type, Body string
}

// New returns a market whose prices move once per tick. The same seed gives the
// same market. With symbols = 0 it is empty, as a backend is before the engine's
// first prices. A stream that comes back can ask for what it missed.
func New(symbols int, tick time.Duration, seed uint64) *Server {
	simulated := true
	s := &Server{
		mux: http.NewServeMux(), tick: tick,
		random:    rand.New(rand.NewPCG(seed, 1)),
		lists:     map[string][]string{},
		sockets:   map[*websocket.Conn]struct{}{},
		simulated: &simulated,
		instead:   map[string]Answer{},
		numbered:  true,
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

// ServeHTTP answers the API's paths, and 503 while the server is down.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	down, instead, replaced := s.down, Answer{}, false
	// The longest prefix says it best.
	for _, prefix := range slices.SortedFunc(maps.Keys(s.instead), func(a, b string) int { return len(b) - len(a) }) {
		if strings.HasPrefix(r.URL.Path, prefix) {
			instead, replaced = s.instead[prefix], true
			break
		}
	}
	s.mu.Unlock()
	switch {
	case down:
		fail(w, http.StatusServiceUnavailable, "the database cannot be reached")
	case replaced && instead.Status != 0:
		if instead.Type == "" {
			instead.Type = "application/json"
		}
		w.Header().Set("Content-Type", instead.Type)
		w.WriteHeader(instead.Status)
		_, _ = w.Write([]byte(instead.Body)) // fails only if the client has gone
	default:
		s.mux.ServeHTTP(w, r)
	}
}

// Instead makes every path with the prefix answer something else; an empty answer lets
// the API answer again.
func (s *Server) Instead(prefix string, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instead[prefix] = a
}

// SetSimulated makes the API say that its market is simulated, or is not; nil says nothing.
func (s *Server) SetSimulated(simulated *bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.simulated = simulated
}

// SetNumbered tells whether the stream tells the number of its last signal, and so can go
// on where a lost connection ended.
func (s *Server) SetNumbered(numbered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbered = numbered
}

// Forget lets the stream forget the signals of the past, as a process does that has
// just started.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = len(s.signals)
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

// CloseStreams ends every open stream with a close code and a reason, as a process does
// that stops.
func (s *Server) CloseStreams(code websocket.StatusCode, reason string) {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.sockets))
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close(code, reason) // already closed is what is wanted
	}
}

// Halt stops the prices, as a lost engine does.
func (s *Server) Halt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halted = time.Now().UTC()
}

// Signal gives one more signal now and returns its number.
func (s *Server) Signal() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addSignal(time.Now().UTC())
	return s.signals[0].ID
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
