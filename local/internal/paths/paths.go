// Package paths knows where the local cluster keeps things: what was built
// lives in the user's cache directory and is shared by all clones of the
// repository; what belongs to one running environment lives below the clone.
package paths

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// RootEnv names the environment variable that overrides the search for the
	// repository, for callers that run outside it.
	RootEnv = "ALPHAPULSE_ROOT"

	cacheName = "alphapulse-infra"
	stateName = ".local"
	module    = "github.com/alphapulse/alphapulse-infra/local"
)

// ErrNoRepository says that neither the working directory nor any directory
// above it is a clone of the repository.
var ErrNoRepository = errors.New("not inside a clone of alphapulse-infra")

// Root returns the absolute path of the repository: $ALPHAPULSE_ROOT if set,
// else the nearest directory at or above the working directory that holds this
// program's own module in local/.
func Root() (string, error) {
	if dir := os.Getenv(RootEnv); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("%s=%s: %w", RootEnv, dir, err)
		}
		if !isRoot(abs) {
			return "", fmt.Errorf("%s=%s: %w (no local/go.mod of this program there): set it to the clone, or unset it", RootEnv, dir, ErrNoRepository)
		}
		return abs, nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if isRoot(dir) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s: %w: change into the clone, or set %s", wd, ErrNoRepository, RootEnv)
		}
	}
}

func isRoot(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "local", "go.mod"))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), "module "); ok {
			return strings.TrimSpace(rest) == module
		}
	}
	return false
}

// Cache returns the path of elem below the cache folder of built things,
// $XDG_CACHE_HOME/alphapulse-infra or ~/.cache/alphapulse-infra. It creates
// nothing.
func Cache(elem ...string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache folder: %w: set HOME or XDG_CACHE_HOME", err)
	}
	return filepath.Join(append([]string{base, cacheName}, elem...)...), nil
}

// CacheDir is Cache, and makes sure that the directory exists.
func CacheDir(elem ...string) (string, error) { return mkdir(Cache, elem) }

// State returns the path of elem below the clone's ignored .local folder. It
// creates nothing.
func State(elem ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	return filepath.Join(append([]string{root, stateName}, elem...)...), nil
}

// StateDir is State, and makes sure that the directory exists.
func StateDir(elem ...string) (string, error) { return mkdir(State, elem) }

func mkdir(where func(...string) (string, error), elem []string) (string, error) {
	dir, err := where(elem...)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create folder: %w", err)
	}
	return dir, nil
}
