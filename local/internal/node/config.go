package node

import (
	"bytes"
	"embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"text/template"
	"time"
)

// stopGrace is how long a process has to end when asked, if nothing else is said.
const stopGrace = 5 * time.Second

// Paths inside the node. /run and /var are the node's own there, so that they
// are the same and short wherever the clone lies.
const (
	inRun        = "/run/" + Name
	inBin        = inRun + "/bin" // every program that the node runs
	inOwn        = "/var/lib/" + Name
	inPKI        = inOwn + "/pki"
	inConfig     = inOwn + "/config"
	inVolumes    = "/var/lib/volumes"
	inResolvConf = inRun + "/resolv.conf"
	inContainerd = "/run/containerd/containerd.sock"

	// Of the engine alone.
	inMachine  = inRun + "/machine" // the machine's /run/alphapulse, for the socket
	inModules  = inBin + "/modules" // the machine's download cache of Go modules
	inPackages = inOwn + "/npm"
	inRegistry = inOwn + "/registry"
)

// Images of the cluster's own services, under their upstream names.
const (
	PauseImage         = "registry.k8s.io/pause:3.10.1"
	CoreDNSImage       = "registry.k8s.io/coredns/coredns:v1.15.0"
	MetricsServerImage = "registry.k8s.io/metrics-server/metrics-server:v0.9.0"
	ProvisionerImage   = "docker.io/rancher/local-path-provisioner:v0.0.30"
	// HelperImage makes and removes the folders of volumes.
	HelperImage = "docker.io/library/busybox:1.37"
)

// StorageClass is the name of the default StorageClass.
const StorageClass = "local-path"

// values is what templates can refer to.
type values struct {
	Name, NodeIP, LinkCIDR, PodCIDR, NodePodCIDR, ServiceCIDR, DNSServiceIP, Domain string
	Bin, PKI, Config, Volumes, ResolvConf, ContainerdSocket                         string
	PauseImage, CoreDNSImage, MetricsServerImage, ProvisionerImage, HelperImage     string
	StorageClass, KubeletClient, NetpolUser                                         string
}

func theValues() values {
	return values{
		Name: Name, NodeIP: NodeIP, LinkCIDR: LinkCIDR, PodCIDR: PodCIDR, NodePodCIDR: nodePodCIDR, ServiceCIDR: ServiceCIDR,
		DNSServiceIP: dnsServiceIP, Domain: Domain,
		Bin: inBin, PKI: inPKI, Config: inConfig, Volumes: inVolumes, ResolvConf: inResolvConf, ContainerdSocket: inContainerd,
		PauseImage: PauseImage, CoreDNSImage: CoreDNSImage, MetricsServerImage: MetricsServerImage,
		ProvisionerImage: ProvisionerImage, HelperImage: HelperImage,
		StorageClass: StorageClass, KubeletClient: kubeletClient, NetpolUser: netpolUser,
	}
}

//go:embed config
var configFiles embed.FS

// writeConfig writes the configuration files of the node's programs into dir.
// targets maps each embedded template to its path there.
func writeConfig(dir string, targets map[string]string) error {
	for name, target := range targets {
		b, err := renderFile(configFiles, "config/"+name)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, target)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("config: %w", err)
		}
		if err := writeFile(path, b, 0o644); err != nil {
			return fmt.Errorf("config: %w", err)
		}
	}
	return nil
}

