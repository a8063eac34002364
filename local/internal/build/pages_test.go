package build

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// site makes a repository with a table of pages alone, a module proxy with their sources,
// and package managers that do as they are told, write down how they were called, and
// build what the sources say.
func site(t *testing.T) (root string, table []unit, calls string) {
	t.Helper()
	const module = "example.test/server"
	sources := map[string]string{
		"go.mod": "module " + module + "\n", "web/package.json": `{"highlight":"2"}`, "web/lock": "highlight 2\n", "web/old/index.html": "old",
	}
	t.Setenv("GOPROXY", "file://"+publish(t, module, "v1.0.0", sources))
	t.Setenv("GOSUMDB", "off")
	t.Setenv("GOFLAGS", "-modcacherw -mod=mod") // so that the folder can be removed
	t.Setenv("GOMODCACHE", t.TempDir())

	root = t.TempDir()
	modules := filepath.Join(root, "local", "modules")
	write(t, filepath.Join(modules, "server", "go.mod"), "module example.com/server\n\ngo 1.26\n\nrequire "+module+" v1.0.0\n")
	write(t, filepath.Join(modules, "server-ui", "package.json"), `{"pnpm":"1"}`)
	r, _ := reporter(t)
	step := r.Step("write go.sum")
	if err := step.Done(runGo(t.Context(), filepath.Join(modules, "server"), step, "mod", "download", module)); err != nil {
		t.Fatal(err)
	}

	bin := t.TempDir()
	calls = filepath.Join(t.TempDir(), "calls")
	pnpm := filepath.Join(bin, "pnpm")
	write(t, pnpm, `#!/bin/sh
echo "pnpm $* in $(basename "$PWD")" >>`+calls+`
case $1 in
run) [ ! -e old/index.html ] && mkdir made && cat package.json lock >made/index.html;;
esac
`)
	write(t, filepath.Join(bin, "npm"), `#!/bin/sh
echo "npm $* with $(cat package.json)" >>`+calls+`
mkdir -p node_modules/@pnpm/exe.linux-x64 && cp `+pnpm+` node_modules/@pnpm/exe.linux-x64/
`)
	for _, program := range []string{"npm", "pnpm"} {
		if err := os.Chmod(filepath.Join(bin, program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return root, []unit{{
		module: "server-ui", tools: map[string]string{"server-ui": "web"}, memory: mib,
		pages: &pages{
			pinnedBy: "server", module: module, sources: "web", without: []string{"old"}, script: "build", result: "made",
			edits: []edit{{"package.json", `"2"`, `"1"`}, {"lock", "highlight 2", "highlight 1"}},
		},
	}}, calls
}

// TestPagesAreBuiltOnce from the module that is pinned, with what is pinned beside it.
func TestPagesAreBuiltOnce(t *testing.T) {
	root, table, calls := site(t)
	cache := t.TempDir()
	r, out := reporter(t)
	got, err := ensure(t.Context(), r, table, root, cache, []string{"server-ui"})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if page, err := os.ReadFile(filepath.Join(got["server-ui"], "index.html")); err != nil || string(page) != "{\"highlight\":\"1\"}highlight 1\n" {
		t.Errorf("the page is %q (%v): edits are missing, or sources", page, err)
	}
	said, err := os.ReadFile(calls)
	want := `npm ci --no-audit --no-fund --ignore-scripts with {"pnpm":"1"}
pnpm install --frozen-lockfile --ignore-scripts --config.minimumReleaseAge=0 in sources
pnpm run build in sources
`
	if err != nil || string(said) != want {
		t.Errorf("called were\n%s(%v), want\n%s", said, err, want)
	}
	if left, err := filepath.Glob(filepath.Join(cache, ".build-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if m := missing(t.Context(), table, root, cache, []string{"server-ui"}); len(m) != 0 {
		t.Errorf("missing after the build: %v", m)
	}
	r, out = reporter(t)
	if again, err := ensure(t.Context(), r, table, root, cache, []string{"server-ui"}); err != nil || again["server-ui"] != got["server-ui"] || out.String() != "" {
		t.Errorf("a second run: %v, %v, printed %q; want the same path and silence", again, err, out)
	}
}

// TestPagesFollowTheirModule and what builds them, and nothing else.
func TestPagesFollowTheirModule(t *testing.T) {
	root, table, _ := site(t)
	dir := filepath.Join(root, "local", "modules", "server-ui")
	key := func(p pages) string {
		t.Helper()
		k, err := p.key(dir)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	p := *table[0].pages
	base := key(p)
	sums := filepath.Join(dir, "..", "server", "go.sum")
	raw, err := os.ReadFile(sums)
	if err != nil {
		t.Fatal(err)
	}
	write(t, sums, string(raw)+"example.test/server/other v1.0.0 h1:another\n")
	if key(p) != base {
		t.Error("another module of the program changes the key")
	}
	write(t, sums, strings.Replace(string(raw), "v1.0.0 h1:", "v1.0.1 h1:", 1))
	if key(p) == base {
		t.Error("another version of the module does not change the key")
	}
	write(t, sums, string(raw))
	other := p
	other.edits = p.edits[:1]
	if key(other) == base {
		t.Error("another edit does not change the key")
	}
	write(t, filepath.Join(dir, "package.json"), `{"pnpm":"2"}`)
	if key(p) == base {
		t.Error("another builder does not change the key")
	}
	write(t, sums, "")
	if _, err := p.key(dir); err == nil || !strings.Contains(err.Error(), "does not name example.test/server") {
		t.Errorf("a module that is not pinned: %v", err)
	}
}

// TestPagesThatCannotBeBuilt say why, and leave nothing in the cache.
func TestPagesThatCannotBeBuilt(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*pages)
		says   string
		npm    bool
	}{
		"an edit of what is not there": {func(p *pages) { p.edits = []edit{{"lock", "highlight 3", ""}} }, `lock of example.test/server has no "highlight 3": look whether the edit is still needed`, false},
		"a script that makes nothing":  {func(p *pages) { p.result = "elsewhere" }, "pnpm run build made no page", true},
		"a script that fails":          {func(p *pages) { p.without = nil }, "pnpm run: exit status 1", true},
	} {
		t.Run(what, func(t *testing.T) {
			root, table, _ := site(t)
			c.change(table[0].pages)
			var r *progress.Reporter
			r, _ = reporter(t)
			cache := t.TempDir()
			got, err := ensure(t.Context(), r, table, root, cache, []string{"server-ui"})
			if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, ErrNpm) != c.npm || len(got) != 0 {
				t.Errorf("got %v, %v; want %q", got, err, c.says)
			}
			if made, err := filepath.Glob(filepath.Join(cache, "server-ui", "*", "*")); err != nil || len(made) > 0 {
				t.Errorf("in the cache are %v (%v)", made, err)
			}
		})
	}
}
