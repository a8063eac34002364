package build

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const hello = `package main

import "fmt"

var version = "unset"

func main() { fmt.Print("hello " + version) }
`

// module makes a module with the programs one, two and broken, and the table
// that names them.
func module(t *testing.T) (root string, table []unit) {
	t.Helper()
	root = t.TempDir()
	dir := filepath.Join(root, "local", "modules", "m")
	write(t, filepath.Join(dir, "go.mod"), "module example.com/m\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "one", "main.go"), hello)
	write(t, filepath.Join(dir, "two", "main.go"), hello)
	write(t, filepath.Join(dir, "broken", "main.go"), "package main\n\nfunc main() { undefined() }\n")
	return root, []unit{{
		module: "m",
		tools:  map[string]string{"one": "./one", "two": "./two", "broken": "./broken"},
		stamp:  map[string]string{"main.version": "v7"},
	}}
}

type printed struct {
	mu sync.Mutex
	b  strings.Builder
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

func reporter(t *testing.T) (*progress.Reporter, *printed) {
	var out printed
	return progress.New(&out, true, t.TempDir()), &out
}

func TestEnsureBuildsOnceAndStamps(t *testing.T) {
	root, table := module(t)
	cache := t.TempDir()
	r, out := reporter(t)
	if m := missing(t.Context(), table, root, cache, []string{"two", "one"}); len(m) != 2 {
		t.Errorf("missing at first: %v; want one and two", m)
	}
	got, err := ensure(t.Context(), r, table, root, cache, []string{"one", "two"})
	if err != nil {
		t.Fatal(err)
	}
	if m := missing(t.Context(), table, root, cache, []string{"one", "two", "broken"}); len(m) != 1 || m[0] != "broken" {
		t.Errorf("missing after the build: %v; want broken", m)
	}
	for _, name := range []string{"one", "two"} {
		said, err := exec.Command(got[name]).Output()
		if err != nil || string(said) != "hello v7" {
			t.Errorf("%s says %q, %v; want hello v7", got[name], said, err)
		}
		if filepath.Base(got[name]) != name || !filepath.IsAbs(got[name]) {
			t.Errorf("%s lies at %s", name, got[name])
		}
	}
	if !strings.Contains(out.String(), "✓ build m (one, two)") {
		t.Errorf("no line tells of the build:\n%s", out)
	}

	r, out = reporter(t)
	again, err := ensure(t.Context(), r, table, root, cache, []string{"two", "one"})
	if err != nil || again["one"] != got["one"] || out.String() != "" {
		t.Errorf("a second run: %v, %v, printed %q; want the same paths and silence", again, err, out)
	}

	write(t, filepath.Join(root, "local", "modules", "m", "one", "main.go"), strings.Replace(hello, "hello", "changed", 1))
	changed, err := ensure(t.Context(), r, table, root, cache, []string{"one"})
	if err != nil || changed["one"] == got["one"] {
		t.Fatalf("a changed source was not built: %v, %v", changed, err)
	}
	if _, err := os.Stat(got["one"]); err != nil {
		t.Errorf("the earlier build is gone: %v", err)
	}
}

func TestEnsureKeepsTheRestWhenOneFails(t *testing.T) {
	root, table := module(t)
	r, out := reporter(t)
	got, err := ensure(t.Context(), r, table, root, t.TempDir(), []string{"one", "broken", "two"})
	if err == nil || !strings.Contains(err.Error(), "build broken:") {
		t.Errorf("error %v does not name the tool", err)
	}
	if got["one"] == "" || got["two"] == "" || got["broken"] != "" {
		t.Errorf("got %v; want one and two only", got)
	}
	if !strings.Contains(out.String(), "undefined: undefined") {
		t.Errorf("the compiler's message is not shown:\n%s", out)
	}
}

// One program goes by several names, and behaves as it is called.
func TestEnsureLinksWhatOneProgramIsCalled(t *testing.T) {
	root, table := module(t)
	write(t, filepath.Join(root, "local", "modules", "m", "one", "main.go"), "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"path/filepath\"\n)\n\nfunc main() { fmt.Print(filepath.Base(os.Args[0])) }\n")
	table[0].calls = map[string]string{"uno": "one", "eins": "one"}
	cache := t.TempDir()
	r, out := reporter(t)
	got, err := ensure(t.Context(), r, table, root, cache, []string{"uno", "eins"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"uno", "eins"} {
		if said, err := exec.Command(got[name]).Output(); err != nil || string(said) != name {
			t.Errorf("%s says %q, %v; want its name", got[name], said, err)
		}
	}
	if !strings.Contains(out.String(), "✓ build m (one)") {
		t.Errorf("the build is not of the one program:\n%s", out)
	}
	if m := missing(t.Context(), table, root, cache, []string{"uno", "eins", "one"}); len(m) != 0 {
		t.Errorf("missing after the build: %v", m)
	}

	// A name that is lost needs no build; one whose program is lost does.
	if err := os.Remove(got["uno"]); err != nil {
		t.Fatal(err)
	}
	r, out = reporter(t)
	if again, err := ensure(t.Context(), r, table, root, cache, []string{"uno"}); err != nil || again["uno"] != got["uno"] || strings.Contains(out.String(), "build m") {
		t.Errorf("a lost name: %v, %v, printed %q", again, err, out)
	}
	program, err := filepath.EvalSymlinks(got["uno"])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	r, out = reporter(t)
	if again, err := ensure(t.Context(), r, table, root, cache, []string{"uno"}); err != nil || again["uno"] != got["uno"] || !strings.Contains(out.String(), "✓ build m (one)") {
		t.Errorf("a lost program: %v, %v, printed %q", again, err, out)
	}
}

func TestEnsureFromSeveralCallersBuildsOnce(t *testing.T) {
	root, table := module(t)
	cache := t.TempDir()
	r, out := reporter(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := ensure(t.Context(), r, table, root, cache, []string{"one", "two"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(out.String(), "✓ build m"); n != 1 {
		t.Errorf("built %d times:\n%s", n, out)
	}
}

func TestEnsureStopsWhenInterrupted(t *testing.T) {
	root, table := module(t)
	cache := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupt")
	table[0].generate.run = func(context.Context, string, string, *progress.Step) error { cancel(why); return nil }
	r, _ := reporter(t)
	if _, err := ensure(ctx, r, table, root, cache, []string{"one", "two"}); !errors.Is(err, why) {
		t.Errorf("error %v; want %v", err, why)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, ".build-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	table[0].generate = generator{}
	if _, err := ensure(t.Context(), r, table, root, cache, []string{"one", "two"}); err != nil {
		t.Errorf("the next run does not go on: %v", err)
	}
}

func TestEnsureEmbedsWhatIsGenerated(t *testing.T) {
	root, table := module(t)
	dir := filepath.Join(root, "local", "modules", "m")
	write(t, filepath.Join(dir, "one", "main.go"), "package main\n\nimport (\n\t\"embed\"\n\t\"fmt\"\n)\n\n//go:embed dist\nvar dist embed.FS\n\nfunc main() { b, err := dist.ReadFile(\"dist/a/b.txt\"); fmt.Print(string(b), err) }\n")
	table[0].generate = generator{id: "1", run: func(_ context.Context, from, out string, _ *progress.Step) error {
		if from != dir {
			t.Errorf("generator got %s; want %s", from, dir)
		}
		write(t, filepath.Join(out, "one", "dist", "a", "b.txt"), "generated")
		return nil
	}}
	r, out := reporter(t)
	got, err := ensure(t.Context(), r, table, root, t.TempDir(), []string{"one"})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if said, err := exec.Command(got["one"]).Output(); err != nil || string(said) != "generated<nil>" {
		t.Errorf("says %q, %v", said, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "one", "dist")); err == nil {
		t.Error("generated files were left in the module")
	}
}

func TestEnsureRefusesUnknownTool(t *testing.T) {
	root, table := module(t)
	r, _ := reporter(t)
	if _, err := ensure(t.Context(), r, table, root, t.TempDir(), []string{"kubeltt"}); err == nil || !strings.Contains(err.Error(), `"kubeltt"`) {
		t.Errorf("error %v does not name the tool", err)
	}
}

func TestKeyFollowsWhatDecides(t *testing.T) {
	root, table := module(t)
	dir := filepath.Join(root, "local", "modules", "m")
	g := goEnv{Version: "go1.26.4", OS: "linux", Arch: "amd64"}
	key := func(u unit, g goEnv) string {
		t.Helper()
		k, err := u.key(dir, g)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	base := key(table[0], g)
	if again := key(table[0], g); again != base {
		t.Errorf("keys of the same content differ: %s, %s", base, again)
	}
	for what, change := range map[string]func(*unit, *goEnv){
		"the compiler": func(_ *unit, g *goEnv) { g.Version = "go1.26.5" },
		"the machine":  func(_ *unit, g *goEnv) { g.Arch = "arm64" },
		"GOFLAGS":      func(_ *unit, g *goEnv) { g.Flags = "-race" },
		"a stamp":      func(u *unit, _ *goEnv) { u.stamp = map[string]string{"main.version": "v8"} },
		"a tag":        func(u *unit, _ *goEnv) { u.tags = "small" },
		"a generator":  func(u *unit, _ *goEnv) { u.generate.id = "2" },
	} {
		u, g := table[0], g
		change(&u, &g)
		if key(u, g) == base {
			t.Errorf("%s does not change the key", what)
		}
	}
	write(t, filepath.Join(dir, ".idea", "x"), "x")
	write(t, filepath.Join(dir, "node_modules", "x", "y.js"), "x")
	if key(table[0], g) != base {
		t.Error("an editor's or npm's folder changes the key")
	}
	if err := os.Rename(filepath.Join(dir, "one", "main.go"), filepath.Join(dir, "one", "other.go")); err != nil {
		t.Fatal(err)
	}
	if key(table[0], g) == base {
		t.Error("a renamed file does not change the key")
	}
}

func TestCheckGo(t *testing.T) {
	for have, ok := range map[string]bool{
		"go1.26.4":                      true,
		"go1.27.0":                      true,
		"go1.26.8 X:nocoverageredesign": true,
		"devel go1.27-abcdef":           true,
		"go1.26.3":                      false,
		"go1.26rc1":                     false,
		"go1.19.8":                      false,
		"":                              false,
	} {
		err := checkGo("/usr/bin/go", have)
		if (err == nil) != ok {
			t.Errorf("%q: %v; want accepted=%v", have, err, ok)
		}
		if err != nil && (!errors.Is(err, ErrGo) || !strings.Contains(err.Error(), MinGo) || !strings.Contains(err.Error(), "/usr/bin/go")) {
			t.Errorf("%q: %v says neither what is wrong nor what is needed", have, err)
		}
	}
}

// Every question to Go starts a process: one for all modules that demand the same Go.
func TestGoIsAskedOnce(t *testing.T) {
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	bin, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	write(t, filepath.Join(bin, "go"), "#!/bin/sh\necho \"$*\" >>"+log+"\nexec "+real+" \"$@\"\n")
	if err := os.Chmod(filepath.Join(bin, "go"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	root, table := module(t)
	other := table[0]
	other.module, other.tools = "other", map[string]string{"three": "./three"}
	newer := other
	newer.module = "newer"
	write(t, filepath.Join(root, "local", "modules", "other", "go.mod"), "module example.com/other\n\ngo 1.26\n")
	write(t, filepath.Join(root, "local", "modules", "newer", "go.mod"), "module example.com/newer\n\ngo 1.26.1\n")
	for range 2 {
		missing(t.Context(), []unit{table[0], other, newer}, root, t.TempDir(), []string{"one", "two", "three"})
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(raw), "env GOFLAGS\nenv -json\nenv -json\n"; got != want {
		t.Errorf("go was asked\n%s; want\n%s", got, want)
	}
}

func TestMissingGoIsSaid(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	root, table := module(t)
	r, _ := reporter(t)
	_, err := ensure(t.Context(), r, table, root, t.TempDir(), []string{"one"})
	if !errors.Is(err, ErrGo) || !strings.Contains(err.Error(), "https://go.dev/dl") {
		t.Errorf("error %v does not tell what to install", err)
	}
}

func TestHint(t *testing.T) {
	for out, want := range map[string]string{
		"write /tmp/x: no space left on device":           "20 GB",
		"compile: signal: killed":                         "5 GB",
		"dial tcp: lookup proxy.golang.org: no such host": "GOPROXY",
		"undefined: x": "",
	} {
		got := hint(out)
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("hint(%q) = %q; want %q in it", out, got, want)
		}
	}
}

// The table's rules that the code relies on.
func TestTable(t *testing.T) {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..", "..")
	seen := map[string]bool{}
	for _, u := range table {
		if u.memory <= 0 {
			t.Errorf("%s: no memory figure", u.folder())
		}
		for name, pkg := range u.tools {
			if seen[name] {
				t.Errorf("%s is in the table twice", name)
			}
			seen[name] = true
			if len(u.tools) > 1 && path.Base(pkg) != name {
				t.Errorf("%s: one go build of several packages would name it %s", name, path.Base(pkg))
			}
		}
		for name, tool := range u.calls {
			if seen[name] {
				t.Errorf("%s is in the table twice", name)
			}
			seen[name] = true
			if u.tools[tool] == "" {
				t.Errorf("%s is to call %s, which is not in %s", name, tool, u.folder())
			}
		}
		if u.pages != nil {
			if len(u.names()) != 1 {
				t.Errorf("%s: pages have one name", u.folder())
			}
			if _, err := u.pages.key(filepath.Join(root, u.folder())); err != nil {
				t.Errorf("%s: %v", u.folder(), err)
			}
			continue
		}
		mod, err := os.ReadFile(filepath.Join(root, u.folder(), "go.mod"))
		if err != nil {
			t.Errorf("not committed: %v", err)
			continue
		}
		if _, err := os.Stat(filepath.Join(root, u.folder(), "go.sum")); err != nil && strings.Contains(string(mod), "require") {
			t.Errorf("not committed: %v", err)
		}
		want := "module github.com/alphapulse/alphapulse-infra/" + u.folder() + "\n"
		if u.module == "certmanager" { // its webhook is in a package that Go keeps to modules of its own
			want = "module github.com/cert-manager/cert-manager/local\n"
		}
		if !strings.HasPrefix(string(mod), want) {
			t.Errorf("%s/go.mod does not begin with %q", u.folder(), want)
		}
	}
	if len(Tools()) != len(seen) {
		t.Errorf("Tools lists %d of %d", len(Tools()), len(seen))
	}
	for _, tool := range Tools() {
		if tool.Package == "" {
			t.Errorf("%s has no package", tool.Name)
		}
	}
}
