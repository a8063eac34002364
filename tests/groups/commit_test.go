package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadCommit(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=n", "-c", "user.email=n@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	put := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		run("add", name)
	}
	read := func(dir string) commit {
		t.Helper()
		c, err := readCommit(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(c.changed)
		return c
	}
	run("init", "--quiet", "--initial-branch=main")
	put("first")
	run("commit", "--quiet", "-m", "1")
	if c := read(dir); c.turn != 1 || len(c.changed) != 0 {
		t.Errorf("the first commit: %+v; want turn 1 and nothing changed, since there is nothing before", c)
	}

	// What a merge brings counts, not what its first parent already had.
	run("checkout", "--quiet", "-b", "topic")
	put("topic one")
	run("commit", "--quiet", "-m", "t1")
	put("ünicode")
	run("commit", "--quiet", "-m", "t2")
	run("checkout", "--quiet", "main")
	put("other")
	run("commit", "--quiet", "-m", "2")
	run("merge", "--quiet", "--no-ff", "-m", "3", "topic")
	if c := read(dir); c.turn != 3 || !slices.Equal(c.changed, []string{"topic one", "ünicode"}) {
		t.Errorf("a merge: %+v; want turn 3 and what it brings", c)
	}

	put("staged")
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if c := read(dir); !slices.Equal(c.changed, []string{"new", "staged", "topic one", "ünicode"}) {
		t.Errorf("a working tree: %+v; want its changes, too", c)
	}
	run("commit", "--quiet", "-m", "4")

	shallow := filepath.Join(t.TempDir(), "clone")
	if out, err := exec.Command("git", "clone", "--quiet", "--depth=1", "file://"+dir, shallow).CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, out)
	}
	c := read(shallow)
	if again := read(shallow); c.turn <= 4 || again.turn != c.turn {
		t.Errorf("a shallow clone: turns %d and %d; want the same large one from the hash", c.turn, again.turn)
	}
	if _, err := readCommit(t.Context(), t.TempDir()); err == nil {
		t.Error("a folder that is no clone: no error")
	}
}
