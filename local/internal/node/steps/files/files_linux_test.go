package files

import (
	"os"
	"path/filepath"
	"reflect"
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
			Programs: map[string]string{"runc": "/opt/runc"}, Folders: map[string]string{"cni": "/opt/cni"},
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
