package deploy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// renewed returns the options that `pulumi up` with these arguments needs when the local
// cluster or engine that the stack's state speaks of was erased and another stands in its
// place: Pulumi then looks what is left, which is nothing, and creates it again. Generated
// credentials, which are no part of it, stay. The program, which takes no other cluster
// for the stack's by accident, is told that this one is meant: in a copy of the stack's
// file, which done removes, since Pulumi would keep it in the file itself.
func renewed(r *progress.Reporter, root, stack string, now target, args []string) (more []string, done func(), err error) {
	done = func() {}
	was, err := remembered(stack)
	if err != nil || was == nil || !was.Local || !now.Local || was.UID == now.UID {
		return nil, done, nil
	}
	r.Infof("%s is a new one: everything is created again, generated credentials stay", now)
	more = []string{"--refresh"}
	own := slices.ContainsFunc(args, func(a string) bool { return a == "--config-file" || strings.HasPrefix(a, "--config-file=") })
	if now.Docker || now.UID == "" || own {
		return more, done, nil
	}
	raw, err := os.ReadFile(filepath.Join(root, "Pulumi."+stack+".yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = nil, nil
	}
	dir := ""
	if err == nil {
		dir, err = paths.StateDir("targets")
	}
	file := filepath.Join(dir, filepath.Base(stack)+".yaml")
	if err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		return nil, done, fmt.Errorf("settings of stack %s: %w", stack, err)
	}
	return append(more, "--config-file="+file, "--config=alphapulse:clusterMoveTo="+now.UID), func() { _ = os.Remove(file) }, nil
}
