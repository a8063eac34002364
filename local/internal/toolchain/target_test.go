package toolchain

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBuildTarget(t *testing.T) {
	for file, want := range map[string]string{
		"name: x\nruntime: go\n": "",
		"name: x\nruntime:\n  name: go\n  options:\n    buildTarget: .local/x\n":       ".local/x",
		"name: x\nruntime:\n  name: go\n  options:\n    binary: x\n":                   "",
		"name: x\nruntime:\n  name: go\n  options:\n    buildTarget: [not, a, name]\n": "",
		"name: [\n": "",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "Pulumi.yaml"), file, 0o644)
		if want != "" {
			want = filepath.Join(dir, want)
		}
		if got := buildTarget(dir); got != want {
			t.Errorf("%q: %q; want %q", file, got, want)
		}
	}
	if got := buildTarget(t.TempDir()); got != "" {
		t.Errorf("no project: %q", got)
	}
}

// The pinned host alone needs to be told; another one reads it from Pulumi.
func TestTheTargetIsToldToThePinnedHost(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Pulumi.yaml"), "name: x\nruntime:\n  name: go\n  options:\n    buildTarget: out/x\n", 0o644)
	told := targetEnv + "=" + filepath.Join(dir, "out", "x")
	for pinned, want := range map[bool]bool{true: true, false: false} {
		tools := &Toolchain{Path: "pulumi", Pinned: pinned}
		if got := slices.Contains(tools.environ(dir), told); got != want {
			t.Errorf("pinned %v: told %v; want %v", pinned, got, want)
		}
	}
}

// What the host relies on: the compiler does not link a program again that is there and
// of which no source has changed.
func TestAnUnchangedProgramIsNotLinkedAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.com/x\n\ngo 1.26\n", 0o644)
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { println(1) }\n", 0o644)
	links := func() bool {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", "build", "-x", "-o", filepath.Join(dir, "out", "x"))
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.Contains(string(out), "/link -o ")
	}
	if !links() {
		t.Error("the first build does not link")
	}
	if links() {
		t.Error("nothing has changed, and the program is linked again")
	}
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { println(2) }\n", 0o644)
	if !links() {
		t.Error("an edit does not link")
	}
}
