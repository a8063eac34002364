package plan

import (
	"encoding/json"
	"maps"

	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"strings"
	"testing"

	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
	kubelet "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/pki"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

var host = topology.Local().First()

// worker2 is a node without a control plane.
func worker2(t *testing.T) topology.Host {
	t.Helper()
	c, err := topology.Local().Apply(topology.Request{Nodes: 2, Zones: []string{"x", "y"}})
	if err != nil {
		t.Fatal(err)
	}
	return c.Hosts()[1]
}

func TestBothVersionsOfIP(t *testing.T) {
	c, err := topology.Local().Apply(topology.Request{DualStack: true, Nodes: 2})
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, p := range Cluster.Of(c.First()).Processes {
		args = append(args, p.Args...)
	}
	for _, want := range []string{
		"--service-cluster-ip-range=10.96.0.0/16,fd61:6c70:6861:1::/112", "--cluster-cidr=10.244.0.0/16,fd61:6c70:6861:100::/56",
		"--node-ip=10.250.0.2,fd61:6c70:6861::2", "-service-cidr=10.96.0.0/16,fd61:6c70:6861:1::/112",
	} {
		if !slices.Contains(args, want) {
			t.Errorf("no %s", want)
		}
	}
	dir := t.TempDir()
	if err := Cluster.Of(c.Hosts()[1]).WriteConfig(dir); err != nil {
		t.Fatal(err)
	}
	var cni struct {
		Plugins []struct {
			IPAM struct {
				Ranges [][]struct{ Subnet string }
				Routes []struct{ Dst string }
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "cni/10-alphapulse.conflist"))
	if err == nil {
		err = json.Unmarshal(b, &cni)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	ipam := cni.Plugins[0].IPAM
	if len(ipam.Ranges) != 2 || ipam.Ranges[1][0].Subnet != "fd61:6c70:6861:101::/64" || len(ipam.Routes) != 2 || ipam.Routes[1].Dst != "::/0" {
		t.Errorf("addresses of pods: %+v", ipam)
	}
}

func TestWorkerRunsPodsOnly(t *testing.T) {
	p := Cluster.Of(worker2(t))
	var names, args []string
	for _, proc := range p.Processes {
		names = append(names, proc.Name)
		args = append(args, proc.Args...)
	}
	if !slices.Equal(names, []string{"containerd", "kubelet", "kube-proxy", "netpol"}) {
		t.Errorf("it runs %v", names)
	}
	for _, want := range []string{"--hostname-override=alphapulse-2", "--node-ip=10.250.0.6", "-node=alphapulse-2", "--node-labels=topology.kubernetes.io/region=local,topology.kubernetes.io/zone=y"} {
		if !slices.Contains(args, want) {
			t.Errorf("no %s among %v", want, args)
		}
	}
	if len(p.Ports) > 0 || !p.Services || len(p.Ranges) != 1 || p.Ranges[0] != p.Host.Pods() {
		t.Errorf("ports %v, ranges %v", p.Ports, p.Ranges)
	}
}

func TestConfigIsKnownToItsReaders(t *testing.T) {
	dir := t.TempDir()
	if err := Cluster.Of(host).WriteConfig(dir); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var k kubelet.KubeletConfiguration
	if err := yaml.UnmarshalStrict(read("kubelet.yaml"), &k); err != nil {
		t.Errorf("kubelet: %v", err)
	}
	if k.CgroupRoot != "/"+host.Name() || k.ContainerRuntimeEndpoint != "unix://"+Containerd || *k.ImageGCHighThresholdPercent != 100 || *k.Authentication.Anonymous.Enabled {
		t.Errorf("kubelet: %+v", k)
	}
	var p kubeproxy.KubeProxyConfiguration
	if err := yaml.UnmarshalStrict(read("kube-proxy.yaml"), &p); err != nil {
		t.Errorf("kube-proxy: %v", err)
	}
	// Anything else is a setting of the whole machine.
	if *p.Conntrack.MaxPerCore != 0 || *p.Conntrack.Min != 0 {
		t.Errorf("kube-proxy would change the machine's connection tracking: %+v", p.Conntrack)
	}
	var cni struct{ Plugins []struct{ Type string } }
	if err := json.Unmarshal(read("cni/10-alphapulse.conflist"), &cni); err != nil || len(cni.Plugins) != 2 {
		t.Errorf("cni: %v, %+v", err, cni)
	}
	for _, line := range []string{`sandbox_image = "` + PauseImage + `"`, "restrict_oom_score_adj = true", "disable_apparmor = true"} {
		if !strings.Contains(string(read("containerd.toml")), line) {
			t.Errorf("containerd: no line %q", line)
		}
	}
}

func TestProcesses(t *testing.T) {
	for _, c := range []struct {
		k Kind
		h topology.Host
	}{{Cluster, host}, {Engine, host}, {Cluster, worker2(t)}} {
		k, p := c.k, c.k.Of(c.h)
		var names []string
		for _, proc := range p.Processes {
			names = append(names, proc.Name)
			if proc.Self == "" && !slices.Contains(p.Programs, proc.Name) && !slices.Contains(p.Tools, proc.Name) {
				t.Errorf("%s: %s is neither built nor unpacked", k, proc.Name)
			}
			var flags []string
			for _, a := range proc.Args {
				flag, value, _ := strings.Cut(a, "=")
				if strings.HasPrefix(flag, "-") && flag != "--log-opt" && slices.Contains(flags, flag) {
					t.Errorf("%s has %s twice", proc.Name, flag)
				}
				flags = append(flags, flag)
				if name, ok := strings.CutPrefix(value, PKI+"/"); ok && !pkiHas(name, c.h) {
					t.Errorf("%s: %s: no such file is made", proc.Name, a)
				}
				if name, ok := strings.CutPrefix(value, Config+"/"); ok && !slices.Contains(slices.Collect(maps.Values(p.Config)), name) {
					t.Errorf("%s: %s: no such file is made", proc.Name, a)
				}
			}
			// The shim that belongs to this containerd comes first on PATH.
			if !slices.ContainsFunc(proc.Env, func(e string) bool { return strings.HasPrefix(e, "PATH="+Bin+":") }) {
				t.Errorf("%s: %v", proc.Name, proc.Env)
			}
			if proc.Grace <= 0 {
				t.Errorf("%s is killed when it is asked to end", proc.Name)
			}
		}
		for _, tool := range p.Tools {
			if !slices.Contains(names, tool) {
				t.Errorf("%s: %s is built but not run", k, tool)
			}
		}
		for _, c := range p.Commands {
			if CommandPackages[c] == "" {
				t.Errorf("%s: no package has the command %s", k, c)
			}
		}
	}
}

// TestEngineIsApart holds what keeps the engine off the machine: its files, its
// networks, and the score that it may not lower.
func TestEngineIsApart(t *testing.T) {
	var dockerd Process
	for _, p := range Engine.Of(host).Processes {
		if p.Name == "dockerd" {
			dockerd = p
		}
	}
	for _, want := range []string{
		"--config-file=" + Config + "/docker.json", "--host=unix://" + Machine + "/docker.sock", "--cgroup-parent=/" + host.Name() + "/docker", "--group=root",
		"--data-root=/var/lib/docker", "--exec-root=/run/docker", "--pidfile=/run/docker.pid", "--oom-score-adjust=0", "--userland-proxy=false",
	} {
		if !slices.Contains(dockerd.Args, want) {
			t.Errorf("dockerd lacks %s", want)
		}
	}
	for _, a := range dockerd.Args {
		if cidr, ok := strings.CutPrefix(a, "--bip="); ok {
			if p := netip.MustParsePrefix(cidr); !host.Cluster.Pods.Contains(p.Addr()) || p.Addr() == p.Masked().Addr() {
				t.Errorf("the engine's default network: %s", a)
			}
		}
	}
	dir := t.TempDir()
	if err := Engine.Of(host).WriteConfig(dir); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "containerd.toml"))
	if err != nil || !strings.Contains(string(b), `address = "`+Containerd+`"`) || !strings.Contains(string(b), "io.containerd.grpc.v1.cri") {
		t.Errorf("containerd: %v\n%s", err, b)
	}
}

// TestBuildsFindTheirServer holds the addresses in the images that builds begin
// with against what the node serves.
func TestBuildsFindTheirServer(t *testing.T) {
	at := "http://" + netip.AddrPortFrom(host.IP(), RegistryPort).String()
	if images.BuildModules+"/" != at+GoPath || images.BuildPackages != at+NPMPath {
		t.Errorf("%s and %s are not at %s", images.BuildModules, images.BuildPackages, at)
	}
	if !slices.Contains(Engine.Of(host).Ports, RegistryPort) {
		t.Errorf("the machine forwards %v", Engine.Of(host).Ports)
	}
}

func pkiHas(file string, h topology.Host) bool {
	name, ext, _ := strings.Cut(file, ".")
	if name == "service-account" {
		return ext == "key" || ext == "pub"
	}
	if slices.Contains(pki.Authorities, name) {
		return ext == "crt" || ext == "key" && h.ControlPlane()
	}
	i := slices.IndexFunc(pki.Identities(h), func(id pki.Identity) bool { return id.Name == name })
	return i >= 0 && (ext == "crt" || ext == "key" || ext == "kubeconfig" && pki.Identities(h)[i].User)
}
