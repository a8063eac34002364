package fits

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// image makes a root with a PostgreSQL of each version, and other programs.
func image(t *testing.T, versions map[string]string, programs ...string) string {
	t.Helper()
	root := t.TempDir()
	program := func(path, says string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for folder, version := range versions {
		program(filepath.Join(root, folder, "bin", "postgres"), version)
	}
	for _, name := range programs {
		program(filepath.Join(root, "path", name), name)
	}
	t.Setenv("PATH", filepath.Join(root, "path")+":/bin")
	return root
}

// volume holds a database of a version; "" for none.
func volume(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	if version == "" {
		return filepath.Join(dir, "data") // a new one has no such folder yet
	}
	if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte(version+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImages(t *testing.T) {
	const seventeen = "postgres (PostgreSQL) 17.10 (Debian 17.10-1.pgdg120+1)"
	for name, c := range map[string]struct {
		versions map[string]string
		programs []string
		volume   string
		// want is part of the refusal; "" for none.
		want string
	}{
		"a new volume":               {versions: map[string]string{"17": seventeen}, programs: []string{"patroni"}},
		"its own volume":             {versions: map[string]string{"17": seventeen}, programs: []string{"patroni"}, volume: "17"},
		"Alpine's":                   {versions: map[string]string{"17": "postgres (PostgreSQL) 17.5"}, programs: []string{"patroni"}, volume: "17"},
		"several majors":             {versions: map[string]string{"16": "postgres (PostgreSQL) 16.9", "17": seventeen, "18": "postgres (PostgreSQL) 18.1"}, programs: []string{"patroni"}, volume: "17"},
		"an older one":               {versions: map[string]string{"16": "postgres (PostgreSQL) 16.9"}, programs: []string{"patroni"}, volume: "17", want: "PostgreSQL 16.9 in "},
		"a newer one":                {versions: map[string]string{"18": "postgres (PostgreSQL) 18.1"}, programs: []string{"patroni"}, want: "PostgreSQL 18.1 in "},
		"a folder that tells a lie":  {versions: map[string]string{"17": "postgres (PostgreSQL) 18beta2"}, programs: []string{"patroni"}, want: "the image has PostgreSQL 18beta2: name one with PostgreSQL 17"},
		"no PostgreSQL":              {programs: []string{"patroni"}, want: "the image has no PostgreSQL in "},
		"no Patroni":                 {versions: map[string]string{"17": seventeen}, want: "the image has no patroni"},
		"an older volume":            {versions: map[string]string{"17": seventeen}, programs: []string{"patroni"}, volume: "16", want: "the volume holds a database of PostgreSQL 16, which PostgreSQL 17.10"},
		"a volume that is far older": {versions: map[string]string{"17": seventeen}, programs: []string{"patroni"}, volume: "9.6", want: "a database of PostgreSQL 9.6"},
		"a newer volume":             {versions: map[string]string{"17": seventeen}, programs: []string{"patroni"}, volume: "18", want: "a database of PostgreSQL 18"},
		"something else":             {versions: map[string]string{"17": "busybox"}, programs: []string{"patroni"}, want: "no version of PostgreSQL"},
	} {
		t.Run(name, func(t *testing.T) {
			root := image(t, c.versions, c.programs...)
			err := Check{Bin: filepath.Join(root, "17", "bin"), Major: "17", Programs: []string{"patroni"}, Data: volume(t, c.volume)}.Run(t.Context())
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			case err != nil && strings.Count(strings.TrimSpace(err.Error()), "\n") > 0 && c.want != "no version of PostgreSQL":
				t.Errorf("it is not one line: %v", err)
			}
		})
	}
}
