package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
)

const (
	// pingInterval and pongTimeout find clients that have vanished without a word.
	pingInterval = 20 * time.Second
	pongTimeout  = 10 * time.Second
	// writeTimeout bounds one frame.
	writeTimeout = 10 * time.Second
	// backlog is how many batches a client may be behind before it is dropped.
	backlog = 8
	// largestRequest of a client, in bytes, and longestRequest in symbols.
	largestRequest = 16 << 10
	longestRequest = 500
)

// Metrics of the WebSockets.
type Metrics struct {
	clients     prometheus.Gauge
	connections *prometheus.CounterVec
	dropped     prometheus.Counter
	messages    prometheus.Counter
	source      *prometheus.GaugeVec
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer, maxClients int) *Metrics {
	m := &Metrics{
		clients: prometheus.NewGauge(prometheus.GaugeOpts{Name: "websocket_clients", Help: "Open WebSockets."}),
		connections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "websocket_connections_total", Help: "WebSockets asked for, by result (accepted, refused).",
		}, []string{"result"}),
		dropped:  prometheus.NewCounter(prometheus.CounterOpts{Name: "websocket_dropped_total", Help: "Clients dropped because they read too slowly."}),
		messages: prometheus.NewCounter(prometheus.CounterOpts{Name: "websocket_messages_total", Help: "Frames sent."}),
		source: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stream_source", Help: "1 for where live data comes from now (redis, database).",
		}, []string{"source"}),
	}
	most := prometheus.NewGauge(prometheus.GaugeOpts{Name: "websocket_clients_max", Help: "WebSockets that may be open at once."})
	most.Set(float64(maxClients))
	r.MustRegister(m.clients, m.connections, m.dropped, m.messages, m.source, most)
	m.connections.WithLabelValues("accepted")
	m.connections.WithLabelValues("refused")
	return m
}

// Hub sends batches to clients.
type Hub struct {
	most    int
	log     *slog.Logger
	metrics *Metrics

	mu      sync.Mutex
	clients map[*client]struct{}
	// last batch, which a new client gets at once.
	last   *Batch
	closed bool
}

// NewHub returns a hub for so many clients at most.
func NewHub(most int, m *Metrics, log *slog.Logger) *Hub {
	return &Hub{most: most, metrics: m, log: log, clients: map[*client]struct{}{}}
}

type client struct {
	conn  *websocket.Conn
	queue chan [][]byte
	// wanted symbols; nil for the most traded. Guarded by the hub's lock.
	wanted map[string]bool
	// drop ends the connection at once, a write that is stuck included.
	drop context.CancelFunc
}

// Broadcast sends a batch to every client.
func (h *Hub) Broadcast(b *Batch) {
	shared, err := b.frames(nil)
	if err != nil {
		h.log.Error("encode frames", "error", err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = b
	for c := range h.clients {
		frames := shared
		if c.wanted != nil {
			if frames, err = b.frames(c.wanted); err != nil {
				h.log.Error("encode frames", "error", err)
				continue
			}
		}
		h.enqueue(c, frames)
	}
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

// snapshot is the last batch as a new client gets it. The lock is held.
func (h *Hub) snapshot(c *client) error {
	if h.last == nil {
		return nil
	}
	// Signals are news only once; a page reads the past elsewhere.
	b := *h.last
	b.Signals = nil
	frames, err := b.frames(c.wanted)
	if err == nil {
		h.enqueue(c, frames)
	}
	return err
}

var hello = []byte(`{"type":"hello","simulated":true}`)

func (h *Hub) add(c *client) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return errStopping
	case len(h.clients) >= h.most:
		return errFull
	}
	h.clients[c] = struct{}{}
	h.metrics.clients.Set(float64(len(h.clients)))
	h.enqueue(c, [][]byte{hello})
	return h.snapshot(c)
}

var (
	errStopping = errors.New("the process is stopping: connect again")
	errFull     = errors.New("too many WebSockets are open: try again later")
)

func (h *Hub) remove(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
	h.metrics.clients.Set(float64(len(h.clients)))
}

// refuse says why no client is accepted now, nil if one is.
func (h *Hub) refuse() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return errStopping
	case len(h.clients) >= h.most:
		return errFull
	}
	return nil
}

