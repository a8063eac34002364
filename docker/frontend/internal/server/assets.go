package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// encodings lists the compressed forms that the build writes beside a file, the
// smallest first.
var encodings = []struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}}

// contentTypes are fixed here because the system's MIME table, which package mime
// reads, is absent from the image.
var contentTypes = map[string]string{
	".css":         "text/css; charset=utf-8",
	".html":        "text/html; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".png":         "image/png",
	".svg":         "image/svg+xml",
	".txt":         "text/plain; charset=utf-8",
	".webmanifest": "application/manifest+json",
}

type variant struct {
	encoding string // empty for the file as it is
	etag     string
	body     []byte
}

type asset struct {
	contentType string
	cache       string
	variants    []variant // in order of preference, the plain file last
}

// loadAssets reads every file of the user interface into memory. Files below
// assets/ carry a hash of their content in their name, so they never change.
func loadAssets(files fs.FS) (map[string]*asset, error) {
	bodies := map[string][]byte{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		bodies[name], err = fs.ReadFile(files, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the user interface: %w", err)
	}

	assets := map[string]*asset{}
	for name, body := range bodies {
		if isCompressed(name) {
			continue
		}
		ext := path.Ext(name)
		contentType, ok := contentTypes[ext]
		if !ok {
			if contentType = mime.TypeByExtension(ext); contentType == "" {
				contentType = "application/octet-stream"
			}
		}
		a := &asset{contentType: contentType, cache: "no-cache"}
		if strings.HasPrefix(name, "assets/") {
			a.cache = "public, max-age=31536000, immutable"
		}
		for _, e := range encodings {
			if compressed, ok := bodies[name+e.suffix]; ok {
				a.variants = append(a.variants, newVariant(e.name, compressed))
			}
		}
		a.variants = append(a.variants, newVariant("", body))
		assets["/"+name] = a
	}
	if assets["/index.html"] == nil {
		return nil, errors.New("the user interface has no index.html")
	}
	return assets, nil
}

func isCompressed(name string) bool {
	for _, e := range encodings {
		if strings.HasSuffix(name, e.suffix) {
			return true
		}
	}
	return false
}

func newVariant(encoding string, body []byte) variant {
	sum := sha256.Sum256(body)
	return variant{encoding: encoding, etag: `"` + hex.EncodeToString(sum[:12]) + `"`, body: body}
}

func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := a.pick(r.Header.Values("Accept-Encoding"))
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", a.cache)
	h.Set("ETag", v.etag)
	if len(a.variants) > 1 {
		h.Set("Vary", "Accept-Encoding")
	}
	if v.encoding != "" {
		h.Set("Content-Encoding", v.encoding)
	}
	// ServeContent answers conditional requests and ranges; the zero time keeps it
	// from inventing a Last-Modified.
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(v.body))
}

func (a *asset) pick(accept []string) variant {
	header := strings.Join(accept, ",")
	for _, v := range a.variants {
		if v.encoding == "" || accepts(header, v.encoding) {
			return v
		}
	}
	return a.variants[len(a.variants)-1]
}

// accepts tells whether an Accept-Encoding header allows encoding (RFC 9110, 12.5.3).
func accepts(header, encoding string) bool {
	wildcard := false
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		allowed := true
		if q, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			weight, err := strconv.ParseFloat(q, 64)
			allowed = err == nil && weight > 0
		}
		switch name {
		case encoding:
			return allowed
		case "*":
			wildcard = allowed
		}
	}
	return wildcard
}
