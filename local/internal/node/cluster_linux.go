package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/containerd"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/services"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/network"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/programs"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// apiTimeout and servicesTimeout bound the waits for the API server and for the
// cluster's services. Both come within seconds on an idle machine; the rest is for
// one that compiles beside it.
const (
	apiTimeout      = 3 * time.Minute
	servicesTimeout = 5 * time.Minute
)

// Up makes sure that the cluster runs, with all its nodes, and that its services
// answer: it installs and builds what is missing, removes what a crash left behind,
// and brings back stored state if there is some. A running cluster only gets nodes
// and images that it does not have yet. Errors include *preflight.Error and ErrForeign.
func Up(ctx context.Context, r *progress.Reporter, opts Options) error {
	t, err := targetOf(r, plan.Cluster)
	if err != nil {
		return err
	}
	return t.bringUp(ctx, "up", t.requested(opts.Nodes), t.cluster(opts))
}

// Start brings back a cluster that Stop has ended. Without a stored cluster it
// fails with ErrNotRunning; otherwise it is Up.
func Start(ctx context.Context, r *progress.Reporter, opts Options) error {
	t, err := targetOf(r, plan.Cluster)
	if err != nil {
		return err
	}
	if !t.stored() {
		return fmt.Errorf("no cluster is stored in %s: %w", t.State, ErrNotRunning)
	}
	return t.bringUp(ctx, "start", t.requested(opts.Nodes), t.cluster(opts))
}

// requested makes the cluster what was asked for, and wants all its nodes: those that
// were stopped or cut off, too.
func (t *target) requested(r topology.Request) func() ([]topology.Host, error) {
	return func() ([]topology.Host, error) {
		c, err := t.State.ReadCluster()
		if err != nil {
			return nil, err
		}
		if r.DualStack && !c.DualStack() && t.stored() {
			return nil, errors.New("the cluster has addresses of version 4 of IP alone, and that cannot be changed: erase it with `local down` first")
		}
		if t.Cluster, err = c.Apply(r); err != nil {
			return nil, err
		}
		if t.Record.Alive() {
			if err := t.State.WriteCluster(t.Cluster); err != nil {
				return nil, err
			}
		}
		for _, h := range t.runningNodes() {
			if network.IsCut(h) {
				if err := network.Cut(h, false); err != nil {
					return nil, err
				}
			}
		}
		return t.all()
	}
}

// cluster returns the settler of a cluster: it waits until the services answer,
// and meanwhile loads images.
func (t *target) cluster(opts Options) settler {
	return func(ctx context.Context, fresh bool) error {
		g, ctx := errgroup.WithContext(ctx)
		clusterImages := make(chan struct{})
		g.Go(func() error { return t.loadImages(ctx, opts, clusterImages) })
		g.Go(func() error { return t.startServices(ctx, fresh, clusterImages) })
		return g.Wait()
	}
}

// loadImages loads the images of the cluster's services, tells when they are there,
// and loads the others.
func (t *target) loadImages(ctx context.Context, opts Options, clusterImages chan<- struct{}) error {
	own, err := images.EnsureCluster(ctx, t.Report)
	if err != nil {
		return err
	}
	var archives []string
	for _, a := range own {
		archives = append(archives, a.Path)
	}
	if err := t.loadEverywhere(ctx, "load the cluster's images", archives); err != nil {
		return err
	}
	close(clusterImages)
	if opts.Archives == nil {
		return nil
	}
	if archives, err = opts.Archives(ctx, t.Report); err != nil {
		return err
	}
	return t.loadEverywhere(ctx, "load the application's images", archives)
}

