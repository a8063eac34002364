package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// entry is what a test wants to know of an entry of a tar.
type entry struct {
	h       *tar.Header
	content string
}

func writeTar(t *testing.T, file string, headers []*tar.Header, contents map[string]string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		c := contents[h.Name]
		h.Size = int64(len(c))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(c)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readTar(t *testing.T, file string) map[string]entry {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	all := map[string]entry{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = entry{h, string(raw)}
	}
}

// packages writes what mmdebstrap could have unpacked.
func packages(t *testing.T, file string, when time.Time) {
	writeTar(t, file, []*tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./bin", Typeflag: tar.TypeSymlink, Linkname: "usr/bin"},
		{Name: "./dev/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./dev/null", Typeflag: tar.TypeChar, Mode: 0o666},
		{Name: "./etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./usr/bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./usr/bin/mount", Typeflag: tar.TypeReg, Mode: 0o4755, Uname: "root", ModTime: when},
		{Name: "./usr/bin/other", Typeflag: tar.TypeLink, Linkname: "./usr/bin/mount", Mode: 0o4755},
		{Name: "./usr/bin/perl5.40", Typeflag: tar.TypeReg, Mode: 0o755},
		{Name: "./usr/lib/app/plugin.so", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "./usr/lib/app/jit.so", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "./usr/share/ca-certificates/mozilla/B.crt", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "./usr/share/ca-certificates/mozilla/A.crt", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "./usr/share/doc/app/README", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "./tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "./var/lib/dpkg/status", Typeflag: tar.TypeReg, Mode: 0o644},
	}, map[string]string{
		"./usr/bin/mount": "binary",
		"./usr/share/ca-certificates/mozilla/A.crt": "first\n\n", "./usr/share/ca-certificates/mozilla/B.crt": "second",
	})
}

func TestFilter(t *testing.T) {
	dir := t.TempDir()
	raw, out := filepath.Join(dir, "raw"), filepath.Join(dir, "out")
	packages(t, raw, time.Unix(1e9, 0))
	r := Recipe{Packages: []string{"app"}, Drop: []string{"/usr/lib/app/jit*"}}
	if err := r.filter(raw, out); err != nil {
		t.Fatal(err)
	}
	got := readTar(t, out)
	for _, gone := range []string{"dev/null", "usr/bin/perl5.40", "usr/lib/app/jit.so", "usr/share/doc/app/README", "usr/share/ca-certificates/mozilla/A.crt", "var/lib/dpkg/status"} {
		if _, ok := got[gone]; ok {
			t.Errorf("%s was kept", gone)
		}
	}
	for _, kept := range []string{"bin", "usr/bin/mount", "usr/bin/other", "usr/lib/app/plugin.so", "tmp/"} {
		if _, ok := got[kept]; !ok {
			t.Errorf("%s is missing", kept)
		}
	}
	mount := got["usr/bin/mount"]
	if mount.content != "binary" || mount.h.Mode != 0o755 || mount.h.Uname != "" || mount.h.ModTime.Unix() != 0 {
		t.Errorf("usr/bin/mount: %+v %q: want mode 0755, no owner's name, time 0", mount.h, mount.content)
	}
	if l := got["usr/bin/other"].h.Linkname; l != "usr/bin/mount" {
		t.Errorf("the hard link points to %q", l)
	}
	if m := got["tmp/"].h.Mode; m != 0o1777 {
		t.Errorf("/tmp has mode %o", m)
	}
	if c := got["etc/ssl/certs/ca-certificates.crt"].content; c != "first\nsecond\n" {
		t.Errorf("the bundle of certificates is %q", c)
	}
	if _, ok := got["etc/ssl/certs/"]; !ok {
		t.Error("the folder of the bundle is missing")
	}
}

func TestFilterKeepsOnlyWhatIsAskedFor(t *testing.T) {
	dir := t.TempDir()
	raw, out := filepath.Join(dir, "raw"), filepath.Join(dir, "out")
	packages(t, raw, time.Now())
	if err := (Recipe{Packages: []string{"app"}, Keep: []string{"/usr/bin/mount"}}).filter(raw, out); err != nil {
		t.Fatal(err)
	}
	var files []string
	for name, e := range readTar(t, out) {
		if e.h.Typeflag != tar.TypeDir {
			files = append(files, name)
		}
	}
	if len(files) != 2 { // the file and the certificates, which always count
		t.Errorf("kept %q", files)
	}
}

func TestPatternsAreChecked(t *testing.T) {
	for _, p := range []string{"usr/bin", "/usr/[", ""} {
		if err := (Recipe{Packages: []string{"app"}, Drop: []string{p}}).validate(); err == nil {
			t.Errorf("pattern %q was accepted", p)
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	seen := map[string]Recipe{}
	for _, r := range []Recipe{
		{Suite: Stable, Packages: []string{"a", "b"}},
		{Suite: Unstable, Packages: []string{"a", "b"}},
		{Suite: Stable, Packages: []string{"ab"}},
		{Suite: Stable, Packages: []string{"a"}, Keep: []string{"b"}},
		{Suite: Stable, Packages: []string{"a"}, Drop: []string{"b"}},
	} {
		if other, twice := seen[r.Key()]; twice {
			t.Errorf("%v and %v have one key", r, other)
		}
		seen[r.Key()] = r
	}
}

// fakeBootstrap puts a script in mmdebstrap's place.
func fakeBootstrap(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, bootstrap), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestBuild(t *testing.T) {
	tarball := filepath.Join(t.TempDir(), "packages.tar")
	t.Setenv("TARBALL", tarball)
	fakeBootstrap(t, `echo "$@" >&2; echo "PACKAGE app 5:1.2-3" >&2; echo "PACKAGE libc6 2.41" >&2
out=$(for a; do case $a in */raw.tar) echo "$a";; esac; done); cp "$TARBALL" "$out"`)
	r := Recipe{Suite: Unstable, Packages: []string{"app"}}

	var sums []string
	for _, when := range []time.Time{time.Unix(1, 0), time.Unix(1e9, 0)} {
		packages(t, tarball, when)
		dir := t.TempDir()
		var log strings.Builder
		made, err := r.Build(t.Context(), dir, &log)
		if err != nil {
			t.Fatal(err)
		}
		if made.Versions["app"] != "5:1.2-3" || made.Versions["libc6"] != "2.41" {
			t.Errorf("versions %v", made.Versions)
		}
		if !strings.Contains(log.String(), "Check-Valid-Until") {
			t.Error("the expiry of unstable's mirror is not waived")
		}
		raw, err := os.ReadFile(made.Path)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, string(raw))
		again, err := r.Load(dir)
		if err != nil || again.Path != made.Path || again.Versions["app"] != "5:1.2-3" {
			t.Errorf("loaded %+v, %v", again, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".rootfs-*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
	if sums[0] != sums[1] {
		t.Error("equal packages gave different bytes")
	}
}

func TestStableKeepsItsExpiry(t *testing.T) {
	fakeBootstrap(t, `echo "$@" >&2; exit 1`)
	var log strings.Builder
	if _, err := (Recipe{Suite: Stable, Packages: []string{"app"}}).Build(t.Context(), t.TempDir(), &log); err == nil {
		t.Fatal("a failed fetch was no error")
	}
	if strings.Contains(log.String(), "Check-Valid-Until") || !strings.Contains(log.String(), "trixie-security") {
		t.Errorf("called with %s", log.String())
	}
}

// Programs in Python are compiled where they are asked for, and recipes without any
// keep the keys that they had.
func TestPythonIsCompiledOnRequest(t *testing.T) {
	fakeBootstrap(t, `echo "$@" >&2; exit 1`)
	keys := map[bool]string{}
	for _, python := range []bool{false, true} {
		r := Recipe{Suite: Stable, Packages: []string{"app"}, Python: python}
		keys[python] = r.Key()
		var log strings.Builder
		if _, err := r.Build(t.Context(), t.TempDir(), &log); err == nil {
			t.Fatal("a failed fetch was no error")
		}
		if strings.Contains(log.String(), "compileall") != python || python && !strings.Contains(log.String(), "unchecked-hash") {
			t.Errorf("python %t: called with %s", python, log.String())
		}
	}
	if keys[true] == keys[false] {
		t.Error("both recipes have one key")
	}
	raw, err := json.Marshal(Recipe{Suite: Stable, Packages: []string{"app"}})
	if err != nil || strings.Contains(string(raw), "Python") {
		t.Errorf("%s, %v: every recipe would have another key than before", raw, err)
	}
}

func TestBuildFails(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		is     error
		says   string
	}{
		"no mirror":         {"echo 'Could not resolve host' >&2; exit 25", ErrRegistry, "app of Debian sid"},
		"package not given": {"echo 'PACKAGE libc6 1' >&2", nil, "did not unpack app"},
		"no tar":            {"echo 'PACKAGE app 1' >&2", fs.ErrNotExist, "app"},
	} {
		t.Run(name, func(t *testing.T) {
			fakeBootstrap(t, c.script)
			dir := t.TempDir()
			r := Recipe{Suite: Unstable, Packages: []string{"app"}}
			_, err := r.Build(t.Context(), dir, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want it to be %v and to say %q", err, c.is, c.says)
			}
			if _, err := r.Load(dir); err == nil {
				t.Error("a failed build can be loaded")
			}
		})
	}
}

func TestInterruptedBuildLeavesNothing(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	t.Setenv("STARTED", started)
	fakeBootstrap(t, `touch "$STARTED"; exec sleep 600`)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(started); err == nil {
				cancel(stopped)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	dir := t.TempDir()
	if _, err := (Recipe{Suite: Unstable, Packages: []string{"app"}}).Build(ctx, dir, io.Discard); !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{"old.tar": 48 * time.Hour, "new.tar": time.Hour} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(p, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := Prune(dir, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "new.tar" {
		t.Errorf("left %q, %v", left, err)
	}
	if err := Prune(filepath.Join(dir, "none"), 0); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
}
