package node

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
	kubelet "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"
)

func TestConfigIsKnownToItsReaders(t *testing.T) {
	dir := t.TempDir()
	if err := writeConfig(dir); err != nil {
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
	var names []string
	for _, p := range processes() {
		names = append(names, p.name)
		if p.name != "containerd" && !slices.Contains(Tools(), p.name) {
			t.Errorf("%s is not built", p.name)
		}
		var flags []string
		for _, a := range p.args {
			flag, value, _ := strings.Cut(a, "=")
			if strings.HasPrefix(flag, "-") && slices.Contains(flags, flag) {
				t.Errorf("%s has %s twice", p.name, flag)
			}
			flags = append(flags, flag)
			if name, ok := strings.CutPrefix(value, inPKI+"/"); ok && !pkiHas(name) {
				t.Errorf("%s: %s: no such file is made", p.name, a)
			}
		}
		// The shim that belongs to this containerd comes first on PATH.
		if !slices.ContainsFunc(p.env, func(e string) bool { return strings.HasPrefix(e, "PATH="+inBin+":") }) {
			t.Errorf("%s: %v", p.name, p.env)
		}
	}
	for _, tool := range Tools() {
		if !slices.Contains(names, tool) {
			t.Errorf("%s is built but not run", tool)
		}
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
