package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestCgroupsOfVersion2(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("cgroup.controllers", "cpuset cpu io memory pids rdma misc")
	write("cgroup.subtree_control", "cpu memory pids")
	enabled, err := createUnified(root, "node-7")
	if err != nil {
		t.Fatal(err)
	}
	// Only what was off is remembered, and so switched off again.
	if want := []string{"cpuset", "io"}; !slices.Equal(enabled, want) {
		t.Errorf("switched on %v, want %v", enabled, want)
	}
	if b, err := os.ReadFile(filepath.Join(root, "node-7", "cgroup.subtree_control")); err != nil || string(b) != "+cpu +cpuset +io +memory +pids" {
		t.Errorf("the node's controllers: %q, %v", b, err)
	}
	// Processes must be in a leaf.
	if fi, err := os.Stat(filepath.Join(root, "node-7", "node")); err != nil || !fi.IsDir() {
		t.Errorf("the node's leaf: %v", err)
	}
}

func TestMemoryIsTheWorkingSet(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"version 1": {"memory.usage_in_bytes": "5000\n", "memory.stat": "inactive_file 1\ntotal_inactive_file 2000\n"},
		"version 2": {"memory.current": "5000\n", "memory.stat": "anon 7\ninactive_file 2000\n"},
	} {
		dir := t.TempDir()
		if got := memory(dir); got != 0 {
			t.Errorf("%s: %d bytes of no cgroup", name, got)
		}
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := memory(dir); got != 3000 {
			t.Errorf("%s: %d bytes, want 3000", name, got)
		}
	}
}
