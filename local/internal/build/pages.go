package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// pages are what a browser is shown by a program whose Go module has but their sources:
// the program reads them from a folder. They are built by their own script, on a copy of
// the verified module, with the pnpm and the Node.js that the unit's package-lock.json pins:
// those of the machine may be too old.
type pages struct {
	pinnedBy string   // folder below local/modules whose go.sum names the module
	module   string   // Go module
	sources  string   // their folder in the module
	without  []string // folders of the sources whose content has no part in it
	edits    []edit
	script   string // of the sources' package.json
	result   string // folder that the script makes, relative to the sources
}

// An edit puts other text into a file of the sources, in every place.
type edit struct{ file, from, to string }

// Not every registry has @mantine/code-highlight in the version that the lock file names.
// The last one before it gives the same pages, and the lock stays one: nothing else moves.
const highlighter, highlighterThere = "9.7.2", "9.6.2"

// prometheusPages are Prometheus' own user interface, without that of its release 2.
var prometheusPages = &pages{
	pinnedBy: "prometheus", module: "github.com/prometheus/prometheus",
	sources: "web/ui", without: []string{"react-app"},
	edits: []edit{
		{"mantine-ui/package.json", `"@mantine/code-highlight": "^` + highlighter + `"`, `"@mantine/code-highlight": "` + highlighterThere + `"`},
		{"pnpm-lock.yaml", "'@mantine/code-highlight':\n        specifier: ^" + highlighter + "\n        version: " + highlighter, "'@mantine/code-highlight':\n        specifier: " + highlighterThere + "\n        version: " + highlighterThere},
		{"pnpm-lock.yaml", "'@mantine/code-highlight@" + highlighter, "'@mantine/code-highlight@" + highlighterThere},
		{"pnpm-lock.yaml", "sha512-Vf1CGJw8QOT+roLOapSMnh/x4cdH/Qmd1kXLgkggbYuSIs5Io/6th5AbW7hFd1PXyBeZjvDos/rO+Ae85Aw6NQ==", "sha512-lEtpNTvLeKB0UKn/f6iH8NKwUtn++Otfg0KCTsIf9ThpSAwkexBTxuo5mDr4UwljalHRIAmFi9otdQ82l6ecYA=="},
	},
	script: "build:mantine-ui", result: "static/mantine-ui",
}

// key names what the pages are built from: the module, what builds them and how. Another
// Go, or another dependency of the program, gives the same pages.
func (p *pages) key(dir string) (string, error) {
	sums, err := os.ReadFile(filepath.Join(p.pinned(dir), "go.sum"))
	if err != nil {
		return "", err
	}
	h := sha256.New()
	found := false
	for line := range strings.Lines(string(sums)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == p.module && !strings.HasSuffix(f[1], "/go.mod") {
			found = true
			_, _ = h.Write([]byte(line))
		}
	}
	if !found {
		return "", fmt.Errorf("%s/go.sum does not name %s", p.pinned(dir), p.module)
	}
	_, _ = fmt.Fprintf(h, "steps 1: %q\n", *p)
	if err := hashFiles(h, dir); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// pinned is the folder of the module that pins the one with the sources.
func (p *pages) pinned(dir string) string { return filepath.Join(dir, "..", p.pinnedBy) }

// fetch brings the module into Go's cache, verified, and returns its folder there.
func (p *pages) fetch(ctx context.Context, dir string, step *progress.Step) (string, error) {
	var stdout bytes.Buffer
	if err := runGoTo(ctx, p.pinned(dir), step, &stdout, "mod", "download", "-json", p.module); err != nil {
		return "", err
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(stdout.Bytes(), &found); err != nil || found.Dir == "" {
		return "", fmt.Errorf("download %s: no folder in %q (%w)", p.module, stdout.String(), err)
	}
	return found.Dir, nil
}

// make builds the pages below tmp and returns their folder.
func (p *pages) make(ctx context.Context, dir, tmp string, step *progress.Step) (string, error) {
	module, err := p.fetch(ctx, dir, step)
	if err != nil {
		return "", err
	}
	tools, work := filepath.Join(tmp, "tools"), filepath.Join(tmp, "sources")
	if err := copySources(dir, tools); err != nil {
		return "", err
	}
	if err := copySources(filepath.Join(module, filepath.FromSlash(p.sources)), work, p.without...); err != nil {
		return "", err
	}
	if err := p.change(work); err != nil {
		return "", err
	}
	if err := npm(ctx, tools, step, "ci", "--no-audit", "--no-fund", "--ignore-scripts"); err != nil {
		return "", err
	}
	bin := filepath.Join(tools, "node_modules")
	env := []string{
		"PATH=" + strings.Join([]string{filepath.Join(bin, "@pnpm", "exe.linux-x64"), filepath.Join(bin, ".bin"), os.Getenv("PATH")}, string(filepath.ListSeparator)),
		// What pnpm keeps besides its settings goes with the rest.
		"XDG_DATA_HOME=" + tmp, "XDG_CACHE_HOME=" + tmp, "XDG_STATE_HOME=" + tmp,
	}
	for _, args := range [][]string{
		// The lock file names the content of each package, so that its age is no matter.
		{"install", "--frozen-lockfile", "--ignore-scripts", "--config.minimumReleaseAge=0"},
		{"run", p.script},
	} {
		if err := packages(ctx, work, step, env, filepath.Join(bin, "@pnpm", "exe.linux-x64", "pnpm"), args...); err != nil {
			return "", err
		}
	}
	made := filepath.Join(work, filepath.FromSlash(p.result))
	if _, err := os.Stat(filepath.Join(made, "index.html")); err != nil {
		return "", fmt.Errorf("%w: pnpm run %s made no page: %w", ErrNpm, p.script, err)
	}
	return made, nil
}

// change makes the edits in the copy of the sources.
func (p *pages) change(work string) error {
	for _, e := range p.edits {
		file := filepath.Join(work, filepath.FromSlash(e.file))
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !bytes.Contains(raw, []byte(e.from)) {
			return fmt.Errorf("%s of %s has no %q: look whether the edit is still needed", e.file, p.module, e.from)
		}
		if err := os.WriteFile(file, bytes.ReplaceAll(raw, []byte(e.from), []byte(e.to)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// isFolder tells whether something is there, and is a folder.
func isFolder(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.IsDir()
}
