package toolchain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// scratch makes a folder below all for the temporary files of one command, and returns
// how to remove it. The Kubernetes provider leaves a copy of the kubeconfig, key and
// all, in the folder for temporary files with every run: in one of its own it does not
// outlive the run, and nobody else can read it meanwhile. What killed processes have
// left is removed first.
func scratch(all string) (dir string, remove func() error, err error) {
	left, err := filepath.Glob(filepath.Join(all, "*"))
	if err != nil {
		return "", nil, err
	}
	for _, old := range left {
		owner, _, _ := strings.Cut(filepath.Base(old), "-")
		if pid, err := strconv.Atoi(owner); err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := os.RemoveAll(old); err != nil {
			return "", nil, fmt.Errorf("temporary files of a run that was killed: %w", err)
		}
	}
	if dir, err = os.MkdirTemp(all, strconv.Itoa(os.Getpid())+"-"); err != nil {
		return "", nil, fmt.Errorf("folder for temporary files: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}
