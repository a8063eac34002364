package node

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/network"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/process"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// onNode runs f for the node of that name of the running cluster, as the only one
// that changes nodes.
func onNode(ctx context.Context, r *progress.Reporter, command, name string, f func(t *target, h topology.Host) error) error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	t, err := targetOf(r, plan.Cluster)
	if err != nil {
		return err
	}
	return t.locked(ctx, "node "+command, func() error {
		h, err := t.runningNode(name)
		if err != nil {
			return err
		}
		return f(t, h)
	})
}

// runningNode returns the node of that name of a cluster that runs, whether the node
// itself runs or not.
func (t *target) runningNode(name string) (topology.Host, error) {
	if err := t.running(); err != nil {
		return topology.Host{}, err
	}
	return t.Cluster.Find(name)
}

func (t *target) runs(h topology.Host) bool { return t.Record.Node(h.Name()).Alive() }

// StopNode ends one node of the running cluster in order, its pods first; what it
// stores stays. The cluster is not told: `kubectl drain` moves pods first. A node
// that does not run is left as it is.
func StopNode(ctx context.Context, r *progress.Reporter, name string) error {
	return onNode(ctx, r, "stop", name, func(t *target, h topology.Host) error {
		if !t.runs(h) {
			r.Infof("node %s does not run", name)
			return nil
		}
		s := r.Step("end node " + name)
		nodes := []topology.Host{h}
		return s.Done(errors.Join(process.AskToEnd(ctx, &t.Bringup, nodes), t.teardown(nodes)))
	})
}

// KillNode ends one node of the running cluster as a power cut does: its processes
// are gone at once, and so are its links. What was written stays. A node that does
// not run is left as it is.
func KillNode(ctx context.Context, r *progress.Reporter, name string) error {
	return onNode(ctx, r, "kill", name, func(t *target, h topology.Host) error {
		if !t.runs(h) {
			r.Infof("node %s does not run", name)
			return nil
		}
		s := r.Step("kill node " + name)
		return s.Done(t.teardown([]topology.Host{h}))
	})
}

// StartNode brings back one node that StopNode or KillNode has ended, and waits until
// it is ready. A node that runs is left as it is.
func StartNode(ctx context.Context, r *progress.Reporter, name string) error {
	t, err := targetOf(r, plan.Cluster)
	if err != nil {
		return err
	}
	return t.bringUp(ctx, "node start", func() ([]topology.Host, error) {
		h, err := t.runningNode(name)
		if err != nil {
			return nil, err
		}
		if first := t.Cluster.First(); !h.ControlPlane() && !t.runs(first) {
			return nil, fmt.Errorf("node %s has nobody to join: start the control plane's first, with `local node start %s`", name, first.Name())
		}
		return []topology.Host{h}, nil
	}, t.cluster(Options{}))
}

// CutNode separates one running node from the others; the machine still reaches it,
// and what it runs goes on. One that is cut off already is left as it is.
func CutNode(ctx context.Context, r *progress.Reporter, name string) error {
	return setCut(ctx, r, "cut", name, true)
}

// JoinNode joins a node that CutNode has separated to the others again. One that is
// not cut off is left as it is.
func JoinNode(ctx context.Context, r *progress.Reporter, name string) error {
	return setCut(ctx, r, "join", name, false)
}

func setCut(ctx context.Context, r *progress.Reporter, command, name string, cut bool) error {
	return onNode(ctx, r, command, name, func(t *target, h topology.Host) error {
		switch {
		case len(t.Cluster.Nodes) == 1:
			return fmt.Errorf("node %s is the only one of the cluster: `local up --nodes 3` adds others", name)
		case !t.runs(h):
			return fmt.Errorf("node %s does not run: `local node start %s` brings it back, joined to the others", name, name)
		}
		return network.Cut(h, cut)
	})
}
