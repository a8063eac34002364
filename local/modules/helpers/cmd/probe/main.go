// Command probe is what tests run inside a pod: it dials, requests and listens.
//
//	probe dial [-timeout 2s] HOST:PORT        exit 0 if a TCP connection opens
//	probe get [-timeout 5s] [-insecure] URL   print the body; exit 0 on 2xx
//	probe load [-clients 4] [-for 30s] [-rate 0] [-keep] [-host NAME] [-insecure] URL
//	                                          request without pause, or so many a second;
//	                                          print counts and how long answers took
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
	"slices"
	"sync"
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
	rate := f.Float64("rate", 0, "")
	keep := f.Bool("keep", false, "")
	host := f.String("host", "", "")
	insecure := f.Bool("insecure", false, "")
	url, err := parse(f, args, "URL")
	if err != nil {
		return err
	}
	if *clients < 1 || *rate < 0 {
		return fmt.Errorf("load: %d clients, rate %g: want at least one client and no negative rate", *clients, *rate)
	}
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	var mu sync.Mutex
	var took []time.Duration
	bad := 0
	var wg sync.WaitGroup
	for i := range *clients {
		wg.Go(func() {
			c := client(5*time.Second, *insecure)
			t := c.Transport.(*http.Transport)
			t.DisableKeepAlives, t.TLSClientConfig.ServerName = !*keep, *host
			defer t.CloseIdleConnections()
			wait := func() {}
			if *rate > 0 {
				// The clients take turns.
				turn := time.Duration(float64(time.Second) / *rate)
				pause(ctx, time.Duration(i)*turn)
				ticker := time.NewTicker(time.Duration(*clients) * turn)
				defer ticker.Stop()
				wait = func() {
					select {
					case <-ctx.Done():
					case <-ticker.C:
					}
				}
			}
			for ; ctx.Err() == nil; wait() {
				begun := time.Now()
				err := once(ctx, c, url, *host)
				if ctx.Err() != nil {
					return // cut off by the end of the run
				}
				mu.Lock()
				if err != nil {
					bad++
				} else {
					took = append(took, time.Since(begun))
				}
				mu.Unlock()
				if err != nil {
					pause(ctx, 100*time.Millisecond) // a refused connection must not become a busy loop
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	of100 := func(n int) time.Duration {
		if len(took) == 0 {
			return 0
		}
		return took[len(took)*n/100]
	}
	_, err = fmt.Fprintf(out, "ok %d bad %d p50 %s p95 %s\n", len(took), bad, of100(50), of100(95))
	return err
}

// once requests and reads the answer to its end; anything but 2xx is an error.
func once(ctx context.Context, c *http.Client, url, host string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if host != "" {
		req.Host = host
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
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
