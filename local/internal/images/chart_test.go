package images

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// TestChartGetsItsVersion, and only that: what developers test it with is left out, and a
// template of another form is refused.
func TestChartGetsItsVersion(t *testing.T) {
	template := fstest.MapFS{
		"Chart.yaml":             {Data: []byte("name: cert-manager\nkubeVersion: \">= 1.22.0-0\"\nversion: v0.0.0\nappVersion: v0.0.0\n")},
		"values.yaml":            {Data: []byte("image: {}\n")},
		"templates/service.yaml": {Data: []byte("kind: Service\n")},
		"tests/a/b.yaml":         {Data: []byte("suite: x\n")},
		"README.template.md":     {Data: []byte("x")},
	}
	to := filepath.Join(t.TempDir(), "chart")
	if err := copyChart(template, to, "v1.2.3"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Chart.yaml":             "name: cert-manager\nkubeVersion: \">= 1.22.0-0\"\nversion: v1.2.3\nappVersion: v1.2.3\n",
		"values.yaml":            "image: {}\n",
		"templates/service.yaml": "kind: Service\n",
	} {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"tests", "README.template.md"} {
		if _, err := os.Stat(filepath.Join(to, name)); err == nil {
			t.Errorf("%s is for developers", name)
		}
	}
	template["Chart.yaml"] = &fstest.MapFile{Data: []byte("version: v1.0.0\nappVersion: v0.0.0\n")}
	if err := copyChart(template, to, "v1.2.3"); err == nil || !strings.Contains(err.Error(), "1 versions to fill in") {
		t.Errorf("a template of another form: %v", err)
	}
}
