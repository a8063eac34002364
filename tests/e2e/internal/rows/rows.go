// Package rows writes rows through a database's endpoint, remembers which of them were
// acknowledged, and checks later that none of these is lost. What a client saw while a
// fault happened is the only honest measure of it.
package rows

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Table that the rows go to.
const Table = "written"

// Load is a number of writers, each with a connection of its own and one transaction
// at a time.
type Load struct {
	// URL of the endpoint.
	URL string
	// Dial makes the connections; nil for a plain one.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Writers at the same time.
	Writers int
	// Timeout of one transaction, as an application has one: a connection that has to be
	// made first counts.
	Timeout time.Duration
	// Pause after each transaction; 0 for none.
	Pause time.Duration
	// Lifetime of a connection, as an application's pool has one; 0 for no end.
	Lifetime time.Duration
}

// Prepare makes the table, if it is not there.
func (l *Load) Prepare(ctx context.Context) error {
	return l.with(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+Table+" (run bigint, writer int, n bigint, at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (run, writer, n))")
		return err
	})
}

func (l *Load) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(l.URL)
	if err != nil {
		return nil, err
	}
	if l.Dial != nil {
		config.DialFunc = l.Dial
	}
	return pgx.ConnectConfig(ctx, config)
}

func (l *Load) with(ctx context.Context, use func(*pgx.Conn) error) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return use(conn)
}

// Ack is an acknowledged row.
type Ack struct {
	Writer int
	N      int64
	// At is when the acknowledgement arrived, and Took what the transaction took.
	At   time.Time
	Took time.Duration
}

// Failure is a transaction that ended with an error. Whether its row exists is unknown.
type Failure struct {
	At   time.Time
	Took time.Duration
	Err  error
}

// Run is a load at work.
type Run struct {
	load   *Load
	number int64
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	acks     []Ack
	failures []Failure
}

// Start starts the writers. They write until Stop.
func (l *Load) Start(ctx context.Context) *Run {
	ctx, cancel := context.WithCancel(ctx)
	r := &Run{load: l, number: time.Now().UnixNano(), cancel: cancel}
	for w := range l.Writers {
		r.done.Go(func() { r.write(ctx, w) })
	}
	return r
}

func (r *Run) write(ctx context.Context, writer int) {
	var conn *pgx.Conn
	var made time.Time
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	for n := int64(0); ctx.Err() == nil; n++ {
		start := time.Now()
		one, cancel := context.WithTimeout(ctx, r.load.Timeout)
		err := func() (err error) {
			if conn != nil && r.load.Lifetime > 0 && time.Since(made) > r.load.Lifetime {
				_ = conn.Close(one) // it is idle
			}
			if conn == nil || conn.IsClosed() {
				if conn, err = r.load.connect(one); err != nil {
					conn = nil
					return err
				}
				made = time.Now()
			}
			_, err = conn.Exec(one, "INSERT INTO "+Table+" (run, writer, n) VALUES ($1, $2, $3)", r.number, writer, n)
			return err
		}()
		cancel()
		now := time.Now()
		r.mu.Lock()
		switch {
		case err == nil:
			r.acks = append(r.acks, Ack{writer, n, now, now.Sub(start)})
		case ctx.Err() == nil:
			r.failures = append(r.failures, Failure{now, now.Sub(start), err})
		}
		r.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			// As a client that is turned away at once would come back.
			sleep(ctx, 50*time.Millisecond)
		}
		sleep(ctx, r.load.Pause)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Acknowledged returns how many rows were acknowledged until now.
func (r *Run) Acknowledged() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.acks)
}

// After waits for n acknowledgements later than t.
func (r *Run) After(ctx context.Context, t time.Time, n int) error {
	for {
		r.mu.Lock()
		seen := 0
		for _, a := range slices.Backward(r.acks) {
			if a.At.Add(-a.Took).Before(t) { // begun before
				continue
			}
			seen++
			if seen >= n {
				break
			}
		}
		r.mu.Unlock()
		if seen >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d rows were written: %w", seen, n, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Stop ends the writers and returns what they saw.
func (r *Run) Stop() *Result {
	r.cancel()
	r.done.Wait()
	slices.SortFunc(r.acks, func(a, b Ack) int { return a.At.Compare(b.At) })
	return &Result{Number: r.number, Acks: r.acks, Failures: r.failures}
}

// Result is what the writers of a run saw.
type Result struct {
	Number   int64
	Acks     []Ack
	Failures []Failure
}

// Rate is acknowledgements a second.
func (r *Result) Rate() float64 {
	if len(r.Acks) < 2 {
		return 0
	}
	return float64(len(r.Acks)) / r.Acks[len(r.Acks)-1].At.Sub(r.Acks[0].At).Seconds()
}

// Outage is the longest time without an acknowledgement, of those that end after t.
func (r *Result) Outage(t time.Time) time.Duration {
	var longest time.Duration
	for i := 1; i < len(r.Acks); i++ {
		if r.Acks[i].At.After(t) {
			longest = max(longest, r.Acks[i].At.Sub(r.Acks[i-1].At))
		}
	}
	return longest
}

// Slowest is the longest that a transaction took.
func (r *Result) Slowest() time.Duration {
	var longest time.Duration
	for _, a := range r.Acks {
		longest = max(longest, a.Took)
	}
	return longest
}

// Quantile is the time that this share of the transactions took at most; 0 of none.
func (r *Result) Quantile(share float64) time.Duration {
	if len(r.Acks) == 0 {
		return 0
	}
	took := make([]time.Duration, len(r.Acks))
	for i, a := range r.Acks {
		took[i] = a.Took
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(share*float64(len(took))))]
}

// Early are the failures of transactions that had not used up their time.
func (r *Result) Early(timeout time.Duration) []Failure {
	return slices.DeleteFunc(slices.Clone(r.Failures), func(f Failure) bool { return f.Took >= timeout })
}

// Verify reads back what was written and returns the acknowledged rows that are missing.
func (l *Load) Verify(ctx context.Context, r *Result) (lost []Ack, err error) {
	type key struct {
		writer int
		n      int64
	}
	have := map[key]bool{}
	read := func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT writer, n FROM "+Table+" WHERE run = $1", r.Number)
		if err != nil {
			return err
		}
		var k key
		_, err = pgx.ForEachRow(rows, []any{&k.writer, &k.n}, func() error { have[k] = true; return nil })
		return err
	}
	// Who reads them is no client that the event is about: poolers may not be ready yet.
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		if err = l.with(ctx, read); err == nil {
			break
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return nil, fmt.Errorf("read the rows back: %w", err)
		}
	}
	if len(have) == 0 && len(r.Acks) > 0 {
		return r.Acks, errors.New("not one row of the run is there")
	}
	for _, a := range r.Acks {
		if !have[key{a.Writer, a.N}] {
			lost = append(lost, a)
		}
	}
	return lost, nil
}
