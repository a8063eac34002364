package images

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
)

// pinFile returns the checksums that pin a module's dependencies.
func pinFile(module string) ([]byte, error) {
	root, err := paths.Root()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(root, "local", "modules", module, "go.sum"))
}

// add puts the files into the tree.
func (m moduleFiles) add(ctx context.Context, t oci.Tree, w io.Writer) error {
	dir, err := moduleDir(ctx, m.pinnedBy, m.module, w)
	if err != nil {
		return err
	}
	return addFiles(t, filepath.Join(dir, filepath.FromSlash(m.from)), m.to)
}

// moduleDir returns the folder of a module's files, at the version that another one below
// local/modules pins, and fetches them where they are missing.
func moduleDir(ctx context.Context, pinnedBy, module string, w io.Writer) (string, error) {
	root, err := paths.Root()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = filepath.Join(root, "local", "modules", pinnedBy)
	cmd.Stderr = w
	out, err := cmd.Output()
	var found struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &found); err != nil || jsonErr != nil || found.Error != "" {
		return "", fmt.Errorf("download module %s: %s (%w)", module, found.Error, err)
	}
	return found.Dir, nil
}

// addFiles puts the files below the folder from of this machine into the tree, below
// the folder to.
func addFiles(t oci.Tree, from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		t[path.Join(to, filepath.ToSlash(strings.TrimPrefix(p, from)))] = oci.Entry{Mode: 0o644, Source: p}
		return nil
	})
}
