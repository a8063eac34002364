package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
)

// patience bounds what a test waits for; it is no promise of speed.
const patience = 30 * time.Second

// process is a cache as one process has it.
func process(t *testing.T, address string) *Cache {
	t.Helper()
	client, err := NewClient(Server{URL: "redis://" + address}, nil, "test", 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return New(Options{
		Client: client, TTL: time.Minute, LoadTimeout: patience, Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
}

// value that a source has, and how often it was asked.
type value struct {
	n     atomic.Int32
	loads atomic.Int32
}

func (v *value) load(context.Context) ([]byte, error) {
	v.loads.Add(1)
	return fmt.Append(nil, v.n.Load()), nil
}

func expect(t *testing.T, what string, c *Cache, r Request, v *value, want string, outcome Outcome) {
	t.Helper()
	got, o, err := c.Fetch(t.Context(), r, v.load)
	if err != nil || string(got) != want || o != outcome {
		t.Errorf("%s: %s (%s), %v, want %s (%s)", what, got, o, err, want, outcome)
	}
}

func TestAnswersAreKeptUntilTheyChange(t *testing.T) {
	server := miniredis.RunT(t)
	one, two := process(t, server.Addr()), process(t, server.Addr())
	var v value
	r := Request{Kind: "k", Key: "x", Scope: "s"}
	expect(t, "first", one, r, &v, "0", Miss)
	v.n.Store(1)
	expect(t, "kept", one, r, &v, "0", Hit)
	expect(t, "kept for every process", two, r, &v, "0", Hit)
	expect(t, "of another key", one, Request{Kind: "k", Key: "y", Scope: "s"}, &v, "1", Miss)
	expect(t, "of another kind", one, Request{Kind: "l", Key: "x", Scope: "s"}, &v, "1", Miss)
	two.Invalidate(t.Context(), "other")
	expect(t, "after another scope changed", one, r, &v, "0", Hit)
	two.Invalidate(t.Context(), "s")
	expect(t, "after its scope changed", one, r, &v, "1", Miss)
	if server.TTL(valueKey(r)) != time.Minute {
		t.Errorf("an answer lives %s, want CACHE_TTL", server.TTL(valueKey(r)))
	}
}

func TestStaleAnswerIsServedWhileItIsReplaced(t *testing.T) {
	c := process(t, miniredis.RunT(t).Addr())
	var v value
	r := Request{Kind: "k", Scope: "s", MaxStale: time.Hour}
	c.Invalidate(t.Context(), "s")
	expect(t, "first", c, r, &v, "0", Miss)
	v.n.Store(1)
	c.Invalidate(t.Context(), "s")
	expect(t, "changed", c, r, &v, "0", Stale)
	deadline := time.Now().Add(patience)
	for {
		got, o, err := c.Fetch(t.Context(), r, v.load)
		if err != nil || o != Hit && o != Stale {
			t.Fatalf("%s %v", o, err)
		}
		if o == Hit {
			if string(got) != "1" {
				t.Errorf("replaced by %s", got)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the stale answer is never replaced")
		}
	}

	v.n.Store(2)
	time.Sleep(2 * time.Millisecond)
	c.Invalidate(t.Context(), "s")
	r.MaxStale = time.Millisecond
	expect(t, "too old to serve", c, r, &v, "2", Miss)
}

// What changes while it is loaded must not be kept as if it were new.
func TestOvertakenAnswerIsNotKept(t *testing.T) {
	c := process(t, miniredis.RunT(t).Addr())
	r := Request{Kind: "k", Scope: "s"}
	_, _, err := c.Fetch(t.Context(), r, func(ctx context.Context) ([]byte, error) {
		c.Invalidate(ctx, "s")
		return []byte("overtaken"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var v value
	expect(t, "after it was overtaken", c, r, &v, "0", Miss)
}

func TestOneProcessLoads(t *testing.T) {
	server := miniredis.RunT(t)
	var loads atomic.Int32
	inside, leave := make(chan struct{}), make(chan struct{})
	load := func(context.Context) ([]byte, error) {
		if loads.Add(1) == 1 {
			close(inside)
		}
		<-leave
		return []byte("v"), nil
	}
	var wg sync.WaitGroup
	fetch := func(c *Cache) {
		wg.Go(func() {
			if v, _, err := c.Fetch(t.Context(), Request{Kind: "k", Scope: "s"}, load); string(v) != "v" || err != nil {
				t.Errorf("%q %v", v, err)
			}
		})
	}
	first := process(t, server.Addr())
	fetch(first)
	<-inside
	for range 4 {
		c := process(t, server.Addr())
		for range 10 {
			fetch(c)
		}
	}
	// The others have met the lock once each has read the key twice.
	time.Sleep(50 * time.Millisecond)
	close(leave)
	wg.Wait()
	if n := loads.Load(); n != 1 {
		t.Errorf("five processes loaded %d times", n)
	}
}

// A load that took longer than the lock holds must not free the lock of the next.
func TestLockIsFreedByItsOwnerOnly(t *testing.T) {
	server := miniredis.RunT(t)
	slow, next := process(t, server.Addr()), process(t, server.Addr())
	r := Request{Kind: "k", Scope: "s"}
	release, ours, err := slow.lock(t.Context(), r)
	if err != nil || !ours {
		t.Fatal(ours, err)
	}
	if _, ours, err := next.lock(t.Context(), r); err != nil || ours {
		t.Fatalf("two hold the lock: %v", err)
	}
	server.FastForward(lockTime + time.Second)
	free, ours, err := next.lock(t.Context(), r)
	if err != nil || !ours {
		t.Fatalf("the lock of a process that hangs is never free: %v", err)
	}
	release()
	if _, ours, err := slow.lock(t.Context(), r); err != nil || ours {
		t.Errorf("a late process has freed the lock of another: %v", err)
	}
	free()
	if _, ours, err := slow.lock(t.Context(), r); err != nil || !ours {
		t.Errorf("the lock stays taken: %v", err)
	}
}

// Without Redis reads cost more, and what was written is told when it is back.
func TestLostRedis(t *testing.T) {
	server := miniredis.RunT(t)
	c := process(t, server.Addr())
	var v value
	r := Request{Kind: "k", Scope: "s"}
	expect(t, "first", c, r, &v, "0", Miss)
	server.SetError("LOADING Redis is loading the dataset in memory")
	v.n.Store(1)
	expect(t, "without Redis", c, r, &v, "1", Bypass)
	if !c.Broken() || c.usable() {
		t.Error("a lost Redis is asked again at once")
	}
	c.Invalidate(t.Context(), "s")
	if n := testutil.ToFloat64(c.o.Metrics.errors); n != 1 {
		t.Errorf("%v errors counted", n)
	}
	server.SetError("")
	c.brokenUntil.Store(0) // the pause is over
	// Nobody has told Redis yet what was written meanwhile: the read does so first.
	v.n.Store(2)
	expect(t, "the first after the loss", c, r, &v, "2", Miss)
	if err := c.Check(t.Context()); err != nil || c.Broken() {
		t.Errorf("Redis is back: %v", err)
	}
	if len(c.pending) != 0 {
		t.Errorf("%d invalidations are still to be told", len(c.pending))
	}
}

// A request whose client has gone says nothing about Redis.
func TestCancelledRequestDoesNotBlameRedis(t *testing.T) {
	c := process(t, miniredis.RunT(t).Addr())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if c.Broken() {
		t.Error("Redis counts as lost")
	}
}

func TestPublish(t *testing.T) {
	server := miniredis.RunT(t)
	c := process(t, server.Addr())
	s := server.NewSubscriber()
	defer s.Close()
	s.Subscribe("news")
	c.Publish(t.Context(), "news", []byte("hear"))
	select {
	case m := <-s.Messages():
		if m.Message != "hear" {
			t.Errorf("heard %q", m.Message)
		}
	case <-time.After(patience):
		t.Error("nobody heard it")
	}
}

// watching is a client's hook: it counts what goes out, and can let it wait or fail.
type watching struct {
	dials, reads atomic.Int32
	unbounded    atomic.Bool
	dial         error
	asked, wait  chan struct{}
}

func (w *watching) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		w.dials.Add(1)
		if w.dial != nil {
			return nil, w.dial
		}
		return next(ctx, network, address)
	}
}

func (w *watching) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > commandTimeout {
			w.unbounded.Store(true)
		}
		if cmd.Name() == "mget" && w.reads.Add(1) == 1 && w.wait != nil {
			close(w.asked)
			<-w.wait
		}
		return next(ctx, cmd)
	}
}

func (w *watching) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A node that is gone answers nothing: what a request may wait for is bounded as a whole,
// not each of its attempts.
func TestCommandsAreBoundedAsAWhole(t *testing.T) {
	c := process(t, miniredis.RunT(t).Addr())
	w := &watching{dial: errors.New("no answer")}
	c.o.Client.AddHook(w)
	var v value
	expect(t, "without an answer", c, Request{Kind: "k", Scope: "s"}, &v, "0", Bypass)
	if w.unbounded.Load() {
		t.Errorf("a command may take longer than %s", commandTimeout)
	}
	if n := w.dials.Load(); n > 2 {
		t.Errorf("one request tried %d times to connect, each time as long as a connection may take", n)
	}
}

// While one request asks whether the cache is back, the others do not wait for it.
func TestOneAsksWhetherTheCacheIsBack(t *testing.T) {
	server := miniredis.RunT(t)
	c := process(t, server.Addr())
	var v value
	server.SetError("LOADING Redis is loading the dataset in memory")
	expect(t, "lost", c, Request{Kind: "k", Scope: "s"}, &v, "0", Bypass)
	server.SetError("")
	w := &watching{asked: make(chan struct{}), wait: make(chan struct{})}
	c.o.Client.AddHook(w)
	c.brokenUntil.Store(1) // the pause is over
	var wg sync.WaitGroup
	wg.Go(func() { expect(t, "the one that asks", c, Request{Kind: "k", Scope: "s"}, &v, "0", Miss) })
	<-w.asked
	for i := range 5 {
		expect(t, "another", c, Request{Kind: "k", Key: fmt.Sprint(i), Scope: "s"}, &v, "0", Bypass)
	}
	if n := w.reads.Load(); n != 1 {
		t.Errorf("%d requests wait for a cache that had failed, want 1", n)
	}
	close(w.wait)
	wg.Wait()
}
