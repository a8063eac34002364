package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
)

func TestLockedPackages(t *testing.T) {
	got, err := LockedPackages([]byte(`{"packages": {
		"": {"name": "site", "version": "1.0.0"},
		"node_modules/preact": {"version": "11.2.0", "integrity": "sha512-a"},
		"node_modules/@scope/tool": {"version": "2.0.0", "integrity": "sha512-b", "os": ["linux"], "cpu": ["x64"], "libc": ["glibc"]},
		"node_modules/@scope/other": {"version": "2.0.0", "integrity": "sha512-c", "os": ["darwin"]},
		"node_modules/@scope/arm": {"version": "2.0.0", "integrity": "sha512-d", "cpu": ["arm64"]},
		"node_modules/@scope/musl": {"version": "2.0.0", "integrity": "sha512-e", "libc": ["musl"]},
		"node_modules/x/node_modules/preact": {"version": "10.0.0", "integrity": "sha512-f"},
		"node_modules/y/node_modules/preact": {"version": "10.0.0", "integrity": "sha512-f"},
		"node_modules/workspace": {"link": true}}}`))
	want := []Package{{"@scope/tool", "2.0.0", "sha512-b"}, {"preact", "10.0.0", "sha512-f"}, {"preact", "11.2.0", "sha512-a"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := LockedPackages([]byte(`{"packages": {"node_modules/a": {"version": "1.0.0"}}}`)); err == nil || !strings.Contains(err.Error(), "node_modules/a has no version or no checksum") {
		t.Errorf("a package without a checksum: %v", err)
	}

	// The lock file of the image that is built is one that this reads.
	root, err := paths.Root()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "docker", "frontend", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := LockedPackages(raw); err != nil || len(got) < 5 {
		t.Errorf("of the frontend: %v, %v", got, err)
	}
}

func TestServices(t *testing.T) {
	modules, packages := t.TempDir(), t.TempDir()
	put := func(file, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(filepath.Join(modules, "github.com/!burnt!sushi/toml/@v/v1.2.0.mod"), "module github.com/BurntSushi/toml\n")
	put(filepath.Join(packages, "scope-tool-2.0.0.tgz"), "a package")
	put(filepath.Join(packages, "secret"), "not listed")
	server := httptest.NewServer(services(http.NotFoundHandler(), modules, packages))
	defer server.Close()
	get := func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	if code, body := get("GET", "/npm/@scope%2ftool"); code != http.StatusNotFound || !strings.Contains(body, "local engine up --builds") {
		t.Errorf("before anything was fetched: %d %s", code, body)
	}
	list, err := json.Marshal([]Package{{"@scope/tool", "2.0.0", "sha512-b"}})
	if err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(packages, LockedFile), string(list))
	tarball := server.URL + "/npm/@scope/tool/-/tool-2.0.0.tgz"
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/go/github.com/!burnt!sushi/toml/@v/v1.2.0.mod", 200, "BurntSushi"},
		{"GET", "/go/github.com/!burnt!sushi/toml/@v/v9.0.0.mod", 404, ""},
		{"GET", "/go/", 404, ""},
		{"GET", "/go/github.com/!burnt!sushi/toml/", 404, ""},
		{"GET", "/go/../../etc/passwd", 404, ""},
		{"PUT", "/go/github.com/!burnt!sushi/toml/@v/v1.2.0.mod", 405, ""},
		{"GET", "/npm/@scope%2ftool", 200, `"tarball":"` + tarball + `"`},
		{"GET", "/npm/@scope%2ftool", 200, `"integrity":"sha512-b"`},
		{"GET", strings.TrimPrefix(tarball, server.URL), 200, "a package"},
		{"GET", "/npm/@scope/tool/-/tool-3.0.0.tgz", 404, ""},
		{"GET", "/npm/@scope/tool/-/../../secret", 404, ""},
		{"GET", "/npm/secret", 404, ""},
		{"PUT", "/npm/@scope%2ftool", 405, ""},
	} {
		if code, body := get(c.method, c.path); code != c.code || !strings.Contains(body, c.body) {
			t.Errorf("%s %s: %d %s, want %d with %s", c.method, c.path, code, body, c.code, c.body)
		}
	}
}

// TestPushedManifestsAreKept pushes manifests and an index of them, and reads them
// from a registry that was started anew.
func TestPushedManifestsAreKept(t *testing.T) {
	dir := t.TempDir()
	start := func() *httptest.Server {
		t.Helper()
		h, err := keepManifests(registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(dir)), registry.Logger(log.New(io.Discard, "", 0))), filepath.Join(dir, "manifests"))
		if err != nil {
			t.Fatal(err)
		}
		return httptest.NewServer(h)
	}
	s := start()
	call := func(method, path string, kind types.MediaType, content io.Reader) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/v2/alphapulse/"+path, content)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", string(kind))
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	put := func(path string, kind types.MediaType, content string) {
		t.Helper()
		if code, body := call(http.MethodPut, path, kind, strings.NewReader(content)); code != http.StatusCreated {
			t.Fatalf("PUT %s: %d %s", path, code, body)
		}
	}
	image := `{"schemaVersion":2,"mediaType":"` + string(types.OCIManifestSchema1) + `"}`
	digest, _, err := v1.SHA256(strings.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	// Read again in the order of its names, the index would come before the image.
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"size":%d,"digest":%q}]}`, types.OCIImageIndex, types.OCIManifestSchema1, len(image), digest)
	put("all/manifests/z", types.OCIManifestSchema1, image)
	put("all/manifests/a", types.OCIImageIndex, index)
	put("removed/manifests/1", types.OCIManifestSchema1, image)
	if code, body := call(http.MethodDelete, "removed/manifests/1", "", nil); code/100 != 2 {
		t.Errorf("DELETE: %d %s", code, body)
	}
	s.Close()

	s = start()
	defer s.Close()
	for path, want := range map[string]string{"all/manifests/a": index, "all/manifests/z": image, "all/manifests/" + digest.String(): image} {
		if code, body := call(http.MethodGet, path, "", nil); code != http.StatusOK || body != want {
			t.Errorf("GET %s after a restart: %d %s", path, code, body)
		}
	}
	if code, _ := call(http.MethodGet, "removed/manifests/1", "", nil); code != http.StatusNotFound {
		t.Errorf("what was removed came back: %d", code)
	}
	if code, _ := call(http.MethodPut, "all/manifests/large", types.OCIManifestSchema1, io.LimitReader(zeros{}, maxManifest+1)); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a manifest above the limit: %d", code)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
