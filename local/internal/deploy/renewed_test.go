package deploy

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func TestRenewed(t *testing.T) {
	root := clone(t)
	var out bytes.Buffer
	r := progress.New(&out, false, t.TempDir())
	now := target{Local: true, UID: "2"}
	options := func(to target, args ...string) ([]string, func()) {
		t.Helper()
		more, done, err := renewed(r, root, Stack, to, args)
		if err != nil {
			t.Fatal(err)
		}
		return more, done
	}
	if args, _ := options(now); args != nil {
		t.Errorf("%v for a stack that was never deployed", args)
	}
	if err := remember(Stack, target{Local: true, UID: "1"}); err != nil {
		t.Fatal(err)
	}
	const settings = "config:\n  alphapulse:domain: dev.localhost # kept\n"
	if err := os.WriteFile(filepath.Join(root, "Pulumi.dev.yaml"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	args, done := options(now)
	if len(args) != 3 || args[0] != "--refresh" || args[2] != "--config=alphapulse:clusterMoveTo=2" || !strings.Contains(out.String(), "new one") {
		t.Fatalf("%v, said %q; want a refresh, why, and that the cluster is meant", args, out.String())
	}
	file := strings.TrimPrefix(args[1], "--config-file=")
	if raw, err := os.ReadFile(file); err != nil || string(raw) != settings {
		t.Errorf("%s holds %q, %v; want the stack's settings", file, raw, err)
	}
	done()
	if _, err := os.Stat(file); err == nil {
		t.Errorf("%s is left", file)
	}
	for _, own := range []string{"--config-file", "--config-file=x"} {
		if args, _ := options(now, "up", own); !slices.Equal(args, []string{"--refresh"}) {
			t.Errorf("%v beside the user's own %s", args, own)
		}
	}
	if args, _ := options(target{Local: true, Docker: true, UID: "2"}); !slices.Equal(args, []string{"--refresh"}) {
		t.Errorf("%v for an engine", args)
	}
	if args, _ := options(target{Local: true, UID: "1"}); args != nil {
		t.Errorf("%v for the same cluster", args)
	}
}
