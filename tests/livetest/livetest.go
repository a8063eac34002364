// Package livetest is what the live proofs have in common, on a cluster and on a Docker
// host: a browser, and patience.
package livetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"
)

// Browser returns a client that trusts the given CA only (PEM; "" for none), keeps cookies
// and follows no redirect. Names below localhost are loopback, but not every resolver
// knows: at gives the address to connect to for the port of one.
func Browser(t testing.TB, ca string, at func(port string) (host string)) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if ca != "" && !roots.AppendCertsFromPEM([]byte(ca)) {
		t.Fatal("the CA certificate is not PEM")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{
		Timeout: 20 * time.Second,
		Jar:     jar,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				if strings.HasSuffix(host, ".localhost") {
					host = at(port)
				}
				return dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Request sends a body, if any, as JSON, and returns status and answer. prepare may be nil.
func Request(t testing.TB, c *http.Client, method, url string, body any, prepare func(*http.Request)) (int, []byte, error) {
	t.Helper()
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if prepare != nil {
		prepare(req)
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, answer, err
}

// Eventually asks once a second until a condition holds, which says what it saw; it fails
// the test after the limit.
func Eventually(t testing.TB, limit time.Duration, what string, holds func(ctx context.Context) (seen string, ok bool)) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	for start := time.Now(); ; {
		seen, ok := holds(ctx)
		if ok {
			t.Logf("%s: after %s: %s", what, time.Since(start).Round(100*time.Millisecond), seen)
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s; last seen: %s", what, limit, seen)
		case <-time.After(time.Second):
		}
	}
}

// LastLines returns the last n lines of a text.
func LastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
