//go:build e2e

package e2e

import (
	"slices"
	"testing"
)

// testPlacement: a pool of nodes that is tainted for a room has the pods of that room and
// no others, and all come back once it is a node like the others.
func (f *fleet) testPlacement(t *testing.T) {
	pool := f.nodes[2]
	must(t, "kubectl", "--", "label", "node", pool, "pool=ui")
	must(t, "kubectl", "--", "taint", "node", pool, "pool=ui:NoSchedule")
	for _, setting := range [][2]string{
		{"frontendPlacement.nodeSelector.pool", "ui"},
		{"frontendPlacement.tolerations[0].key", "pool"},
		{"frontendPlacement.tolerations[0].operator", "Exists"},
	} {
		pulumi(t, "config", "set", "--stack", stack, "--config-file", f.file, "--path", setting[0], setting[1])
	}
	f.deploy(t)
	if on := slices.Compact(placement(t)["frontend"]); !slices.Equal(on, []string{pool}) {
		t.Errorf("the user interface is on %v, want %s alone", on, pool)
	}
	roll(t, "edge")
	settled(t, namespace)
	if on := placement(t)["edge"]; slices.Contains(on, pool) {
		t.Errorf("the edge, which tolerates no pool, is on %v", on)
	}

	must(t, "kubectl", "--", "taint", "node", pool, "pool-")
	must(t, "kubectl", "--", "label", "node", pool, "pool-")
	pulumi(t, "config", "rm", "--stack", stack, "--config-file", f.file, "frontendPlacement")
	f.deploy(t)
	roll(t, "edge")
	settled(t, namespace)
	if together := apart(t); len(together) > 0 {
		t.Errorf("after the pool is gone: %v", together)
	}
}
