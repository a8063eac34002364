package httpx

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a network in memory, so that time-outs run on a made-up clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8000} }

var errRefused = errors.New("connection refused")

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	mine, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return mine, nil
	case <-p.closed:
		return nil, errRefused
	}
}

// serving runs a server on pipes inside a bubble.
type serving struct {
	*pipes
	client *http.Client
	router *Router
	stop   context.CancelFunc
	done   chan error
}

func serve(t *testing.T, drain time.Duration, routes map[string]Handler) *serving {
	t.Helper()
	router, _ := newRouter(t, 20*time.Second)
	for pattern, h := range routes {
		router.Handle(pattern, h)
	}
	p := newPipes()
	s := &serving{pipes: p, router: router, done: make(chan error, 1), client: &http.Client{Transport: &http.Transport{DialContext: p.dial}}}
	server := &Server{Router: router, DrainTime: drain, Log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.done <- server.Serve(ctx, p)
	}()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		stop()
		<-ended
		time.Sleep(time.Minute) // of the made-up clock: connections linger after they were closed
	})
	return s
}

func (s *serving) get(path string) (body string, closes bool, err error) {
	r, err := s.client.Get("http://x" + path)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = r.Body.Close() }()
	raw, err := io.ReadAll(r.Body)
	return string(raw), r.Close, err
}

func text(s string) Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// A stopping server answers everything that reaches it for as long as its load
// balancer may need to notice, and what it has begun for as long as a request may take.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside := make(chan struct{})
		s := serve(t, 5*time.Second, map[string]Handler{
			"GET /fast": text("fast"),
			"GET /slow": func(w http.ResponseWriter, r *http.Request) error {
				close(inside)
				select {
				case <-r.Context().Done():
					return r.Context().Err()
				case <-time.After(15 * time.Second):
				}
				return text("slow")(w, r)
			},
		})
		slow := make(chan string, 1)
		go func() {
			body, _, err := s.get("/slow")
			if err != nil {
				body = err.Error()
			}
			slow <- body
		}()
		<-inside
		if body, closes, err := s.get("/fast"); body != "fast" || closes || err != nil {
			t.Fatalf("before the stop: %q, Connection: close is %v, %v", body, closes, err)
		}
		s.stop()
		synctest.Wait()
		if !s.router.Draining() {
			t.Fatal("a stopping process does not say so")
		}
		for range 4 { // seconds of five
			if body, closes, err := s.get("/fast"); body != "fast" || !closes || err != nil {
				t.Errorf("while draining: %q, Connection: close is %v, %v", body, closes, err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		if _, _, err := s.get("/fast"); !errors.Is(err, errRefused) {
			t.Errorf("after the drain: %v", err)
		}
		select {
		case err := <-s.done:
			t.Fatalf("the server ended under a running request: %v", err)
		default:
		}
		if body := <-slow; body != "slow" {
			t.Errorf("the running request got %s", body)
		}
		if err := <-s.done; err != nil {
			t.Error(err)
		}
	})
}

// A request that never ends must not keep the process beyond what its platform waits.
func TestStopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside, leave := make(chan struct{}), make(chan struct{})
		s := serve(t, 5*time.Second, map[string]Handler{"GET /stuck": func(http.ResponseWriter, *http.Request) error {
			close(inside)
			<-leave
			return nil
		}})
		go func() { _, _, _ = s.get("/stuck") }()
		<-inside
		start := time.Now()
		s.stop()
		err := <-s.done
		if err == nil || !strings.Contains(err.Error(), "requests were still running") {
			t.Errorf("ended with %v", err)
		}
		// DrainTime + what is left of the request's 20 s + finishMargin.
		if took := time.Since(start); took < 20*time.Second || took > 25*time.Second {
			t.Errorf("the stop took %s of the made-up clock", took)
		}
		close(leave)
	})
}

func TestOnDrainRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		router, _ := newRouter(t, time.Second)
		told := false
		ctx, stop := context.WithCancel(t.Context())
		stop()
		s := &Server{Router: router, Log: slog.New(slog.DiscardHandler), OnDrain: func() { told = router.Draining() }}
		if err := s.Serve(ctx, newPipes()); err != nil || !told {
			t.Errorf("OnDrain ran while draining: %v; %v", told, err)
		}
	})
}

// Clients that are slow on purpose hold a connection for a bounded time only.
func TestSlowClientsAreCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		begin string
		every time.Duration
		most  time.Duration
	}{
		"header": {"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", time.Second, 11 * time.Second},
		"body":   {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", time.Second, 31 * time.Second},
		"idle":   {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, 76 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, 0, map[string]Handler{
					"GET /{$}": text("ok"),
					"POST /": func(_ http.ResponseWriter, r *http.Request) error {
						_, err := io.Copy(io.Discard, r.Body)
						return err
					},
				})
				conn, err := s.dial(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				start := time.Now()
				ended := make(chan time.Duration, 1)
				go func() {
					_, _ = io.Copy(io.Discard, bufio.NewReader(conn))
					ended <- time.Since(start)
				}()
				if _, err := io.WriteString(conn, c.begin); err != nil {
					t.Fatal(err)
				}
				for {
					select {
					case took := <-ended:
						if took > c.most {
							t.Errorf("the connection was held for %s", took)
						}
						return
					case <-time.After(max(c.every, time.Second)):
						if time.Since(start) > 10*time.Minute {
							t.Fatal("the connection is held for ever")
						}
						if c.every > 0 {
							_, _ = io.WriteString(conn, "a") // fails once it is cut off
						}
					}
				}
			})
		})
	}
}

func TestLargeHeaderIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 0, map[string]Handler{"GET /{$}": text("ok")})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Large", strings.Repeat("a", 70<<10))
		response, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s", response.Status)
		}
	})
}

func TestRequestsTimeOutAndWebSocketsDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		router, _ := newRouter(t, 20*time.Second)
		router.Handle("GET /slow", func(_ http.ResponseWriter, r *http.Request) error {
			select {
			case <-r.Context().Done():
				return r.Context().Err()
			case <-time.After(time.Minute):
				return &StatusError{http.StatusTeapot, "waited"}
			}
		})
		if w := get(router, "GET", "/slow"); w.Code != http.StatusGatewayTimeout {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := getWith(router, "/slow", http.Header{"Upgrade": {"websocket"}}); w.Code != http.StatusTeapot {
			t.Errorf("a WebSocket after a minute: %d %s", w.Code, w.Body)
		}
	})
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	router, _ := newRouter(t, time.Minute)
	err = (&Server{Address: l.Addr().String(), Router: router, Log: slog.New(slog.DiscardHandler)}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

// TestBothFamilies: a pod whose address is of IPv6 is reached, probes included, though it
// was told to listen on all addresses of IPv4, as hosts usually are.
func TestBothFamilies(t *testing.T) {
	router, _ := newRouter(t, time.Second)
	listening := make(chan net.Addr, 1)
	s := &Server{Address: "0.0.0.0:0", Router: router, Log: slog.New(slog.DiscardHandler), Listening: func(a net.Addr) { listening <- a }}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	port := (<-listening).(*net.TCPAddr).Port
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = c.Close()
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
