package build

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A generator makes files that a module embeds and git does not hold. They
// never appear in the module's folder: the compiler sees them through an overlay.
type generator struct {
	// id is part of the cache key: it changes when run makes something else of
	// the same module.
	id string
	// run writes files below out, with their paths relative to the module in dir.
	run func(ctx context.Context, dir, out string, w io.Writer) error
}

// overlay runs the unit's generator and returns the path of the file that shows
// its result to the compiler.
func (j *job) overlay(ctx context.Context, tmp string, w io.Writer) (string, error) {
	out := filepath.Join(tmp, "generated")
	if err := os.Mkdir(out, 0o755); err != nil {
		return "", err
	}
	if err := j.generate.run(ctx, j.dir, out, w); err != nil {
		return "", err
	}
	replace := map[string]string{}
	err := filepath.WalkDir(out, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(out, p)
		if err != nil {
			return err
		}
		replace[filepath.Join(j.dir, rel)] = p
		return nil
	})
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(tmp, "overlay.json")
	return file, os.WriteFile(file, raw, 0o644)
}
