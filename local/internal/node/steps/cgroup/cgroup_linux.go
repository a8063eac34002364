// Package cgroup makes the cgroups of nodes: in them a node's processes are counted,
// and there they are found after a crash.
package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/machine"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// Step makes the nodes' cgroups.
type Step struct{}

// Do creates the cgroups. It records the controllers that it had to switch on for
// the whole machine.
func (Step) Do(_ context.Context, b *steps.Bringup) error {
	for _, h := range b.Nodes {
		enabled, err := create(h.Name())
		if len(enabled) > 0 {
			err = errors.Join(err, b.Record.Change(func(r *machine.Record) { r.Controllers = append(r.Controllers, enabled...) }))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Undo removes the cgroups and, with the last node, switches the controllers off
// that Do has switched on.
func (Step) Undo(b *steps.Bringup, nodes []topology.Host) error {
	var errs []error
	for _, h := range nodes {
		errs = append(errs, remove(h.Name()))
	}
	if b.Record.Alive() {
		return errors.Join(errs...)
	}
	for _, c := range b.Record.Controllers {
		// Another program may use it by now.
		if err := os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("-"+c), 0); err != nil && !errors.Is(err, syscall.EBUSY) {
			errs = append(errs, fmt.Errorf("cgroup controller %s: %w", c, err))
		}
	}
	return errors.Join(errs...)
}

// Traces tells of cgroups.
func (Step) Traces(_ *steps.Bringup, nodes []topology.Host) []string {
	var found []string
	all, _ := roots()
	for _, h := range nodes {
		if slices.ContainsFunc(all, func(root string) bool {
			_, err := os.Stat(filepath.Join(root, h.Name()))
			return err == nil
		}) {
			found = append(found, "cgroup "+h.Name())
		}
	}
	return found
}

// Join moves this process, and so all that it starts, below the node's cgroup.
func Join(node string) error {
	all, err := roots()
	if err != nil {
		return err
	}
	for _, root := range all {
		if err := os.WriteFile(filepath.Join(root, node, "node", "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

// roots returns the folders in which a node has, or would have, a cgroup
// of its own: one for each hierarchy of version 1, one for version 2.
func roots() ([]string, error) {
	const mount = "/sys/fs/cgroup"
	if unified() {
		return []string{mount}, nil
	}
	entries, err := os.ReadDir(mount)
	if err != nil {
		return nil, fmt.Errorf("cgroups: %w", err)
	}
	var roots []string
	for _, e := range entries {
		// cpu and cpuacct may be links to cpu,cpuacct.
		if e.IsDir() {
			roots = append(roots, filepath.Join(mount, e.Name()))
		}
	}
	return roots, nil
}

// unified reports whether the machine uses version 2 alone.
func unified() bool {
	var s unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC
}

// create makes the cgroups of one node. It returns the controllers that it had to
// switch on for the whole machine.
func create(node string) (enabled []string, err error) {
	all, err := roots()
	if err != nil {
		return nil, err
	}
	if unified() {
		return createUnified(all[0], node)
	}
	for _, root := range all {
		for _, dir := range []string{filepath.Join(root, node), filepath.Join(root, node, "node")} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nil, fmt.Errorf("cgroup: %w", err)
			}
			// A new cpuset is empty, and takes no process until it is filled.
			for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
				b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), f))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, f), b, 0)
				}
				if err != nil {
					return nil, fmt.Errorf("cgroup: %w", err)
				}
			}
		}
	}
	return nil, nil
}

func createUnified(root, node string) (enabled []string, err error) {
	words := func(file string) []string {
		b, _ := os.ReadFile(file)
		return strings.Fields(string(b))
	}
	var want []string
	for _, c := range []string{"cpu", "cpuset", "hugetlb", "io", "memory", "pids"} {
		if slices.Contains(words(root+"/cgroup.controllers"), c) {
			want = append(want, c)
		}
	}
	have := words(root + "/cgroup.subtree_control")
	for _, c := range want {
		if !slices.Contains(have, c) {
			if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+"+c), 0); err != nil {
				return enabled, fmt.Errorf("cgroup controller %s: %w", c, err)
			}
			enabled = append(enabled, c)
		}
	}
	own := filepath.Join(root, node)
	if err := os.MkdirAll(own, 0o755); err != nil {
		return enabled, fmt.Errorf("cgroup: %w", err)
	}
	if err := os.WriteFile(own+"/cgroup.subtree_control", []byte("+"+strings.Join(want, " +")), 0); err != nil {
		return enabled, fmt.Errorf("cgroup controllers %v: %w", want, err)
	}
	if err := os.MkdirAll(own+"/node", 0o755); err != nil {
		return enabled, fmt.Errorf("cgroup: %w", err)
	}
	return enabled, nil
}

// PIDs returns the processes in the node's cgroups.
func PIDs(node string) ([]int, error) {
	all, err := roots()
	if err != nil {
		return nil, err
	}
	seen := map[int]bool{}
	for _, root := range all {
		err := filepath.WalkDir(filepath.Join(root, node), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || d.Name() != "cgroup.procs" {
				return err
			}
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
				return nil // removed meanwhile
			}
			for _, f := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
					seen[pid] = true
				}
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("cgroups: %w", err)
		}
	}
	var pids []int
	for pid := range seen {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids, nil
}

// Memory returns the bytes that the node's processes hold, those of its pods included:
// what the kubelet calls the working set, without files that were only read. It is 0
// if that is unknown.
func Memory(node string) uint64 {
	all, err := roots()
	if err != nil {
		return 0
	}
	for _, root := range all {
		if n := memory(filepath.Join(root, node)); n > 0 {
			return n
		}
	}
	return 0
}

// memory reads the working set of a cgroup of either version.
func memory(dir string) uint64 {
	for usage, idle := range map[string]string{"memory.current": "inactive_file", "memory.usage_in_bytes": "total_inactive_file"} {
		b, err := os.ReadFile(filepath.Join(dir, usage))
		if err != nil {
			continue
		}
		used, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		stat, _ := os.ReadFile(filepath.Join(dir, "memory.stat"))
		for line := range strings.Lines(string(stat)) {
			if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == idle {
				files, _ := strconv.ParseUint(value, 10, 64)
				return used - min(files, used)
			}
		}
		return used
	}
	return 0
}

// remove removes the node's cgroups. No process may be left in them.
func remove(node string) error {
	all, err := roots()
	if err != nil {
		return err
	}
	for _, root := range all {
		var dirs []string
		err := filepath.WalkDir(filepath.Join(root, node), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("cgroups: %w", err)
		}
		for _, dir := range slices.Backward(dirs) { // children first
			if err := removeOne(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeOne tries for a while: the kernel lets go of an ended process a
// little later than of its number.
func removeOne(dir string) error {
	var err error
	for range 100 {
		err = unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EINTR) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("remove cgroup %s: %w", dir, err)
}
