//go:build integration

package integration

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A thousand WebSockets at once, on one CPU and the largest market: the process stays
// ready, and each of them gets its prices, late if need be.
func TestStormLeavesTheProcessReady(t *testing.T) {
	const storm = 1000
	s := newStack(t, "MAX_SYMBOLS", "3000", "INGEST_INTERVAL", "2s")
	s.start("engine")
	base := s.startPinned()
	s.await(base+"/ready", 200)
	s.await(base+"/api/market/status", 200, `"status":"open"`)
	var asked, unready, refused atomic.Int64
	var longest time.Duration
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		probe := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // as kubelet does
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			begun := time.Now()
			if status, body, _ := get(t, probe, base+"/ready"); status != 200 {
				unready.Add(1)
				t.Errorf("/ready: %d %s", status, body)
			}
			longest = max(longest, time.Since(begun))
			asked.Add(1)
		}
	})
	var wg sync.WaitGroup
	for range storm {
		wg.Go(func() {
			conn := connect(t, base, &refused)
			if conn == nil {
				return
			}
			defer func() { _ = conn.CloseNow() }()
			// The present prices and two new ones.
			for range 3 {
				if err := awaitPrices(t, conn); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	t.Logf("%d WebSockets, %d refused and opened later, %d of %d times not ready, the slowest answer after %s", storm, refused.Load(), unready.Load(), asked.Load(), longest)
}

// A process that is told to stop, and is given no time, still tells its pages to go
// elsewhere before it ends.
func TestSocketsAreToldBeforeTheEnd(t *testing.T) {
	socketsAreTold(t, "0")
}

// One that is given time tells them early in it: they are elsewhere while it still serves.
func TestSocketsAreToldEarly(t *testing.T) {
	s, base := socketsAreTold(t, "10")
	s.await(base+"/api/market/status", 200, `"status":"open"`)
}

// socketsAreTold stops a process with fifty pages open, and returns once each of them has
// been sent away.
func socketsAreTold(t *testing.T, drain string) (s *stack, base string) {
	t.Helper()
	s = newStack(t, "DRAIN_SECONDS", drain)
	s.start("engine")
	base, cmd := s.startBinary()
	s.await(base+"/api/market/status", 200, `"status":"open"`)
	var refused atomic.Int64
	var conns []*websocket.Conn
	for range 50 {
		conn := connect(t, base, &refused)
		if conn == nil {
			t.FailNow()
		}
		s.prices(conn)
		conns = append(conns, conn)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, conn := range conns {
		wg.Go(func() { isSentAway(t, conn) })
	}
	wg.Wait()
	return s, base
}

// connect opens a WebSocket as a patient client does: it comes again when it is told to.
func connect(t *testing.T, base string, refused *atomic.Int64) *websocket.Conn {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		conn, response, err := websocket.Dial(ctx, base+"/ws", nil)
		if err == nil {
			conn.SetReadLimit(1 << 20)
			return conn
		}
		if response == nil || response.StatusCode != http.StatusServiceUnavailable {
			t.Error(fmt.Errorf("not opened: %w", err))
			return nil
		}
		refused.Add(1)
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			t.Errorf("refused without a time to come again: %v", response.Header)
			return nil
		}
		time.Sleep(time.Duration(seconds) * time.Second)
	}
}

func awaitPrices(t *testing.T, conn *websocket.Conn) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("waiting for prices: %w", err)
		}
		if bytes.HasPrefix(raw, []byte(`{"type":"prices"`)) {
			return nil
		}
	}
}
