// Command probe is what tests run inside a pod: it dials, requests and listens.
//
//	probe dial [-timeout 2s] HOST:PORT        exit 0 if a TCP connection opens
//	probe get [-timeout 5s] [-insecure] URL   print the body; exit 0 on 2xx
//	probe load [-clients 4] [-for 30s] URL    request without pause; print counts
//	probe serve [-listen :8080]               answer 200 "ok" until SIGTERM
//	probe sleep                               wait until SIGTERM
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

var commands = map[string]func(ctx context.Context, args []string, out io.Writer) error{
	"dial": dial, "get": get, "load": load, "serve": serve,
	"sleep": func(ctx context.Context, _ []string, _ io.Writer) error { <-ctx.Done(); return nil },
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("the first argument must be one of dial, get, load, serve, sleep")
	}
	return commands[args[0]](ctx, args[1:], out)
}

// parse returns the one argument that follows the flags.
func parse(f *flag.FlagSet, args []string, what string) (string, error) {
	f.SetOutput(io.Discard)
	if err := f.Parse(args); err != nil {
		return "", fmt.Errorf("%s: %w", f.Name(), err)
	}
	if f.NArg() != 1 {
		return "", fmt.Errorf("%s: want one %s, got %q", f.Name(), what, f.Args())
	}
	return f.Arg(0), nil
}

func dial(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("dial", flag.ContinueOnError)
	timeout := f.Duration("timeout", 2*time.Second, "")
	address, err := parse(f, args, "HOST:PORT")
	if err != nil {
		return err
	}
	c, err := (&net.Dialer{Timeout: *timeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "connected to", c.RemoteAddr())
	return errors.Join(err, c.Close())
}

func client(timeout time.Duration, insecure bool) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: insecure}
	// Each request opens its own connection, so that a Service spreads them.
	t.DisableKeepAlives = true
	return &http.Client{Timeout: timeout, Transport: t}
}

func get(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("get", flag.ContinueOnError)
	timeout := f.Duration("timeout", 5*time.Second, "")
	insecure := f.Bool("insecure", false, "")
	url, err := parse(f, args, "URL")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client(*timeout, *insecure).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(out, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}

func load(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	clients := f.Int("clients", 4, "")
	duration := f.Duration("for", 30*time.Second, "")
	insecure := f.Bool("insecure", false, "")
	url, err := parse(f, args, "URL")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	var ok, bad atomic.Int64
	var wg sync.WaitGroup
	for range *clients {
		wg.Go(func() {
			c := client(5*time.Second, *insecure)
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
				if err != nil {
					bad.Add(1)
					return
				}
				resp, err := c.Do(req)
				if ctx.Err() != nil {
					return // cut off by the end of the run
				}
				if err != nil {
					bad.Add(1)
					time.Sleep(100 * time.Millisecond) // a refused connection must not become a busy loop
					continue
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode >= http.StatusInternalServerError {
					bad.Add(1)
					continue
				}
				ok.Add(1)
			}
		})
	}
	wg.Wait()
	_, err = fmt.Fprintf(out, "ok %d bad %d\n", ok.Load(), bad.Load())
	return err
}

func serve(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	listen := f.String("listen", ":8080", "")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "listening on", l.Addr()); err != nil {
		return errors.Join(err, l.Close())
	}
	s := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }),
	}
	go func() {
		<-ctx.Done()
		_ = s.Close()
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
