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
	// tooOften is how often a process may end before the wait for it is given up.
	tooOften = 5
	poll     = 100 * time.Millisecond
)

// ErrEnded says that a node's first process is gone.
var ErrEnded = errors.New("the node ended")

// Wait asks why until there is no reason left to wait for the nodes. It gives up
// after limit, and early when one of them is gone or one of their processes ends
// again and again. Its error leads to the log of whom to blame; by default that is
// suspect on the first of them.
func (b *Bringup) Wait(ctx context.Context, nodes []topology.Host, limit time.Duration, suspect string, why func(context.Context) string) error {
	timeout := time.After(limit)
	for {
		reason := why(ctx)
		if reason == "" {
			return nil
		}
		for _, h := range nodes {
			if err := b.hopeless(h); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timeout:
			return progress.Explain(fmt.Errorf("not ready after %s: %s", limit, reason), b.State.Of(nodes[0]).Log()+"/"+suspect+".log",
				fmt.Sprintf("`%[1]s status` tells more; `%[1]s down` erases the %[2]s.", b.Kind.Command(), b.Kind.Words()))
		case <-time.After(poll):
		}
	}
}

// hopeless returns why there is no use in waiting for the node, if there is none.
func (b *Bringup) hopeless(h topology.Host) error {
	dir := b.State.Of(h)
	if !b.Record.Node(h.Name()).Alive() {
		return progress.Explain(fmt.Errorf("%s: %w", h.Name(), ErrEnded), dir.Log()+"/node.log", fmt.Sprintf("Run it again; if that fails too, erase it with `%s down` first.", b.Kind.Command()))
	}
	for _, c := range b.Components(h) {
		if c.Restarts >= tooOften && c.PID == 0 {
			return progress.Explain(fmt.Errorf("%s ended %d times: %s", c.Name, c.Restarts, c.LastExit), dir.Log()+"/"+c.Name+".log",
				fmt.Sprintf("If the stored state is broken, erase it with `%s down` and run this again.", b.Kind.Command()))
		}
	}
	return nil
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
