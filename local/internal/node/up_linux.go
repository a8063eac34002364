package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/machine"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/cgroup"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/files"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/network"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/process"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/programs"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/preflight"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// prepare and start are what brings up a node. Only the latter leaves traces on the
// machine.
var (
	prepare = []steps.Step{programs.Step{}}
	start   = []steps.Step{files.Step{}, network.Step{}, cgroup.Step{}, process.Step{}}
)

// A target is a cluster or an engine of this clone, and what commands do to it.
type target struct{ steps.Bringup }

// targetOf returns this clone's node of that kind, with what the machine knows of it.
// It changes nothing.
func targetOf(r *progress.Reporter, k plan.Kind) (*target, error) {
	dir, err := stateDir(k)
	if err != nil {
		return nil, err
	}
	c := topology.Local()
	if k == plan.Cluster {
		if c, err = dir.ReadCluster(); err != nil {
			return nil, err
		}
	}
	t := &target{steps.Bringup{Kind: k, Cluster: c, State: dir, RunDir: machine.Of(c.Name), Report: r}}
	return t, t.load()
}

// load reads the machine's record.
func (t *target) load() error {
	r, err := t.RunDir.Load()
	if err == nil && r == nil {
		r = t.RunDir.New(t.Kind, string(t.State))
	}
	t.Record = r
	return err
}

// locked runs f as the only one that changes nodes, on a record that is current.
func (t *target) locked(ctx context.Context, command string, f func() error) error {
	// By the name of the command that the user gave.
	unlock, err := t.RunDir.Lock(ctx, t.Report, strings.TrimPrefix(t.Kind.Command()+" "+command, "local "))
	if err != nil {
		return err
	}
	defer unlock()
	if err := t.load(); err != nil {
		return err
	}
	return f()
}

// Needs returns what Up needs of the machine, for callers that check it together
// with needs of their own. A cluster of this clone that runs already needs
// nothing.
func Needs(ctx context.Context, request topology.Request) (preflight.Needs, error) {
	t, err := targetOf(nil, plan.Cluster)
	if err != nil {
		return preflight.Needs{}, err
	}
	if t.Cluster, err = t.Cluster.Apply(request); err != nil {
		return preflight.Needs{}, err
	}
	return t.needs(ctx)
}

func (t *target) needs(ctx context.Context) (preflight.Needs, error) {
	if t.Record.Alive() && t.Record.StateDir == string(t.State) {
		return preflight.Needs{Root: true}, nil
	}
	root, err := paths.Root()
	if err != nil {
		return preflight.Needs{}, err
	}
	cache, err := paths.Cache()
	if err != nil {
		return preflight.Needs{}, err
	}
	first := t.Cluster.First()
	p := t.Plan(first)
	n := preflight.Needs{
		For:  t.Kind.Words(),
		Root: true, Ports: p.Ports,
		StateDir: string(t.State), CacheDir: cache, Debian: programs.MissingCommands(p),
	}
	for _, h := range t.Cluster.Hosts() {
		n.Ranges = append(n.Ranges, h.LinkRange().String())
	}
	for _, r := range p.Ranges {
		n.Ranges = append(n.Ranges, r.String())
	}
	for _, h := range t.Cluster.Possible() {
		n.Links = append(n.Links, h.Link())
	}
	if _, _, complete, err := programs.Unpacked(t.Kind, p); err != nil {
		return preflight.Needs{}, err
	} else if !complete {
		n.Debian = append(n.Debian, p.Packages...)
	}
	have, err := images.Have()
	if err != nil {
		return preflight.Needs{}, err
	}
	for _, i := range images.Table() {
		if _, ok := have[i.Name]; p.Needed(i) && !ok {
			n.Debian = append(n.Debian, "those of image "+i.Name)
		}
	}
	missing := build.Missing(ctx, p.Tools...)
	n.FirstBuild = !build.BuiltBefore(missing...)
	for _, tool := range build.Tools() {
		dir := filepath.Join(root, filepath.FromSlash(tool.Module))
		if slices.Contains(missing, tool.Name) && !slices.Contains(n.GoModules, dir) {
			n.GoModules = append(n.GoModules, dir)
		}
	}
	return n, nil
}

// stored reports whether there is state that a start would bring back.
func (t *target) stored() bool {
	first := t.Cluster.First()
	_, err := os.Stat(filepath.Join(t.State.Of(first).Lib(), t.Plan(first).Data))
	return err == nil
}

// A settler waits until the running nodes answer, and gives them what they have to
// have. Nodes that were just launched (fresh) are reported on step by step.
type settler func(ctx context.Context, fresh bool) error

