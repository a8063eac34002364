package paths

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// clone makes a directory that looks like a clone and returns its path.
func clone(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "local", "internal", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "local", "go.mod"), []byte("// c\nmodule "+module+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRootIsFoundFromAnyFolderOfTheClone(t *testing.T) {
	t.Setenv(RootEnv, "")
	dir := clone(t)
	for _, sub := range []string{".", "local", "local/internal/x"} {
		t.Chdir(filepath.Join(dir, sub))
		got, err := Root()
		if err != nil || got != dir {
			t.Errorf("from %s: got %q, %v; want %q", sub, got, err, dir)
		}
	}
}

func TestRootOutsideAClone(t *testing.T) {
	t.Setenv(RootEnv, "")
	t.Chdir(t.TempDir())
	if dir, err := Root(); !errors.Is(err, ErrNoRepository) {
		t.Errorf("got %q, %v; want ErrNoRepository", dir, err)
	}
}

func TestRootRefusesAnotherModulesLocalFolder(t *testing.T) {
	t.Setenv(RootEnv, "")
	dir := clone(t)
	if err := os.WriteFile(filepath.Join(dir, "local", "go.mod"), []byte("module example.org/local\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if got, err := Root(); !errors.Is(err, ErrNoRepository) {
		t.Errorf("got %q, %v; want ErrNoRepository", got, err)
	}
}

func TestRootFromEnvironment(t *testing.T) {
	dir := clone(t)
	t.Chdir(t.TempDir())
	t.Setenv(RootEnv, dir)
	if got, err := Root(); err != nil || got != dir {
		t.Errorf("got %q, %v; want %q", got, err, dir)
	}
	t.Setenv(RootEnv, t.TempDir())
	if got, err := Root(); !errors.Is(err, ErrNoRepository) {
		t.Errorf("wrong %s: got %q, %v; want ErrNoRepository", RootEnv, got, err)
	}
}

func TestFolders(t *testing.T) {
	dir := clone(t)
	t.Setenv(RootEnv, dir)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	t.Setenv("HOME", filepath.Join(dir, "home"))
	state, err := StateDir("cluster", "pki")
	if err != nil || state != filepath.Join(dir, ".local", "cluster", "pki") {
		t.Errorf("state: got %q, %v", state, err)
	}
	cache, err := CacheDir("bin")
	if err != nil || filepath.Base(filepath.Dir(cache)) != cacheName {
		t.Errorf("cache: got %q, %v", cache, err)
	}
	for _, d := range []string{state, cache} {
		if fi, err := os.Stat(d); err != nil || !fi.IsDir() {
			t.Errorf("%s was not created: %v", d, err)
		}
	}
}
