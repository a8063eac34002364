package build

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// order lets jobs of the given needs (their rank becomes their index) queue behind one
// that holds everything, and returns the sets of ranks that ran together.
func order(t *testing.T, slots int, memory int64, needs ...need) [][]int {
	t.Helper()
	var rounds [][]int
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(slots, memory)
		all := need{rank: -1, memory: memory, family: "a"}
		if err := l.acquire(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		// Queued last first: arrival must not decide.
		done := make([]chan struct{}, len(needs))
		var mu sync.Mutex
		var now []int
		var wg sync.WaitGroup
		for i, n := range slices.Backward(needs) {
			n.rank = i
			done[i] = make(chan struct{})
			wg.Go(func() {
				if err := l.acquire(t.Context(), n); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				now = append(now, i)
				mu.Unlock()
				<-done[i]
				l.release(n)
			})
			synctest.Wait()
		}
		l.release(all)
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
		needs  []need
		want   [][]int
	}{
		"two at a time":                {2, 10, []need{{memory: 1}, {memory: 1}, {memory: 1}, {memory: 1}}, [][]int{{0, 1}, {2, 3}}},
		"memory holds one back":        {2, 5, []need{{memory: 3}, {memory: 4}, {memory: 2}}, [][]int{{0}, {1}, {2}}},
		"none overtakes":               {3, 5, []need{{memory: 3}, {memory: 4}, {memory: 1}}, [][]int{{0}, {1, 2}}},
		"too large for all runs alone": {2, 5, []need{{memory: 9}, {memory: 1}, {memory: 1}}, [][]int{{0}, {1, 2}}},
		"one of a family at a time":    {3, 9, []need{{memory: 1, family: "a"}, {memory: 1, family: "a"}, {memory: 1, family: "b"}, {memory: 1, family: "b"}}, [][]int{{0, 2}, {1, 3}}},
		"a family lets others pass":    {2, 9, []need{{memory: 1, family: "a"}, {memory: 1, family: "a"}, {memory: 1}, {memory: 1}}, [][]int{{0, 2}, {1, 3}}},
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
		first := need{memory: 10, family: "a"}
		if err := l.acquire(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		why := errors.New("interrupt")
		ctx, cancel := context.WithCancelCause(t.Context())
		gave := make(chan error)
		go func() { gave <- l.acquire(ctx, need{rank: 1, memory: 5, family: "a"}) }()
		synctest.Wait()
		cancel(why)
		if err := <-gave; !errors.Is(err, why) {
			t.Errorf("error %v; want %v", err, why)
		}
		l.release(first)
		if err := l.acquire(t.Context(), need{rank: 2, memory: 10, family: "a"}); err != nil {
			t.Errorf("the place is lost: %v", err)
		}
	})
}
