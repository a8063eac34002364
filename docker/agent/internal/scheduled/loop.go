// Package scheduled takes backups by schedule, and proves them, where no cluster does: in
// containers of a Docker host.
package scheduled

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/exposition"
)

// Schedule reads a schedule in cron's notation, in UTC.
func Schedule(spec string) (cron.Schedule, error) {
	s, err := cron.ParseStandard(spec)
	if err != nil || strings.Contains(spec, "TZ=") {
		return nil, fmt.Errorf("%q is not a schedule: write minute, hour, day, month and weekday in UTC, e.g. 30 1 * * *", spec)
	}
	return s, nil
}

// A Job is what a Loop runs.
type Job interface {
	// Due says what is run next and when, and when something last succeeded; zero times for
	// never. It is asked again and again.
	Due(ctx context.Context, now time.Time) (what string, at, succeeded time.Time, err error)
	// Run runs it.
	Run(ctx context.Context, what string) error
	// Tried is told of each end, which the next Due counts.
	Tried(what string, at time.Time)
}

// Loop runs a job's runs one at a time, and tries again what has failed.
type Loop struct {
	Job Job
	// Tries is how often a run is tried, Pause how long the loop waits after the first, and
	// twice as long after each other.
	Tries int
	Pause time.Duration
	// Limit of a run with its tries.
	Limit time.Duration
	Log   *slog.Logger
	// Wait waits, and Now tells the time: variables for tests.
	Wait func(ctx context.Context, d time.Duration) error
	Now  func() time.Time

	mu        sync.Mutex
	begun     time.Time
	succeeded time.Time
	failed    bool
}

// New is a loop as containers have it.
func New(job Job, tries int, log *slog.Logger) *Loop {
	return &Loop{Job: job, Tries: tries, Pause: 10 * time.Second, Limit: 12 * time.Hour, Log: log, Wait: wait, Now: time.Now, begun: time.Now()}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// look is how often the loop asks what is due.
const look = time.Minute

// Go goes on until ctx ends.
func (l *Loop) Go(ctx context.Context) {
	for ctx.Err() == nil {
		l.round(ctx)
	}
}

// round asks once, and runs what is due or waits.
func (l *Loop) round(ctx context.Context) {
	now := l.Now()
	what, at, succeeded, err := l.Job.Due(ctx, now)
	if err != nil {
		l.Log.Warn("what is due is not known", "err", err)
		_ = l.Wait(ctx, look)
		return
	}
	l.mu.Lock()
	if succeeded.After(l.succeeded) {
		l.succeeded = succeeded
	}
	l.mu.Unlock()
	if at.IsZero() || at.After(now) {
		d := look
		if !at.IsZero() {
			d = min(d, at.Sub(now))
		}
		_ = l.Wait(ctx, d)
		return
	}
	err = l.try(ctx, what)
	if ctx.Err() != nil {
		return // a container that stops has not failed
	}
	l.Job.Tried(what, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed = err != nil; err != nil {
		l.Log.Error("it has failed, and is tried again by schedule", "what", what, "err", err)
	}
}

func (l *Loop) try(ctx context.Context, what string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, l.Limit)
	defer cancel()
	pause := l.Pause
	for range l.Tries {
		l.Log.Info("begins", "what", what)
		if err = l.Job.Run(ctx, what); err == nil {
			l.Log.Info("done", "what", what)
			return nil
		}
		l.Log.Warn("a try has failed", "what", what, "err", err)
		if l.Wait(ctx, pause) != nil {
			return err
		}
		pause *= 2
	}
	return err
}

// Handler answers Prometheus, and who asks whether the container works.
func (l *Loop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /alive", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", exposition.Handler(func(context.Context) ([]exposition.Metric, error) { return l.metrics(), nil }))
	return mux
}

func (l *Loop) metrics() []exposition.Metric {
	l.mu.Lock()
	defer l.mu.Unlock()
	gauge := func(name, help string, value int64) exposition.Metric {
		return exposition.Of(exposition.Gauge, name, help, float64(value))
	}
	failed := int64(0)
	if l.failed {
		failed = 1
	}
	all := []exposition.Metric{
		gauge("backup_begun_timestamp_seconds", "When the container began to look after it.", l.begun.Unix()),
		gauge("backup_failed", "1 if the newest run failed with all its tries.", failed),
	}
	if !l.succeeded.IsZero() {
		all = append(all, gauge("backup_last_success_timestamp_seconds", "When it last succeeded.", l.succeeded.Unix()))
	}
	return all
}
