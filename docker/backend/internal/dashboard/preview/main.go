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
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/dashboard"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/stream"
)

func main() {
	address := flag.String("listen", "127.0.0.1:8050", "address to listen on")
	state := flag.String("state", "open", "open, empty (nothing was written yet) or lost (the database cannot be used)")
	tick := flag.Duration("tick", time.Second, "time between two batches")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *address, &market{state: *state, tick: *tick}); err != nil {
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
	const timeout = 10 * time.Second
	router := httpx.NewRouter(log, registry, timeout)
	page.Register(router)
	const clients = 100
	hub := stream.NewHub(clients, stream.NewMetrics(registry, clients), log)
	router.Handle("GET /ws", hub.Serve)
	go m.feed(ctx, hub)
	server := &httpx.Server{
		Address: address, Router: router, OnDrain: hub.Close, Log: log,
		Listening: func(a net.Addr) { fmt.Printf("http://%s/\n", a) },
	}
	return server.Run(ctx)
}