func renderFile(files embed.FS, name string) ([]byte, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, theValues()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// need is what must be true before a process can start.
type need string

const (
	needContainerd need = "containerd" // its socket answers
	needAPI        need = "API server" // it says that it is ready
	needNode       need = "node"       // the Node object exists
)

// A tier says when a process is asked to end.
type tier int

const (
	agents tier = iota // at first
	api                // then; agents that end need it
	base               // at last, when no pod is left
)

// process is one program of the node and how it is run.
type process struct {
	name  string
	self  string // sub-command of this program that it is, instead of one of its name
	needs []need
	args  []string
	env   []string
	tier  tier
	grace time.Duration // that it has to end when asked
}

// searchPath begins with the node's programs: containerd finds its shim on PATH,
// and the one of its own release must come first.
const searchPath = "PATH=" + inBin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// clusterProcesses lists what runs on the node of a cluster. What needs nothing
// starts at once; the others as soon as their needs are met, because they would
// otherwise fail and wait before they try again.
func clusterProcesses() []process {
	client := func(name string) string { return inPKI + "/" + name + ".kubeconfig" }
	crt := func(name string) string { return inPKI + "/" + name + ".crt" }
	key := func(name string) string { return inPKI + "/" + name + ".key" }
	all := []process{
		{name: "containerd", tier: base, args: []string{"--config", inConfig + "/containerd.toml"}},
		{name: "etcd", tier: base, args: []string{
			"--name=" + Name,
			"--data-dir=/var/lib/etcd",
			"--listen-client-urls=https://127.0.0.1:2379",
			"--advertise-client-urls=https://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380",
			"--initial-advertise-peer-urls=http://127.0.0.1:2380",
			"--initial-cluster=" + Name + "=http://127.0.0.1:2380",
			"--cert-file=" + crt("etcd"), "--key-file=" + key("etcd"),
			"--trusted-ca-file=" + crt("etcd-ca"), "--client-cert-auth",
			// Only a crash of the whole machine could lose what was not yet on
			// disk, and a development cluster can be made again.
			"--unsafe-no-fsync",
			"--log-level=warn",
		}},
		{name: "kube-apiserver", tier: api, args: []string{
			"--etcd-servers=https://127.0.0.1:2379",
			"--etcd-cafile=" + crt("etcd-ca"), "--etcd-certfile=" + crt("apiserver-etcd"), "--etcd-keyfile=" + key("apiserver-etcd"),
			"--advertise-address=" + NodeIP,
			"--secure-port=6443",
			"--allow-privileged=true",
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--client-ca-file=" + crt("ca"),
			"--tls-cert-file=" + crt("apiserver"), "--tls-private-key-file=" + key("apiserver"),
			"--kubelet-certificate-authority=" + crt("ca"),
			"--kubelet-client-certificate=" + crt("apiserver-kubelet"), "--kubelet-client-key=" + key("apiserver-kubelet"),
			"--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc." + Domain,
			"--service-account-key-file=" + inPKI + "/service-account.pub", "--service-account-signing-key-file=" + key("service-account"),
			"--service-cluster-ip-range=" + ServiceCIDR,
			"--requestheader-client-ca-file=" + crt("front-proxy-ca"),
			"--requestheader-allowed-names=front-proxy-client",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + crt("front-proxy"), "--proxy-client-key-file=" + key("front-proxy"),
			"--profiling=false",
		}},
		{name: "kube-controller-manager", needs: []need{needAPI}, args: []string{
			"--kubeconfig=" + client("controller-manager"),
			"--authentication-kubeconfig=" + client("controller-manager"), "--authorization-kubeconfig=" + client("controller-manager"),
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--use-service-account-credentials",
			"--root-ca-file=" + crt("ca"),
			"--service-account-private-key-file=" + key("service-account"),
			"--cluster-signing-cert-file=" + crt("ca"), "--cluster-signing-key-file=" + key("ca"),
			"--allocate-node-cidrs",
			"--cluster-cidr=" + PodCIDR,
			"--service-cluster-ip-range=" + ServiceCIDR,
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
		}},
		{name: "kube-scheduler", needs: []need{needAPI}, args: []string{
			"--kubeconfig=" + client("scheduler"),
			"--authentication-kubeconfig=" + client("scheduler"), "--authorization-kubeconfig=" + client("scheduler"),
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--profiling=false",
		}},
		{name: "kubelet", needs: []need{needAPI, needContainerd}, args: []string{
			"--config=" + inConfig + "/kubelet.yaml",
			"--kubeconfig=" + client("kubelet"),
			"--hostname-override=" + Name,
			"--node-ip=" + NodeIP,
			// Pods that ask to be spread over zones find one.
			"--node-labels=topology.kubernetes.io/region=local,topology.kubernetes.io/zone=local-a",
		}},
		{name: "kube-proxy", needs: []need{needNode}, args: []string{"--config=" + inConfig + "/kube-proxy.yaml"}},
		{name: "netpol", needs: []need{needNode}, args: []string{
			"-kubeconfig=" + client("netpol"), "-node=" + Name, "-service-cidr=" + ServiceCIDR,
		}},
	}
	return complete(all)
}

// complete gives the processes what all have.
func complete(all []process) []process {
	for i := range all {
		all[i].env = append([]string{searchPath, "HOME=/root", "LANG=C.UTF-8"}, all[i].env...)
		if all[i].grace == 0 {
			all[i].grace = stopGrace
		}
	}
	return all
}

// dockerGrace is what the engine has to end its containers: each gets the time
// that it was created with, and a database asks for some.
const dockerGrace = 90 * time.Second

// engineProcesses is clusterProcesses for a Docker engine.
func engineProcesses() []process {
	return complete([]process{
		{name: "containerd", tier: base, args: []string{"--config", inConfig + "/containerd.toml"}},
		{name: "services", tier: base, self: ServeCommand},
		{name: "dockerd", needs: []need{needContainerd}, grace: dockerGrace, args: []string{
			// Else it would read the machine's own in /etc/docker.
			"--config-file=" + inConfig + "/docker.json",
			"--containerd=" + inContainerd,
			"--host=unix://" + inMachine + "/" + socketName,
			"--group=root",
			"--data-root=/var/lib/docker",
			"--exec-root=/run/docker",
			"--pidfile=/run/docker.pid",
			"--storage-driver=overlay2",
			"--exec-opt=native.cgroupdriver=cgroupfs",
			"--cgroup-parent=/" + Name + "/docker",
			// Lowering the score takes a capability that root in a container lacks.
			"--oom-score-adjust=0",
			// Rules of the node's own network namespace do it alone.
			"--userland-proxy=false",
			"--bip=" + bridgeCIDR,
			"--default-address-pool=base=" + PodCIDR + ",size=24",
			"--insecure-registry=" + net.JoinHostPort(NodeIP, strconv.Itoa(RegistryPort)),
			"--log-opt=max-size=10m", "--log-opt=max-file=3",
		}, env: []string{
			"LD_LIBRARY_PATH=" + inBin + "/lib",
			// So that no profile is loaded into the machine's kernel, where it would stay.
			"container=" + Name,
		}},
	})
}
