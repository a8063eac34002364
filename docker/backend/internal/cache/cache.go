// Package cache keeps answers in Redis. It only ever makes reads cheaper: without
// Redis every read goes to the database, one at a time for each key.
package cache

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"
)

const (
	// prefix of every key, so that the database can be shared.
	prefix = "alphapulse:"
	// lockTime is how long one process may take to load a value before another tries.
	lockTime = 3 * time.Second
	// waitTime is how long a process waits for the value that another one loads.
	waitTime = time.Second
	// pauseAfterError is how long a cache that failed is left alone.
	pauseAfterError = time.Second
	// maxPending bounds the invalidations that wait for the cache to come back.
	maxPending = 10_000
)

// Outcome says where an answer came from.
type Outcome string

// Outcomes of a Fetch.
const (
	// Hit is an answer from the cache.
	Hit Outcome = "hit"
	// Stale is one that is just being replaced.
	Stale Outcome = "stale"
	// Miss is one from the source, now in the cache.
	Miss Outcome = "miss"
	// Bypass is one from the source because the cache cannot be reached or is off.
	Bypass Outcome = "bypass"
)

// Options of a Cache.
type Options struct {
	// Client of Redis; nil runs without a cache.
	Client *redis.Client
	// TTL of every answer.
	TTL time.Duration
	// LoadTimeout bounds one load.
	LoadTimeout time.Duration
	Metrics     *Metrics
	Log         *slog.Logger
}

// Cache of answers.
type Cache struct {
	o       Options
	flights singleflight.Group
	// brokenUntil is when the cache is tried again after an error, in Unix nanoseconds.
	brokenUntil atomic.Int64
	broken      atomic.Bool

	mu      sync.Mutex
	pending map[string]int64
}

// New returns a cache.
func New(o Options) *Cache {
	return &Cache{o: o, pending: map[string]int64{}}
}

// Request is one read.
type Request struct {
	// Kind of answer, one of few: it is a label of the metrics.
	Kind string
	// Key within the kind.
	Key string
	// Scope names what invalidates the answer.
	Scope string
	// MaxStale is how old, after its scope was invalidated, an answer may be that is
	// served while another one is loaded. 0 always waits for the new one.
	MaxStale time.Duration
}

func (r Request) id() string { return r.Kind + ":" + r.Key }

type answer struct {
	value   []byte
	outcome Outcome
}

// Fetch returns the answer to a request from the cache, or loads it. Of all that
// ask for the same answer at the same time, in this process and in others, one
// loads it; the rest wait for it, or get the one before.
func (c *Cache) Fetch(ctx context.Context, r Request, load func(context.Context) ([]byte, error)) ([]byte, Outcome, error) {
	flight := c.flights.DoChan(r.id(), func() (any, error) {
		// The flight is shared: it does not end with the request that began it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.LoadTimeout)
		defer cancel()
		return c.fetch(ctx, r, load)
	})
	select {
	case <-ctx.Done():
		return nil, "", context.Cause(ctx)
	case result := <-flight:
		if result.Err != nil {
			return nil, "", result.Err
		}
		a := result.Val.(answer)
		c.o.Metrics.requests.WithLabelValues(r.Kind, string(a.outcome)).Inc()
		return a.value, a.outcome, nil
	}
}

