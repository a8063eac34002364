//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const (
	// browsers are clients with one kept connection each, of which half speak HTTP/2.
	browsers = 24
	// between is the time from the begin of a client's request to that of its next: in all
	// 600 a second, which two cores serve beside themselves.
	between = 40 * time.Millisecond
	// enough requests are sent for each event.
	enough = 20_000
	// patient is how long a client waits for an answer.
	patient = 60 * time.Second
	// sockets are open besides; dev's API takes ten.
	sockets = 8
	// again is the pause before a socket that could not be opened is tried once more.
	again = 100 * time.Millisecond
)

// crowd are users of the stack: clients that keep their connections, and WebSockets that
// are opened again whenever they end.
type crowd struct {
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	roots *x509.CertPool
	out   outputs

	stop func()

	mu      sync.Mutex
	tallies map[string]tally
	// codes are what sockets were closed with, -1 without a word.
	codes map[websocket.StatusCode]int
	// back is the longest time until a socket was open again.
	back   time.Duration
	opened int
}

// client is one browser.
func (c *crowd) client(http2 bool) *http.Client {
	return &http.Client{
		Timeout: patient,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: c.roots}, DialContext: c.dial,
			ForceAttemptHTTP2: http2, MaxConnsPerHost: 1, IdleConnTimeout: 90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// mix is what users ask for, of twenty requests.
func (c *crowd) mix() []kind {
	all := kindsOf(c.out) // page, read, write
	page, read, write := all[0], all[1], all[2]
	dashboard := kind{"dashboard", func(ctx context.Context, client *http.Client) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.out.URLs["dashboard"]+"/", nil)
		if err != nil {
			return nil, err
		}
		return client.Do(req)
	}}
	return slices.Concat(slices.Repeat([]kind{read, read, page, read}, 4), []kind{dashboard, read, write, read})
}

// start begins to ask; the function stop ends it when the last answer is there.
func (c *crowd) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c.tallies, c.codes, c.back, c.opened = map[string]tally{}, map[websocket.StatusCode]int{}, 0, 0
	mix := c.mix()
	var wg sync.WaitGroup
	for i := range browsers {
		wg.Go(func() {
			l := &load{tallies: map[string]tally{}}
			client := c.client(i%2 == 0)
			defer client.CloseIdleConnections()
			// They do not begin all at once.
			next := time.Now().Add(between * time.Duration(i) / browsers)
			for n := i; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(next)):
				}
				next = time.Now().Add(between)
				l.one(mix[n%len(mix)], client)
				c.add(l)
			}
		})
	}
	for range sockets {
		wg.Go(func() { c.socket(ctx) })
	}
	c.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(c.stop)
}

// add takes over what one client has seen since it was asked last.
func (c *crowd) add(l *load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, y := range l.tallies {
		sum := c.tallies[name]
		sum.sent, sum.failed, sum.slowest = sum.sent+y.sent, sum.failed+y.failed, max(sum.slowest, y.slowest)
		if y.failed > 0 {
			if sum.first.IsZero() {
				sum.first, sum.example = y.first, y.example
			}
			sum.last = y.last
		}
		c.tallies[name] = sum
	}
	l.tallies = map[string]tally{}
}

// socket keeps one open.
func (c *crowd) socket(ctx context.Context) {
	url := strings.Replace(c.out.URLs["ui"], "https:", "wss:", 1) + "/ws/streaming"
	client := c.client(false)
	client.Timeout = 0
	var ended time.Time // of the one before
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, patient)
		conn, _, err := websocket.Dial(attempt, url, &websocket.DialOptions{HTTPClient: client})
		cancel()
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
			continue
		}
		conn.SetReadLimit(-1)
		c.mu.Lock()
		c.opened++
		if !ended.IsZero() {
			c.back = max(c.back, time.Since(ended))
		}
		c.mu.Unlock()
		for err == nil {
			_, _, err = conn.Read(ctx)
		}
		_ = conn.CloseNow()
		if ctx.Err() != nil {
			return
		}
		ended = time.Now()
		code := websocket.CloseStatus(err)
		c.mu.Lock()
		c.codes[code]++
		c.mu.Unlock()
	}
}

// sent is how many requests were answered or failed so far.
func (c *crowd) sent() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, y := range c.tallies {
		n += y.sent
	}
	return n
}

// closed tells with what the sockets were closed.
func (c *crowd) closed() string {
	if len(c.codes) == 0 {
		return "none was closed"
	}
	var all []string
	for _, code := range slices.Sorted(maps.Keys(c.codes)) {
		name := fmt.Sprintf("%d", code)
		if code < 0 {
			name = "no code"
		}
		all = append(all, fmt.Sprintf("%d by %s", c.codes[code], name))
	}
	return strings.Join(all, ", ") + fmt.Sprintf("; back within %.1f s", c.back.Seconds())
}

// served waits until only the wanted certificate is shown to new connections.
func (c *crowd) served(ctx context.Context, serverName, port string, want func(*x509.Certificate) bool) error {
	config := &tls.Config{RootCAs: c.roots, ServerName: serverName}
	for {
		shown := 0
		for range 10 {
			conn, err := c.dial(ctx, "tcp", "edge:"+port)
			if err != nil {
				return err
			}
			session := tls.Client(conn, config)
			if err := session.HandshakeContext(ctx); err != nil {
				_ = conn.Close()
				return err
			}
			if want(session.ConnectionState().PeerCertificates[0]) {
				shown++
			}
			_ = session.Close()
		}
		if shown == 10 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("%d of 10 connections are shown the renewed certificate", shown))
		case <-time.After(time.Second):
		}
	}
}
