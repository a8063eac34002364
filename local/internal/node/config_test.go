package node

import (
	"encoding/json"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
	kubelet "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
)

func TestConfigIsKnownToItsReaders(t *testing.T) {
	dir := t.TempDir()
	if err := writeConfig(dir, clusterPlan.config); err != nil {
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
	if k.CgroupRoot != "/"+Name || k.ContainerRuntimeEndpoint != "unix://"+inContainerd || *k.ImageGCHighThresholdPercent != 100 || *k.Authentication.Anonymous.Enabled {
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

func TestAddressesFitTogether(t *testing.T) {
	in := func(addr, cidr string) {
		if !netip.MustParsePrefix(cidr).Contains(netip.MustParseAddr(addr)) {
			t.Errorf("%s is not in %s", addr, cidr)
		}
	}
	in(HostIP, LinkCIDR)
	in(NodeIP, LinkCIDR)
	in(apiServiceIP, ServiceCIDR)
	in(dnsServiceIP, ServiceCIDR)
	in(netip.MustParsePrefix(nodePodCIDR).Addr().String(), PodCIDR)
}

func TestProcesses(t *testing.T) {
	for _, k := range []kind{cluster, engine} {
		p := k.plan()
		var names []string
		for _, proc := range p.processes() {
			names = append(names, proc.name)
			if proc.self == "" && !slices.Contains(p.programs, proc.name) && !slices.Contains(p.tools, proc.name) {
				t.Errorf("%s: %s is neither built nor unpacked", k, proc.name)
			}
			var flags []string
			for _, a := range proc.args {
				flag, value, _ := strings.Cut(a, "=")
				if strings.HasPrefix(flag, "-") && flag != "--log-opt" && slices.Contains(flags, flag) {
					t.Errorf("%s has %s twice", proc.name, flag)
				}
				flags = append(flags, flag)
				if name, ok := strings.CutPrefix(value, inPKI+"/"); ok && !pkiHas(name) {
					t.Errorf("%s: %s: no such file is made", proc.name, a)
				}
				if name, ok := strings.CutPrefix(value, inConfig+"/"); ok && !slices.Contains(slices.Collect(maps.Values(p.config)), name) {
					t.Errorf("%s: %s: no such file is made", proc.name, a)
				}
			}
			// The shim that belongs to this containerd comes first on PATH.
			if !slices.ContainsFunc(proc.env, func(e string) bool { return strings.HasPrefix(e, "PATH="+inBin+":") }) {
				t.Errorf("%s: %v", proc.name, proc.env)
			}
			if proc.grace <= 0 {
				t.Errorf("%s is killed when it is asked to end", proc.name)
			}
		}
		for _, tool := range p.tools {
			if !slices.Contains(names, tool) {
				t.Errorf("%s: %s is built but not run", k, tool)
			}
		}
		for _, c := range p.commands {
			if commandPackages[c] == "" {
				t.Errorf("%s: no package has the command %s", k, c)
			}
		}
	}
}

// TestEngineIsApart holds what keeps the engine off the machine: its files, its
// networks, and the score that it may not lower.
func TestEngineIsApart(t *testing.T) {
	var dockerd process
	for _, p := range engineProcesses() {
		if p.name == "dockerd" {
			dockerd = p
		}
	}
	for _, want := range []string{
		"--config-file=" + inConfig + "/docker.json", "--host=unix://" + inMachine + "/docker.sock", "--cgroup-parent=/" + Name + "/docker", "--group=root",
		"--data-root=/var/lib/docker", "--exec-root=/run/docker", "--pidfile=/run/docker.pid", "--oom-score-adjust=0", "--userland-proxy=false",
	} {
		if !slices.Contains(dockerd.args, want) {
			t.Errorf("dockerd lacks %s", want)
		}
	}
	if filepath.Base(Socket) != socketName || filepath.Dir(Socket) != defaultRunDir {
		t.Errorf("clients look at %s", Socket)
	}
	for _, cidr := range []string{bridgeCIDR, nodePodCIDR} {
		if p := netip.MustParsePrefix(cidr); !netip.MustParsePrefix(PodCIDR).Contains(p.Addr()) || p.Overlaps(netip.MustParsePrefix(LinkCIDR)) {
			t.Errorf("network %s", cidr)
		}
	}
	dir := t.TempDir()
	if err := writeConfig(dir, enginePlan.config); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "containerd.toml"))
	if err != nil || !strings.Contains(string(b), `address = "`+inContainerd+`"`) || !strings.Contains(string(b), "io.containerd.grpc.v1.cri") {
		t.Errorf("containerd: %v\n%s", err, b)
	}
}

// TestBuildsFindTheirServer holds the addresses in the images that builds begin
// with against what the node serves.
func TestBuildsFindTheirServer(t *testing.T) {
	at := "http://" + net.JoinHostPort(NodeIP, strconv.Itoa(RegistryPort))
	if images.BuildModules+"/" != at+goPath || images.BuildPackages != at+npmPath {
		t.Errorf("%s and %s are not at %s", images.BuildModules, images.BuildPackages, at)
	}
	if !slices.Contains(enginePlan.ports, RegistryPort) {
		t.Errorf("the machine forwards %v", enginePlan.ports)
	}
}

func pkiHas(file string) bool {
	name, ext, _ := strings.Cut(file, ".")
	if name == "service-account" {
		return ext == "key" || ext == "pub"
	}
	if slices.Contains(authorities, name) {
		return ext == "crt" || ext == "key"
	}
	i := slices.IndexFunc(identities(), func(id identity) bool { return id.name == name })
	return i >= 0 && (ext == "crt" || ext == "key" || ext == "kubeconfig" && identities()[i].user)
}
