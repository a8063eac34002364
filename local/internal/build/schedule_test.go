package build

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// order lets jobs of the given needs (rank = index) queue behind one that holds
// everything, and returns the sets of ranks that ran together.
func order(t *testing.T, slots int, memory int64, needs ...int64) [][]int {
	t.Helper()
	var rounds [][]int
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(slots, memory)
		if err := l.acquire(t.Context(), -1, memory); err != nil {
			t.Fatal(err)
		}
		// Queued last first: arrival must not decide.
		done := make([]chan struct{}, len(needs))
		var mu sync.Mutex
		var now []int
		var wg sync.WaitGroup
		for i, need := range slices.Backward(needs) {
			done[i] = make(chan struct{})
			wg.Go(func() {
				if err := l.acquire(t.Context(), i, need); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				now = append(now, i)
				mu.Unlock()
				<-done[i]
				l.release(need)
			})
			synctest.Wait()
		}
		l.release(memory)
		for {
			synctest.Wait()
			mu.Lock()
			round := slices.Sorted(slices.Values(now))
			now = nil
			mu.Unlock()
			if len(round) == 0 {
				break
			}
			rounds = append(rounds, round)
			for _, i := range round {
				close(done[i])
			}
		}
		wg.Wait()
	})
	return rounds
}

func TestLimiterGoesByRankWithinSlotsAndMemory(t *testing.T) {
	for name, c := range map[string]struct {
		slots  int
		memory int64
		needs  []int64
		want   [][]int
	}{
		"two at a time":                {2, 10, []int64{1, 1, 1, 1}, [][]int{{0, 1}, {2, 3}}},
		"memory holds one back":        {2, 5, []int64{3, 4, 2}, [][]int{{0}, {1}, {2}}},
		"none overtakes":               {3, 5, []int64{3, 4, 1}, [][]int{{0}, {1, 2}}},
		"too large for all runs alone": {2, 5, []int64{9, 1, 1}, [][]int{{0}, {1, 2}}},
	} {
		got := order(t, c.slots, c.memory, c.needs...)
		if !slices.EqualFunc(got, c.want, slices.Equal) {
			t.Errorf("%s: ran %v; want %v", name, got, c.want)
		}
	}
}

func TestLimiterForgetsWhoGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1, 10)
		if err := l.acquire(t.Context(), 0, 10); err != nil {
			t.Fatal(err)
		}
		why := errors.New("interrupt")
		ctx, cancel := context.WithCancelCause(t.Context())
		gave := make(chan error)
		go func() { gave <- l.acquire(ctx, 1, 5) }()
		synctest.Wait()
		cancel(why)
		if err := <-gave; !errors.Is(err, why) {
			t.Errorf("error %v; want %v", err, why)
		}
		l.release(10)
		if err := l.acquire(t.Context(), 2, 10); err != nil {
			t.Errorf("the place is lost: %v", err)
		}
	})
}
