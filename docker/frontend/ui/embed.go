// Package ui carries the built user interface inside the binary.
//
// `npm run build` writes it to ui/dist, which is not kept in git. Only the
// placeholder .gitkeep is, so that the package compiles before the first build;
// [Files] then reports [ErrNotBuilt].
package ui

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// ErrNotBuilt says that the binary was compiled before `npm run build` had run.
var ErrNotBuilt = errors.New("this binary was built without the user interface: " +
	"run `npm ci && npm run build` in docker/frontend, then `go build` again")

// Files returns the built user interface with index.html at its root, or
// [ErrNotBuilt].
func Files() (fs.FS, error) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("open the embedded user interface: %w", err)
	}
	if _, err := fs.Stat(files, "index.html"); err != nil {
		return nil, ErrNotBuilt
	}
	return files, nil
}
