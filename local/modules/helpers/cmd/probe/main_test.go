package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
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
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer s.Close()
	for path, want := range map[string]string{"/good": " bad 0\n", "/bad": "ok 0 bad "} {
		var out strings.Builder
		if err := run(t.Context(), []string{"load", "-clients", "2", "-for", "200ms", s.URL + path}, &out); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) || out.String() == "ok 0 bad 0\n" {
			t.Errorf("%s: %q, want it to contain %q", path, out.String(), want)
		}
	}
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
	for _, args := range [][]string{nil, {"fly"}, {"dial"}, {"get", "a", "b"}, {"load", "-clients", "x", "u"}, {"serve", "-port", "1"}} {
		if err := run(t.Context(), args, &strings.Builder{}); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
