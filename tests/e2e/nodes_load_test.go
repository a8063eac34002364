//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// probeEvery and probeTries are how the balancer asks nodes for their health: about
	// as often as the quickest of clouds' ones.
	probeEvery = 500 * time.Millisecond
	probeTries = 2
	// loadEvery is the time between two requests, of all kinds in turn.
	loadEvery = 30 * time.Millisecond
	// answerWithin is how long a request may take.
	answerWithin = 5 * time.Second
)

// balancer stands in for a cloud's load balancer of layer 4: it asks each node at the
// Service's health check port, sends new connections to those that answer, and keeps
// open ones where they are.
type balancer struct {
	port  int32 // of the health checks
	nodes []string
	// within is how long a request may take; 0 for answerWithin.
	within time.Duration

	mu     sync.Mutex
	failed map[string]int // probes in a row
	next   int
}

func (b *balancer) run(ctx context.Context) {
	client := &http.Client{Timeout: probeEvery, Transport: &http.Transport{DisableKeepAlives: true}}
	var wg sync.WaitGroup
	for _, n := range b.nodes {
		wg.Go(func() {
			for {
				res, err := client.Get(fmt.Sprintf("http://%s/healthz", net.JoinHostPort(n, fmt.Sprint(b.port))))
				healthy := err == nil && res.StatusCode == http.StatusOK
				if err == nil {
					_ = res.Body.Close()
				}
				b.mu.Lock()
				if b.failed[n]++; healthy {
					b.failed[n] = 0
				}
				b.mu.Unlock()
				select {
				case <-ctx.Done():
					return
				case <-time.After(probeEvery):
				}
			}
		})
	}
	wg.Wait()
}

// pick returns the next node that is healthy; any if none is.
func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.nodes {
		b.next++
		if n := b.nodes[b.next%len(b.nodes)]; b.failed[n] < probeTries {
			return n
		}
	}
	return b.nodes[b.next%len(b.nodes)]
}

// kind is one kind of request that users make.
type kind struct {
	name string
	do   func(ctx context.Context, c *http.Client) (*http.Response, error)
}

// tally is what one kind of request has seen.
type tally struct {
	sent, failed int
	first, last  time.Time // of the failed ones
	example      string
	slowest      time.Duration // of the answered ones
}

// outage is the time from the first failure to the last.
func (y tally) outage() time.Duration {
	if y.failed == 0 {
		return 0
	}
	return y.last.Sub(y.first)
}

func (y tally) String() string {
	if y.failed == 0 && y.slowest > time.Second {
		return fmt.Sprintf("0 of %d, the slowest after %.1f s", y.sent, y.slowest.Seconds())
	}
	if y.failed == 0 {
		return fmt.Sprintf("0 of %d", y.sent)
	}
	return fmt.Sprintf("%d of %d, within %.1f s (%s)", y.failed, y.sent, y.outage().Seconds(), reason(y.example))
}

// load sends requests through the balancer until it is stopped.
type load struct {
	kinds []kind
	stop  func()

	mu      sync.Mutex
	tallies map[string]tally
}

// kindsOf are requests of a user: a page, something to read and something to write.
func kindsOf(o outputs) []kind {
	send := func(method, url, body string) func(context.Context, *http.Client) (*http.Response, error) {
		return func(ctx context.Context, c *http.Client) (*http.Response, error) {
			req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
			if err != nil {
				return nil, err
			}
			if body != "" {
				req.Header.Set("Content-Type", "application/json")
			}
			return c.Do(req)
		}
	}
	return []kind{
		{"page", send(http.MethodGet, o.URLs["ui"]+"/", "")},
		{"read", send(http.MethodGet, o.URLs["api"]+"/api/market/status", "")},
		{"write", send(http.MethodPost, o.URLs["api"]+"/api/watchlist", `{"symbols":[]}`)},
	}
}

// client is one browser: its connections go where the balancer says, and it trusts
// the stack's CA only.
func (b *balancer) client(t testing.TB, ca string) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca)) {
		t.Fatal("the CA certificate is not PEM")
	}
	within := answerWithin
	if b.within > 0 {
		within = b.within
	}
	return &http.Client{
		Timeout: within,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
			IdleConnTimeout: 3 * time.Second,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				return (&net.Dialer{Timeout: within}).DialContext(ctx, network, net.JoinHostPort(b.pick(), port))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// startLoad begins to send.
func startLoad(t testing.TB, b *balancer, o outputs) *load {
	t.Helper()
	l := &load{kinds: kindsOf(o), tallies: map[string]tally{}}
	var clients []*http.Client
	for range 4 {
		clients = append(clients, b.client(t, o.CACertificate))
	}
	l.begin(t, func(i int) { l.one(l.kinds[i%len(l.kinds)], clients[i/len(l.kinds)%len(clients)]) })
	return l
}

// begin has send send the next request, by its number, until the load is stopped.
func (l *load) begin(t testing.TB, send func(i int)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(loadEvery)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			wg.Go(func() { send(i) })
		}
	})
	l.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(l.stop)
}

// one sends a request. It outlives the load that it belongs to, so that its end is not
// taken for a failure.
func (l *load) one(k kind, c *http.Client) {
	begun := time.Now()
	res, err := k.do(context.Background(), c)
	why := ""
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	switch {
	case err != nil:
		why = err.Error()
		if told, ok := errors.AsType[*url.Error](err); ok {
			why = told.Err.Error()
		}
	case res.StatusCode >= 400:
		why = res.Status
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	y := l.tallies[k.name]
	y.sent++
	if why != "" {
		if y.failed++; y.failed == 1 {
			y.first, y.example = begun, why
		}
		y.last = time.Now()
	} else {
		y.slowest = max(y.slowest, time.Since(begun))
	}
	l.tallies[k.name] = y
}

// seen returns what the requests of each kind have seen so far.
func (l *load) seen() map[string]tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	copied := map[string]tally{}
	for k, y := range l.tallies {
		copied[k] = y
	}
	return copied
}

// settleDown waits until no request of any kind has failed for a while, and returns
// what was seen until the load was stopped.
func (l *load) settleDown(t testing.TB, limit time.Duration) map[string]tally {
	t.Helper()
	const quiet = 3 * time.Second
	eventually(t, limit, "every kind of request is answered again", func(context.Context) (string, bool) {
		all, calm := l.seen(), true
		for _, y := range all {
			calm = calm && time.Since(y.last) > quiet
		}
		return fmt.Sprint(all), calm
	})
	l.stop()
	return l.seen()
}
