package pooler

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/gate"
)

// barrier runs one until the test ends.
func barrier(t *testing.T, b *Barrier) (started func() int) {
	t.Helper()
	b.Log = slog.New(slog.DiscardHandler)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() { b.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return func() int {
		w := httptest.NewRecorder()
		b.Started(w, httptest.NewRequest(http.MethodGet, "/started", nil))
		return w.Code
	}
}

// A primary that refuses the login is waited for, however long: PgBouncer would refuse its
// clients for it.
func TestABarrierOpensWhenTheLoginWorks(t *testing.T) {
	c, _ := control(t, &console{})
	var works atomic.Bool
	var tries atomic.Int64
	started := barrier(t, &Barrier{Finder: c.Finder, Absent: time.Nanosecond, Try: func(context.Context) error {
		tries.Add(1)
		if works.Load() {
			return nil
		}
		return errors.New("no such role")
	}})
	eventually(t, "it is tried again", func() bool { return tries.Load() > 1 })
	if code := started(); code != http.StatusServiceUnavailable {
		t.Errorf("PgBouncer starts: %d", code)
	}
	works.Store(true)
	eventually(t, "PgBouncer starts", func() bool { return started() == http.StatusOK })
}

// Without a primary clients wait anyway, with the pooler or without it.
func TestABarrierOpensWithoutAPrimary(t *testing.T) {
	finder := &gate.Finder{Log: slog.New(slog.DiscardHandler), Lookup: func(context.Context, string) ([]string, error) { return nil, nil }}
	never := func(context.Context) error {
		t.Error("a login without a primary is tried")
		return nil
	}
	started := barrier(t, &Barrier{Finder: finder, Absent: time.Millisecond, Try: never})
	eventually(t, "PgBouncer starts", func() bool { return started() == http.StatusOK })
	patient := barrier(t, &Barrier{Finder: finder, Try: never})
	if code := patient(); code != http.StatusServiceUnavailable {
		t.Errorf("PgBouncer starts at once: %d", code)
	}
}
