package httpx

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// More than can be answered is refused at once, and says when to come again; what was
// begun is finished, and whether the process is ready is told all the while.
func TestOverload(t *testing.T) {
	router := NewRouter(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), time.Minute, 3)
	inside, leave := make(chan struct{}, 3), make(chan struct{})
	router.Handle("GET /slow", func(w http.ResponseWriter, _ *http.Request) error {
		inside <- struct{}{}
		<-leave
		WriteJSON(w, 200, []byte(`"slow"`))
		return nil
	})
	router.HandleProbe("/ready", text("ready"))
	router.Handle("GET /ws", text("socket"))
	router.Handle("GET /fast", text("fast"))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if w := get(router, "GET", "/slow"); w.Code != 200 || w.Body.String() != `"slow"` {
				t.Errorf("what was begun ends with %d %s", w.Code, w.Body)
			}
		})
		<-inside
	}
	for range 5 {
		if w := get(router, "GET", "/fast"); w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("the fourth of three: %d %v %s", w.Code, w.Header(), w.Body)
		}
		if w := get(router, "GET", "/ready"); w.Code != 200 {
			t.Errorf("a process with much to do is not ready: %d", w.Code)
		}
		// WebSockets have a limit of their own.
		if w := getWith(router, "/ws", http.Header{"Upgrade": {"websocket"}}); w.Code != 200 {
			t.Errorf("a WebSocket: %d", w.Code)
		}
	}
	if n := testutil.ToFloat64(router.metrics.refused); n != 5 {
		t.Errorf("%v refused requests are counted", n)
	}
	close(leave)
	wg.Wait()
	for range 5 {
		if w := get(router, "GET", "/fast"); w.Code != 200 {
			t.Errorf("after the rush: %d %s", w.Code, w.Body)
		}
	}
}

// The probes' own listener answers them and nothing else.
func TestProbeListener(t *testing.T) {
	router, _ := newRouter(t, time.Minute)
	router.HandleProbe("/ready", text("ready"))
	router.HandleProbeHTTP("/metrics", http.NotFoundHandler())
	router.Handle("GET /api/secret", text("secret"))
	address := make(chan net.Addr, 1)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	probes := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: "127.0.0.1:0", ProbeAddress: probes, Router: router, Log: slog.New(slog.DiscardHandler), Listening: func(a net.Addr) { address <- a }}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	main := (<-address).String()
	status := func(address, path string) int {
		t.Helper()
		r, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		_, _ = io.Copy(io.Discard, r.Body)
		return r.StatusCode
	}
	for _, at := range []string{main, probes} {
		if n := status(at, "/ready"); n != 200 {
			t.Errorf("%s/ready: %d", at, n)
		}
	}
	if n := status(main, "/api/secret"); n != 200 {
		t.Errorf("the API: %d", n)
	}
	if n := status(probes, "/api/secret"); n != 404 {
		t.Errorf("the probes' listener serves the API: %d", n)
	}
}

func TestProbeAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	router, _ := newRouter(t, time.Minute)
	s := &Server{Address: "127.0.0.1:0", ProbeAddress: l.Addr().String(), Router: router, Log: slog.New(slog.DiscardHandler)}
	if err := s.Run(t.Context()); err == nil {
		t.Error("the process runs without its probes")
	}
}
