package containerd

import (
	"os"
	"path/filepath"
	"testing"
)

func TestShareNamesTheSameFiles(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	if err := Share(from, to); err != nil {
		t.Errorf("a node without images: %v", err)
	}
	put := func(root, name, text string) {
		t.Helper()
		dir := filepath.Join(root, content)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	put(from, "a", "layer")
	put(from, "b", "config")
	put(to, "b", "config")
	for range 2 {
		if err := Share(from, to); err != nil {
			t.Fatal(err)
		}
	}
	a, err := os.Stat(filepath.Join(from, content, "a"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.Stat(filepath.Join(to, content, "a"))
	if err != nil || !os.SameFile(a, b) {
		t.Errorf("the content was copied, or is not there: %v", err)
	}
}
