package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

const (
	// hopeless is how often a process may end before the wait for it is given up.
	hopeless = 5
	poll     = 100 * time.Millisecond
)

// ErrEnded says that a node's first process is gone.
var ErrEnded = errors.New("the node ended")

// Wait asks why until there is no reason left to wait for the node. It gives up
// after limit, and early when the node is gone or one of its processes ends again
// and again. Its error leads to the log of whom to blame; by default that is suspect.
func (b *Bringup) Wait(ctx context.Context, h topology.Host, limit time.Duration, suspect string, why func(context.Context) string) error {
	timeout := time.After(limit)
	dir := b.State.Of(h)
	for {
		reason := why(ctx)
		if reason == "" {
			return nil
		}
		if !b.Record.Node(h.Name()).Alive() {
			return progress.Explain(ErrEnded, dir.Log()+"/node.log", fmt.Sprintf("Run it again; if that fails too, erase it with `%s down` first.", b.Kind.Command()))
		}
		for _, c := range b.Components(h) {
			if c.Restarts >= hopeless && c.PID == 0 {
				return progress.Explain(fmt.Errorf("%s ended %d times: %s", c.Name, c.Restarts, c.LastExit), dir.Log()+"/"+c.Name+".log",
					fmt.Sprintf("If the stored state is broken, erase it with `%s down` and run this again.", b.Kind.Command()))
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timeout:
			return progress.Explain(fmt.Errorf("not ready after %s: %s", limit, reason), dir.Log()+"/"+suspect+".log",
				fmt.Sprintf("`%[1]s status` tells more; `%[1]s down` erases the %[2]s.", b.Kind.Command(), b.Kind.Words()))
		case <-time.After(poll):
		}
	}
}

// Components returns what the node's first process tells of its processes.
func (b *Bringup) Components(h topology.Host) []plan.Component {
	raw, err := os.ReadFile(b.State.Of(h).Components())
	if err != nil {
		return nil // not written yet
	}
	var list []plan.Component
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}

// Starting is do as a step of the report, which is silent if it ran already or the
// node will be started.
func (b *Bringup) Starting(fresh bool, name string, do func() error) error {
	s := b.Report.Step(name)
	err := do()
	if !fresh && (err == nil || errors.Is(err, ErrEnded)) {
		s.Skip()
		return err
	}
	return s.Done(err)
}
