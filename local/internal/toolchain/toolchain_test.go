package toolchain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func TestUsable(t *testing.T) {
	for v, want := range map[string]bool{
		"v3.259.0": true, "v3.259.1": true, "3.300.2": true,
		"v3.258.9": false, "v2.400.0": false, "v4.0.0": false, "v3.259.0-alpha.1": false,
		"": false, "pulumi": false,
	} {
		if got := usable(v); got != want {
			t.Errorf("usable(%q) = %v; want %v", v, got, want)
		}
	}
}

// clone makes an empty clone of the repository and makes it the one in use.
func clone(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, "local", "go.mod"), "module github.com/alphapulse/alphapulse-infra/local\n", 0o644)
	t.Setenv(paths.RootEnv, root)
	for _, k := range []string{Setting, backendEnv, passphraseEnv, passphraseFileEnv} {
		t.Setenv(k, "") // so that it is restored after the test
		if err := os.Unsetenv(k); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fake puts a pulumi on PATH that is the given shell script, but answers version.
func fake(t *testing.T, version, script string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "pulumi"), "#!/bin/sh\nif [ \"$1\" = version ]; then echo "+version+"; exit; fi\n"+script, 0o755)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestOnPath(t *testing.T) {
	clone(t)
	var out bytes.Buffer
	r := progress.New(&out, false, t.TempDir())

	fake(t, "v3.260.0", "")
	got, err := onPath(t.Context(), r)
	if err != nil || got == nil || got.Version != "v3.260.0" || got.Pinned {
		t.Fatalf("got %+v, %v; want the one on PATH", got, err)
	}
	if !strings.Contains(out.String(), got.Path) {
		t.Errorf("not told which pulumi is used: %q", out.String())
	}

	t.Setenv(Setting, "pinned")
	if got, err := onPath(t.Context(), r); got != nil || err != nil {
		t.Errorf("%s=pinned gives %+v, %v; want none", Setting, got, err)
	}
	t.Setenv(Setting, "newest")
	if _, err := onPath(t.Context(), r); err == nil || !strings.Contains(err.Error(), "newest") || !strings.Contains(err.Error(), Setting) {
		t.Errorf("error %v names neither the setting nor its value", err)
	}
	t.Setenv(Setting, "")

	out.Reset()
	fake(t, "v3.100.0", "")
	if got, err := onPath(t.Context(), r); got != nil || err != nil {
		t.Errorf("an old one gives %+v, %v; want none", got, err)
	}
	if !strings.Contains(out.String(), "v3.100.0") || !strings.Contains(out.String(), "v3.259.0") {
		t.Errorf("not told why it is not used: %q", out.String())
	}
}

// env returns the last value of a variable of the toolchain's own.
func env(t *Toolchain, name string) string {
	for _, kv := range slices.Backward(t.env) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

func TestPrepareKeepsStateInTheClone(t *testing.T) {
	root := clone(t)
	var tc Toolchain
	if err := tc.prepare(); err != nil {
		t.Fatal(err)
	}
	if got, want := env(&tc, backendEnv), "file://"+root+"/.local/state"; got != want {
		t.Errorf("backend %s; want %s", got, want)
	}
	file := env(&tc, passphraseFileEnv)
	fi, err := os.Stat(file)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("passphrase file %s: %v, %v; want mode 600", file, fi, err)
	}
	first := read(t, file)
	if len(first) < 20 {
		t.Errorf("passphrase of %d characters", len(first))
	}
	for _, kv := range tc.env {
		if strings.Contains(kv, first) {
			t.Error("the passphrase itself is in the environment")
		}
	}
	var again Toolchain
	if err := again.prepare(); err != nil || read(t, env(&again, passphraseFileEnv)) != first {
		t.Errorf("the passphrase changed: %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := again.prepare(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a passphrase that all can read: %v", err)
	}
}

func TestPrepareLeavesTheUsersBackend(t *testing.T) {
	root := clone(t)
	t.Setenv(backendEnv, "s3://elsewhere")
	t.Setenv(passphraseEnv, "")
	var tc Toolchain
	if err := tc.prepare(); err != nil {
		t.Fatal(err)
	}
	if env(&tc, backendEnv) != "" || env(&tc, passphraseFileEnv) != "" || tc.own || tc.state != "" {
		t.Errorf("the user's backend or passphrase is overridden: %v", tc.env)
	}
	if _, err := os.Stat(filepath.Join(root, ".local", "passphrase")); err == nil {
		t.Error("a passphrase was made that nobody needs")
	}
}

