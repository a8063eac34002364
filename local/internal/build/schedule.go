package build

import (
	"container/heap"
	"context"
	"sync"
)

// A limiter lets a bounded number of jobs run at once, within a budget of
// memory. Waiting jobs go in the order of their rank, lowest first, and none
// overtakes: a large job would otherwise wait until every small one is done. A
// job larger than the whole budget runs alone.
type limiter struct {
	mu      sync.Mutex
	slots   int
	memory  int64
	running int
	waiting queue
}

func newLimiter(slots int, memory int64) *limiter {
	return &limiter{slots: slots, memory: memory}
}

// acquire waits for a place. On success the caller must call release with the
// same need.
func (l *limiter) acquire(ctx context.Context, rank int, need int64) error {
	l.mu.Lock()
	w := &waiter{rank: rank, need: need, ready: make(chan struct{})}
	heap.Push(&l.waiting, w)
	l.grant()
	l.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.index < 0 { // granted between the two
		l.running--
		l.memory += need
	} else {
		heap.Remove(&l.waiting, w.index)
	}
	l.grant()
	return context.Cause(ctx)
}

func (l *limiter) release(need int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	l.memory += need
	l.grant()
}

func (l *limiter) grant() {
	for l.waiting.Len() > 0 {
		w := l.waiting[0]
		if l.running > 0 && (l.running >= l.slots || w.need > l.memory) {
			return
		}
		heap.Pop(&l.waiting)
		l.running++
		l.memory -= w.need
		close(w.ready)
	}
}

type waiter struct {
	rank  int
	need  int64
	ready chan struct{}
	index int // in the queue; -1 once granted
}

type queue []*waiter

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].rank < q[j].rank }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	w := x.(*waiter)
	w.index = len(*q)
	*q = append(*q, w)
}

func (q *queue) Pop() any {
	old := *q
	w := old[len(old)-1]
	w.index = -1
	*q = old[:len(old)-1]
	return w
}
