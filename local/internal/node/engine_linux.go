package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/docker"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// EngineUp makes sure that the Docker engine runs, and that it has the images of
// the stack. It does on the machine what Up does. Errors include *preflight.Error
// and ErrForeign.
func EngineUp(ctx context.Context, r *progress.Reporter, opts EngineOptions) error {
	t, err := targetOf(r, plan.Engine)
	if err != nil {
		return err
	}
	return t.bringUp(ctx, "up", t.all, t.engine(opts))
}

// engine returns the settler of an engine.
func (t *target) engine(opts EngineOptions) settler {
	return func(ctx context.Context, fresh bool) error {
		d := docker.New(Socket)
		err := t.Starting(fresh, "start the Docker engine", func() error {
			return t.Wait(ctx, t.Cluster.Hosts(), apiTimeout, "dockerd", func(ctx context.Context) string {
				if err := d.Ping(ctx); err != nil {
					return err.Error()
				}
				return ""
			})
		})
		if err != nil {
			return err
		}
		archives, err := images.EnsureStack(ctx, t.Report)
		if err != nil {
			return err
		}
		if err := t.loadEngine(ctx, d, "load the application's images", archives); err != nil || !opts.Builds {
			return err
		}
		if archives, err = images.EnsureBases(ctx, t.Report); err != nil {
			return err
		}
		if err := t.loadEngine(ctx, d, "load the images that others are built on", archives); err != nil {
			return err
		}
		return docker.Gather(ctx, t.Report, filepath.Join(t.State.Lib(), strings.TrimPrefix(plan.Packages, "/var/lib/")))
	}
}

// loadEngine is docker.Client.Load as a step of the report, which is silent if there
// is nothing to import.
func (t *target) loadEngine(ctx context.Context, d docker.Client, name string, archives []images.Archive) error {
	s := t.Report.Step(name)
	n, err := d.Load(ctx, archives, s.Writer())
	if err == nil && n == 0 {
		s.Skip()
		return nil
	}
	return s.Done(err)
}

// EngineLoad loads those images of the archives into the running engine that it
// does not have. It fails with ErrNoEngine if there is no running engine of this
// clone.
func EngineLoad(ctx context.Context, r *progress.Reporter, archives []images.Archive) error {
	t, err := targetOf(r, plan.Engine)
	if err != nil {
		return err
	}
	if err := t.running(); err != nil {
		return err
	}
	return t.loadEngine(ctx, docker.New(Socket), "load images into the Docker engine", archives)
}

// EngineStop ends the running engine in order and keeps what it stores: its
// containers end, and those with a restart policy come back with it. An engine
// that does not run is no error.
func EngineStop(ctx context.Context, r *progress.Reporter) error {
	return end(ctx, r, plan.Engine, "stop", false)
}

// EngineDown ends the engine at once and erases what it stores. What a crash left
// behind goes too.
func EngineDown(ctx context.Context, r *progress.Reporter) error {
	return end(ctx, r, plan.Engine, "down", true)
}

// EngineStatus tells what there is of the engine. It changes nothing.
func EngineStatus(ctx context.Context) (State, error) {
	t, err := targetOf(nil, plan.Engine)
	if err != nil {
		return State{}, err
	}
	st := t.status()
	if !st.Running || st.Foreign != nil {
		return st, nil
	}
	info, err := docker.New(Socket).Info(ctx)
	switch {
	case errors.Is(err, os.ErrPermission):
		return st, ErrNotRoot
	case err != nil:
		st.Problems = append(st.Problems, "the engine does not answer: "+strings.TrimSpace(err.Error()))
	}
	st.Pods, st.Ready = info.ContainersRunning, len(st.Problems) == 0
	return st, nil
}

// EngineID returns the ID of the running engine, which another one in its place
// would not have. It fails with ErrNoEngine or ErrForeign.
func EngineID(ctx context.Context) (string, error) {
	t, err := targetOf(nil, plan.Engine)
	if err != nil {
		return "", err
	}
	if err := t.running(); err != nil {
		return "", err
	}
	info, err := docker.New(Socket).Info(ctx)
	return info.ID, err
}
