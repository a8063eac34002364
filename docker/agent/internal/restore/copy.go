package restore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// doneFile tells who lends that the copy is complete.
const doneFile = "done"

// Lend runs the server of an old volume until it has been copied. It is for volumes
// whose files belong to another user, which neither the new server nor a restricted pod
// can change: the old image's user reads them, and the socket in Run is where they come
// out. Clients are not served, and nothing of the old volume changes but what a start of
// the server changes.
func (r *Restore) Lend(ctx context.Context) error {
	if _, err := os.Stat(r.own(r.Data, "PG_VERSION")); err != nil {
		return fmt.Errorf("the old volume holds no database at %s: %w", r.Data, err)
	}
	return r.serve(ctx, func(ctx context.Context) error {
		r.Log.Info("the old database is there to be copied")
		for {
			if _, err := os.Stat(r.own(r.Run, doneFile)); err == nil {
				return nil
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Second):
			}
		}
	})
}

// copied is what a marker says of a copy.
var copied = note{Stanza: "copy of an old volume"}

// Copy fills the volume from the server that lends its own at the socket in from, and
// looks through the copy with the new image's server. Indexes whose order comes from a C
// library or from ICU are built anew, since the new image has other ones.
func (r *Restore) Copy(ctx context.Context, from string) error {
	volume := filepath.Dir(r.Data)
	done, err := r.complete(volume, copied)
	if err != nil {
		return err
	}
	if !done {
		if err := r.copy(ctx, volume, from); err != nil {
			return err
		}
	}
	return os.WriteFile(r.own(from, doneFile), nil, 0o644)
}

func (r *Restore) copy(ctx context.Context, volume, from string) error {
	// A copy that was interrupted begins again.
	if err := os.RemoveAll(r.own(r.Data)); err != nil {
		return err
	}
	lender := *r
	lender.Run = from
	if err := lender.answers(ctx); err != nil {
		return err
	}
	begun := time.Now()
	if err := r.run(ctx, "pg_basebackup", "--host="+from, "--username=postgres", "--no-password", "--pgdata="+r.Data, "--wal-method=stream", "--checkpoint=fast"); err != nil {
		return err
	}
	if err := r.serve(ctx, func(ctx context.Context) error {
		if err := r.reindex(ctx); err != nil {
			return err
		}
		return r.forget(ctx)
	}); err != nil {
		return err
	}
	r.Log.Info("copied", "seconds", time.Since(begun).Seconds())
	return r.finish(volume, copied)
}

// answers waits for the server that lends.
func (r *Restore) answers(ctx context.Context) error {
	for {
		err := r.exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the old database does not answer: %w: %w", context.Cause(ctx), err)
		case <-time.After(time.Second):
		}
	}
}

// reindex builds the indexes of databases anew in which some order is not PostgreSQL's
// own.
func (r *Restore) reindex(ctx context.Context) error {
	databases, err := ask[string](ctx, r, "postgres", "SELECT datname FROM pg_database WHERE datallowconn")
	if err != nil {
		return err
	}
	for _, database := range databases {
		foreign, err := ask[int64](ctx, r, database, "SELECT (SELECT count(*) FROM pg_database WHERE datname = current_database() AND datlocprovider <> 'b' AND NOT (datlocprovider = 'c' AND datcollate IN ('C', 'POSIX')))"+
			" + (SELECT count(*) FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation WHERE c.collprovider IN ('c', 'i') AND c.collname NOT IN ('C', 'POSIX') AND a.attrelid >= 16384)")
		if err != nil {
			return err
		}
		if foreign[0] == 0 {
			continue
		}
		r.Log.Info("text is ordered by a library that the new image has in another version: all indexes are built anew", "database", database)
		if err := r.run(ctx, "reindexdb", "--host="+r.Run, "--username=postgres", "--no-password", "--dbname="+database); err != nil {
			return err
		}
	}
	return nil
}
