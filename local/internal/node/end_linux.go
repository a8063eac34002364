package node

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/process"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// Stop ends the running cluster in order and keeps what it stores. A cluster
// that does not run is no error.
func Stop(ctx context.Context, r *progress.Reporter) error {
	return end(ctx, r, plan.Cluster, "stop", false)
}

// Down ends the cluster at once and erases what it stores. What a crash left
// behind goes too.
func Down(ctx context.Context, r *progress.Reporter) error {
	return end(ctx, r, plan.Cluster, "down", true)
}

func end(ctx context.Context, r *progress.Reporter, k plan.Kind, command string, erase bool) error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	t, err := targetOf(r, k)
	if err != nil {
		return err
	}
	return t.locked(ctx, command, func() error { return t.end(ctx, erase) })
}

func (t *target) end(ctx context.Context, erase bool) error {
	other := t.foreign()
	switch {
	case other != nil:
		if !erase {
			return other
		}
		t.Report.Infof("left alone: the %s with its state in %s", t.Record.Kind.Words(), t.Record.StateDir)
	case len(t.leftovers(t.Cluster.Possible())) > 0:
		name := "end the node"
		if n := len(t.runningNodes()); n > 1 {
			name = fmt.Sprintf("end %d nodes", n)
		}
		s := t.Report.Step(name)
		var err error
		if !erase && t.Record.Alive() {
			err = process.AskToEnd(ctx, &t.Bringup, t.Cluster.Hosts())
		}
		if err := s.Done(errors.Join(err, t.teardown(t.Cluster.Possible()))); err != nil {
			return err
		}
	}
	if !erase {
		return nil
	}
	if _, err := os.Stat(string(t.State)); err != nil {
		return nil
	}
	s := t.Report.Step(fmt.Sprintf("erase the %s's state", t.Kind.Words()))
	return s.Done(os.RemoveAll(string(t.State)))
}
