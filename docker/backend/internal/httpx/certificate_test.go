package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/certtest"
)

// secret is a folder as a Secret is mounted: its files are replaced at once, by a link.
type secret struct{ dir, certificate, key string }

func newSecret(t *testing.T) *secret {
	t.Helper()
	dir := t.TempDir()
	return &secret{dir, filepath.Join(dir, "data", "tls.crt"), filepath.Join(dir, "data", "tls.key")}
}

func (s *secret) put(t *testing.T, version string, certificate, key []byte) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.dir, version), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"tls.crt": certificate, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(s.dir, version, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next := filepath.Join(s.dir, "next")
	if err := os.Symlink(version, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(s.dir, "data")); err != nil {
		t.Fatal(err)
	}
}

func TestRenewedCertificateIsServed(t *testing.T) {
	ca, files := certtest.New(t), newSecret(t)
	certificate, key := ca.Issue(t, 1, time.Unix(4_000_000_001, 0), "api.example")
	files.put(t, "one", certificate, key)
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	c, err := LoadCertificate(files.certificate, files.key, registry, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	router, _ := newRouter(t, time.Minute)
	router.Handle("GET /{$}", text("ok"))
	address := make(chan net.Addr, 1)
	s := &Server{Address: "127.0.0.1:0", Certificate: c, Router: router, Log: slog.New(slog.DiscardHandler), Listening: func(a net.Addr) { address <- a }}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	base := (<-address).String()
	client := func(most uint16) *http.Client {
		return &http.Client{Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: ca.Pool, ServerName: "api.example", MinVersion: tls.VersionTLS10, MaxVersion: most},
			ForceAttemptHTTP2: true, DisableKeepAlives: true,
		}}
	}
	served := func() int64 {
		t.Helper()
		c.looked = time.Time{} // a second has passed
		r, err := client(0).Get("https://" + base)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		if body, err := io.ReadAll(r.Body); string(body) != "ok" || err != nil || r.ProtoMajor != 1 {
			t.Errorf("%s %q, %v", r.Proto, body, err)
		}
		return r.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if n := served(); n != 1 {
		t.Errorf("certificate %d", n)
	}
	if n, err := testutil.GatherAndCount(registry, "tls_certificate_not_after_timestamp_seconds"); n != 1 || err != nil {
		t.Errorf("%d metrics of the certificate's end, %v", n, err)
	}

	certificate, key = ca.Issue(t, 2, time.Unix(4_000_000_002, 0), "api.example")
	files.put(t, "two", certificate, key)
	if n := served(); n != 2 {
		t.Errorf("after the renewal certificate %d is served", n)
	}
	if end := c.current().Leaf.NotAfter.Unix(); end != 4_000_000_002 {
		t.Errorf("it ends at %d", end)
	}
	// What cannot be used does not replace what can.
	third, _ := ca.Issue(t, 3, time.Unix(4_000_000_003, 0), "api.example")
	files.put(t, "three", third, key)
	if n := served(); n != 2 {
		t.Errorf("a certificate without its key is served: %d", n)
	}
	if !strings.Contains(log.String(), "cannot be renewed") {
		t.Errorf("the log does not tell: %s", &log)
	}
	if err := os.RemoveAll(files.dir); err != nil {
		t.Fatal(err)
	}
	if n := served(); n != 2 {
		t.Errorf("without files: %d", n)
	}

	for what, url := range map[string]string{"plain HTTP": "http://" + base} {
		if r, err := http.Get(url); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == 200 {
				t.Errorf("%s is answered", what)
			}
		}
	}
	if r, err := client(tls.VersionTLS11).Get("https://" + base); err == nil {
		_ = r.Body.Close()
		t.Error("TLS 1.1 is answered")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// With an address of its own for TLS the other one goes on without, and both end together.
func TestTLSBesideWithout(t *testing.T) {
	ca, files := certtest.New(t), newSecret(t)
	certificate, key := ca.Issue(t, 1, time.Now().Add(time.Hour), "api.example")
	files.put(t, "one", certificate, key)
	loaded, err := LoadCertificate(files.certificate, files.key, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	router, _ := newRouter(t, time.Minute)
	router.Handle("GET /x", text("x"))
	address := make(chan net.Addr, 1)
	s := &Server{Address: "127.0.0.1:0", TLSAddress: secure, Certificate: loaded, Router: router, Log: slog.New(slog.DiscardHandler), Listening: func(a net.Addr) { address <- a }}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	urls := []string{"http://" + (<-address).String() + "/x", "https://" + secure + "/x"}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool, ServerName: "api.example"}}}
	for _, url := range urls {
		r, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", url, r.StatusCode)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, url := range urls {
		if r, err := client.Get(url); err == nil {
			_ = r.Body.Close()
			t.Errorf("%s still answers", url)
		}
	}
}

func TestUnusableCertificateIsSaid(t *testing.T) {
	ca, files := certtest.New(t), newSecret(t)
	certificate, _ := ca.Issue(t, 1, time.Unix(4_000_000_001, 0), "api.example")
	_, key := ca.Issue(t, 2, time.Unix(4_000_000_002, 0), "api.example")
	if _, err := LoadCertificate(files.certificate, files.key, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "TLS_CERT_FILE") || !strings.Contains(err.Error(), files.certificate) {
		t.Errorf("without files: %v", err)
	}
	files.put(t, "one", certificate, key)
	if _, err := LoadCertificate(files.certificate, files.key, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("with another key: %v", err)
	}
}
