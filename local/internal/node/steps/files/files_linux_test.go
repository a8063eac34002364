package files

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// TestFirstProcessFindsItsFiles writes a node's files twice, as two starts do, and
// reads them as the node will.
func TestFirstProcessFindsItsFiles(t *testing.T) {
	for _, k := range []plan.Kind{plan.Cluster, plan.Engine} {
		c := topology.Local()
		b := &steps.Bringup{
			Kind: k, Cluster: c, Nodes: c.Hosts(), State: state.Dir(filepath.Join(t.TempDir(), "state")), RunDir: "/run/x",
			Programs: map[string]string{}, Folders: map[string]string{"cni": "/opt/cni"},
		}
		p := b.Plan(c.First())
		for _, name := range slices.Concat(p.Programs, p.Tools) {
			b.Programs[name] = "/opt/" + name
		}
		for run := range 2 {
			if err := (Step{}).Do(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if run == 0 {
				if err := os.WriteFile(b.State.Log()+"/etcd.log", []byte("first"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		if old, err := os.ReadFile(b.State.Log() + "/etcd.log.old"); err != nil || string(old) != "first" {
			t.Errorf("the log of the run before: %q, %v", old, err)
		}
		spec, err := ReadSpec(b.State)
		want := Spec{Kind: k, Host: c.First(), RunDir: "/run/x", Programs: b.Programs, Folders: b.Folders}
		if err != nil || !reflect.DeepEqual(spec, want) {
			t.Errorf("got %+v, %v", spec, err)
		}
		for _, target := range b.Plan(c.First()).Config {
			if _, err := os.Stat(filepath.Join(b.State.Config(), target)); err != nil {
				t.Error(err)
			}
		}
		cfg, err := clientcmd.BuildConfigFromFlags("", b.State.Kubeconfig())
		if (err == nil) != (k == plan.Cluster) || err == nil && cfg.Host != c.APIServer() {
			t.Errorf("kubeconfig of the %s: %+v, %v", k.Words(), cfg, err)
		}
		if fi, err := os.Stat(b.State.Lib()); err != nil || fi.Mode().Perm() != 0o711 {
			t.Errorf("%v, %v: only root may list keys and volumes", fi.Mode(), err)
		}
	}
}

// TestWorkerGetsWhatItRuns: no program, key or configuration of the control plane.
func TestWorkerGetsWhatItRuns(t *testing.T) {
	c, err := topology.Local().Apply(topology.Request{Nodes: 2})
	if err != nil {
		t.Fatal(err)
	}
	b := &steps.Bringup{Kind: plan.Cluster, Cluster: c, Nodes: c.Hosts(), State: state.Dir(t.TempDir()), Programs: map[string]string{"kubelet": "/opt/kubelet", "etcd": "/opt/etcd"}}
	if err := (Step{}).Do(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	dir := b.State.Of(c.Hosts()[1])
	if dir != b.State+"/nodes/alphapulse-2" {
		t.Errorf("its state lies in %s", dir)
	}
	spec, err := ReadSpec(dir)
	if _, etcd := spec.Programs["etcd"]; err != nil || etcd || spec.Programs["kubelet"] != "/opt/kubelet" {
		t.Errorf("it runs %v, %v", spec.Programs, err)
	}
	proxy, err := os.ReadFile(filepath.Join(dir.Config(), "kube-proxy.yaml"))
	if err != nil || !strings.Contains(string(proxy), "hostnameOverride: alphapulse-2") {
		t.Errorf("kube-proxy: %v\n%s", err, proxy)
	}
	cni, err := os.ReadFile(filepath.Join(dir.Config(), "cni", "10-alphapulse.conflist"))
	if err != nil || !strings.Contains(string(cni), "10.244.1.0/24") {
		t.Errorf("addresses of pods: %v\n%s", err, cni)
	}
	if _, err := os.Stat(dir.Kubeconfig()); !os.IsNotExist(err) {
		t.Errorf("the administrator's kubeconfig lies on a worker: %v", err)
	}
}
