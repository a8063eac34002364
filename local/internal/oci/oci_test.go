package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func entries(t *testing.T, raw []byte) map[string]*tar.Header {
	t.Helper()
	all := map[string]*tar.Header{}
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = h
	}
}

func layer(t *testing.T, tree Tree, b Below) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := tree.WriteLayer(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func save(t *testing.T, raw []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "layer.tar")
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLayerIsCompleteAndReproducible(t *testing.T) {
	source := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(source, []byte("from disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	tree := Tree{
		"/data":        {Dir: true, Mode: 0o1777, UID: 70, GID: 71},
		"/usr/bin/app": {Mode: 0o755, Source: source},
		"/usr/bin/sh":  {Link: "bash"},
		"/etc/conf":    {Mode: 0o640, UID: 5, Content: []byte("text")},
	}
	first := layer(t, tree, nil)
	if !bytes.Equal(first, layer(t, tree, nil)) {
		t.Error("two layers of one tree differ")
	}
	got := entries(t, first)
	for name, want := range map[string]tar.Header{
		"data/":       {Typeflag: tar.TypeDir, Mode: 0o1777, Uid: 70, Gid: 71},
		"usr/":        {Typeflag: tar.TypeDir, Mode: 0o755},
		"usr/bin/":    {Typeflag: tar.TypeDir, Mode: 0o755},
		"usr/bin/app": {Typeflag: tar.TypeReg, Mode: 0o755, Size: 9},
		"usr/bin/sh":  {Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: "bash"},
		"etc/conf":    {Typeflag: tar.TypeReg, Mode: 0o640, Uid: 5, Size: 4},
	} {
		h := got[name]
		if h == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if h.Typeflag != want.Typeflag || h.Mode != want.Mode || h.Uid != want.Uid || h.Gid != want.Gid || h.Size != want.Size || h.Linkname != want.Linkname || h.ModTime.Unix() != 0 {
			t.Errorf("%s: got %+v", name, h)
		}
	}
}

// A file "bin/x" above a link "bin" would replace the link and hide the system.
func TestLayerFollowsLinksBelow(t *testing.T) {
	lower := save(t, layer(t, Tree{
		"/usr/bin":       {Dir: true, Mode: 0o711, UID: 3},
		"/bin":           {Link: "usr/bin"},
		"/run/postgres":  {Dir: true, Mode: 0o700},
		"/var/run":       {Link: "/run"},
		"/opt/loop":      {Link: "loop"},
		"/usr/bin/there": {Content: []byte("x")},
	}, nil))
	b := Below{}
	if err := b.Add(lower); err != nil {
		t.Fatal(err)
	}
	got := entries(t, layer(t, Tree{"/bin/app": {}, "/var/run/postgres": {Dir: true, Mode: 0o755}}, b))
	if got["usr/bin/app"] == nil || got["bin/app"] != nil || got["bin/"] != nil {
		t.Errorf("entries %v", got)
	}
	if h := got["usr/bin/"]; h == nil || h.Mode != 0o711 || h.Uid != 3 {
		t.Errorf("the folder of the layer below became %+v", h)
	}
	if h := got["run/postgres/"]; h == nil || h.Mode != 0o755 {
		t.Errorf("/run/postgres is %+v", h)
	}
	for what, tree := range map[string]Tree{
		"relative":          {"bin": {}},
		"not clean":         {"/a/../b": {}},
		"root":              {"/": {Dir: true}},
		"endless link":      {"/opt/loop/x": {}},
		"link to itself":    {"/bin/self": {Link: "/usr/bin/self"}},
		"two for one path":  {"/bin/a": {}, "/usr/bin/a": {}},
		"below a file":      {"/a": {}, "/a/b": {}},
		"file that is gone": {"/a": {Source: "/nonexistent/file"}},
	} {
		if err := tree.WriteLayer(io.Discard, b); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestReadFile(t *testing.T) {
	l := save(t, layer(t, Tree{"/etc/conf": {Content: []byte("text")}}, nil))
	if raw, err := ReadFile(l, "/etc/conf"); err != nil || string(raw) != "text" {
		t.Errorf("got %q, %v", raw, err)
	}
	if _, err := ReadFile(l, "/etc/none"); err == nil {
		t.Error("a missing file was read")
	}
}

func TestArchive(t *testing.T) {
	lower := save(t, layer(t, Tree{"/etc/a": {Content: []byte("a")}}, nil))
	upper := save(t, layer(t, Tree{"/etc/b": {Content: []byte("b")}}, nil))
	config := v1.Config{User: "70", Entrypoint: []string{"run"}, Cmd: []string{"x"}, Env: []string{"A=B"}, StopSignal: "SIGINT"}
	refs := []string{"docker.io/library/redis:8.0.6", "registry.k8s.io/other:v1"}
	file := filepath.Join(t.TempDir(), "a.tar")
	id, err := CreateArchive(file, refs, config, lower, upper)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if id2, err := WriteArchive(&again, refs, config, lower, upper); err != nil || id2 != id || !bytes.Equal(raw, again.Bytes()) {
		t.Errorf("the same image again is %s, %v: not the same bytes", id2, err)
	}

	// As Docker reads it.
	for _, ref := range refs {
		tag, err := name.NewTag(ref)
		if err != nil {
			t.Fatal(err)
		}
		image, err := tarball.ImageFromPath(file, &tag)
		if err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		cf, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if cf.OS != "linux" || cf.Architecture != "amd64" || cf.Config.User != "70" || !slices.Equal(cf.Config.Entrypoint, config.Entrypoint) || cf.Config.StopSignal != "SIGINT" || len(cf.RootFS.DiffIDs) != 2 {
			t.Errorf("%s: configuration %+v", ref, cf)
		}
		if got, err := image.ConfigName(); err != nil || got.String() != id {
			t.Errorf("%s: ID %s, %v; want %s", ref, got, err, id)
		}
	}

	// As containerd reads it: blobs by digest, named by annotation, not compressed.
	all := entries(t, raw)
	index := struct{ Manifests []v1.Descriptor }{}
	decode(t, raw, "index.json", &index)
	if len(index.Manifests) != len(refs) {
		t.Fatalf("%d manifests", len(index.Manifests))
	}
	for n, m := range index.Manifests {
		if m.Annotations["io.containerd.image.name"] != refs[n] {
			t.Errorf("manifest %d is named %v", n, m.Annotations)
		}
		var manifest v1.Manifest
		decode(t, raw, blobPath(m.Digest), &manifest)
		if manifest.Config.Digest.String() != id || len(manifest.Layers) != 2 {
			t.Errorf("manifest %+v", manifest)
		}
		for _, l := range manifest.Layers {
			if h := all[blobPath(l.Digest)]; h == nil || h.Size != l.Size || strings.Contains(string(l.MediaType), "gzip") {
				t.Errorf("layer %+v: blob %+v", l, h)
			}
		}
	}
	if all["oci-layout"] == nil {
		t.Error("no oci-layout")
	}
}

func TestArchiveNeedsFullNames(t *testing.T) {
	l := save(t, layer(t, Tree{"/a": {}}, nil))
	for _, ref := range []string{"redis", "docker.io/library/redis", "docker.io/Library/x:1", ""} {
		if _, err := WriteArchive(io.Discard, []string{ref}, v1.Config{}, l); err == nil {
			t.Errorf("image name %q was accepted", ref)
		}
	}
	if _, err := WriteArchive(io.Discard, []string{"docker.io/library/redis:1"}, v1.Config{}, l+".none"); err == nil {
		t.Error("a missing layer was accepted")
	}
}

func decode(t *testing.T, archive []byte, file string, v any) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if h.Name == file {
			if err := json.NewDecoder(r).Decode(v); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			return
		}
	}
}
