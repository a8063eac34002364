// Package node runs a real Kubernetes on this machine: etcd, the control plane,
// kubelet, kube-proxy, containerd and the services that every cluster has, each node
// in network, mount and process namespaces of its own. Ending the first process of
// those namespaces ends all of it. Or it runs a real Docker engine in such
// namespaces, for the stack on one Docker host; a machine has one of the two at a
// time.
//
// What the cluster stores lives below the clone's .local/cluster, what the engine
// stores below .local/engine. Both survive Stop; Down erases them. What only the
// running machine knows (who owns the nodes, which lock is held) lives in
// /run/alphapulse and goes with a reboot.
//
// The packages below say what a node is called (topology), what it runs (plan), how
// it is brought up (steps, one package a step) and what runs in it (inside).
package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

const (
	// Socket is where the engine listens, on the machine.
	Socket = "/run/" + topology.Product + "/" + plan.SocketName
	// DockerHost leads the engine's clients to it.
	DockerHost = "unix://" + Socket
)

// Registry is the address of the engine's registry: the same for the machine,
// where the port is forwarded, and for the engine. Engines take it that a
// registry on this address has no TLS.
var Registry = fmt.Sprintf("127.0.0.1:%d", plan.RegistryPort)

var (
	// ErrNotLinux says that the local cluster cannot run on this system.
	ErrNotLinux = errors.New("the local cluster and the local engine run on Linux only: elsewhere, point KUBECONFIG at any cluster, for example one made by kind, or DOCKER_HOST at any engine")
	// ErrNotRoot says that a command that only root may run was run by another user.
	ErrNotRoot = errors.New("the local cluster and the local engine belong to root: run this as root, for example with sudo")
	// ErrNotRunning says that there is no running cluster of this clone.
	ErrNotRunning = errors.New("the local cluster is not running: start it with `make up` or `local up`")
	// ErrNoEngine says that there is no running engine of this clone.
	ErrNoEngine = errors.New("the local Docker engine is not running: start it with `local engine up`")
	// ErrForeign says that the node that runs is of the other kind, or of another
	// clone.
	ErrForeign = errors.New("a machine runs one local cluster or one local Docker engine at a time")
)

// Options are what callers of Up and Start may add.
type Options struct {
	// Nodes is what is asked of the cluster's nodes.
	Nodes topology.Request
	// Archives returns the paths of OCI image archives to load besides those of
	// the cluster's own services. It runs while the cluster starts. Nil loads
	// nothing more.
	Archives func(ctx context.Context, r *progress.Reporter) ([]string, error)
}

// EngineOptions are what callers of EngineUp may add.
type EngineOptions struct {
	// Builds also makes the engine ready for builds of the application's images:
	// the images that they begin with, their Go modules and npm packages.
	Builds bool
}

// A Member is what Status found of one node of a cluster.
type Member struct {
	Name  string
	IP    string
	Zone  string
	State string // running, cut off or stopped
	// Memory that it and its pods hold, in bytes; 0 if it does not run.
	Memory uint64
}

// States of a node.
const (
	NodeRunning = "running"
	NodeCut     = "cut off" // from other nodes; the machine reaches it
	NodeStopped = "stopped"
)

// State is what Status found.
type State struct {
	Running    bool
	Stored     bool             // there is a stored one that Start would bring back
	Owner      string           // state folder of the running node; not this one's if Foreign
	Foreign    error            // what runs instead, if the running node is another; wraps ErrForeign
	Leftovers  []string         // what a crash left behind, in words; Down and Up remove it
	Nodes      []Member         // of a cluster, in their order
	Uptime     time.Duration    // of the node that runs longest
	Ready      bool             // the nodes and their services answer
	Components []plan.Component // in the order in which they were started; those of nodes after the first as NODE/NAME
	Problems   []string         // why Ready is false
	Pods       int              // pods, or containers of the engine, that are running
}

// Kubeconfig returns the path of the administrator's kubeconfig of this clone's
// cluster. The file is there once the cluster was started; the error says so if
// it is not, and the path is returned all the same.
func Kubeconfig() (string, error) {
	dir, err := stateDir(plan.Cluster)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir.Kubeconfig()); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return dir.Kubeconfig(), ErrNotRunning
		}
		return dir.Kubeconfig(), fmt.Errorf("kubeconfig: %w", err)
	}
	return dir.Kubeconfig(), nil
}

// stateDir returns the folder of this clone's node of that kind. It creates nothing.
func stateDir(k plan.Kind) (state.Dir, error) {
	dir, err := paths.State(string(k))
	return state.Dir(dir), err
}
