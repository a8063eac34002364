package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/handshakes"
)

// countHandshakes counts the TLS handshakes with an edge's nginx that failed.
func countHandshakes(ctx context.Context, _ *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("handshakes", flag.ContinueOnError)
	from := flags.String("from", "127.0.0.1:9126", "address that nginx sends its log of errors to, as messages of syslog over UDP")
	to := flags.String("to", "127.0.0.1:9125", "address that takes lines of StatsD over UDP")
	name := flags.String("name", "edge_tls_failures", "name of the counter")
	alive := flags.String("listen", ":9103", "address to answer /alive on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	in, err := net.ListenPacket("udp", *from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := net.Dial("udp", *to)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /alive", func(http.ResponseWriter, *http.Request) {})
	// The end of one is the end of the other.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	counting := make(chan error, 1)
	go func() {
		defer stop()
		counting <- handshakes.Count(ctx, in, out, *name)
	}()
	err = serve(ctx, *alive, mux, "")
	stop()
	return errors.Join(err, <-counting)
}
