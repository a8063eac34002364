package pooler

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/gate"
)

const (
	// Absent is how long a pooler waits for a primary before it takes clients without one:
	// they wait with it.
	Absent = 2 * time.Minute
	// try bounds one attempt to log in, tryAgain is the time between two.
	try      = 5 * time.Second
	tryAgain = 500 * time.Millisecond
)

// Login is the pooler's own, with which it asks for the verifiers of its clients.
type Login struct {
	// Socket is the folder of the socket that leads to the primary.
	Socket         string
	Role, Password string
	// Database has Function, which tells verifiers.
	Database, Function string
}

// Try logs in and asks, as PgBouncer will.
func (l Login) Try(ctx context.Context) error {
	config, err := pgx.ParseConfig("host=" + l.Socket + " sslmode=disable")
	if err != nil {
		return err
	}
	config.User, config.Password, config.Database = l.Role, l.Password, l.Database
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("log in as %s: %w", l.Role, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "SELECT usename, passwd FROM "+l.Function+"($1)", l.Role); err != nil {
		return fmt.Errorf("ask for a verifier as %s: %w", l.Role, err)
	}
	return nil
}

// A Barrier keeps PgBouncer from starting until its own login works on the primary. After
// a rotation the login is new, and the primary's agent hears of it later than a new pod: a
// pooler that took clients before would refuse them all.
type Barrier struct {
	// Try logs in to the primary.
	Try    func(ctx context.Context) error
	Finder *gate.Finder
	Log    *slog.Logger
	// Absent in place of the constant; 0 keeps it.
	Absent time.Duration

	open atomic.Bool
}

// Started answers 200 once PgBouncer may start.
func (b *Barrier) Started(w http.ResponseWriter, _ *http.Request) {
	if !b.open.Load() {
		http.Error(w, "the pooler's login does not work yet", http.StatusServiceUnavailable)
	}
}

// Run returns when PgBouncer may start, or when ctx ends. A primary that refuses the login
// is waited for without an end.
func (b *Barrier) Run(ctx context.Context) {
	seen, said := time.Now(), ""
	for ctx.Err() == nil {
		view, changed := b.Finder.View()
		if view.Primary == nil {
			if time.Since(seen) > or(b.Absent, Absent) {
				b.Log.Warn("there is no primary to try the pooler's login on: clients wait for one")
				break
			}
		} else {
			seen = time.Now()
			err := b.try(ctx)
			if err == nil {
				b.Log.Info("the pooler's login works")
				break
			}
			if said != err.Error() {
				said = err.Error()
				b.Log.Warn("the pooler's login does not work yet", "primary", view.Primary.Name, "err", err)
			}
			changed = nil
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(tryAgain):
		}
	}
	b.open.Store(ctx.Err() == nil)
}

func (b *Barrier) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, try)
	defer cancel()
	return b.Try(ctx)
}
