package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := run(t.Context(), []string{"dial", address}, &strings.Builder{}); err != nil {
		t.Errorf("a listening port: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"dial", "-timeout", "1s", address}, &strings.Builder{}); err == nil {
		t.Error("a closed port was dialled")
	}
}

func TestGet(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/yes" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte("body"))
	}))
	defer s.Close()
	var out strings.Builder
	if err := run(t.Context(), []string{"get", s.URL + "/yes"}, &out); err != nil || out.String() != "body" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if err := run(t.Context(), []string{"get", s.URL + "/no"}, &out); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a 503 gave %v", err)
	}
}

func TestLoadCounts(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer s.Close()
	for path, want := range map[string]string{"/good": " bad 0 p50 ", "/bad": "ok 0 bad "} {
		out := loaded(t, "-clients", "2", "-for", "200ms", s.URL+path)
		if !strings.Contains(out, want) || strings.HasPrefix(out, "ok 0 bad 0") {
			t.Errorf("%s: %q, want it to contain %q", path, out, want)
		}
	}
}

// A load of so many requests a second says how long answers take when the server has
// time for them.
func TestLoadKeepsItsRate(t *testing.T) {
	var hosts sync.Map
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts.Store(r.Host+" "+r.TLS.ServerName, true)
		time.Sleep(20 * time.Millisecond)
	}))
	defer s.Close()
	out := loaded(t, "-clients", "4", "-rate", "40", "-keep", "-insecure", "-host", "api.example.com", "-for", "1s", s.URL)
	var ok, bad int
	var p50, p95 string
	if _, err := fmt.Sscanf(out, "ok %d bad %d p50 %s p95 %s", &ok, &bad, &p50, &p95); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	if ok < 2 || ok > 44 || bad != 0 {
		t.Errorf("%d requests, %d failed; want about 40 and none", ok, bad)
	}
	if least, err := time.ParseDuration(p50); err != nil || least < 20*time.Millisecond {
		t.Errorf("half of the answers took up to %s, %v; each took 20ms at least", p50, err)
	}
	hosts.Range(func(host, _ any) bool {
		if host != "api.example.com api.example.com" {
			t.Errorf("asked for %s", host)
		}
		return true
	})
}

func loaded(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	if err := run(t.Context(), append([]string{"load"}, args...), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestServeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"serve", "-listen", "127.0.0.1:0"}, &strings.Builder{}) }()
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"fly"}, {"dial"}, {"get", "a", "b"}, {"load", "-clients", "x", "u"}, {"load", "-clients", "0", "u"}, {"load", "-rate", "-1", "u"}, {"serve", "-port", "1"}} {
		if err := run(t.Context(), args, &strings.Builder{}); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