func (c *Cache) fetch(ctx context.Context, r Request, load func(context.Context) ([]byte, error)) (answer, error) {
	// What it was not told yet makes a cache that is back no better than one that is lost.
	if !c.usable() || !c.Flush(ctx) {
		return c.load(ctx, r, load, Bypass)
	}
	now, held, err := c.get(ctx, r)
	if err != nil {
		return c.load(ctx, r, load, Bypass)
	}
	if held != nil {
		if held.version == now {
			return answer{held.value, Hit}, nil
		}
		if age := time.Duration(now - held.version); r.MaxStale > 0 && age > 0 && age <= r.MaxStale {
			c.refresh(ctx, r, load)
			return answer{held.value, Stale}, nil
		}
	}

	release, ours, err := c.lock(ctx, r)
	if err != nil {
		return c.load(ctx, r, load, Bypass)
	}
	if ours {
		defer release()
	} else if value := c.await(ctx, r); value != nil {
		return answer{value, Hit}, nil
	}
	// The version is read before the source: what changes meanwhile makes the
	// answer stale, never wrongly fresh.
	if now, _, err = c.get(ctx, r); err != nil {
		return c.load(ctx, r, load, Bypass)
	}
	a, err := c.load(ctx, r, load, Miss)
	if err != nil {
		return answer{}, err
	}
	c.put(ctx, r, now, a.value)
	return a, nil
}

// refresh replaces a stale answer behind the request's back, unless another
// process does so already.
func (c *Cache) refresh(ctx context.Context, r Request, load func(context.Context) ([]byte, error)) {
	ctx = context.WithoutCancel(ctx)
	// Nobody waits for the result: the next request finds it in the cache.
	_ = c.flights.DoChan(r.id()+" refresh", func() (any, error) {
		ctx, cancel := context.WithTimeout(ctx, c.o.LoadTimeout)
		defer cancel()
		release, ours, err := c.lock(ctx, r)
		if err != nil || !ours {
			return nil, err
		}
		defer release()
		now, held, err := c.get(ctx, r)
		if err != nil || held != nil && held.version == now {
			return nil, err
		}
		a, err := c.load(ctx, r, load, Miss)
		if err != nil {
			c.o.Log.Debug("refresh failed", "kind", r.Kind, "error", err)
			return nil, err
		}
		c.put(ctx, r, now, a.value)
		return nil, nil
	})
}

func (c *Cache) load(ctx context.Context, r Request, load func(context.Context) ([]byte, error), outcome Outcome) (answer, error) {
	start := time.Now()
	value, err := guarded(ctx, load)
	c.o.Metrics.loads.WithLabelValues(r.Kind).Observe(time.Since(start).Seconds())
	return answer{value, outcome}, err
}

// guarded makes an error of a panic: a load runs in no request's goroutine, so
// nobody above would catch it, and one bad answer would end the process.
func guarded(ctx context.Context, load func(context.Context) ([]byte, error)) (value []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return load(ctx)
}

// entry is a cached answer with the version of its scope that it was made of.
type entry struct {
	version int64
	value   []byte
}

// get returns the present version of the request's scope and what is cached.
func (c *Cache) get(ctx context.Context, r Request) (int64, *entry, error) {
	values, err := c.o.Client.MGet(ctx, versionKey(r.Scope), valueKey(r)).Result()
	if err != nil {
		return 0, nil, c.failed(err)
	}
	c.worked()
	var version int64
	if text, ok := values[0].(string); ok {
		version, _ = strconv.ParseInt(text, 10, 64) // 0 if it is none of ours
	}
	text, ok := values[1].(string)
	if !ok || len(text) < 8 {
		return version, nil, nil
	}
	raw := []byte(text)
	return version, &entry{int64(binary.BigEndian.Uint64(raw)), raw[8:]}, nil
}

func (c *Cache) put(ctx context.Context, r Request, version int64, value []byte) {
	raw := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(value)), uint64(version))
	if err := c.o.Client.Set(ctx, valueKey(r), append(raw, value...), c.o.TTL).Err(); err != nil {
		_ = c.failed(err) // the answer is good all the same
	}
}

var unlock = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

func (c *Cache) lock(ctx context.Context, r Request) (release func(), ours bool, err error) {
	token := rand.Text()
	key := prefix + "lock:" + r.id()
	err = c.o.Client.SetArgs(ctx, key, token, redis.SetArgs{Mode: "NX", TTL: lockTime}).Err()
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, c.failed(err)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := unlock.Run(ctx, c.o.Client, []string{key}, token).Err(); err != nil {
			_ = c.failed(err) // the lock ends by itself
		}
	}, true, nil
}

