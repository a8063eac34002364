package httpx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Server runs a router.
type Server struct {
	Address string
	// Certificate makes the server speak TLS; nil speaks plain HTTP.
	Certificate *Certificate
	// TLSAddress, if not empty, is where the server speaks TLS, and Address then does not.
	TLSAddress string
	// ProbeAddress, if not empty, is where the router's probes are answered too,
	// without TLS.
	ProbeAddress string
	Router       *Router
	// Tracing records a span of each request; nil records none.
	Tracing trace.TracerProvider
	// DrainTime is how long the server keeps serving after it was told to stop.
	DrainTime time.Duration
	// OnDrain runs when the server was told to stop.
	OnDrain func()
	Log     *slog.Logger
	// Listening, when set, is told the address once the server listens.
	Listening func(net.Addr)

	secure net.Listener // of TLSAddress
}

// finishMargin is what a stop may take beyond one request's time-out, the drain
// included: a little less than the five seconds that the platform adds to it before
// it kills a process.
const finishMargin = 4 * time.Second

// Run listens on the server's addresses and serves as Serve does.
func (s *Server) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", everywhere(s.Address))
	if err != nil {
		return err
	}
	if s.TLSAddress != "" {
		if s.secure, err = (&net.ListenConfig{}).Listen(ctx, "tcp", everywhere(s.TLSAddress)); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	if s.ProbeAddress != "" {
		probes, err := (&net.ListenConfig{}).Listen(ctx, "tcp", everywhere(s.ProbeAddress))
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		server := s.server(s.Router.Probes())
		go func() { _ = server.Serve(probes) }() // until the end, the drain included
		defer func() { _ = server.Close() }()
	}
	return s.Serve(ctx, listener)
}

// server has the time-outs that hold for every client.
func (s *Server) server(h http.Handler) *http.Server {
	// Without HTTP/2, which a WebSocket cannot be begun over, and whose streams are
	// another way to ask for too much.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           h,
		Protocols:         &protocols,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       s.Router.timeout + 5*time.Second,
		WriteTimeout:      s.Router.timeout + 5*time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
}

// Serve serves until ctx ends, then drains: the router says that it is draining,
// answers go on for DrainTime with a request to close the connection, then the
// listener closes and running requests finish. No request that was accepted is dropped.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	var handler http.Handler = s.Router
	if s.Tracing != nil {
		handler = s.Router.Traced(s.Tracing)
	}
	server := s.server(handler)
	serve, done := server.Serve, make(chan error, 2)
	if s.Certificate != nil {
		server.TLSConfig = s.Certificate.Config()
		secure := func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		if s.secure == nil {
			serve = secure
		} else {
			s.Log.Info("listening", "address", s.secure.Addr().String(), "tls", true)
			go func() { done <- secure(s.secure) }()
		}
	}
	s.Log.Info("listening", "address", listener.Addr().String(), "tls", s.Certificate != nil && s.secure == nil)
	if s.Listening != nil {
		s.Listening(listener.Addr())
	}
	go func() { done <- serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}

	s.Log.Info("draining", "seconds", s.DrainTime.Seconds())
	s.Router.draining.Store(true)
	if s.OnDrain != nil {
		s.OnDrain()
	}
	time.Sleep(s.DrainTime)
	finish := max(s.Router.timeout+finishMargin-s.DrainTime, finishMargin)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		_ = server.Close() // what still runs has had its time
		return fmt.Errorf("requests were still running %s after the drain: %w", finish, err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	s.Log.Info("stopped")
	return nil
}

// everywhere makes of all addresses of IPv4, which is how a host is usually told to listen
// everywhere, all addresses of both families: a pod may have an address of IPv6 alone.
func everywhere(address string) string {
	if port, found := strings.CutPrefix(address, "0.0.0.0:"); found {
		return ":" + port
	}
	return address
}