// startServices waits for the API server, for the nodes that run and for the cluster's
// services.
func (t *target) startServices(ctx context.Context, fresh bool, clusterImages <-chan struct{}) error {
	first := t.Cluster.First()
	cfg, err := services.Access(t.State.Kubeconfig())
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	if err := t.Starting(fresh, "start the API server", func() error {
		if err := t.Wait(ctx, []topology.Host{first}, apiTimeout, "kube-apiserver", func(ctx context.Context) string { return services.APIUnready(ctx, client) }); err != nil {
			return err
		}
		if err := services.Apply(ctx, cfg, first, services.Rights); err != nil {
			return err
		}
		return services.ApplyNodes(ctx, client, t.Cluster.Hosts())
	}); err != nil {
		return err
	}
	select { // a pod that comes before its image would try to pull it
	case <-clusterImages:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return t.Starting(fresh, "start the cluster's services", func() error {
		if err := services.Apply(ctx, cfg, first, services.Services); err != nil {
			return err
		}
		return t.Wait(ctx, t.runningNodes(), servicesTimeout, "kubelet", func(ctx context.Context) string {
			problems, err := services.Unready(ctx, client, t.Cluster, t.started())
			if err != nil {
				return err.Error()
			}
			return strings.Join(problems, "; ")
		})
	})
}

// started returns when each of the running nodes was started, by name. Those that are
// cut off are not among them: nobody can wait for them.
func (t *target) started() map[string]time.Time {
	since := map[string]time.Time{}
	for _, h := range t.runningNodes() {
		if network.IsCut(h) {
			continue
		}
		since[h.Name()] = t.Record.Node(h.Name()).Started
	}
	return since
}

// importer returns the way to a running node's containerd, once that answers.
func (t *target) importer(ctx context.Context, h topology.Host) (containerd.Importer, error) {
	unpacked, _, _, err := programs.Unpacked(t.Kind, t.Plan(h))
	if err != nil {
		return containerd.Importer{}, err
	}
	im := containerd.Importer{Ctr: unpacked["ctr"], Socket: containerd.SocketOf(t.Record.Node(h.Name()).InitPID, plan.Containerd), Lib: t.State.Of(h).Lib()}
	err = t.Wait(ctx, []topology.Host{h}, apiTimeout, "containerd", func(ctx context.Context) string {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", im.Socket)
		if err != nil {
			return err.Error()
		}
		_ = c.Close()
		return ""
	})
	return im, err
}

// loadEverywhere imports, on all nodes that run, those of the archives that they do
// not have, as a step of the report that is silent if there is nothing to import.
func (t *target) loadEverywhere(ctx context.Context, name string, archives []string) error {
	nodes := t.runningNodes()
	importers := make([]containerd.Importer, len(nodes))
	for i, h := range nodes {
		var err error
		if importers[i], err = t.importer(ctx, h); err != nil {
			return err
		}
	}
	s := t.Report.Step(name)
	var loaded atomic.Int64
	load := func(im containerd.Importer) error {
		n, err := im.Load(ctx, archives, s.Writer())
		loaded.Add(int64(n))
		return err
	}
	err := load(importers[0])
	if err == nil {
		// The others take what the first has then, also what was loaded before there
		// were others.
		var g errgroup.Group
		for _, im := range importers[1:] {
			g.Go(func() error {
				n, err := im.Follow(ctx, importers[0], s.Writer())
				loaded.Add(int64(n))
				return errors.Join(err, load(im))
			})
		}
		err = g.Wait()
	}
	if err == nil && loaded.Load() == 0 {
		s.Skip()
		return nil
	}
	return s.Done(err)
}

// Import loads those images of the OCI archives into the running cluster that it
// does not have. It fails with ErrNotRunning if there is no running cluster of
// this clone.
func Import(ctx context.Context, r *progress.Reporter, archives []string) error {
	t, err := targetOf(r, plan.Cluster)
	if err != nil {
		return err
	}
	if err := t.running(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	return t.loadEverywhere(ctx, "load images into the cluster", archives)
}

// running returns why there is no running node of this clone, if there is none.
func (t *target) running() error {
	if err := t.foreign(); err != nil {
		return err
	}
	switch {
	case t.Record.Alive():
		return nil
	case t.Kind == plan.Engine:
		return ErrNoEngine
	}
	return ErrNotRunning
}
