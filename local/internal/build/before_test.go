package build

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBuiltBefore(t *testing.T) {
	cache := t.TempDir()
	write(t, filepath.Join(cache, "one", "key", "one"), "program")
	write(t, filepath.Join(cache, "two", "key", "other"), "another file")
	if err := os.MkdirAll(filepath.Join(cache, "three", "key"), 0o755); err != nil {
		t.Fatal(err)
	}
	// One of several names of a program, an older build of which is gone.
	if err := os.Symlink("../../one/gone/one", filepath.Join(cache, "three", "key", "three")); err != nil {
		t.Fatal(err)
	}
	for names, want := range map[string]bool{"": true, "one": true, "three": true, "two": false, "never": false} {
		all := []string{"one"}
		if names != "" {
			all = append(all, names)
		}
		if got := builtBefore(cache, all); got != want {
			t.Errorf("%v: %v, want %v", all, got, want)
		}
	}
}
