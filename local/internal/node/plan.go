package node

import "github.com/alphapulse/alphapulse-infra/local/internal/images"

// A plan is what a node of one kind consists of.
type plan struct {
	commands  []string          // of commandPackages: what its programs call on the machine
	packages  []string          // of Debian, unpacked into the cache and not installed
	programs  []string          // what it runs of them
	folders   map[string]string // name in the node → one file, or a pattern of it, in the folder as unpacked
	tools     []string          // what it runs of build's table
	ranges    []string          // addresses that the machine reaches over the node
	ports     []int             // of the node that also answer on 127.0.0.1 of the machine
	data      string            // below its /var/lib, there as soon as it has stored something
	config    map[string]string // embedded template → its path below the config folder
	processes func() []process
	needed    func(images.Image) bool // images that it has to have
}

func (k kind) plan() plan {
	if k == engine {
		return enginePlan
	}
	return clusterPlan
}

// commandPackages are the Debian packages that are installed on the machine when
// their command is missing, by command. kube-proxy, the enforcement of network
// policies, the CNI plugins and dockerd call these commands, the kubelet calls
// mount.
var commandPackages = map[string]string{
	"iptables": "iptables",
	"ipset":    "ipset",
	"nft":      "nftables",
	"mount":    "mount",
}

var clusterPlan = plan{
	commands: []string{"iptables", "ipset", "nft", "mount"},
	packages: []string{"containerd", "runc", "containernetworking-plugins"},
	programs: []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc"},
	folders:  map[string]string{"cni": "usr/lib/cni/ptp"},
	tools:    Tools(),
	ranges:   []string{PodCIDR, ServiceCIDR},
	ports:    ForwardedPorts,
	data:     "etcd",
	config: map[string]string{
		"containerd.toml": "containerd.toml",
		"cni.conflist":    "cni/10-alphapulse.conflist",
		"kubelet.yaml":    "kubelet.yaml",
		"kube-proxy.yaml": "kube-proxy.yaml",
	},
	processes: clusterProcesses,
	needed:    func(i images.Image) bool { return i.Cluster },
}

var enginePlan = plan{
	commands: []string{"iptables"},
	// libdevmapper is what dockerd is linked to and not every machine has.
	packages: []string{"containerd", "runc", "docker.io", "libdevmapper1.02.1"},
	programs: []string{"containerd", "containerd-shim-runc-v2", "dockerd", "runc"},
	folders:  map[string]string{"lib": "usr/lib/*-linux-gnu*/libdevmapper.so.1.02.1"},
	ports:    append([]int{RegistryPort}, ForwardedPorts...),
	data:     "docker/overlay2",
	config: map[string]string{
		"containerd-engine.toml": "containerd.toml",
		"docker.json":            "docker.json",
	},
	processes: engineProcesses,
	needed:    func(i images.Image) bool { return !i.Cluster && !i.Base },
}
