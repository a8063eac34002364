// Package plan says what a node is made of: which programs it runs and how, which
// Debian packages and built tools those come from, and their configuration.
package plan

import (
	"net/netip"
	"slices"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// RegistryPort is the port of the engine's node at which its registry answers and
// modules and packages can be fetched by builds.
const RegistryPort = 30500

// Paths on RegistryPort besides those of the registry itself.
const (
	GoPath  = "/go/"
	NPMPath = "/npm/"
)

// A Kind is what a node is, and the name of its folder below .local.
type Kind string

// The two kinds of nodes.
const (
	Cluster Kind = "cluster"
	Engine  Kind = "engine"
)

// Words names the kind in sentences.
func (k Kind) Words() string {
	if k == Engine {
		return "Docker engine"
	}
	return "cluster"
}

// Command is what the kind's up, stop and down follow.
func (k Kind) Command() string {
	if k == Engine {
		return "local engine"
	}
	return "local"
}

// A Plan is what one node consists of.
type Plan struct {
	Host      topology.Host
	Commands  []string          // of CommandPackages: what its programs call on the machine
	Packages  []string          // of Debian, unpacked into the cache and not installed
	Programs  []string          // what it runs of them
	Folders   map[string]string // name in the node → one file, or a pattern of it, in the folder as unpacked
	Tools     []string          // what it runs of build's table
	Ranges    []netip.Prefix    // addresses that the machine reaches over the node
	Services  bool              // whether it has addresses of Services
	Ports     []int             // of the node that also answer on 127.0.0.1 of the machine
	Data      string            // below its /var/lib, there as soon as it has stored something
	Config    map[string]string // embedded template → its path below the config folder
	Processes []Process
	Needed    func(images.Image) bool // images that it has to have
}

// CommandPackages are the Debian packages that are installed on the machine when
// their command is missing, by command. kube-proxy, the enforcement of network
// policies, the CNI plugins and dockerd call these commands, the kubelet calls
// mount.
var CommandPackages = map[string]string{
	"iptables": "iptables",
	"ipset":    "ipset",
	"nft":      "nftables",
	"mount":    "mount",
}

// Of returns the plan of a node.
func (k Kind) Of(h topology.Host) Plan {
	if k == Engine {
		return engine(h)
	}
	return cluster(h)
}

func cluster(h topology.Host) Plan {
	p := Plan{
		Host:     h,
		Commands: []string{"iptables", "ipset", "nft", "mount"},
		Packages: []string{"containerd", "runc", "containernetworking-plugins"},
		Programs: []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc"},
		Folders:  map[string]string{"cni": "usr/lib/cni/ptp"},
		Tools:    []string{"kubelet", "kube-proxy", "netpol"},
		Ranges:   h.PodRanges(),
		Services: true,
		Data:     "kubelet",
		Config: map[string]string{
			"containerd.toml": "containerd.toml",
			"cni.conflist":    "cni/10-alphapulse.conflist",
			"kubelet.yaml":    "kubelet.yaml",
			"kube-proxy.yaml": "kube-proxy.yaml",
		},
		Processes: worker(h),
		Needed:    func(i images.Image) bool { return i.Cluster },
	}
	if h.ControlPlane() {
		p.Tools = append(p.Tools, "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
		// Those of other nodes' pods have routes of their own, which are narrower.
		p.Ranges = slices.Concat(h.Cluster.PodRanges(), h.Cluster.ServiceRanges())
		p.Ports, p.Data = h.Cluster.Ports, "etcd"
		p.Processes = slices.Concat(store(h), controlPlane(h), p.Processes)
	}
	p.Processes = complete(p.Processes)
	return p
}

func engine(h topology.Host) Plan {
	return Plan{
		Host:     h,
		Commands: []string{"iptables"},
		// libdevmapper is what dockerd is linked to and not every machine has.
		Packages: []string{"containerd", "runc", "docker.io", "libdevmapper1.02.1"},
		Programs: []string{"containerd", "containerd-shim-runc-v2", "dockerd", "runc"},
		Folders:  map[string]string{"lib": "usr/lib/*-linux-gnu*/libdevmapper.so.1.02.1"},
		Ports:    append([]int{RegistryPort}, h.Cluster.Ports...),
		Data:     "docker/overlay2",
		Config: map[string]string{
			"containerd-engine.toml": "containerd.toml",
			"docker.json":            "docker.json",
		},
		Processes: engineProcesses(h),
		Needed:    func(i images.Image) bool { return !i.Cluster && !i.Base },
	}
}

// A Component is one process of a running node, as its first process tells of it.
type Component struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"` // inside the node; 0 while it is not running
	Restarts int    `json:"restarts"`
	LastExit string `json:"lastExit,omitempty"` // how it ended last
}