func TestClean(t *testing.T) {
	const plain = "# dev\nconfig:\n  x:n:  3   # spaced\n"
	for name, c := range map[string]struct{ before, after, want string }{
		"salt and style only":     {plain, "# dev\nconfig:\n  x:n: \"3\" # spaced\nencryptionsalt: v1:a\n", plain},
		"an empty file":           {"", "encryptionsalt: v1:a\n", ""},
		"a changed value":         {plain, "config:\n  x:n: \"4\"\nencryptionsalt: v1:a\n", "config:\n  x:n: \"4\"\n"},
		"a secret needs its salt": {plain, "config:\n  x:s:\n    secure: v1:b\nencryptionsalt: v1:a\n", "config:\n  x:s:\n    secure: v1:b\nencryptionsalt: v1:a\n"},
		"a salt that was there":   {"encryptionsalt: v1:a\n", "config: {}\nencryptionsalt: v1:a\n", "config: {}\nencryptionsalt: v1:a\n"},
	} {
		got, err := clean([]byte(c.before), []byte(c.after))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestStaleLock(t *testing.T) {
	alive, dead := func(int) bool { return true }, func(int) bool { return false }
	mine := lock{PID: 7, Hostname: "here"}
	if !mine.stale("here", dead) {
		t.Error("the lock of a dead process is kept")
	}
	if mine.stale("here", alive) {
		t.Error("the lock of a living process is removed")
	}
	if mine.stale("elsewhere", dead) {
		t.Error("the lock of another machine is removed")
	}
}

func TestRunsPulumi(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if runsPulumi(cmd.Process.Pid) {
		t.Error("sleep is taken for pulumi")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if runsPulumi(cmd.Process.Pid) {
		t.Error("a process that ended is taken for pulumi")
	}
}

// files are the streams of a run whose output a test reads.
func files(t *testing.T) (Streams, func() string) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close(); _ = null.Close() })
	return Streams{null, f, f}, func() string { return read(t, f.Name()) }
}

func ready(t *testing.T) *Toolchain {
	t.Helper()
	tc, err := onPath(t.Context(), progress.New(os.Stderr, false, t.TempDir()))
	if err != nil || tc == nil {
		t.Fatalf("no toolchain: %v", err)
	}
	if err := tc.prepare(); err != nil {
		t.Fatal(err)
	}
	return tc
}

func TestRunRemovesStaleLocksAndRestoresStackFiles(t *testing.T) {
	root := clone(t)
	const stack = "config:\n  x:n: 3\n"
	write(t, filepath.Join(root, "Pulumi.dev.yaml"), stack, 0o644)
	fake(t, "v3.259.0", `printf 'config:\n  x:n: "3"\nencryptionsalt: v1:a\n' > Pulumi.dev.yaml; echo "args: $*"; exit 3`)
	tc := ready(t)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	locks := filepath.Join(root, ".local", "state", ".pulumi", "locks", "organization", "p", "dev")
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]lock{"dead": {PID: dead.ProcessState.Pid(), Hostname: host}, "other": {PID: 1, Hostname: "elsewhere"}} {
		raw, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(locks, name+".json"), string(raw), 0o644)
		write(t, filepath.Join(locks, name+".json.attrs"), "{}", 0o644)
	}

	streams, out := files(t)
	err = tc.Run(t.Context(), root, streams, "up", "--yes")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 {
		t.Errorf("error %v; want pulumi's exit code 3", err)
	}
	if !strings.Contains(out(), "args: up --yes") || !strings.Contains(out(), fmt.Sprintf("lock on stack dev of a pulumi (pid %d", dead.ProcessState.Pid())) {
		t.Errorf("printed %q", out())
	}
	if got := read(t, filepath.Join(root, "Pulumi.dev.yaml")); got != stack {
		t.Errorf("stack file is now %q; want %q", got, stack)
	}
	left, err := os.ReadDir(locks)
	if err != nil || len(left) != 2 || left[0].Name() != "other.json" {
		t.Errorf("locks left: %v, %v; want the other machine's", left, err)
	}
}

