package build

import (
	"archive/zip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestRestLeavesOut what it names, tests, and what is no package of a library.
func TestRestLeavesOut(t *testing.T) {
	from, file := fstest.MapFS{}, &fstest.MapFile{Data: []byte("package x\n")}
	for _, name := range []string{
		"main.go", "README.md", "a/a.go", "a/a_test.go", "a/testdata/b.go", "a/cmd/c.go", "cmd/d.go", "a/notes.md", "providers/e/f.go", "internal/generators/g.go", "internal/h.go",
	} {
		from[name] = file
	}
	to := t.TempDir()
	if err := (rest{without: []string{"cmd", "providers", "internal/generators"}}).copy(from, to); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := filepath.WalkDir(to, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, strings.TrimPrefix(p, to+"/"))
		}
		return err
	})
	if want := []string{"a/a.go", "a/cmd/c.go", "internal/h.go"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("copied are %v, want %v (%v)", got, want, err)
	}
}

// TestRestIsVerified: a module of another content than is expected builds nothing.
func TestRestIsVerified(t *testing.T) {
	const module, content = "example.test/lib", "package said\n\nconst Said = \"rest\"\n"
	t.Setenv("GOPROXY", "file://"+publish(t, module, "v1.0.0", map[string]string{"go.mod": "module " + module + "\n", "said/said.go": content}))
	t.Setenv("GOSUMDB", "off")
	t.Setenv("GOFLAGS", "-modcacherw") // so that the folder can be removed
	t.Setenv("GOMODCACHE", t.TempDir())
	r, _ := reporter(t)
	write := func(sum string) (string, error) {
		out := filepath.Join(t.TempDir(), "generated")
		if err := os.Mkdir(out, 0o755); err != nil {
			t.Fatal(err)
		}
		step := r.Step("generate")
		err := step.Done(rest{module: module + "@v1.0.0", sum: sum, folder: "lib"}.write(t.Context(), "", out, step))
		got, _ := os.ReadFile(filepath.Join(out, "lib", "said", "said.go"))
		return string(got), err
	}
	got, err := write("h1:AAAA")
	if err == nil || !strings.Contains(err.Error(), "module example.test/lib@v1.0.0 has the checksum h1:") || got != "" {
		t.Fatalf("another content than expected: %v, wrote %q", err, got)
	}
	sum := regexp.MustCompile(`checksum (h1:[^,]+),`).FindStringSubmatch(err.Error())
	if got, err = write(sum[1]); err != nil || got != content {
		t.Errorf("what is expected: %v, wrote %q", err, got)
	}
}

// publish makes a module proxy of one version of a module.
func publish(t *testing.T, module, version string, files map[string]string) string {
	t.Helper()
	proxy := t.TempDir()
	dir := filepath.Join(proxy, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, version+".info"), `{"Version":"`+version+`"}`)
	write(t, filepath.Join(dir, version+".mod"), files["go.mod"])
	f, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, content := range files {
		w, err := z.Create(module + "@" + version + "/" + name)
		if err == nil {
			_, err = io.WriteString(w, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return proxy
}
