package fakeapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

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

	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	s.mu.Lock()
	frames, newest := s.greet(r)
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

// keptSignals are how many signals a stream that comes back can be told of.
const keptSignals = 200

// greet is how a stream begins, and the newest signal that it knows then. A stream that
// comes back names the last one that it had, and is told of those after it; if some are
// forgotten, that there is a gap.
func (s *Server) greet(r *http.Request) (frames []any, newest int) {
	hello, newest := s.said(map[string]any{"type": "hello"}), len(s.signals)
	frames = append(frames, hello)
	if !s.numbered {
		return frames, newest
	}
	hello["last_signal"] = newest
	if since, err := strconv.Atoi(r.FormValue("since")); err == nil {
		if since < max(s.forgotten, newest-keptSignals) {
			frames = append(frames, map[string]any{"type": "gap", "since": since})
		}
		newest = max(since, s.forgotten, newest-keptSignals)
	}
	return frames, newest
}

// frames are what a stream gets of the present state; newest is the last signal that
// it was told.
func (s *Server) frames(sub *subscription, newest *int) []any {
	if len(s.quotes) == 0 {
		return nil
	}
	var frames []any
	quotes := slices.DeleteFunc(slices.Clone(s.quotes), func(q quote) bool { return !sub.wants(q.Symbol) })
	frames = append(frames, s.said(map[string]any{"type": "prices", "ts": time.Now().UTC(), "items": quotes[:min(mostTraded, len(quotes))]}))
	for _, sig := range slices.Backward(s.signals) {
		if sig.ID > *newest && sub.wants(sig.Symbol) {
			frames = append(frames, map[string]any{"type": "signal", "signal": sig})
		}
	}
	*newest = len(s.signals)
	return append(frames,
		map[string]any{"type": "positions", "items": append([]position{}, s.positions...)},
		map[string]any{"type": "pnl", "ts": time.Now().UTC(), "pnl": s.getPnL()})
}
