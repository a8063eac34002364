package main

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

// streams tell what is new, as those of the application do.
type streams struct {
	market   *market
	stopping chan struct{}
	open     sync.WaitGroup
}

// serve tells of everything from now on; ?since=ID asks for the signals after that one.
func (s *streams) serve(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	s.open.Add(1)
	defer s.open.Done()
	defer func() { _ = c.CloseNow() }() // it may be closed already
	ctx := c.CloseRead(context.WithoutCancel(r.Context()))

	newest := s.newest()
	frames := []any{map[string]any{"type": "hello", "simulated": true, "last_signal": newest}}
	if since, err := strconv.ParseInt(r.FormValue("since"), 10, 64); err == nil {
		if newest-since > s.market.kept {
			frames = append(frames, map[string]any{"type": "gap", "since": since})
		}
		newest = max(since, newest-s.market.kept)
	}
	ticker := time.NewTicker(s.market.tick)
	defer ticker.Stop()
	for {
		frames = append(frames, s.news(&newest)...)
		for _, f := range frames {
			if wsjson.Write(ctx, c, f) != nil {
				return
			}
		}
		frames = nil
		select {
		case <-ctx.Done():
			return
		case <-s.stopping:
			_ = c.Close(websocket.StatusGoingAway, "the process is stopping") // the client may have gone
			return
		case <-ticker.C:
		}
	}
}

func (s *streams) newest() int64 {
	if s.market.state != "open" {
		return 0
	}
	return s.market.signals(time.Now().UTC(), 1)[0].ID
}

// news are the frames of one moment; told is the last signal that was told.
func (s *streams) news(told *int64) []any {
	if s.market.state != "open" {
		return nil
	}
	now := time.Now().UTC()
	frames := []any{map[string]any{"type": "prices", "simulated": true, "ts": now, "items": s.market.quotes(now)}}
	for _, signal := range slices.Backward(s.market.signals(now, int(s.market.kept))) {
		if signal.ID > *told {
			frames = append(frames, map[string]any{"type": "signal", "signal": signal})
			*told = signal.ID
		}
	}
	return append(frames,
		map[string]any{"type": "positions", "items": s.market.positions(now)},
		map[string]any{"type": "pnl", "ts": now, "pnl": s.market.pnl(now)})
}
