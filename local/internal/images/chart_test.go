package images

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
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

// TestTraefikChart is written anew, in the version of the image.
func TestTraefikChart(t *testing.T) {
	to := filepath.Join(t.TempDir(), "chart")
	if err := os.MkdirAll(filepath.Join(to, "templates"), 0o755); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(to, "templates", "old.yaml")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := TraefikChart(to); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("what was in the folder is still there")
	}
	raw, err := os.ReadFile(filepath.Join(to, "Chart.yaml"))
	if err != nil || !strings.Contains(string(raw), "\nappVersion: "+build.TraefikVersion+"\n") {
		t.Errorf("Chart.yaml: %v\n%s", err, raw)
	}
	workload, err := os.ReadFile(filepath.Join(to, "templates", "workload.yaml"))
	if err != nil || !strings.Contains(string(workload), "/traefik:{{ .Chart.AppVersion }}") {
		t.Errorf("the image is not the chart's version: %v", err)
	}
	// Helm leaves out what begins with _, and so does what embeds files.
	for _, name := range []string{"values.yaml", "values.schema.json", "templates/names.tpl"} {
		if _, err := os.Stat(filepath.Join(to, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestManifestsAreJoined into documents of one file, in the order of their names; a folder
// without any is an error.
func TestManifestsAreJoined(t *testing.T) {
	to := filepath.Join(t.TempDir(), "definitions.yaml")
	from := fstest.MapFS{
		"b.yaml": {Data: []byte("kind: B\n")}, "a.yaml": {Data: []byte("---\nkind: A\n")}, "README.md": {Data: []byte("x")},
	}
	if err := joinManifests(from, to); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != "kind: A\n---\nkind: B\n" {
		t.Errorf("%q, %v", got, err)
	}
	if err := joinManifests(fstest.MapFS{"README.md": {}}, to); err == nil {
		t.Error("a folder without manifests is taken")
	}
}
