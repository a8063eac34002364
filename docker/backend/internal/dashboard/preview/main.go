// Command preview serves the dashboard with a market of its own making, for work on the
// page and for tests in a browser:
//
//	go run ./internal/dashboard/preview
//
// It needs no database and no cache. The equity has a gap from 60 to 35 minutes ago, and
// the symbols are not in the order of their names.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/dashboard"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
)

func main() {
	address := flag.String("listen", "127.0.0.1:8050", "address to listen on")
	state := flag.String("state", "open", "open, empty (nothing was written yet) or lost (the database cannot be used)")
	tick := flag.Duration("tick", time.Second, "time between two batches")
	kept := flag.Int64("kept", 50, "signals that a stream that comes back can be told of")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *address, &market{state: *state, tick: *tick, kept: *kept}); err != nil {
		fmt.Fprintln(os.Stderr, "preview:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string, m *market) error {
	log := slog.New(slog.DiscardHandler)
	registry := prometheus.NewRegistry()
	page, err := dashboard.New(m, cache.New(cache.Options{LoadTimeout: time.Second, Metrics: cache.NewMetrics(registry), Log: log}), time.Minute)
	if err != nil {
		return err
	}
	routes := routes{http.NewServeMux()}
	page.Register(routes)
	streams := &streams{market: m, stopping: make(chan struct{})}
	routes.HandleFunc("GET /ws", streams.serve)

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/\n", listener.Addr())
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second}
	server.RegisterOnShutdown(func() { close(streams.stopping) })
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = server.Shutdown(stop)
	streams.open.Wait()
	return err
}

// routes answer errors with 503: there is no database that could fail otherwise.
type routes struct{ *http.ServeMux }

func (r routes) Handle(pattern string, h httpx.Handler) {
	r.HandleFunc(pattern, func(w http.ResponseWriter, request *http.Request) {
		if err := h(w, request); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}
