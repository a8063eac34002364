package containerd

import (
	"archive/tar"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeTar(t *testing.T, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestArchiveImages(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  map[string]string
		err   string
	}{
		{
			name: "two names",
			files: map[string]string{"blobs/sha256/x": "layer", "./index.json": `{"manifests":[
				{"digest":"sha256:1","annotations":{"io.containerd.image.name":"docker.io/a/b:1","org.opencontainers.image.ref.name":"1"}},
				{"digest":"sha256:2","annotations":{"org.opencontainers.image.ref.name":"docker.io/a/c:2"}}]}`},
			want: map[string]string{"docker.io/a/b:1": "sha256:1", "docker.io/a/c:2": "sha256:2"},
		},
		{name: "not OCI", files: map[string]string{"manifest.json": "[]"}, err: "no index.json"},
		{name: "no image", files: map[string]string{"index.json": `{}`}, err: "no image"},
		{name: "no name", files: map[string]string{"index.json": `{"manifests":[{"digest":"sha256:1"}]}`}, err: "no name"},
		{name: "broken", files: map[string]string{"index.json": `{`}, err: "index.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Images(writeTar(t, c.files))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || !maps.Equal(got, c.want) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
	if _, err := Images(filepath.Join(t.TempDir(), "none.tar")); err == nil {
		t.Error("no error for a missing file")
	}
	cut := filepath.Join(t.TempDir(), "cut.tar")
	if err := os.WriteFile(cut, []byte(strings.Repeat("x", 600)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Images(cut); err == nil {
		t.Error("no error for a file that is no archive")
	}
}
