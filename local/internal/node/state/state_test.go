package state

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

func TestClusterIsStored(t *testing.T) {
	d := Dir(t.TempDir() + "/cluster")
	if c, err := d.ReadCluster(); err != nil || !reflect.DeepEqual(c, topology.Local()) {
		t.Errorf("nothing stored: %+v, %v", c, err)
	}
	want, err := topology.Local().Apply(topology.Request{Nodes: 3, Zones: []string{"a"}, Labels: []string{"alphapulse-3:x=y"}, Taints: []string{"alphapulse:x=y:NoSchedule"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteCluster(want); err != nil {
		t.Fatal(err)
	}
	if c, err := d.ReadCluster(); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, bad := range []string{"{", `{"nodes":[]}`} {
		if err := os.WriteFile(d.ClusterFile(), []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := d.ReadCluster(); err == nil || !strings.Contains(err.Error(), d.ClusterFile()) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
