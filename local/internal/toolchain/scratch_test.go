package toolchain

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunLeavesNoTemporaryFile(t *testing.T) {
	root := clone(t)
	elsewhere := t.TempDir()
	t.Setenv("TMPDIR", elsewhere)
	fake(t, "v3.259.0", `f="$(mktemp)"; echo key > "$f"; ls -ld "$(dirname "$f")"; echo "in $f"; exit "${FAIL:-0}"`)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	all := filepath.Join(root, ".local", "tmp")
	write(t, filepath.Join(all, fmt.Sprintf("%d-1", dead.ProcessState.Pid()), "kubeconfig1"), "key", 0o600)
	other := filepath.Join(all, fmt.Sprintf("%d-1", os.Getppid()), "kubeconfig1") // of a run that is on its way
	write(t, other, "key", 0o600)
	tc := ready(t)
	for _, code := range []string{"0", "3"} {
		t.Setenv("FAIL", code)
		streams, out := files(t)
		if err := tc.Run(t.Context(), root, streams, "up"); (err != nil) != (code != "0") {
			t.Errorf("exit code %s: %v", code, err)
		}
		if !strings.Contains(out(), "in "+all) || !strings.HasPrefix(out(), "drwx------") {
			t.Errorf("exit code %s: printed %q, want a file below %s in a folder of the user's alone", code, out(), all)
		}
		for dir, want := range map[string]int{all: 1, elsewhere: 0} {
			if left, err := os.ReadDir(dir); err != nil || len(left) != want {
				t.Errorf("exit code %s: %s holds %v, %v; want %d", code, dir, left, err, want)
			}
		}
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("the temporary file of another run: %v", err)
	}
}
