package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/exposition"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/gate"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/pooler"
)

// runPooler stands beside a PgBouncer until one of its parts fails.
func runPooler(ctx context.Context, log *slog.Logger, args []string) error {
	finder := &gate.Finder{Log: log}
	console := pooler.Console{}
	readers := &pooler.Readers{Finder: finder, Log: log}
	login := pooler.Login{Password: os.Getenv("POOLING_PASSWORD")}
	var folder, readFolder, ca, listen, listenTLS, listenMetrics, certificate string
	flags := flag.NewFlagSet("pooler", flag.ContinueOnError)
	flags.StringVar(&finder.Members, "members", "", "name that has all members' addresses")
	flags.StringVar(&finder.Service, "service", "", "name of the primary's Service, which every member's certificate has")
	flags.Int64Var(&finder.Lag, "lag", 16<<20, "bytes that a standby may be behind")
	flags.StringVar(&folder, "primary", "/run/primary", "folder of the socket that leads to the primary")
	flags.StringVar(&readFolder, "standby", "/run/standby", "folder of the socket that leads to a standby")
	flags.StringVar(&ca, "ca", "", "file of the authorities that sign members' certificates")
	flags.BoolVar(&finder.Encrypted, "patroni-tls", false, "ask members' Patroni over TLS before it is tried without")
	flags.StringVar(&console.Socket, "console", "/run/pgbouncer", "folder of PgBouncer's socket")
	flags.StringVar(&readers.Database, "read", "", "PgBouncer's name of the standbys")
	flags.IntVar(&console.Port, "console-port", 6432, "port in the name of PgBouncer's socket")
	flags.StringVar(&listen, "listen", fmt.Sprintf(":%d", pooler.Port), "address to answer /pause, /resume and /started on")
	flags.StringVar(&listenTLS, "listen-tls", fmt.Sprintf(":%d", pooler.TLSPort), "address to answer the same on over TLS")
	flags.StringVar(&listenMetrics, "listen-metrics", fmt.Sprintf(":%d", pooler.MetricsPort), "address to answer /metrics on")
	flags.StringVar(&certificate, "certificate", "", "folder with tls.crt and tls.key for that; \"\" answers nothing there")
	flags.StringVar(&login.Role, "login", "", "the pooler's own login, which has to work before PgBouncer starts; \"\" waits for nothing")
	flags.StringVar(&login.Database, "database", "", "database in which it asks for verifiers")
	flags.StringVar(&login.Function, "lookup", "", "function that it asks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	secure, err := trusting(ca, finder.Service)
	if err != nil {
		return err
	}
	finder.TLS = secure
	control := &pooler.Control{Admin: console, Finder: finder, Log: log}
	control.User, control.Password = credentials()
	control.Former = os.Getenv("CONTROL_FORMER_PASSWORD")
	if control.Password == "" {
		return errors.New("CONTROL_PASSWORD is empty: set it")
	}
	login.Socket = folder
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { finder.Run(ctx) })
	failed := make(chan error, 5)
	for _, g := range []*gate.Gate{
		{Finder: finder, Port: 5432, TLS: secure, Log: log.With("to", "primary")},
		{Finder: finder, Port: 5432, TLS: secure, Log: log.With("to", "standby"), Standby: true},
	} {
		path := filepath.Join(folder, ".s.PGSQL.5432")
		if g.Standby {
			path = filepath.Join(readFolder, ".s.PGSQL.5432")
		}
		l, err := listenUnix(path)
		if err != nil {
			return err
		}
		wg.Go(func() { failed <- g.Serve(ctx, l) })
	}
	if err := control.Recover(ctx); err != nil {
		log.Debug("nothing was paused", "err", err)
	}
	if readers.Database != "" {
		readers.Reconnect = console.Reconnect
		wg.Go(func() { readers.Run(ctx) })
	}
	handler := control.Handler()
	if login.Role != "" {
		barrier := &pooler.Barrier{Try: login.Try, Finder: finder, Log: log}
		handler.HandleFunc("GET /started", barrier.Started)
		wg.Go(func() { barrier.Run(ctx) })
	}
	wg.Go(func() { failed <- serve(ctx, listen, handler, "") })
	figures := http.NewServeMux()
	figures.HandleFunc("GET /metrics", exposition.Handler(console.Metrics))
	wg.Go(func() { failed <- serve(ctx, listenMetrics, figures, "") })
	if certificate != "" {
		wg.Go(func() { failed <- serve(ctx, listenTLS, handler, certificate) })
	}
	err = <-failed
	cancel()
	return err
}

// listenUnix listens on a socket that an earlier process may have left.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}
