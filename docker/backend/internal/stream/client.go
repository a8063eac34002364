package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/telemetry"
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

// client is one WebSocket. What changes is guarded by the hub's lock.
type client struct {
	conn  *websocket.Conn
	queue chan [][]byte
	// wanted symbols; nil for the most traded.
	wanted map[string]bool
	// resumes says that the client asked for the signals after one that it has had.
	resumes bool
	// after is the ID of the newest signal that it has had.
	after int64
	// drop ends the connection at once, a write that is stuck included.
	drop context.CancelFunc
}

// news are those of the events that the client wants and has not had, and notes that
// it has them now.
func (c *client) news(events []event) (frames [][]byte) {
	for _, v := range events {
		if v.id <= c.after {
			continue
		}
		c.after = v.id
		if c.wanted == nil || c.wanted[v.symbol] {
			frames = append(frames, v.frame)
		}
	}
	return frames
}

// Serve upgrades a request and serves it until either side ends. ?since=ID asks for
// the signals after that one, of which none is lost and none comes twice.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request) error {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		return &httpx.StatusError{Status: http.StatusUpgradeRequired, Message: "this is a WebSocket: connect with ws:// or wss://"}
	}
	c := &client{queue: make(chan [][]byte, backlog)}
	if since := r.URL.Query().Get("since"); since != "" {
		id, err := strconv.ParseInt(since, 10, 64)
		if err != nil || id < 0 {
			return &httpx.BadInput{Field: "since", Problem: fmt.Sprintf("%q is not the ID of a signal", since)}
		}
		c.after, c.resumes = id, true
	}
	ctx, span := h.Tracer.Start(telemetry.Propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header)), "websocket open", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End() // again, if it was opened
	r = r.WithContext(ctx)
	opened, err := h.place(ctx)
	if err != nil {
		h.metrics.connections.WithLabelValues("refused").Inc()
		span.SetStatus(codes.Error, err.Error())
		if errors.Is(err, context.Canceled) {
			return err
		}
		// Not all at the same moment.
		w.Header().Set("Retry-After", strconv.Itoa(1+rand.N(5)))
		return &httpx.StatusError{Status: http.StatusServiceUnavailable, Message: err.Error()}
	}
	h.serving.Add(1)
	defer h.serving.Done()
	return h.open(w, r, c, func() {
		opened()
		span.End()
	})
}

// open makes the connection a WebSocket's and serves it; opened is called in between.
func (h *Hub) open(w http.ResponseWriter, r *http.Request, c *client, opened func()) error {
	release := opened
	defer func() {
		if release != nil {
			release()
		}
	}()
	// Accept checks that the page's origin is this host, and answers what is wrong.
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		h.metrics.connections.WithLabelValues("refused").Inc()
		h.log.DebugContext(r.Context(), "websocket refused", "error", err)
		return nil
	}
	h.metrics.connections.WithLabelValues("accepted").Inc()
	conn.SetReadLimit(largestRequest)
	// The request's own context ends when the connection was taken over.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	c.conn, c.drop = conn, cancel
	err = h.add(c)
	release()
	release = nil
	if err != nil {
		code := websocket.StatusInternalError
		if errors.Is(err, errStopping) {
			code = websocket.StatusGoingAway
		}
		_ = conn.Close(code, err.Error()) // the client may have gone
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
		// A trace of its own, since a connection may live for days, with a link to that in
		// which it was opened.
		_, span := h.Tracer.Start(context.Background(), "stream subscribe",
			trace.WithSpanKind(trace.SpanKindServer), trace.WithLinks(trace.LinkFromContext(ctx)))
		problem := h.subscribe(c, raw)
		span.SetAttributes(attribute.Bool("stream.understood", problem == ""))
		span.End()
		if problem != "" {
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
	if h.last == nil {
		return ""
	}
	frames, err := h.last.snapshot(c)
	if err != nil {
		h.log.Error("encode frames", "error", err)
		return ""
	}
	h.enqueue(c, frames)
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
				frame, cancel := context.WithTimeout(ctx, h.writeTimeout)
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
