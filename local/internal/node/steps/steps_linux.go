// Package steps says how nodes are brought up and ended: a list of steps, each of
// which makes one thing that nodes have on the machine and knows how to take it away
// again. Each has a package of its own.
package steps

import (
	"context"
	"errors"
	"slices"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/machine"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// A Step makes one thing of nodes.
type Step interface {
	// Do makes it for the nodes that are to be brought up. Of those nothing of it is
	// there.
	Do(ctx context.Context, b *Bringup) error
	// Undo takes away what there is of it of these nodes, however far Do came and
	// whatever the record tells. What the steps after it have made is gone by then.
	Undo(b *Bringup, nodes []topology.Host) error
	// Traces tells, in words, what of it there is of these nodes on the machine.
	Traces(b *Bringup, nodes []topology.Host) []string
}

// A Bringup is what steps share.
type Bringup struct {
	Kind    plan.Kind
	Cluster topology.Cluster
	// Nodes are those to be brought up.
	Nodes  []topology.Host
	State  state.Dir
	RunDir machine.Dir
	Record *machine.Record
	Report *progress.Reporter
	// Programs and Folders are what nodes run, as name in the node → path on the
	// machine.
	Programs, Folders map[string]string
}

// Plan returns the plan of one of the nodes.
func (b *Bringup) Plan(h topology.Host) plan.Plan { return b.Kind.Of(h) }

// Do does one step after the other.
func Do(ctx context.Context, b *Bringup, all []Step) error {
	for _, s := range all {
		if err := s.Do(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// Undo undoes the steps for these nodes, the last one first. A step that fails does
// not keep those before it from being undone.
func Undo(b *Bringup, all []Step, nodes []topology.Host) error {
	var errs []error
	for _, s := range slices.Backward(all) {
		errs = append(errs, s.Undo(b, nodes))
	}
	return errors.Join(errs...)
}

// Traces tells what there is of these nodes on the machine.
func Traces(b *Bringup, all []Step, nodes []topology.Host) []string {
	var found []string
	for _, s := range slices.Backward(all) {
		found = append(found, s.Traces(b, nodes)...)
	}
	return found
}
