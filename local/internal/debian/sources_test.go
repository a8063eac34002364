package debian

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSourcesUseTheMachinesMirrors(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		suite string
		want  []string
	}{
		"none": {
			suite: Stable,
			want: []string{
				"deb http://deb.debian.org/debian trixie main",
				"deb http://deb.debian.org/debian-security trixie-security main",
			},
		},
		"unstable has no security archive": {
			suite: Unstable,
			want:  []string{"deb http://deb.debian.org/debian sid main"},
		},
		"deb822": {
			files: map[string]string{"sources.list.d/debian.sources": `# a comment
Types: deb
URIs: https://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main

Types: deb
# snapshot
URIs: https://mirror.example/debian-security
Suites: bookworm-security
`},
			suite: Stable,
			want: []string{
				"deb https://mirror.example/debian trixie main",
				"deb https://mirror.example/debian-security trixie-security main",
			},
		},
		"a disabled entry does not count": {
			files: map[string]string{"sources.list.d/debian.sources": "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: x\n\nTypes: deb\nURIs: http://on.example/debian\n"},
			suite: Unstable,
			want:  []string{"deb http://on.example/debian sid main"},
		},
		"one line, with options": {
			files: map[string]string{"sources.list": "# deb http://comment.example/debian x main\ndeb-src http://src.example/debian x main\ndeb [arch=amd64 signed-by=/k.gpg] http://one.example/debian bookworm main\n"},
			suite: Unstable,
			want:  []string{"deb http://one.example/debian sid main"},
		},
		"other archives and media are passed over": {
			files: map[string]string{
				"sources.list":                "deb cdrom:[Debian 12]/debian bookworm main\ndeb http://ppa.example/ubuntu jammy main\n",
				"sources.list.d/other.list":   "deb https://packages.example/apt stable main\n",
				"sources.list.d/zulu.sources": "Types: deb\nURIs: http://z.example/debian\n",
			},
			suite: Unstable,
			want:  []string{"deb http://z.example/debian sid main"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				p := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := sources(dir, c.suite)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}
