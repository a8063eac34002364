// Command frontend serves the AlphaPulse user interface, which is embedded in it.
//
//	frontend              serve
//	frontend healthcheck  exit 0 if a server on this machine's PORT is healthy
//
// Package settings lists the environment variables that it reads.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/server"
	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/settings"
	"github.com/alphapulse/alphapulse-infra/docker/frontend/ui"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, log, os.Args[1:]); err != nil {
		log.Error("frontend failed", "error", err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger, args []string) error {
	cfg, err := settings.FromEnv(os.LookupEnv)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 0:
		files, err := ui.Files()
		if err != nil {
			return err
		}
		handler, err := server.New(files, cfg.Runtime)
		if err != nil {
			return err
		}
		return serve(ctx, log, cfg, handler)
	case len(args) == 1 && args[0] == "healthcheck":
		return healthcheck(ctx, cfg.Port)
	default:
		return fmt.Errorf("unknown arguments %q: give none to serve, or healthcheck", args)
	}
}

// serve answers until ctx ends, then lets running requests finish.
func serve(ctx context.Context, log *slog.Logger, cfg settings.Settings, handler http.Handler) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second,
		// Longer than the 60 s for which nginx keeps idle upstream connections, so
		// that it is the edge that closes them and no request meets a closed one.
		IdleTimeout:    75 * time.Second,
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(cfg.Port)))
	if err != nil {
		return fmt.Errorf("listen on PORT=%d: %w", cfg.Port, err)
	}
	log.Info("serving", "address", listener.Addr().String(), "environment", cfg.Runtime.Environment)

	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}

	log.Info("draining", "timeout", cfg.ShutdownTimeout.String())
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		return fmt.Errorf("drain: requests still running after SHUTDOWN_TIMEOUT=%s: %w", cfg.ShutdownTimeout, err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	log.Info("stopped")
	return nil
}

// healthcheck lets an image without a shell state its own health.
func healthcheck(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/healthz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s answered %s", url, res.Status)
	}
	return nil
}