func TestRunRestoresWhatAKilledRunLeft(t *testing.T) {
	root := clone(t)
	const stack = "config:\n  x:n: 3\n"
	write(t, filepath.Join(root, "Pulumi.dev.yaml"), "config:\n  x:n: \"3\"\nencryptionsalt: v1:a\n", 0o644)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	copies := filepath.Join(root, ".local", "stackfiles")
	write(t, filepath.Join(copies, fmt.Sprint(dead.ProcessState.Pid()), "Pulumi.dev.yaml"), stack, 0o644)
	fake(t, "v3.259.0", "true")
	streams, _ := files(t)
	if err := ready(t).Run(t.Context(), root, streams, "up"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(root, "Pulumi.dev.yaml")); got != stack {
		t.Errorf("stack file is %q; want %q", got, stack)
	}
	if left, err := os.ReadDir(copies); err != nil || len(left) > 0 {
		t.Errorf("copies left: %v, %v", left, err)
	}
}

func TestRunPassesAnInterruptOnceAndWaits(t *testing.T) {
	root := clone(t)
	fake(t, "v3.259.0", `n=0; trap 'n=$((n+1))' INT; echo started; while [ $n = 0 ]; do sleep 0.1; done; sleep 0.5; echo "interrupts: $n"`)
	tc := ready(t)
	streams, out := files(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- tc.Run(ctx, root, streams, "up") }()
	for !strings.Contains(out(), "started") {
		time.Sleep(10 * time.Millisecond)
	}
	// What main does on the interrupt key, and the signal itself.
	cancel()
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(out(), "interrupts: 1\n") {
		t.Errorf("printed %q; want one interrupt and an orderly end", out())
	}
}

func TestPending(t *testing.T) {
	root := clone(t)
	var tc Toolchain
	if err := tc.prepare(); err != nil {
		t.Fatal(err)
	}
	if n, err := tc.Pending("dev"); n != 0 || err != nil {
		t.Errorf("%d, %v without a stack; want 0", n, err)
	}
	file := filepath.Join(root, ".local", "state", ".pulumi", "stacks", "p", "dev.json")
	for text, want := range map[string]int{
		`{"checkpoint":{"latest":{"resources":[{}]}}}`:                              0,
		`{"checkpoint":{"latest":{"pending_operations":[{"type":"creating"},{}]}}}`: 2,
	} {
		write(t, file, text, 0o600)
		if n, err := tc.Pending("dev"); n != want || err != nil {
			t.Errorf("%d, %v; want %d", n, err, want)
		}
	}
	write(t, file, "half a sta", 0o600)
	if _, err := tc.Pending("dev"); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v does not name the broken file", err)
	}
}

func TestEndOrphans(t *testing.T) {
	home := t.TempDir()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	engine, plugin := filepath.Join(home, "bin", "pulumi"), filepath.Join(home, "plugins", "p", "pulumi-resource-p")
	for from, to := range map[string]string{shell: engine, sleep: plugin} {
		if from, err = filepath.EvalSymlinks(from); err != nil {
			t.Fatal(err)
		}
		if err := place(from, to); err != nil {
			t.Fatal(err)
		}
	}
	attended := exec.Command(engine, "-c", plugin+" 60; true")
	orphan, stranger := exec.Command(plugin, "60"), exec.Command(sleep, "60")
	for _, c := range []*exec.Cmd{attended, orphan, stranger} {
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL); _ = c.Wait() }()
	}
	child := fmt.Sprintf("/proc/%d/task/%d/children", attended.Process.Pid, attended.Process.Pid)
	for read(t, child) == "" {
		time.Sleep(10 * time.Millisecond)
	}
	endOrphans(home)
	if err := orphan.Wait(); err == nil {
		t.Error("the orphan ended by itself")
	}
	if read(t, child) == "" {
		t.Error("a plugin whose engine runs was ended")
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("a program that is none of Pulumi's was ended: %v", err)
	}
}

func TestPlaceFollowsTheCache(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b", "c")
	write(t, from, "one", 0o755)
	for range 2 {
		if err := place(from, to); err != nil || read(t, to) != "one" {
			t.Fatalf("%v, %q", err, read(t, to))
		}
	}
	other := filepath.Join(dir, "d")
	write(t, other, "two!", 0o755)
	if err := place(other, to); err != nil || read(t, to) != "two!" || read(t, from) != "one" {
		t.Errorf("%v, %q; want two! and the first untouched", err, read(t, to))
	}
}
