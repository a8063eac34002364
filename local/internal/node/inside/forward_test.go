package inside

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// forwarder starts Forward to target and returns its address and what ends it.
func forwarder(t *testing.T, target string) (string, func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Forward(ctx, l, target) }()
	end := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = end() })
	return l.Addr().String(), end
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

func TestForwardPassesBothDirectionsAndTheEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				// Answers only once it has seen the end of the question.
				b, _ := io.ReadAll(c)
				_, _ = c.Write([]byte(strings.ToUpper(string(b))))
				_ = c.Close()
			}()
		}
	}()
	addr, end := forwarder(t, l.Addr().String())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			c := dial(t, addr)
			question := strings.Repeat("abc", 100_000)
			if _, err := c.Write([]byte(question)); err != nil {
				t.Error(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Error(err)
			}
			if b, err := io.ReadAll(c); err != nil || string(b) != strings.ToUpper(question) {
				t.Errorf("got %d bytes, %v; want %d", len(b), err, len(question))
			}
		})
	}
	wg.Wait()
	open := dial(t, addr)
	if _, err := open.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if b, _ := io.ReadAll(open); len(b) > 0 {
		t.Errorf("an open connection got %q at the end", b)
	}
}

func TestForwardToNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	addr, _ := forwarder(t, gone)
	for range 2 { // it goes on
		if b, _ := io.ReadAll(dial(t, addr)); len(b) > 0 {
			t.Errorf("got %q", b)
		}
	}
}
