// Command frontend serves the AlphaPulse user interface, which is embedded in it.
//
//	frontend              serve
//	frontend healthcheck  exit 0 if a server on this machine's PORT is healthy
//
// Package settings lists the environment variables that it reads.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/certificate"
	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/server"
	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/settings"
	"github.com/alphapulse/alphapulse-infra/docker/frontend/ui"
)

func main() {
	log := server.NewLog(os.Stdout)
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
		return healthcheck(ctx, cfg)
	default:
		return fmt.Errorf("unknown arguments %q: give none to serve, or healthcheck", args)
	}
}

// serve answers until ctx ends. Then it drains: for a while requests are still taken,
// each with the request to close its connection, and what runs after that may finish.
func serve(ctx context.Context, log *slog.Logger, cfg settings.Settings, handler http.Handler) error {
	var draining atomic.Bool
	srv := &http.Server{
		Handler: server.Logged(log, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if draining.Load() {
				w.Header().Set("Connection", "close")
			}
			handler.ServeHTTP(w, r)
		})),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second,
		// Longer than the 60 s for which nginx keeps idle upstream connections, so
		// that it is the edge that closes them and no request meets a closed one.
		IdleTimeout:    75 * time.Second,
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	secure := cfg.CertFile != ""
	if secure {
		files, err := certificate.New(cfg.CertFile, cfg.KeyFile, log)
		if err != nil {
			return fmt.Errorf("TLS_CERT_FILE and TLS_KEY_FILE: %w", err)
		}
		srv.TLSConfig = files.Config()
	}
	failed := make(chan error, 2)
	for _, l := range []struct {
		key    string
		port   int
		secure bool
	}{{"PORT", cfg.Port, secure && cfg.TLSPort == 0}, {"TLS_PORT", cfg.TLSPort, true}} {
		if l.port == 0 {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(l.port)))
		if err != nil {
			return fmt.Errorf("listen on %s=%d: %w", l.key, l.port, errors.Join(err, srv.Close()))
		}
		log.Info("serving", "address", listener.Addr().String(), "tls", l.secure, "environment", cfg.Runtime.Environment)
		go func() {
			if l.secure {
				failed <- srv.ServeTLS(listener, "", "")
			} else {
				failed <- srv.Serve(listener)
			}
		}()
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}

	log.Info("draining", "seconds", cfg.DrainTime.Seconds(), "timeout", cfg.ShutdownTimeout.String())
	draining.Store(true)
	time.Sleep(cfg.DrainTime)
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(finish); err != nil {
		return fmt.Errorf("drain: requests still running after SHUTDOWN_TIMEOUT=%s: %w", cfg.ShutdownTimeout, err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	log.Info("stopped")
	return nil
}

// healthcheck lets an image without a shell state its own health.
func healthcheck(ctx context.Context, cfg settings.Settings) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	scheme, client := "http", http.DefaultClient
	if cfg.CertFile != "" && cfg.TLSPort == 0 {
		// The process beside it, asked over the loopback interface: its certificate
		// names the hosts of others, and who it is is not in question.
		scheme, client = "https", &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	}
	url := scheme + "://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.Port)) + "/healthz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s answered %s", url, res.Status)
	}
	return nil
}