// Serve upgrades a request and serves it until either side ends.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request) error {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		return &httpx.StatusError{Status: http.StatusUpgradeRequired, Message: "this is a WebSocket: connect with ws:// or wss://"}
	}
	if err := h.refuse(); err != nil {
		h.metrics.connections.WithLabelValues("refused").Inc()
		w.Header().Set("Retry-After", "5")
		return &httpx.StatusError{Status: http.StatusServiceUnavailable, Message: err.Error()}
	}
	// Accept checks that the page's origin is this host, and answers what is wrong.
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		h.metrics.connections.WithLabelValues("refused").Inc()
		h.log.Debug("websocket refused", "error", err)
		return nil
	}
	h.metrics.connections.WithLabelValues("accepted").Inc()
	conn.SetReadLimit(largestRequest)
	// The request's own context ends when the connection was taken over.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	c := &client{conn: conn, queue: make(chan [][]byte, backlog), drop: cancel}
	if err := h.add(c); err != nil {
		_ = conn.Close(websocket.StatusTryAgainLater, err.Error())
		return nil
	}
	defer h.remove(c)
	go func() {
		defer cancel()
		h.read(ctx, c)
	}()
	h.write(ctx, c)
	return nil
}

// read takes requests until the connection ends; it also answers pings and takes pongs.
func (h *Hub) read(ctx context.Context, c *client) {
	for {
		_, raw, err := c.conn.Read(ctx)
		if err != nil {
			return
		}
		if problem := h.subscribe(c, raw); problem != "" {
			frame, err := json.Marshal(map[string]string{"type": "error", "error": problem})
			if err != nil {
				return
			}
			h.mu.Lock()
			if _, ok := h.clients[c]; ok {
				h.enqueue(c, [][]byte{frame})
			}
			h.mu.Unlock()
		}
	}
}

// subscribe changes what a client gets, or says what is wrong with its request.
func (h *Hub) subscribe(c *client, raw []byte) string {
	r, err := parseRequest(raw)
	if err != nil || r.Subscribe == nil {
		return `send {"subscribe": ["SIM0001USDT"]}`
	}
	if len(r.Subscribe) > longestRequest {
		return fmt.Sprintf("subscribe: up to %d symbols", longestRequest)
	}
	var wanted map[string]bool
	if len(r.Subscribe) > 0 {
		wanted = make(map[string]bool, len(r.Subscribe))
		for _, s := range r.Subscribe {
			wanted[strings.ToUpper(s)] = true
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.clients[c]; !ok {
		return ""
	}
	c.wanted = wanted
	if err := h.snapshot(c); err != nil {
		h.log.Error("encode frames", "error", err)
	}
	return ""
}

// write sends frames and pings until the connection ends.
func (h *Hub) write(ctx context.Context, c *client) {
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	defer func() { _ = c.conn.CloseNow() }() // it may be closed already
	for {
		select {
		case <-ctx.Done():
			return
		case <-ping.C:
			pong, cancel := context.WithTimeout(ctx, pongTimeout)
			err := c.conn.Ping(pong)
			cancel()
			if err != nil {
				return
			}
		case frames, ok := <-c.queue:
			if !ok {
				_ = c.conn.Close(websocket.StatusGoingAway, "the process is stopping: connect again")
				return
			}
			for _, f := range frames {
				frame, cancel := context.WithTimeout(ctx, writeTimeout)
				err := c.conn.Write(frame, websocket.MessageText, f)
				cancel()
				if err != nil {
					return
				}
				h.metrics.messages.Inc()
			}
		}
	}
}

// Close tells every client to connect elsewhere, and accepts no more.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for c := range h.clients {
		delete(h.clients, c)
		close(c.queue)
	}
}
