package pooler

import (
	"context"
	"log/slog"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/gate"
)

// Reconnect has the server connections of one of PgBouncer's databases made anew, each as
// soon as its transaction has ended.
func (c Console) Reconnect(ctx context.Context, database string) error {
	ctx, cancel := context.WithTimeout(ctx, command)
	defer cancel()
	return c.exec(ctx, "RECONNECT "+database)
}

// Readers brings those who read from standbys to them. Where there was no standby they read
// from the primary, and PgBouncer would keep these connections for server_lifetime.
type Readers struct {
	Reconnect func(ctx context.Context, database string) error
	// Database is PgBouncer's name of the standbys.
	Database string
	Finder   *gate.Finder
	Log      *slog.Logger
}

// Run works until ctx ends.
func (r *Readers) Run(ctx context.Context) {
	served := false
	for {
		view, changed := r.Finder.View()
		switch has := len(view.Standbys) > 0; {
		case !has:
			served = false
		case !served:
			if err := r.Reconnect(ctx, r.Database); err != nil {
				r.Log.Warn("readers stay with the primary for now", "err", err)
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Second):
					continue
				}
			}
			served = true
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
