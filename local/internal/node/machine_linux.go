package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// runDir holds what is true until the machine restarts. It is the same for all
// clones: there is one node a machine. Tests set another one.
var runDir = defaultRunDir

// machine records what the running node is and what must be put back when it
// ends.
type machine struct {
	Kind      kind      `json:"kind"`
	StateDir  string    `json:"stateDir"` // of the clone that started it
	Started   time.Time `json:"started"`
	InitPID   int       `json:"initPID"`   // first process of the node; 0 while it is being started
	InitStart string    `json:"initStart"` // that process's start time in clock ticks, against reuse of its number
	// Controllers are those that were switched on for the machine's top cgroup
	// (version 2 only).
	Controllers []string `json:"controllers,omitempty"`
	// NetnsDir says that the folder of named network namespaces was made for it.
	NetnsDir bool `json:"netnsDir,omitempty"`
}

func machineFile() string { return filepath.Join(runDir, "machine.json") }

// loadMachine returns the record, or nil if there is none.
func loadMachine() (*machine, error) {
	b, err := os.ReadFile(machineFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("record of the running node: %w", err)
	}
	m := &machine{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("record of the running node: %s: %w", machineFile(), err)
	}
	return m, nil
}

func (m *machine) save() error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(machineFile(), b, 0o644); err != nil {
		return fmt.Errorf("record of the running node: %w", err)
	}
	return nil
}

// alive reports whether the node's first process runs.
func (m *machine) alive() bool {
	if m == nil || m.InitPID == 0 {
		return false
	}
	s, err := startTime(m.InitPID)
	return err == nil && s == m.InitStart
}

// startTime returns when the process began, in clock ticks since boot. A zombie
// counts as gone.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the command's name in parentheses and may hold anything.
	_, rest, ok := strings.Cut(string(b[max(0, strings.LastIndexByte(string(b), ')')):]), " ")
	f := strings.Fields(rest)
	if !ok || len(f) < 20 {
		return "", fmt.Errorf("/proc/%d/stat: unexpected content", pid)
	}
	if f[0] == "Z" || f[0] == "X" {
		return "", fmt.Errorf("process %d: %w", pid, unix.ESRCH)
	}
	return f[19], nil
}

// lock makes this process the only one that changes the node, and says whom it
// waits for if another one does. The returned function releases the lock.
func lock(ctx context.Context, r *progress.Reporter, command string) (func(), error) {
	path := filepath.Join(runDir, "lock")
	told := false
	for {
		// The last holder may remove the folder at any moment.
		if err := os.Mkdir(runDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("lock: %w", err)
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && sameFile(f, path) {
			// Kept in the file for whoever waits.
			_ = f.Truncate(0)
			_, _ = f.WriteAt(fmt.Appendf(nil, "process %d (local %s)", os.Getpid(), command), 0)
			return func() { unlock(f, path) }, nil
		}
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if err != nil && !told {
			told = true
			holder, _ := os.ReadFile(path)
			if len(holder) == 0 {
				holder = []byte("another process")
			}
			r.Infof("waiting: %s is working on the local node", holder)
		}
		_ = f.Close()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// unlock releases the lock. With no node on the machine its folder goes too.
func unlock(f *os.File, path string) {
	_ = f.Truncate(0)
	if _, err := os.Stat(machineFile()); errors.Is(err, fs.ErrNotExist) {
		// Whoever waits for the file that is removed here notices and takes a new one.
		_ = os.Remove(path)
		_ = os.Remove(runDir)
	}
	_ = f.Close()
}

// sameFile reports whether the open file is still the one at path: the last
// holder may have removed it.
func sameFile(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// cgroupRoots returns the folders in which the node has, or would have, a cgroup
// of its own: one for each hierarchy of version 1, one for version 2.
func cgroupRoots() ([]string, error) {
	const mount = "/sys/fs/cgroup"
	if unifiedCgroups() {
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

// unifiedCgroups reports whether the machine uses version 2 alone.
func unifiedCgroups() bool {
	var s unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC
}

// makeCgroups creates the node's cgroups. It returns the controllers that it
// had to switch on for the whole machine, which teardown switches off again.
func makeCgroups() (enabled []string, err error) {
	roots, err := cgroupRoots()
	if err != nil {
		return nil, err
	}
	if unifiedCgroups() {
		return makeCgroup2(roots[0])
	}
	for _, root := range roots {
		for _, dir := range []string{filepath.Join(root, Name), filepath.Join(root, Name, "node")} {
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

func makeCgroup2(root string) (enabled []string, err error) {
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
	own := filepath.Join(root, Name)
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

// cgroupPIDs returns the processes in the node's cgroups.
func cgroupPIDs() ([]int, error) {
	roots, err := cgroupRoots()
	if err != nil {
		return nil, err
	}
	seen := map[int]bool{}
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join(root, Name), func(path string, d fs.DirEntry, err error) error {
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

// removeCgroups removes the node's cgroups. No process may be left in them.
func removeCgroups() error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		var dirs []string
		err := filepath.WalkDir(filepath.Join(root, Name), func(path string, d fs.DirEntry, err error) error {
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
			if err := removeCgroup(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeCgroup tries for a while: the kernel lets go of an ended process a
// little later than of its number.
func removeCgroup(dir string) error {
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
