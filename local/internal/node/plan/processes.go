package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

const (
	// StopGrace is how long a process has to end when asked, if nothing else is said.
	StopGrace = 5 * time.Second
	// Region is the label topology.kubernetes.io/region of every node.
	Region = "local"
	// SocketName is the name of the engine's socket.
	SocketName = "docker.sock"
	// PodGrace is how long containers of a cluster have to end when their node is
	// stopped. A database in the middle of a checkpoint needs some.
	PodGrace = 15 * time.Second
)

// Hidden sub-commands of the program: the first process of a node, the one that
// serves the ports of the machine, and the one that is the engine's registry.
const (
	InitCommand    = "node-init"
	ForwardCommand = "node-forward"
	ServeCommand   = "node-serve"
)

// A Need is what must be true before a process can start.
type Need string

// What processes need.
const (
	NeedContainerd Need = "containerd" // its socket answers
	NeedAPI        Need = "API server" // it says that it is ready
	NeedNode       Need = "node"       // the Node object exists
	NeedAddress    Need = "address"    // the kubelet has told the node's address in it
)

// A Tier says when a process is asked to end.
type Tier int

// The tiers, in their order.
const (
	Agents Tier = iota // at first
	API                // then; agents that end need it
	Base               // at last, when no pod is left
)

// A Process is one program of the node and how it is run.
type Process struct {
	Name  string
	Self  string // sub-command of this program that it is, instead of one of its name
	Needs []Need
	Args  []string
	Env   []string
	Tier  Tier
	Grace time.Duration // that it has to end when asked
}

// searchPath begins with the node's programs: containerd finds its shim on PATH,
// and the one of its own release must come first.
const searchPath = "PATH=" + Bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func kubeconfig(name string) string  { return PKI + "/" + name + ".kubeconfig" }
func certificate(name string) string { return PKI + "/" + name + ".crt" }
func key(name string) string         { return PKI + "/" + name + ".key" }

// store is where the API server keeps everything.
func store(h topology.Host) []Process {
	return []Process{
		{Name: "etcd", Tier: Base, Args: []string{
			"--name=" + h.Name(),
			"--data-dir=/var/lib/etcd",
			"--listen-client-urls=https://127.0.0.1:2379",
			"--advertise-client-urls=https://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380",
			"--initial-advertise-peer-urls=http://127.0.0.1:2380",
			"--initial-cluster=" + h.Name() + "=http://127.0.0.1:2380",
			"--cert-file=" + certificate("etcd"), "--key-file=" + key("etcd"),
			"--trusted-ca-file=" + certificate("etcd-ca"), "--client-cert-auth",
			// Only a crash of the whole machine could lose what was not yet on
			// disk, and a development cluster can be made again.
			"--unsafe-no-fsync",
			"--log-level=warn",
		}},
	}
}

// controlPlane is the API server and what acts on what it holds.
func controlPlane(h topology.Host) []Process {
	return []Process{
		{Name: "kube-apiserver", Tier: API, Args: []string{
			"--etcd-servers=https://127.0.0.1:2379",
			"--etcd-cafile=" + certificate("etcd-ca"), "--etcd-certfile=" + certificate("apiserver-etcd"), "--etcd-keyfile=" + key("apiserver-etcd"),
			"--advertise-address=" + h.IP().String(),
			"--secure-port=6443",
			"--allow-privileged=true",
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--client-ca-file=" + certificate("ca"),
			"--tls-cert-file=" + certificate("apiserver"), "--tls-private-key-file=" + key("apiserver"),
			"--kubelet-certificate-authority=" + certificate("ca"),
			"--kubelet-client-certificate=" + certificate("apiserver-kubelet"), "--kubelet-client-key=" + key("apiserver-kubelet"),
			"--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc." + topology.Domain,
			"--service-account-key-file=" + PKI + "/service-account.pub", "--service-account-signing-key-file=" + key("service-account"),
			"--service-cluster-ip-range=" + list(h.Cluster.ServiceRanges()),
			"--requestheader-client-ca-file=" + certificate("front-proxy-ca"),
			"--requestheader-allowed-names=front-proxy-client",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + certificate("front-proxy"), "--proxy-client-key-file=" + key("front-proxy"),
			"--profiling=false",
			// Pods of a node that is lost are started elsewhere within a minute and a half
			// instead of six, so that it can be watched and tested.
			"--default-not-ready-toleration-seconds=30", "--default-unreachable-toleration-seconds=30",
		}},
		{Name: "kube-controller-manager", Needs: []Need{NeedAPI}, Args: []string{
			"--kubeconfig=" + kubeconfig("controller-manager"),
			"--authentication-kubeconfig=" + kubeconfig("controller-manager"), "--authorization-kubeconfig=" + kubeconfig("controller-manager"),
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--use-service-account-credentials",
			"--root-ca-file=" + certificate("ca"),
			"--service-account-private-key-file=" + key("service-account"),
			"--cluster-signing-cert-file=" + certificate("ca"), "--cluster-signing-key-file=" + key("ca"),
			"--allocate-node-cidrs",
			"--cluster-cidr=" + list(h.Cluster.PodRanges()),
			"--service-cluster-ip-range=" + list(h.Cluster.ServiceRanges()),
			"--flex-volume-plugin-dir=/var/lib/kubelet/volumeplugins",
			"--profiling=false",
			// At its start it asks for one account after the other; the default of 20
			// requests a second makes that five seconds.
			"--kube-api-qps=200", "--kube-api-burst=400",
			// Autoscaling within seconds instead of minutes, so that it can be
			// watched and tested: the time constants are the only difference.
			"--horizontal-pod-autoscaler-sync-period=5s",
			"--horizontal-pod-autoscaler-initial-readiness-delay=5s",
			"--horizontal-pod-autoscaler-cpu-initialization-period=10s",
			"--horizontal-pod-autoscaler-downscale-stabilization=30s",
			"--node-monitor-grace-period=40s",
		}},
		{Name: "kube-scheduler", Needs: []Need{NeedAPI}, Args: []string{
			"--kubeconfig=" + kubeconfig("scheduler"),
			"--authentication-kubeconfig=" + kubeconfig("scheduler"), "--authorization-kubeconfig=" + kubeconfig("scheduler"),
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--profiling=false",
		}},
	}
}

