package cache

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What needs Redis is tested against a real one in the folder integration; here is
// what must hold without any.

func without() *Cache {
	return New(Options{TTL: time.Minute, LoadTimeout: time.Minute, Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler)})
}

func TestManyWaitForOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := without()
		var loads atomic.Int32
		load := func(context.Context) ([]byte, error) {
			loads.Add(1)
			time.Sleep(time.Second)
			return []byte("v"), nil
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				v, outcome, err := c.Fetch(t.Context(), Request{Kind: "k"}, load)
				if string(v) != "v" || outcome != Bypass || err != nil {
					t.Errorf("%q %q %v", v, outcome, err)
				}
			})
		}
		wg.Wait()
		if n := loads.Load(); n != 1 {
			t.Errorf("%d loads for 100 requests at once", n)
		}
		if n := testutil.ToFloat64(c.o.Metrics.requests.WithLabelValues("k", "bypass")); n != 100 {
			t.Errorf("%v requests counted", n)
		}
	})
}

func TestOneImpatientRequestDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := without()
		load := func(ctx context.Context) ([]byte, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Second):
				return []byte("v"), nil
			}
		}
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		first := make(chan error, 1)
		go func() {
			_, _, err := c.Fetch(impatient, Request{Kind: "k"}, load)
			first <- err
		}()
		synctest.Wait() // the impatient one began the load
		if v, _, err := c.Fetch(t.Context(), Request{Kind: "k"}, load); string(v) != "v" || err != nil {
			t.Errorf("%q %v", v, err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the impatient one got %v", err)
		}
	})
}

func TestLoadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := without()
		_, _, err := c.Fetch(t.Context(), Request{Kind: "k"}, func(ctx context.Context) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	c := without()
	broken := errors.New("broken")
	if _, _, err := c.Fetch(t.Context(), Request{Kind: "k"}, func(context.Context) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if v, _, err := c.Fetch(t.Context(), Request{Kind: "k"}, func(context.Context) ([]byte, error) { return []byte("v"), nil }); string(v) != "v" || err != nil {
		t.Errorf("%q %v", v, err)
	}
}

func TestPanicIsAnError(t *testing.T) {
	c := without()
	_, _, err := c.Fetch(t.Context(), Request{Kind: "k"}, func(context.Context) ([]byte, error) { panic("at the disco") })
	if err == nil || !strings.Contains(err.Error(), "at the disco") || !strings.Contains(err.Error(), "cache_test.go") {
		t.Errorf("got %v", err)
	}
}

func TestNoClientNoWork(t *testing.T) {
	c := without()
	c.Invalidate(t.Context(), "scope")
	c.Publish(t.Context(), "channel", nil)
	c.Flush(t.Context())
	if err := c.Check(t.Context()); err != nil || len(c.pending) != 0 {
		t.Errorf("%v, %d pending", err, len(c.pending))
	}
	if client, err := NewClient(Server{}, nil, "", 1); client != nil || err != nil {
		t.Errorf("%v %v", client, err)
	}
	if _, err := NewClient(Server{URL: "http://x"}, nil, "", 1); err == nil {
		t.Error("a URL of another scheme is no error")
	}
}
