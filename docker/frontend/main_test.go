package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/settings"
)

// binary builds the command, with the user interface as it is in ui/dist.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "frontend")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestStopsOnSIGTERM(t *testing.T) {
	path, port := binary(t), freePort(t)
	healthcheck := func() error {
		cmd := exec.Command(path, "healthcheck")
		cmd.Env = []string{"PORT=" + port}
		return cmd.Run()
	}
	if err := healthcheck(); err == nil {
		t.Fatal("healthcheck succeeds with no server")
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var log bytes.Buffer
	server := exec.CommandContext(ctx, path)
	server.Env = []string{"PORT=" + port, "DRAIN_SECONDS=0"}
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- server.Wait() }()
	for healthcheck() != nil {
		select {
		case err := <-exited:
			t.Fatalf("the server ended: %v\n%s", err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-exited; err != nil {
		t.Errorf("the server ended with %v\n%s", err, log.String())
	}
	if !strings.Contains(log.String(), `"stopped"`) {
		t.Errorf("the log does not say that it stopped:\n%s", log.String())
	}
}

// A request that is being answered when the server is told to stop gets its answer.
func TestDrains(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
		want    string
	}{
		{name: "in time", timeout: time.Minute},
		{name: "too slow", timeout: time.Millisecond, want: "SHUTDOWN_TIMEOUT=1ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := freePort(t)
			n, err := strconv.Atoi(port)
			if err != nil {
				t.Fatal(err)
			}
			running, release := make(chan struct{}), make(chan struct{})
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					close(running)
					<-release
				}
				_, _ = io.WriteString(w, "answered")
			})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() {
				ended <- serve(ctx, slog.New(slog.DiscardHandler), settings.Settings{Port: n, ShutdownTimeout: c.timeout}, handler)
			}()

			get := func(path string) (string, error) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+path, nil)
				if err != nil {
					return "", err
				}
				res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
				if err != nil {
					return "", err
				}
				defer func() { _ = res.Body.Close() }()
				body, err := io.ReadAll(res.Body)
				return string(body), err
			}
			for {
				if _, err := get("/"); err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			answer := make(chan string, 1)
			go func() {
				body, err := get("/slow")
				if err != nil {
					body = err.Error()
				}
				answer <- body
			}()
			<-running
			stop()
			for {
				if _, err := get("/"); errors.Is(err, syscall.ECONNREFUSED) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if c.want != "" {
				if err := <-ended; err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want an error with %s", err, c.want)
				}
				close(release)
				return
			}
			close(release)
			if got := <-answer; got != "answered" {
				t.Errorf("the open request got %q", got)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// While it drains, requests are answered, and connections are not to be used again.
func TestAnswersWhileItDrains(t *testing.T) {
	port := freePort(t)
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, slog.New(slog.DiscardHandler), settings.Settings{Port: n, DrainTime: 3 * time.Second, ShutdownTimeout: time.Minute},
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answered") }))
	}()
	get := func() (closes bool, err error) {
		res, err := http.Get("http://127.0.0.1:" + port + "/") //nolint:noctx // the test ends with the server
		if err != nil {
			return false, err
		}
		defer func() { _ = res.Body.Close() }()
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "answered" {
			t.Fatalf("%q, %v", body, err)
		}
		return res.Close, nil
	}
	for {
		if closes, err := get(); err == nil {
			if closes {
				t.Fatal("a connection is closed before the stop")
			}
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	for {
		closes, err := get()
		if err != nil {
			t.Fatalf("a request met a closed connection: %v", err)
		}
		if closes {
			break
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// issue puts a certificate for ui.test into a folder.
func issue(t *testing.T, dir string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"ui.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, content := range map[string][]byte{"tls.crt": certificate, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool
}

// With a port of its own for TLS the other one goes on without, and both end together.
func TestTLSBesideWithout(t *testing.T) {
	dir := t.TempDir()
	trusted := issue(t, dir, 1)
	plain, secure := freePort(t), freePort(t)
	cfg := settings.Settings{ShutdownTimeout: time.Minute, CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	for into, port := range map[*int]string{&cfg.Port: plain, &cfg.TLSPort: secure} {
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		*into = n
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, slog.New(slog.DiscardHandler), cfg, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: "ui.test"}}}
	ask := func(url string) error {
		res, err := client.Get(url) //nolint:noctx // the test ends with the server
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
	for ask("https://127.0.0.1:"+secure+"/") != nil {
		time.Sleep(10 * time.Millisecond)
	}
	if err := ask("http://127.0.0.1:" + plain + "/"); err != nil {
		t.Error(err)
	}
	if err := healthcheck(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, url := range []string{"https://127.0.0.1:" + secure, "http://127.0.0.1:" + plain} {
		if ask(url) == nil {
			t.Errorf("%s still answers", url)
		}
	}
}

// With a certificate the server speaks TLS and HTTP/2, and serves a renewed one.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	cfg := settings.Settings{Port: n, ShutdownTimeout: time.Minute, CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	if err := serve(t.Context(), slog.New(slog.DiscardHandler), cfg, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "TLS_CERT_FILE") {
		t.Errorf("without files: %v", err)
	}
	get := func(trusted *x509.CertPool) (string, error) {
		client := &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: true, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: "ui.test"},
		}}
		res, err := client.Get("https://127.0.0.1:" + port + "/healthz") //nolint:noctx // the test ends with the server
		if err != nil {
			return "", err
		}
		return res.Proto, res.Body.Close()
	}
	trusted := issue(t, dir, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, slog.New(slog.DiscardHandler), cfg, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}()
	for {
		if proto, err := get(trusted); err == nil {
			if proto != "HTTP/2.0" {
				t.Errorf("the server speaks %s", proto)
			}
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := healthcheck(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	trusted = issue(t, dir, 2)
	for {
		if _, err := get(trusted); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestHealthcheckTellsAnUnhealthyServer(t *testing.T) {
	var code atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(int(code.Load()))
	}))
	defer srv.Close()
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	code.Store(http.StatusOK)
	if err := healthcheck(t.Context(), settings.Settings{Port: port}); err != nil {
		t.Error(err)
	}
	code.Store(http.StatusServiceUnavailable)
	if err := healthcheck(t.Context(), settings.Settings{Port: port}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want an error with 503", err)
	}
}

func TestBadInputIsOneClearError(t *testing.T) {
	path := binary(t)
	for _, c := range []struct {
		args, env []string
		want      string
	}{
		{args: []string{"serve"}, want: "give none to serve, or healthcheck"},
		{env: []string{"PORT=http"}, want: `PORT=\"http\" is not a TCP port`},
	} {
		cmd := exec.Command(path, c.args...)
		cmd.Env = append([]string{"PORT=" + freePort(t)}, c.env...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%v %v: err %v, want one line with %q, got\n%s", c.env, c.args, err, c.want, out)
		}
	}
}
