// Package machine records which nodes run on this machine and what must be put back
// when they end, and lets one command at a time change them. All of it goes with a
// reboot.
package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// A Dir holds what is true until the machine restarts. It is the same for all
// clones: there is one cluster of a name on a machine.
type Dir string

// Of returns the folder of the cluster of that name.
func Of(cluster string) Dir { return Dir("/run/" + cluster) }

// File is the path of the record.
func (d Dir) File() string { return filepath.Join(string(d), "machine.json") }

// A Record is what runs and what must be put back when it ends.
type Record struct {
	Kind     plan.Kind `json:"kind"`
	StateDir string    `json:"stateDir"` // of the clone that started it
	// Controllers are those that were switched on for the machine's top cgroup
	// (version 2 only).
	Controllers []string `json:"controllers,omitempty"`
	// NetnsDir says that the folder of named network namespaces was made for it.
	NetnsDir bool `json:"netnsDir,omitempty"`
	// Nodes are those that were started and not ended by command.
	Nodes []Node `json:"nodes,omitempty"`

	dir Dir
	mu  sync.Mutex
}

// A Node is a node that was started.
type Node struct {
	Name      string    `json:"name"`
	Started   time.Time `json:"started"`
	InitPID   int       `json:"initPID"`   // its first process
	InitStart string    `json:"initStart"` // that process's start time in clock ticks, against reuse of its number
}

// New returns an empty record, which is not saved.
func (d Dir) New(k plan.Kind, stateDir string) *Record {
	return &Record{Kind: k, StateDir: stateDir, dir: d}
}

// Load returns the record, or nil if there is none.
func (d Dir) Load() (*Record, error) {
	b, err := os.ReadFile(d.File())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("record of the running node: %w", err)
	}
	r := &Record{dir: d}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("record of the running node: %s: %w", d.File(), err)
	}
	return r, nil
}

// Change changes the record and saves it. It may be called by several goroutines.
func (r *Record) Change(change func(*Record)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := state.WriteFile(r.dir.File(), b, 0o644); err != nil {
		return fmt.Errorf("record of the running node: %w", err)
	}
	return nil
}

// Remove removes the record.
func (r *Record) Remove() error {
	if err := os.Remove(r.dir.File()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("record of the node: %w", err)
	}
	return nil
}

// Node returns what is known of the node of that name; the zero Node if nothing is.
func (r *Record) Node(name string) Node {
	if r == nil {
		return Node{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.index(name); i >= 0 {
		return r.Nodes[i]
	}
	return Node{}
}

func (r *Record) index(name string) int {
	return slices.IndexFunc(r.Nodes, func(n Node) bool { return n.Name == name })
}

// Put adds the node or replaces what is known of it, and saves the record.
func (r *Record) Put(n Node) error {
	return r.Change(func(r *Record) {
		if i := r.index(n.Name); i >= 0 {
			r.Nodes[i] = n
		} else {
			r.Nodes = append(r.Nodes, n)
		}
	})
}

// Forget removes the node, and saves the record.
func (r *Record) Forget(name string) error {
	return r.Change(func(r *Record) {
		r.Nodes = slices.DeleteFunc(r.Nodes, func(n Node) bool { return n.Name == name })
	})
}

// Alive reports whether any node runs.
func (r *Record) Alive() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.Nodes, Node.Alive)
}

// Alive reports whether the node's first process runs.
func (n Node) Alive() bool {
	if n.InitPID == 0 {
		return false
	}
	s, err := StartTime(n.InitPID)
	return err == nil && s == n.InitStart
}

// StartTime returns when the process began, in clock ticks since boot. A zombie
// counts as gone.
func StartTime(pid int) (string, error) {
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

// Lock makes this process the only one that changes the node, and says whom it
// waits for if another one does. The returned function releases the lock.
func (d Dir) Lock(ctx context.Context, r *progress.Reporter, command string) (func(), error) {
	path := filepath.Join(string(d), "lock")
	told := false
	for {
		// The last holder may remove the folder at any moment.
		if err := os.Mkdir(string(d), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
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
			return func() { d.unlock(f, path) }, nil
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
func (d Dir) unlock(f *os.File, path string) {
	_ = f.Truncate(0)
	if _, err := os.Stat(d.File()); errors.Is(err, fs.ErrNotExist) {
		// Whoever waits for the file that is removed here notices and takes a new one.
		_ = os.Remove(path)
		_ = os.Remove(string(d))
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
