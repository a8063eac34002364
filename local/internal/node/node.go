// Package node runs a real one-node Kubernetes on this machine: etcd, the
// control plane, kubelet, kube-proxy, containerd and the services that every
// cluster has, in network, mount and process namespaces of their own. Ending the
// first process of those namespaces ends all of it. Or it runs a real Docker
// engine in such namespaces, for the stack on one Docker host; a machine has one
// of the two at a time.
//
// What the cluster stores lives below the clone's .local/cluster, what the engine
// stores below .local/engine. Both survive Stop; Down erases them. What only the
// running machine knows (who owns the node, which lock is held) lives in
// /run/alphapulse and goes with a reboot.
package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// The node's names and addresses. They are constants because certificates,
// routes and the ways in depend on them, and because one machine holds one
// such node.
const (
	// Name is the name of the node, of its network namespace and of its cgroup.
	Name = "alphapulse"
	// HostLink is the machine's end of the pair of links that joins it to the node.
	HostLink = "alphapulse0"
	// LinkCIDR holds HostIP and NodeIP and nothing else.
	LinkCIDR = "10.250.0.0/30"
	HostIP   = "10.250.0.1" // the machine, as the node sees it
	NodeIP   = "10.250.0.2" // the node, as the machine sees it
	// PodCIDR and ServiceCIDR are routed from the machine to the node, so that
	// tests reach every pod and every Service.
	PodCIDR     = "10.244.0.0/16"
	ServiceCIDR = "10.96.0.0/16"
	// APIServer is the address of the Kubernetes API.
	APIServer = "https://" + NodeIP + ":6443"
	// Domain is the cluster's DNS domain.
	Domain = "cluster.local"

	nodePodCIDR  = "10.244.0.0/24" // the pods of this node, the first /24 of PodCIDR
	bridgeCIDR   = "10.244.0.1/24" // the engine's default network, of the range that its others are from
	apiServiceIP = "10.96.0.1"     // by definition the first address of ServiceCIDR
	dnsServiceIP = "10.96.0.10"

	// Socket is where the engine listens, on the machine.
	Socket = defaultRunDir + "/" + socketName
	// DockerHost leads the engine's clients to it.
	DockerHost = "unix://" + Socket
	// RegistryPort is the port of the engine's node at which its registry answers
	// and modules and packages can be fetched by builds.
	RegistryPort = 30500

	defaultRunDir = "/run/" + Name
	socketName    = "docker.sock"
)

// ForwardedPorts are the NodePorts, or the ports that a container publishes, that
// also answer on 127.0.0.1 of the machine, HTTPS first, so that names below
// localhost lead to the node.
var ForwardedPorts = []int{30443, 30080}

// Registry is the address of the engine's registry: the same for the machine,
// where the port is forwarded, and for the engine. Engines take it that a
// registry on this address has no TLS.
var Registry = fmt.Sprintf("127.0.0.1:%d", RegistryPort)

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

// State is what Status found.
type State struct {
	Running    bool
	Stored     bool          // there is a stored one that Start would bring back
	Owner      string        // state folder of the running node; not this one's if Foreign
	Foreign    error         // what runs instead, if the running node is another; wraps ErrForeign
	Leftovers  []string      // what a crash left behind, in words; Down and Up remove it
	Uptime     time.Duration // of the node
	Ready      bool          // the node and its services answer
	Components []Component   // in the order in which they were started
	Problems   []string      // why Ready is false
	Pods       int           // pods, or containers of the engine, that are running
}

// Component is one process of the node.
type Component struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"` // inside the node; 0 while it is not running
	Restarts int    `json:"restarts"`
	LastExit string `json:"lastExit,omitempty"` // how it ended last
}

// A kind is what a node is, and the name of its folder below .local.
type kind string

const (
	cluster kind = "cluster"
	engine  kind = "engine"
)

// words names the kind in sentences.
func (k kind) words() string {
	if k == engine {
		return "Docker engine"
	}
	return "cluster"
}

// command is what the kind's up, stop and down follow.
func (k kind) command() string {
	if k == engine {
		return "local engine"
	}
	return "local"
}

// layout is where a node's state lies, seen from outside the node.
type layout struct {
	kind kind
	dir  string
}

// stateLayout returns the layout of this clone's node of that kind. It creates
// nothing.
func stateLayout(k kind) (layout, error) {
	dir, err := paths.State(string(k))
	return layout{k, dir}, err
}

func (l layout) lib() string        { return l.dir + "/lib" } // the node's /var/lib
func (l layout) log() string        { return l.dir + "/log" } // the node's /var/log
func (l layout) own() string        { return l.lib() + "/" + Name }
func (l layout) pki() string        { return l.own() + "/pki" }
func (l layout) config() string     { return l.own() + "/config" }
func (l layout) spec() string       { return l.own() + "/spec.json" }
func (l layout) components() string { return l.own() + "/components.json" }
func (l layout) kubeconfig() string { return l.dir + "/kubeconfig" }

// Kubeconfig returns the path of the administrator's kubeconfig of this clone's
// cluster. The file is there once the cluster was started; the error says so if
// it is not, and the path is returned all the same.
func Kubeconfig() (string, error) {
	l, err := stateLayout(cluster)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(l.kubeconfig()); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return l.kubeconfig(), ErrNotRunning
		}
		return l.kubeconfig(), fmt.Errorf("kubeconfig: %w", err)
	}
	return l.kubeconfig(), nil
}

// Tools returns the names, in build's table, of the programs that the cluster
// runs.
func Tools() []string {
	return []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
		"kubelet", "kube-proxy", "netpol",
	}
}
