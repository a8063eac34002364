package node

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// EngineUp makes sure that the Docker engine runs, and that it has the images of
// the stack. It does on the machine what Up does. Errors include *preflight.Error
// and ErrForeign.
func EngineUp(ctx context.Context, r *progress.Reporter, opts EngineOptions) error {
	l, err := stateLayout(engine)
	if err != nil {
		return err
	}
	return l.bringUp(ctx, r, "up", func(ctx context.Context, r *progress.Reporter, m *machine, fresh bool) error {
		return l.settleEngine(ctx, r, m, fresh, opts)
	})
}

func (l layout) settleEngine(ctx context.Context, r *progress.Reporter, m *machine, fresh bool, opts EngineOptions) error {
	d := newDocker(Socket)
	err := starting(r, fresh, "start the Docker engine", func() error {
		return l.wait(ctx, m, apiTimeout, "dockerd", func(ctx context.Context) string {
			if err := d.call(ctx, "GET", "/_ping", nil, nil); err != nil {
				return err.Error()
			}
			return ""
		})
	})
	if err != nil {
		return err
	}
	archives, err := images.EnsureStack(ctx, r)
	if err != nil {
		return err
	}
	if err := d.step(ctx, r, "load the application's images", archives); err != nil || !opts.Builds {
		return err
	}
	if archives, err = images.EnsureBases(ctx, r); err != nil {
		return err
	}
	if err := d.step(ctx, r, "load the images that others are built on", archives); err != nil {
		return err
	}
	return l.gather(ctx, r)
}

// step is load as a step, which is silent if there is nothing to import.
func (d docker) step(ctx context.Context, r *progress.Reporter, name string, archives []images.Archive) error {
	s := r.Step(name)
	n, err := d.load(ctx, archives, s.Writer())
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
	l, err := stateLayout(engine)
	if err != nil {
		return err
	}
	if _, err := l.running(); err != nil {
		return err
	}
	return newDocker(Socket).step(ctx, r, "load images into the Docker engine", archives)
}

// EngineStop ends the running engine in order and keeps what it stores: its
// containers end, and those with a restart policy come back with it. An engine
// that does not run is no error.
func EngineStop(ctx context.Context, r *progress.Reporter) error {
	return end(ctx, r, engine, "stop", false)
}

// EngineDown ends the engine at once and erases what it stores. What a crash left
// behind goes too.
func EngineDown(ctx context.Context, r *progress.Reporter) error {
	return end(ctx, r, engine, "down", true)
}

// EngineStatus tells what there is of the engine. It changes nothing.
func EngineStatus(ctx context.Context) (State, error) {
	l, err := stateLayout(engine)
	if err != nil {
		return State{}, err
	}
	st, _, err := l.status()
	if err != nil || !st.Running || st.Foreign != nil {
		return st, err
	}
	info, err := newDocker(Socket).info(ctx)
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
	l, err := stateLayout(engine)
	if err != nil {
		return "", err
	}
	if _, err := l.running(); err != nil {
		return "", err
	}
	info, err := newDocker(Socket).info(ctx)
	return info.ID, err
}