// worker is what makes pods run on a node and reach each other. What needs nothing
// starts at once; the others as soon as their needs are met, because they would
// otherwise fail and wait before they try again.
func worker(h topology.Host) []Process {
	kubelet := []Need{NeedAPI, NeedContainerd}
	if !h.ControlPlane() {
		// It gets its addresses of pods with its object, in which they cannot change.
		kubelet = append(kubelet, NeedNode)
	}
	return []Process{
		{Name: "containerd", Tier: Base, Args: []string{"--config", Config + "/containerd.toml"}},
		{Name: "kubelet", Needs: kubelet, Args: []string{
			"--config=" + Config + "/kubelet.yaml",
			"--kubeconfig=" + kubeconfig("kubelet"),
			"--hostname-override=" + h.Name(),
			"--node-ip=" + list(h.IPs()),
			"--node-labels=topology.kubernetes.io/region=" + Region + ",topology.kubernetes.io/zone=" + h.Zone,
		}},
		{Name: "kube-proxy", Needs: []Need{NeedAddress}, Args: []string{"--config=" + Config + "/kube-proxy.yaml"}},
		{Name: "netpol", Needs: []Need{NeedAddress}, Args: []string{
			"-kubeconfig=" + kubeconfig("netpol"), "-node=" + h.Name(), "-service-cidr=" + list(h.Cluster.ServiceRanges()),
		}},
	}
}

// list is how the programs take several addresses or ranges.
func list[T fmt.Stringer](all []T) string {
	var b strings.Builder
	for i, a := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(a.String())
	}
	return b.String()
}

// complete gives the processes what all have.
func complete(all []Process) []Process {
	for i := range all {
		all[i].Env = append([]string{searchPath, "HOME=/root", "LANG=C.UTF-8"}, all[i].Env...)
		if all[i].Grace == 0 {
			all[i].Grace = StopGrace
		}
	}
	return all
}

// dockerGrace is what the engine has to end its containers: each gets the time that
// it was created with, and a database asks for some.
const dockerGrace = 90 * time.Second

// Grace is what the containers of a node have to end when it is stopped.
func (k Kind) Grace() time.Duration {
	if k == Engine {
		return dockerGrace
	}
	return PodGrace
}

// engineProcesses is clusterProcesses for a Docker engine.
func engineProcesses(h topology.Host) []Process {
	return complete([]Process{
		{Name: "containerd", Tier: Base, Args: []string{"--config", Config + "/containerd.toml"}},
		{Name: "services", Tier: Base, Self: ServeCommand},
		{Name: "dockerd", Needs: []Need{NeedContainerd}, Grace: dockerGrace, Args: []string{
			// Else it would read the machine's own in /etc/docker.
			"--config-file=" + Config + "/docker.json",
			"--containerd=" + Containerd,
			"--host=unix://" + Machine + "/" + SocketName,
			"--group=root",
			"--data-root=/var/lib/docker",
			"--exec-root=/run/docker",
			"--pidfile=/run/docker.pid",
			"--storage-driver=overlay2",
			"--exec-opt=native.cgroupdriver=cgroupfs",
			"--cgroup-parent=/" + h.Name() + "/docker",
			// Lowering the score takes a capability that root in a container lacks.
			"--oom-score-adjust=0",
			// Rules of the node's own network namespace do it alone.
			"--userland-proxy=false",
			"--bip=" + netip.PrefixFrom(h.Pods().Addr().Next(), h.Pods().Bits()).String(),
			"--default-address-pool=base=" + h.Cluster.Pods.String() + ",size=24",
			"--insecure-registry=" + netip.AddrPortFrom(h.IP(), RegistryPort).String(),
			"--log-opt=max-size=10m", "--log-opt=max-file=3",
		}, Env: []string{
			"LD_LIBRARY_PATH=" + Bin + "/lib",
			// So that no profile is loaded into the machine's kernel, where it would stay.
			"container=" + topology.Product,
		}},
	})
}
