package toolchain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A lock is what Pulumi's file backend writes while it works on a stack.
type lock struct {
	PID       int       `json:"pid"`
	Username  string    `json:"username"`
	Hostname  string    `json:"hostname"`
	Timestamp time.Time `json:"timestamp"`
}

// clearStaleLocks removes the locks of Pulumi processes of this machine that no
// longer run: they were killed, and nobody else would ever remove them.
func (t *Toolchain) clearStaleLocks(s Streams) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	err = filepath.WalkDir(filepath.Join(t.state, ".pulumi", "locks"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".json") {
			return err
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		var l lock
		if err := json.Unmarshal(raw, &l); err != nil {
			return fmt.Errorf("%s is not a lock of Pulumi: %w", p, err)
		}
		if !l.stale(host, runsPulumi) {
			return nil
		}
		_, _ = fmt.Fprintf(s.Err, "removing the lock on stack %s of a pulumi (pid %d, begun %s) that no longer runs\n",
			filepath.Base(filepath.Dir(p)), l.PID, l.Timestamp.Local().Format(time.DateTime))
		// Beside it lies what the backend notes of the file's attributes.
		if err := os.Remove(p + ".attrs"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Remove(p)
	})
	// Another process may have finished and removed its lock meanwhile.
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// stale tells whether the lock's owner is known to be gone. Of another machine
// nothing is known.
func (l lock) stale(host string, runs func(pid int) bool) bool {
	return l.Hostname == host && l.PID > 0 && !runs(l.PID)
}

// runsPulumi tells whether the process pid is there and could be Pulumi.
func runsPulumi(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return true // not Linux, or not ours to look at
	}
	return strings.Contains(filepath.Base(exe), "pulumi")
}
