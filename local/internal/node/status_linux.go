package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/services"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/cgroup"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/network"
)

// Status tells what there is of the cluster. It changes nothing.
func Status(ctx context.Context) (State, error) {
	t, err := targetOf(nil, plan.Cluster)
	if err != nil {
		return State{}, err
	}
	st := t.status()
	if !st.Running || st.Foreign != nil {
		return st, nil
	}
	cfg, err := services.Access(t.State.Kubeconfig())
	if errors.Is(err, fs.ErrPermission) {
		return st, ErrNotRoot
	}
	if err != nil {
		return st, err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return st, err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		problems, err := services.Unready(ctx, client, t.Cluster, t.started())
		if err != nil {
			problems = []string{"the API server does not answer: " + err.Error()}
		}
		st.Problems = append(st.Problems, problems...)
	})
	wg.Go(func() {
		pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
		if err == nil {
			st.Pods = len(pods.Items)
		}
	})
	wg.Wait()
	st.Ready = len(st.Problems) == 0
	return st, nil
}

// status is what there is to tell of either kind of node.
func (t *target) status() State {
	st := State{Stored: t.stored(), Running: t.Record.Alive()}
	if !st.Running {
		st.Leftovers = t.leftovers(nil)
		return st
	}
	st.Owner, st.Foreign = t.Record.StateDir, t.foreign()
	for _, n := range t.Record.Nodes {
		st.Uptime = max(st.Uptime, time.Since(n.Started).Round(time.Second))
	}
	if st.Foreign != nil {
		return st
	}
	for _, h := range t.Cluster.Hosts() {
		n := Member{Name: h.Name(), IP: h.IP().String(), Zone: h.Zone, State: NodeRunning, Memory: cgroup.Memory(h.Name())}
		switch {
		case !t.Record.Node(h.Name()).Alive():
			n.State = NodeStopped
		case network.IsCut(h):
			n.State = NodeCut
		}
		st.Nodes = append(st.Nodes, n)
		if n.State != NodeRunning {
			st.Problems = append(st.Problems, fmt.Sprintf("node %s is %s", n.Name, n.State))
		}
		if n.State == NodeStopped {
			continue
		}
		for _, c := range t.Components(h) {
			if !h.ControlPlane() {
				c.Name = h.Name() + "/" + c.Name
			}
			st.Components = append(st.Components, c)
			if c.PID == 0 {
				st.Problems = append(st.Problems, c.Name+" is not running: "+c.LastExit)
			}
		}
	}
	return st
}
