package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

const (
	// handshakeWait is how long a WebSocket waits for its turn to be opened.
	handshakeWait = 5 * time.Second
	// remembered is how many signals a client that comes back can ask for.
	remembered = 1000
)

// Hub sends batches to clients.
type Hub struct {
	most    int
	log     *slog.Logger
	metrics *Metrics
	// Tracer records spans of what is opened, sent and asked for; one that records
	// nothing unless it is set.
	Tracer trace.Tracer
	// turns bounds the WebSockets that are opened at once. Opening one costs more than
	// keeping it: a thousand that come in the same moment must leave the process time
	// for what else is asked of it.
	turns chan struct{}
	// writeTimeout bounds one frame.
	writeTimeout time.Duration

	mu      sync.Mutex
	clients map[*client]struct{}
	// opening is how many have a place but are no clients yet.
	opening int
	// last batch, which a new client gets at once.
	last *encoded
	// past has the newest signals, the oldest first, and all since the one with the ID
	// complete.
	past     []event
	complete int64
	closed   bool
	// serving are the WebSockets that have not ended.
	serving sync.WaitGroup
}

// NewHub returns a hub for so many clients at most, of which so many are opened at once.
func NewHub(most, handshakes int, m *Metrics, log *slog.Logger) *Hub {
	return &Hub{
		most: most, metrics: m, log: log, Tracer: noop.Tracer{}, turns: make(chan struct{}, handshakes), writeTimeout: writeTimeout, clients: map[*client]struct{}{}, complete: math.MaxInt64,
	}
}

// Broadcast sends a batch to every client.
func (h *Hub) Broadcast(b *Batch) {
	e, err := encode(b)
	if err != nil {
		h.log.Error("encode frames", "error", err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = e
	h.remember(e.events)
	for c := range h.clients {
		frames, err := e.frames(c)
		if err != nil {
			h.log.Error("encode frames", "error", err)
			continue
		}
		h.enqueue(c, frames)
	}
}

// Remember notes signals of the time before this process, the oldest first, and that
// they are all since the one with the ID after.
func (h *Hub) Remember(signals []store.Signal, after int64) error {
	var events []event
	for _, s := range signals {
		v, err := newEvent(s)
		if err != nil {
			return fmt.Errorf("encode a signal: %w", err)
		}
		events = append(events, v)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(events) > 0 && len(h.past) > 0 && events[len(events)-1].id >= h.past[0].id {
		events = events[:len(events)-1]
	}
	h.past = append(events, h.past...)
	h.complete = min(h.complete, after)
	return nil
}

// remember keeps signals for those who come back. The lock is held.
func (h *Hub) remember(events []event) {
	if len(events) == 0 {
		return
	}
	h.complete = min(h.complete, events[0].id-1)
	h.past = append(h.past, events...)
	if surplus := len(h.past) - remembered; surplus > 0 {
		h.complete = h.past[surplus-1].id
		h.past = append([]event(nil), h.past[surplus:]...)
	}
}

// newest is the ID of the newest signal; 0 before the first. The lock is held.
func (h *Hub) newest() int64 {
	if len(h.past) > 0 {
		return h.past[len(h.past)-1].id
	}
	if h.complete != math.MaxInt64 {
		return h.complete
	}
	return 0
}

// enqueue hands frames to a client, or drops it. The lock is held.
func (h *Hub) enqueue(c *client, frames [][]byte) {
	select {
	case c.queue <- frames:
	default:
		delete(h.clients, c)
		h.metrics.dropped.Inc()
		h.log.Debug("websocket dropped: it reads too slowly")
		c.drop()
	}
}

var (
	errStopping = errors.New("the process is stopping: connect again")
	errFull     = errors.New("too many WebSockets are open: try again later")
	errBusy     = errors.New("too many WebSockets are being opened: try again later")
)

// place keeps a place for a WebSocket and waits for its turn to be opened. done is to
// be called when it was opened or could not be.
func (h *Hub) place(ctx context.Context) (done func(), err error) {
	h.mu.Lock()
	switch {
	case h.closed:
		err = errStopping
	case len(h.clients)+h.opening >= h.most:
		err = errFull
	default:
		h.opening++
	}
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	leave := func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.opening--
	}
	select {
	case h.turns <- struct{}{}:
		return func() {
			<-h.turns
			leave()
		}, nil
	case <-time.After(handshakeWait):
		leave()
		return nil, errBusy
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

// add makes a client of an open WebSocket, and gives it what it has missed and the
// present state.
func (h *Hub) add(c *client) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errStopping
	}
	frames := [][]byte{fmt.Appendf(nil, `{"type":"hello","simulated":true,"last_signal":%d}`, h.newest())}
	if c.resumes {
		if c.after < h.complete {
			// More than is remembered: the client has to read the past elsewhere.
			frames = append(frames, fmt.Appendf(nil, `{"type":"gap","since":%d}`, c.after))
		}
		frames = append(frames, c.news(h.past)...)
	} else {
		c.after = h.newest()
	}
	if h.last != nil {
		state, err := h.last.snapshot(c)
		if err != nil {
			return err
		}
		frames = append(frames, state...)
	}
	h.clients[c] = struct{}{}
	h.metrics.clients.Set(float64(len(h.clients)))
	h.enqueue(c, frames)
	return nil
}

func (h *Hub) remove(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
	h.metrics.clients.Set(float64(len(h.clients)))
}

// Close tells every client to connect elsewhere, one after the other over a time, so
// that they do not all come to the other processes at once. It accepts no more, and
// returns at once.
func (h *Hub) Close(over time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	var list []*client // in a map's order, which is none
	for c := range h.clients {
		list = append(list, c)
	}
	h.serving.Go(func() {
		for i, c := range list {
			if i > 0 {
				time.Sleep(over / time.Duration(len(list)))
			}
			h.mu.Lock()
			if _, ok := h.clients[c]; ok {
				delete(h.clients, c)
				close(c.queue)
			}
			h.mu.Unlock()
		}
	})
}

// Wait waits until every WebSocket has ended, or ctx has. It says whether they have.
func (h *Hub) Wait(ctx context.Context) bool {
	ended := make(chan struct{})
	go func() {
		h.serving.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-ctx.Done():
		return false
	}
}
