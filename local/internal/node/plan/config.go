package plan

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"text/template"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/pki"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// Paths inside a node. /run and /var are the node's own there, so that they are the
// same and short wherever the clone lies.
const (
	Run        = "/run/" + topology.Product
	Bin        = Run + "/bin" // every program that the node runs
	ResolvConf = Run + "/resolv.conf"
	Own        = "/var/lib/" + topology.Product
	PKI        = Own + "/pki"
	Config     = Own + "/config"
	Components = Own + "/components.json"
	Volumes    = "/var/lib/volumes"
	Containerd = "/run/containerd/containerd.sock"

	// Of the engine alone.
	Machine  = Run + "/machine" // the machine's /run/alphapulse, for the socket
	Modules  = Bin + "/modules" // the machine's download cache of Go modules
	Packages = Own + "/npm"
	Registry = Own + "/registry"
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
	Name, PodCIDRs, DNSServiceIP, Domain                                        string
	NodePodCIDRs                                                                []netip.Prefix
	Bin, PKI, Config, Volumes, ResolvConf, ContainerdSocket                     string
	PauseImage, CoreDNSImage, MetricsServerImage, ProvisionerImage, HelperImage string
	StorageClass, KubeletClient, NetpolUser                                     string
	DNSReplicas                                                                 int
}

func valuesOf(h topology.Host) values {
	c := h.Cluster
	return values{
		Name: h.Name(), PodCIDRs: list(c.PodRanges()), NodePodCIDRs: h.PodRanges(), DNSServiceIP: c.DNSService().String(), Domain: topology.Domain,
		Bin: Bin, PKI: PKI, Config: Config, Volumes: Volumes, ResolvConf: ResolvConf, ContainerdSocket: Containerd,
		PauseImage: PauseImage, CoreDNSImage: CoreDNSImage, MetricsServerImage: MetricsServerImage,
		ProvisionerImage: ProvisionerImage, HelperImage: HelperImage,
		StorageClass: StorageClass, KubeletClient: pki.KubeletClient, NetpolUser: pki.NetpolUser,
		// On another node as soon as there is one: without names nothing is found.
		DNSReplicas: min(2, len(c.Nodes)),
	}
}

//go:embed config
var configFiles embed.FS

// WriteConfig writes the configuration files of the node's programs into dir.
func (p Plan) WriteConfig(dir string) error {
	for name, target := range p.Config {
		b, err := Render(configFiles, "config/"+name, p.Host)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, target)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("config: %w", err)
		}
		if err := state.WriteFile(path, b, 0o644); err != nil {
			return fmt.Errorf("config: %w", err)
		}
	}
	return nil
}

// Render fills in a template with what it can refer to of the node.
func Render(files fs.FS, name string, h topology.Host) ([]byte, error) {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, valuesOf(h)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
