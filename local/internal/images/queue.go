package images

import (
	"context"
	"slices"
	"sync"
)

// A queue lets a bounded number of jobs run at once; of those that wait, the one
// with the lowest rank goes first.
type queue struct {
	mu      sync.Mutex
	free    int
	waiting []*waiter
}

type waiter struct {
	rank  int
	ready chan struct{}
}

func newQueue(places int) *queue { return &queue{free: places} }

// take waits for a place, which leave gives back.
func (q *queue) take(ctx context.Context, rank int) error {
	q.mu.Lock()
	w := &waiter{rank: rank, ready: make(chan struct{})}
	q.waiting = append(q.waiting, w)
	q.next()
	q.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := slices.Index(q.waiting, w); n >= 0 {
		q.waiting = slices.Delete(q.waiting, n, n+1)
	} else { // it got its place in the meantime
		q.free++
		q.next()
	}
	return context.Cause(ctx)
}

func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	q.next()
}

func (q *queue) next() {
	for q.free > 0 && len(q.waiting) > 0 {
		first := 0
		for n, w := range q.waiting {
			if w.rank < q.waiting[first].rank {
				first = n
			}
		}
		close(q.waiting[first].ready)
		q.waiting = slices.Delete(q.waiting, first, first+1)
		q.free--
	}
}
