//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	stack     = "dev"
	namespace = "alphapulse-" + stack

	// commandLimit ends a command that hangs. The longest, a first deployment,
	// builds the cluster.
	commandLimit = 45 * time.Minute
)

// local is the program behind make; root the clone.
var local, root string

func TestMain(m *testing.M) {
	code, err := around(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// around runs the tests on the stack that is deployed. It stays for the next group:
// tests/groups deploys it before the first and ends it after the last.
func around(m *testing.M) (int, error) {
	var err error
	if root, err = filepath.Abs(filepath.Join("..", "..")); err != nil {
		return 0, err
	}
	if local = os.Getenv("LOCAL"); local == "" {
		local = filepath.Join(root, ".local", "bin", "local")
	}
	if _, err := os.Stat(local); err != nil {
		return 0, fmt.Errorf("%w: `make e2e` builds the program and runs these tests", err)
	}
	if err := connect(); err != nil {
		return 0, fmt.Errorf("%w: `make e2e` deploys the stack and runs these tests, `make up` deploys it alone", err)
	}
	return m.Run(), nil
}

func since(t time.Time) time.Duration { return time.Since(t).Round(100 * time.Millisecond) }

func command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, local, args...)
	cmd.Dir = root
	// An interrupt lets Pulumi release the lock of the stack.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return cmd
}

// try runs the program and returns what it printed on both streams.
func try(t testing.TB, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := command(ctx, args)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	result := "ok"
	if err != nil {
		result = err.Error()
	}
	t.Logf("local %s: %s after %s", strings.Join(args, " "), result, since(start))
	return out.String(), err
}

// must is try, and the end of the test if the program fails.
func must(t testing.TB, args ...string) string {
	t.Helper()
	out, err := try(t, args...)
	if err != nil {
		t.Fatalf("local %s: %v\n%s", strings.Join(args, " "), err, last(out, 80))
	}
	return out
}

// pulumi runs the clone's pulumi, as `make pulumi` does.
func pulumi(t testing.TB, args ...string) string {
	t.Helper()
	return must(t, append([]string{"pulumi", "--"}, args...)...)
}

// edited is the stack dev with other settings than those of its file, which stays as it
// is. It has its own ones again where the cluster is kept.
type edited struct {
	file string
}

func editable(t testing.TB) edited {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "Pulumi."+stack+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	e := edited{filepath.Join(t.TempDir(), "Pulumi."+stack+".yaml")}
	if err := os.WriteFile(e.file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if os.Getenv("KEEP") != "" {
			pulumi(t, "up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs")
		}
	})
	return e
}

// deploy sets settings and deploys.
func (e edited) deploy(t testing.TB, settings ...string) {
	t.Helper()
	if len(settings) > 0 {
		e.set(t, settings...)
	}
	out := pulumi(t, "up", "--stack", stack, "--config-file", e.file, "--yes", "--skip-preview", "--suppress-outputs")
	t.Log(last(out, 4))
	settled(t, namespace)
}

// set changes settings of the stack's file.
func (e edited) set(t testing.TB, settings ...string) {
	t.Helper()
	args := []string{"config", "set-all", "--stack", stack, "--config-file", e.file}
	for _, s := range settings {
		args = append(args, "--plaintext", s)
	}
	pulumi(t, args...)
}

// output runs the program and returns its standard output alone.
func output(t testing.TB, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := command(ctx, args)
	var diagnosis bytes.Buffer
	cmd.Stderr = &diagnosis
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("local %s: %v\n%s", strings.Join(args, " "), err, diagnosis.String())
	}
	return out
}
