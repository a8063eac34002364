// Package pooler holds the clients of PgBouncer back while the primary moves to
// another member on purpose: their transactions end, new ones wait, none fails.
package pooler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/gate"
)

// Ports of the control's HTTP server. Requests carry a password, so members ask over TLS;
// without it there are probes, and members of a release before.
const (
	Port    = 8009
	TLSPort = 8011
)

const (
	// Drain is how long transactions get to end; what runs longer is lost in a switchover.
	Drain = 5 * time.Second
	// Hold is how long clients are held back at most, even if no other primary shows up.
	Hold = 45 * time.Second
	// command is how long PgBouncer may take to answer.
	command = 5 * time.Second
)

// An Admin is PgBouncer's administration console.
type Admin interface {
	// Pause returns when no server connection is in use; new transactions wait from the
	// beginning on. When ctx ends before, they go on waiting.
	Pause(ctx context.Context) error
	// Resume lets them go on. It fails with ErrStopping once PgBouncer was told to stop.
	Resume(ctx context.Context) error
	// Stop ends PgBouncer at once.
	Stop(ctx context.Context) error
}

// ErrStopping says that PgBouncer waits for its clients to leave, and does nothing else
// that it is asked for.
var ErrStopping = errors.New("pgbouncer is stopping")

// Console is the console that PgBouncer has on its socket for its own user.
type Console struct {
	// Socket is the folder of the socket.
	Socket string
	Port   int
}

func (c Console) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=pgbouncer dbname=pgbouncer sslmode=disable", c.Socket, c.Port))
	if err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	return conn, nil
}

func (c Console) exec(ctx context.Context, sql string) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	// PgBouncer's protocol errors all have one code; this text is its own.
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok && strings.Contains(failed.Message, "shutting down") {
		return fmt.Errorf("%w: %s: %w", ErrStopping, sql, err)
	}
	if err != nil {
		return fmt.Errorf("pgbouncer: %s: %w", sql, err)
	}
	return nil
}

// Pause implements Admin. It leaves the command running when ctx ends: taking it back
// would resume.
func (c Console) Pause(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		longest, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*Hold)
		defer cancel()
		done <- c.exec(longest, "PAUSE")
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Resume implements Admin.
func (c Console) Resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, command)
	defer cancel()
	return c.exec(ctx, "RESUME")
}

// Stop implements Admin. The connection ends with PgBouncer.
func (c Console) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, command)
	defer cancel()
	err := c.exec(ctx, "SHUTDOWN")
	if _, refused := errors.AsType[*pgconn.PgError](err); refused {
		return err
	}
	return nil
}

// A Control pauses and resumes one PgBouncer on request. A pause ends by itself when
// another primary is there, or the same one after a restart, and after Hold at the
// latest.
type Control struct {
	Admin  Admin
	Finder *gate.Finder
	// User and Password that requests must have.
	User, Password string
	// Former is a password that is accepted beside; "" for none. A rotation changes it
	// here first, and members that have the former one still have to be obeyed.
	Former string
	Log    *slog.Logger
	// Drain and Hold in place of the constants; 0 keeps them.
	Drain, Hold time.Duration

	mu     sync.Mutex
	ending chan struct{} // of the pause that holds; nil while none does
}

// Recover resumes what an earlier process may have left paused.
func (c *Control) Recover(ctx context.Context) error { return c.Admin.Resume(ctx) }

// Answer of a pause.
type Answer struct {
	// Drained says that every transaction has ended.
	Drained bool `json:"drained"`
}

// Handler serves POST /pause and POST /resume.
func (c *Control) Handler() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /pause", c.allowed(func(w http.ResponseWriter, r *http.Request) {
		drained, err := c.Pause(r.Context())
		if err != nil {
			c.Log.Error("pause", "err", err)
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Answer{drained}) // who asked has gone
	}))
	mux.HandleFunc("POST /resume", c.allowed(func(http.ResponseWriter, *http.Request) { c.Resume() }))
	return mux
}

func (c *Control) allowed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || !equal(user, c.User) || !c.knows(password) {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "log in", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func (c *Control) knows(password string) bool {
	return equal(password, c.Password) || c.Former != "" && equal(password, c.Former)
}

// ErrPaused says that clients are being held back already.
var ErrPaused = errors.New("paused already")

// Pause holds new transactions back and reports whether the running ones have ended.
func (c *Control) Pause(ctx context.Context) (drained bool, err error) {
	c.mu.Lock()
	if c.ending != nil {
		c.mu.Unlock()
		return false, ErrPaused
	}
	ending := make(chan struct{})
	c.ending = ending
	c.mu.Unlock()
	view, _ := c.Finder.View()
	wait, cancel := context.WithTimeout(ctx, or(c.Drain, Drain))
	defer cancel()
	err = c.Admin.Pause(wait)
	drained = err == nil
	if err != nil && wait.Err() == nil {
		c.mu.Lock()
		c.ending = nil
		c.mu.Unlock()
		return false, err
	}
	c.Log.Info("paused", "drained", drained)
	go c.hold(context.WithoutCancel(ctx), view.Primary, ending)
	return drained, nil
}

// hold resumes when the primary is another one than before.
func (c *Control) hold(ctx context.Context, before *gate.Target, ending <-chan struct{}) {
	longest := time.NewTimer(or(c.Hold, Hold))
	defer longest.Stop()
	reason := ""
	for reason == "" {
		view, changed := c.Finder.View()
		if p := view.Primary; p != nil && (before == nil || moved(*before, *p)) {
			reason = "primary is " + p.Name
			break
		}
		select {
		case <-changed:
		case <-longest.C:
			reason = "no other primary in time"
		case <-ending:
			reason = "request"
		}
	}
	for attempt := 0; ; attempt++ {
		err := c.Admin.Resume(ctx)
		if err == nil {
			break
		}
		if errors.Is(err, ErrStopping) {
			// Those that it holds back would wait in vain: they go to another pooler.
			c.Log.Info("PgBouncer is told to stop while it is paused: its clients are sent away", "err", c.Admin.Stop(ctx))
			break
		}
		c.Log.Error("resume", "err", err)
		if attempt == 10 {
			break // it was restarted, and holds nobody back
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.Log.Info("resumed", "because", reason)
	c.mu.Lock()
	c.ending = nil
	c.mu.Unlock()
}

// moved reports whether the server is another one, or has been restarted.
func moved(before, now gate.Target) bool {
	return before.Name != now.Name || before.Timeline != now.Timeline || before.Started != now.Started
}

// Resume ends a pause.
func (c *Control) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending == nil {
		return
	}
	select {
	case <-c.ending:
	default:
		close(c.ending)
	}
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
