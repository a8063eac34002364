package build

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
)

// TestModulesShareCompiledPackages: the largest packages are compiled once for all that
// use them, but only while every module beneath them has one version everywhere.
func TestModulesShareCompiledPackages(t *testing.T) {
	root, err := paths.Root()
	if err != nil {
		t.Fatal(err)
	}
	beneath := func(module, pkg string) map[string]string {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f={{with .Module}}{{.Path}} {{.Version}}{{end}}", pkg)
		cmd.Dir, cmd.Env = filepath.Join(root, module), environ()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", module, err)
		}
		versions := map[string]string{}
		for line := range strings.Lines(string(out)) {
			if path, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				versions[path] = version
			}
		}
		return versions
	}
	for pkg, modules := range map[string][]string{
		// The program is on the newest of Pulumi's SDKs whose generator of schemas the
		// provider for Kubernetes compiles with (v3.246.0; in v3.248.0 its types are
		// others): so the largest package of all is compiled once for both.
		"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes": {".", "local/modules/provider-kubernetes"},
		"github.com/pulumi/pulumi/sdk/v3/go/pulumi":                {"local/modules/pulumi", "local/modules/provider-docker"},
		"k8s.io/client-go/kubernetes":                              {"local", "local/modules/kubernetes", "local/modules/kube-state-metrics", "local/modules/local-path-provisioner", "local/modules/prometheus", "."},
	} {
		want := beneath(modules[0], pkg)
		if len(want) < 40 {
			t.Fatalf("%s: only %d modules beneath %s", modules[0], len(want), pkg)
		}
		for _, m := range modules[1:] {
			got := beneath(m, pkg)
			for path := range got {
				if want[path] != got[path] {
					t.Errorf("%s: compiled twice, because %s is %s in %s and %s in %s: raise the lower one with `go get`", pkg, path, want[path], modules[0], got[path], m)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s is on %d modules in %s and on %d in %s", pkg, len(want), modules[0], len(got), m)
			}
		}
	}
}
