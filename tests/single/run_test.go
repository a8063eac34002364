//go:build e2e

package single

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

const (
	stack = "single"
	// prefix of every name on the host.
	prefix = "alphapulse-" + stack

	// commandLimit ends a command that hangs. The longest, the start of an engine,
	// may make its images first.
	commandLimit = 45 * time.Minute
)

// local is the program behind make; root the clone.
var local, root string

func TestMain(m *testing.M) {
	code, err := around(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "single:", err)
		code = 1
	}
	os.Exit(code)
}

// around starts an engine with the stack on it, runs the tests, and ends it.
func around(m *testing.M) (code int, err error) {
	if root, err = filepath.Abs(filepath.Join("..", "..")); err != nil {
		return 0, err
	}
	if local = os.Getenv("LOCAL"); local == "" {
		local = filepath.Join(root, ".local", "bin", "local")
	}
	if _, err := os.Stat(local); err != nil {
		return 0, fmt.Errorf("%w: `make e2e` builds the program and runs these tests", err)
	}
	if command(context.Background(), "engine", "status").Run() == nil {
		return 0, errors.New("a local engine is running, and the tests would erase it: `local engine down` ends it")
	}
	defer func() {
		// Whatever has failed: the volumes go with the engine, and the stack is forgotten.
		err = errors.Join(err, stream("engine", "down"), stream("pulumi", "--", "stack", "rm", stack, "--force", "--yes", "--preserve-config"))
	}()
	for _, args := range [][]string{
		{"engine", "up", "--builds"},
		{"pulumi", "--", "stack", "init", "--no-select", "--stack", stack},
	} {
		if err := stream(args...); err != nil {
			return 0, fmt.Errorf("local %s: %w", strings.Join(args, " "), err)
		}
	}
	start := time.Now()
	if err := stream("pulumi", "--", "up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs"); err != nil {
		return 0, fmt.Errorf("pulumi up of stack %s: %w", stack, err)
	}
	fmt.Printf("the stack was up after %s\n", since(start))
	return m.Run(), nil
}

func since(t time.Time) time.Duration { return time.Since(t).Round(100 * time.Millisecond) }

func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, local, args...)
	cmd.Dir = root
	// An interrupt lets Pulumi release the lock of the stack.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return cmd
}

// stream runs the program with its output on the terminal.
func stream(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := command(ctx, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// try runs the clone's pulumi on the stack.
func try(t testing.TB, args ...string) (out, diagnosis string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	args = append([]string{"pulumi", "--"}, append(args, "--stack", stack)...)
	cmd := command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err = cmd.Run()
	t.Logf("local %s: %v after %s", strings.Join(args, " "), err, since(start))
	return stdout.String(), stderr.String(), err
}

// pulumi is try for what must succeed, and returns the standard output.
func pulumi(t testing.TB, args ...string) string {
	t.Helper()
	out, diagnosis, err := try(t, args...)
	if err != nil {
		t.Fatalf("%s\n%s", livetest.LastLines(out, 80), livetest.LastLines(diagnosis, 20))
	}
	return out
}

// refused is try for what must fail and say why.
func refused(t testing.TB, why string, args ...string) {
	t.Helper()
	out, diagnosis, err := try(t, args...)
	if err == nil || !strings.Contains(out+diagnosis, why) {
		t.Fatalf("%v, want a failure that tells of %q\n%s\n%s", err, why, livetest.LastLines(out, 80), livetest.LastLines(diagnosis, 20))
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, why) {
			t.Logf("refused: %.200s", strings.TrimSpace(line))
		}
	}
}

// up updates the stack and tells its last lines.
func up(t testing.TB, args ...string) {
	t.Helper()
	t.Log(livetest.LastLines(pulumi(t, append([]string{"up", "--yes", "--skip-preview", "--suppress-outputs"}, args...)...), 5))
}

// outputs is what the stack says about itself.
type outputs struct {
	URLs               map[string]string `json:"urls"`
	CACertificate      string            `json:"caCertificate"`
	PrometheusPassword string            `json:"prometheusPassword"`
	GrafanaPassword    string            `json:"grafanaPassword"`
}

func outputsOf(t testing.TB) outputs {
	t.Helper()
	var o outputs
	if err := json.Unmarshal([]byte(pulumi(t, "stack", "output", "--json", "--show-secrets")), &o); err != nil {
		t.Fatal(err)
	}
	if len(o.URLs) < 5 || o.CACertificate == "" || o.PrometheusPassword == "" || o.GrafanaPassword == "" {
		t.Fatalf("outputs: urls %v, CA certificate of %d bytes", o.URLs, len(o.CACertificate))
	}
	return o
}

// secrets returns every value in the stack's state that Pulumi keeps encrypted and
// that a generator made: passwords, keys, seeds.
func secrets(t testing.TB) map[string]string {
	t.Helper()
	var state struct {
		Deployment struct {
			Resources []struct {
				URN, Type string
				Outputs   map[string]any
			}
		}
	}
	if err := json.Unmarshal([]byte(pulumi(t, "stack", "export", "--show-secrets")), &state); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, r := range state.Deployment.Resources {
		if !strings.HasPrefix(r.Type, "random:") {
			continue
		}
		for name, v := range r.Outputs {
			secret, ok := v.(map[string]any)
			text, plain := secret["plaintext"].(string)
			if !ok || !plain {
				continue
			}
			var value string
			if json.Unmarshal([]byte(text), &value) == nil && len(value) >= 8 {
				found[value] = r.URN[strings.LastIndex(r.URN, "::")+2:] + "." + name
			}
		}
	}
	return found
}