// bringUp brings up those of the wanted nodes that do not run. Which those are is
// asked once nobody else can change it.
func (t *target) bringUp(ctx context.Context, command string, want func() ([]topology.Host, error), settle settler) error {
	if os.Geteuid() != 0 {
		return t.check(ctx) // tells this and all else that is in the way
	}
	return t.locked(ctx, command, func() error {
		if err := t.foreign(); err != nil {
			return err
		}
		wanted, err := want()
		if err != nil {
			return err
		}
		if len(t.stopped(wanted)) == 0 {
			// A node that was killed a moment ago still looks alive.
			if err := settle(ctx, false); !errors.Is(err, steps.ErrEnded) {
				return err
			}
		}
		launched := t.stopped(wanted)
		if err := t.launch(ctx, launched); err != nil {
			return err
		}
		err = settle(ctx, true)
		if err != nil && ctx.Err() == nil {
			// What could not start must not be taken for a running node later on.
			return errors.Join(err, t.teardown(launched))
		}
		return err
	})
}

// all wants all nodes.
func (t *target) all() ([]topology.Host, error) { return t.Cluster.Hosts(), nil }

// stopped returns those of the nodes that do not run.
func (t *target) stopped(nodes []topology.Host) []topology.Host {
	return slices.DeleteFunc(slices.Clone(nodes), func(h topology.Host) bool { return t.Record.Node(h.Name()).Alive() })
}

// runningNodes returns the nodes that run.
func (t *target) runningNodes() []topology.Host {
	return slices.DeleteFunc(t.Cluster.Hosts(), func(h topology.Host) bool { return !t.Record.Node(h.Name()).Alive() })
}

// foreign returns what to do about a running node that is not this one; nil if
// there is none.
func (t *target) foreign() error {
	r := t.Record
	if !r.Alive() || r.StateDir == string(t.State) {
		return nil
	}
	where := "with its state in " + r.StateDir
	if filepath.Dir(r.StateDir) == filepath.Dir(string(t.State)) {
		where = "of this clone"
	}
	return fmt.Errorf("%w, and the %s %s is running: `%[4]s stop` ends it and keeps what it stores, `%[4]s down` erases that, too",
		ErrForeign, r.Kind.Words(), where, r.Kind.Command())
}

func (t *target) check(ctx context.Context) error {
	s := t.Report.Step("check this machine")
	n, err := t.needs(ctx)
	if err == nil {
		err = preflight.Run(ctx, n)
	}
	return s.Done(err)
}

// launch starts nodes that do not run. It returns as soon as their first processes
// run.
func (t *target) launch(ctx context.Context, nodes []topology.Host) error {
	// First, because what is left may still hold the ports.
	if len(t.leftovers(nodes)) > 0 {
		s := t.Report.Step("remove what a crash left behind")
		if err := s.Done(t.teardown(nodes)); err != nil {
			return err
		}
	}
	if err := t.check(ctx); err != nil {
		return err
	}
	if !t.Record.Alive() {
		t.Record = t.RunDir.New(t.Kind, string(t.State))
	}
	t.Nodes = nodes
	if err := steps.Do(ctx, &t.Bringup, prepare); err != nil {
		return err
	}
	name := "start the node"
	if len(nodes) > 1 {
		name = fmt.Sprintf("start %d nodes", len(nodes))
	}
	s := t.Report.Step(name)
	err := t.begin(ctx)
	if err != nil {
		err = errors.Join(err, t.teardown(nodes))
	}
	return s.Done(err)
}

func (t *target) begin(ctx context.Context) error {
	// The record comes first, so that whatever is made is found again.
	if err := t.Record.Change(func(*machine.Record) {}); err != nil {
		return err
	}
	if t.Kind == plan.Cluster {
		if err := t.State.WriteCluster(t.Cluster); err != nil {
			return err
		}
	}
	return steps.Do(ctx, &t.Bringup, start)
}

// lastOnes reports whether no other node runs than these.
func (t *target) lastOnes(nodes []topology.Host) bool {
	for _, h := range t.runningNodes() {
		if !slices.ContainsFunc(nodes, func(o topology.Host) bool { return o.Number == h.Number }) {
			return false
		}
	}
	return true
}

// leftovers tells, in words, what of the nodes is on this machine; if no other runs,
// what of any node is.
func (t *target) leftovers(nodes []topology.Host) []string {
	if t.lastOnes(nodes) {
		nodes = t.Cluster.Possible()
	}
	found := steps.Traces(&t.Bringup, start, nodes)
	if _, err := os.Stat(t.RunDir.File()); err == nil && !t.Record.Alive() {
		found = append(found, "record "+t.RunDir.File())
	}
	return found
}

// teardown kills the nodes' processes and removes everything that they had on the
// machine, but not their state. The record may tell of less than there is. It is
// changed last, so that a teardown that failed can be repeated; with the last node
// it goes.
func (t *target) teardown(nodes []topology.Host) error {
	last := t.lastOnes(nodes)
	if last {
		nodes = t.Cluster.Possible()
	}
	if err := steps.Undo(&t.Bringup, start, nodes); err != nil {
		return err
	}
	if last {
		return t.Record.Remove()
	}
	var errs []error
	for _, h := range nodes {
		errs = append(errs, t.Record.Forget(h.Name()))
	}
	return errors.Join(errs...)
}