// await waits for the answer that another process loads; nil if it does not come.
func (c *Cache) await(ctx context.Context, r Request) []byte {
	deadline := time.Now().Add(waitTime)
	for pause := 5 * time.Millisecond; time.Now().Before(deadline); pause *= 2 {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		now, held, err := c.get(ctx, r)
		if err != nil {
			return nil
		}
		if held != nil && held.version == now {
			return held.value
		}
	}
	return nil
}

// Invalidate makes every answer of the scopes stale. What the cache cannot be told
// now is told when it is back.
func (c *Cache) Invalidate(ctx context.Context, scopes ...string) {
	if c.o.Client == nil {
		return
	}
	now := time.Now().UnixNano()
	c.mu.Lock()
	for _, s := range scopes {
		if len(c.pending) < maxPending {
			c.pending[s] = now
		}
	}
	c.mu.Unlock()
	if c.usable() {
		c.Flush(ctx)
	}
}

// Forget makes this process load the answer anew, whatever is under way.
func (c *Cache) Forget(r Request) { c.flights.Forget(r.id()) }

// Flush tells the cache the invalidations that it has not been told yet. It returns
// whether none is left.
func (c *Cache) Flush(ctx context.Context) bool {
	c.mu.Lock()
	if len(c.pending) == 0 {
		c.mu.Unlock()
		return true
	}
	told := make(map[string]int64, len(c.pending))
	pairs := make([]any, 0, 2*len(c.pending))
	for s, v := range c.pending {
		told[s] = v
		pairs = append(pairs, versionKey(s), v)
	}
	c.mu.Unlock()
	if err := c.o.Client.MSet(ctx, pairs...).Err(); err != nil {
		_ = c.failed(err) // they stay pending
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for s, v := range told {
		if c.pending[s] == v {
			delete(c.pending, s)
		}
	}
	return true
}

// Publish sends a message to all that subscribe to a channel now.
func (c *Cache) Publish(ctx context.Context, channel string, message []byte) {
	if !c.usable() {
		return
	}
	if err := c.o.Client.Publish(ctx, channel, message).Err(); err != nil {
		_ = c.failed(err) // a message is news: it is not worth sending later
		return
	}
	c.worked()
}

// Check says whether the cache answers.
func (c *Cache) Check(ctx context.Context) error {
	if c.o.Client == nil {
		return nil
	}
	if err := c.o.Client.Ping(ctx).Err(); err != nil {
		return c.failed(err)
	}
	c.worked()
	return nil
}

// Broken says whether the last command failed.
func (c *Cache) Broken() bool { return c.broken.Load() }

// usable tells whether the cache is to be asked. One that failed is asked by one request
// at a time, after a pause: the others do not wait for what may not answer.
func (c *Cache) usable() bool {
	if c.o.Client == nil {
		return false
	}
	now, until := time.Now(), c.brokenUntil.Load()
	if now.UnixNano() < until {
		return false
	}
	return !c.broken.Load() || c.brokenUntil.CompareAndSwap(until, now.Add(pauseAfterError).UnixNano())
}

func (c *Cache) failed(err error) error {
	if errors.Is(err, context.Canceled) {
		return err // the caller went; the cache is not to blame
	}
	c.o.Metrics.errors.Inc()
	c.brokenUntil.Store(time.Now().Add(pauseAfterError).UnixNano())
	if !c.broken.Swap(true) {
		c.o.Log.Warn("cache lost: every read goes to the database", "error", err)
	}
	return err
}

func (c *Cache) worked() {
	if c.broken.Load() && c.broken.Swap(false) {
		c.brokenUntil.Store(0)
		c.o.Log.Info("cache reached")
	}
}

func versionKey(scope string) string { return prefix + "version:" + scope }
func valueKey(r Request) string      { return prefix + "value:" + r.id() }
