package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
)

// maxManifest bounds a manifest that is pushed, in bytes; it is what the
// specification asks registries to accept.
const maxManifest = 4 << 20

// keptManifest is a pushed manifest as it is kept on disk.
type keptManifest struct {
	Path, Type string
	Content    []byte
}

// keepManifests returns the registry with its manifests kept in dir: the library
// keeps blobs on disk, but manifests in memory. Those of an earlier run are pushed
// to it again first.
func keepManifests(registry http.Handler, dir string) (http.Handler, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var left []keptManifest
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("registry: %w", err)
		}
		var m keptManifest
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, fmt.Errorf("registry: %s: %w", f, err)
		}
		left = append(left, m)
	}
	// An index is only accepted after the manifests that it names.
	for progress := true; progress && len(left) > 0; {
		var refused []keptManifest
		for _, m := range left {
			req, err := http.NewRequest(http.MethodPut, (&url.URL{Path: m.Path}).String(), bytes.NewReader(m.Content))
			if err != nil {
				return nil, fmt.Errorf("registry: %s: %w", m.Path, err)
			}
			req.Header.Set("Content-Type", m.Type)
			w := &statusWriter{ResponseWriter: nobody{http.Header{}}}
			if registry.ServeHTTP(w, req); w.code != http.StatusCreated {
				refused = append(refused, m)
			}
		}
		progress = len(refused) < len(left)
		left = refused
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := filepath.Join(dir, url.PathEscape(r.URL.Path)+".json")
		if !strings.Contains(r.URL.Path, "/manifests/") || r.Method != http.MethodPut && r.Method != http.MethodDelete {
			registry.ServeHTTP(w, r)
			return
		}
		content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxManifest))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(content))
		status := &statusWriter{ResponseWriter: w}
		registry.ServeHTTP(status, r)
		switch {
		case status.code/100 != 2:
		case r.Method == http.MethodDelete:
			_ = os.Remove(file)
		default:
			// What cannot be kept is lost at the next start, and pushed again then.
			if raw, err := json.Marshal(keptManifest{r.URL.Path, r.Header.Get("Content-Type"), content}); err == nil {
				_ = state.WriteFile(file, raw, 0o644)
			}
		}
	}), nil
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// nobody takes an answer that is of no interest.
type nobody struct{ header http.Header }

func (n nobody) Header() http.Header         { return n.header }
func (n nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n nobody) WriteHeader(int)             {}
