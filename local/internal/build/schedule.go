package build

import (
	"container/heap"
	"context"
	"sync"
)

// A limiter lets a bounded number of jobs run at once, within a budget of
// memory, and one of a family at a time. Waiting jobs go in the order of their rank,
// lowest first, and none overtakes for the memory's sake: a large job would otherwise
// wait until every small one is done. One that waits for its family is overtaken. A
// job larger than the whole budget runs alone.
type limiter struct {
	mu      sync.Mutex
	slots   int
	memory  int64
	running int
	busy    map[string]bool // families
	waiting queue
}

// A need is what a job asks a limiter for.
type need struct {
	rank   int
	memory int64  // in bytes
	family string // empty: it shares nothing
}

func newLimiter(slots int, memory int64) *limiter {
	return &limiter{slots: slots, memory: memory, busy: map[string]bool{}}
}

// acquire waits for a place. On success the caller must call release with the
// same need.
func (l *limiter) acquire(ctx context.Context, n need) error {
	l.mu.Lock()
	w := &waiter{need: n, ready: make(chan struct{})}
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
		l.free(n)
	} else {
		heap.Remove(&l.waiting, w.index)
	}
	l.grant()
	return context.Cause(ctx)
}

func (l *limiter) release(n need) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free(n)
	l.grant()
}

func (l *limiter) free(n need) {
	l.running--
	l.memory += n.memory
	delete(l.busy, n.family)
}

func (l *limiter) grant() {
	var later []*waiter // for their family
	for l.waiting.Len() > 0 {
		w := l.waiting[0]
		if l.running > 0 && (l.running >= l.slots || w.memory > l.memory) {
			break
		}
		heap.Pop(&l.waiting)
		if l.busy[w.family] {
			later = append(later, w)
			continue
		}
		l.running++
		l.memory -= w.memory
		if w.family != "" {
			l.busy[w.family] = true
		}
		close(w.ready)
	}
	for _, w := range later {
		heap.Push(&l.waiting, w)
	}
}

type waiter struct {
	need
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
