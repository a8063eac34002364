package member

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/patroni"
)

const (
	// interval is the time between two looks at the files and at the server.
	interval = 2 * time.Second
	// attempt bounds one.
	attempt = 2 * time.Minute
)

// An Agent stands beside one member's server: on the primary it keeps the roles as they
// are declared, and it brings Patroni's dynamic configuration to what is declared.
type Agent struct {
	// Declared and Used are files: the roles' declaration, and the names of the logins in
	// use, one a line. Kubernetes changes both in place.
	Declared, Used string
	// Dynamic is the file of Patroni's dynamic configuration.
	Dynamic string
	// Member is the address of this pod's Patroni.
	Member  string
	Patroni patroni.Client
	Roles   *Roles
	// Poolers hold clients back while the server restarts; nil for none.
	Poolers *Handover
	Log     *slog.Logger

	// settle is how long Patroni takes to notice a changed configuration; 0 for its usual.
	settle time.Duration
	// lessened is when the primary was last restarted by lessen.
	lessened time.Time
	ready    atomic.Bool
	// seen is when each job of TimescaleDB's was first seen that never succeeded.
	seen sync.Map
}

// Ready answers 200 while this member is a standby, or a primary with all as declared.
func (a *Agent) Ready(w http.ResponseWriter, _ *http.Request) {
	if !a.ready.Load() {
		http.Error(w, "not as declared yet", http.StatusServiceUnavailable)
	}
}

// done is what was applied last: equal ones need nothing.
type done struct {
	server         string
	declared, used string
}

// Run works until ctx ends.
func (a *Agent) Run(ctx context.Context) {
	go a.declare(ctx)
	var last done
	said := ""
	for ctx.Err() == nil {
		now, err := a.step(ctx, last)
		a.ready.Store(err == nil)
		switch {
		case err == nil:
			last, said = now, ""
		case ctx.Err() == nil && said != err.Error():
			// Once for each reason: what lasts is asked again every two seconds.
			said = err.Error()
			a.Log.Warn("not as declared yet", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}

// step looks once, and applies what has changed since last.
func (a *Agent) step(ctx context.Context, last done) (done, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	declared, err := os.ReadFile(a.Declared)
	if err != nil {
		return last, fmt.Errorf("declared roles: %w", err)
	}
	used, err := os.ReadFile(a.Used)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return last, fmt.Errorf("logins in use: %w", err)
	}
	server, primary, err := a.server(ctx)
	if err != nil {
		return last, err
	}
	if !primary {
		return done{}, nil // after a promotion all is looked at again
	}
	now := done{server, string(declared), string(used)}
	if now == last {
		return last, nil
	}
	d, err := Parse(declared)
	if err != nil {
		return last, err
	}
	if err := a.Roles.Apply(ctx, d, strings.Fields(string(used))); err != nil {
		return last, err
	}
	a.jobs(ctx, d.Database)
	a.Log.Info("roles, database and extension are as declared")
	return now, nil
}

// server tells which server it is, and whether it is a primary.
func (a *Agent) server(ctx context.Context) (name string, primary bool, err error) {
	conn, err := a.Roles.Connect(ctx, Superuser, nil)
	if err != nil {
		return "", false, err
	}
	defer closeConn(ctx, conn)
	err = conn.QueryRow(ctx, "SELECT pg_postmaster_start_time()::text || '/' || timeline_id, NOT pg_is_in_recovery() FROM pg_control_checkpoint()").Scan(&name, &primary)
	return name, primary, err
}

// jobs starts TimescaleDB's background jobs again that ran when the former primary died:
// on the promoted standby they stay marked as running, and the scheduler never starts
// them (timescale/timescaledb issue 9360).
func (a *Agent) jobs(ctx context.Context, database string) {
	conn, err := a.Roles.Connect(ctx, database, nil)
	if err != nil {
		a.Log.Warn("background jobs", "err", err)
		return
	}
	defer closeConn(ctx, conn)
	rows, err := conn.Query(ctx, "SELECT job_id FROM timescaledb_information.job_stats WHERE next_start = '-infinity' AND job_status <> 'Running'")
	if err != nil {
		a.Log.Warn("background jobs", "err", err)
		return
	}
	stuck, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		a.Log.Warn("background jobs", "err", err)
		return
	}
	for _, job := range stuck {
		if _, err := conn.Exec(ctx, "SELECT public.alter_job($1, next_start => now())", job); err != nil {
			a.Log.Warn("background job does not start", "job", job, "err", err)
			continue
		}
		a.Log.Info("background job starts again", "job", job)
	}
}

// declare brings Patroni's dynamic configuration to what the file says, when the agent
// starts and when the file changes. An agent of an older pod, whose file is still the
// same, does not take a newer one back.
func (a *Agent) declare(ctx context.Context) {
	var applied []byte
	for ctx.Err() == nil {
		raw, err := os.ReadFile(a.Dynamic)
		if err == nil && !bytes.Equal(raw, applied) {
			if err = a.declareOnce(ctx); err == nil {
				applied = raw
			}
		}
		if err == nil {
			err = a.lessen(ctx)
		}
		if err != nil {
			a.Log.Debug("dynamic configuration", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}

func (a *Agent) declareOnce(ctx context.Context) error {
	raw, err := os.ReadFile(a.Dynamic)
	if err != nil {
		return fmt.Errorf("dynamic configuration: %w", err)
	}
	var want map[string]any
	if err := json.Unmarshal(bytes.TrimSpace(raw), &want); err != nil {
		return fmt.Errorf("dynamic configuration: %w", err)
	}
	ask, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	have, err := a.Patroni.Config(ask, a.Member)
	if err != nil {
		return err
	}
	if pause, ok := have["pause"]; ok {
		want["pause"] = pause // that is an operator's
	}
	if reflect.DeepEqual(have, want) {
		return nil
	}
	if err := a.Patroni.SetConfig(ask, a.Member, want); err != nil {
		return err
	}
	a.Log.Info("dynamic configuration is as declared")
	return a.restart(ctx)
}

// restart restarts this member's server if a changed parameter waits for that. The
// rollout restarts the others; a primary with standbys is one of them.
func (a *Agent) restart(ctx context.Context) error {
	select { // Patroni notices in its next loop
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(cmp.Or(a.settle, 10*time.Second)):
	}
	ask, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	status, err := a.Patroni.Status(ask, a.Member)
	if err != nil || !status.Pending {
		return err
	}
	members, err := a.Patroni.Cluster(ask, a.Member)
	if err != nil || status.Primary() && len(members) > 1 {
		return err
	}
	a.Log.Info("restart the server for a changed parameter")
	return a.Patroni.Restart(ask, a.Member)
}

// lessen restarts a primary with standbys, too, where a smaller number of something waits
// for it: those that roll before it would keep the larger one, and so would the next
// primary. The poolers hold clients back meanwhile.
func (a *Agent) lessen(ctx context.Context) error {
	if a.Poolers == nil || time.Since(a.lessened) < attempt {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	status, err := a.Patroni.Status(ctx, a.Member)
	if err != nil || !status.Primary() || !status.Lessens() {
		return err
	}
	a.lessened = time.Now() // a restart that does not help is not tried at once again
	a.Log.Info("restart the primary for a smaller parameter", "parameters", slices.Sorted(maps.Keys(status.Reasons)))
	a.Poolers.checkpoint(ctx)
	a.Poolers.pause(ctx)
	err = a.Patroni.Restart(ctx, a.Member)
	a.Poolers.each(context.WithoutCancel(ctx), "/resume", nil)
	return err
}
