package containerd

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
)

// archiveIndex is what this package reads of an OCI image layout's index.json.
type archiveIndex struct {
	Manifests []struct {
		Digest      string            `json:"digest"`
		Annotations map[string]string `json:"annotations"`
	} `json:"manifests"`
}

// Annotations that carry an image's name; containerd prefers the first.
const (
	nameAnnotation = "io.containerd.image.name"
	refAnnotation  = "org.opencontainers.image.ref.name"
)

// Images returns the images in the OCI archive (a tar of an OCI image
// layout) at file, as reference → digest of the manifest.
func Images(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("image archive: %w", err)
	}
	defer func() { _ = f.Close() }()
	// Reading from a file, the reader seeks over what it skips.
	for t := tar.NewReader(f); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("image archive %s: no index.json in it: not an OCI archive", file)
		}
		if err != nil {
			return nil, fmt.Errorf("image archive %s: %w", file, err)
		}
		if path.Clean(h.Name) != "index.json" {
			continue
		}
		var index archiveIndex
		if err := json.NewDecoder(t).Decode(&index); err != nil {
			return nil, fmt.Errorf("image archive %s: index.json: %w", file, err)
		}
		images := map[string]string{}
		for _, m := range index.Manifests {
			ref := m.Annotations[nameAnnotation]
			if ref == "" {
				ref = m.Annotations[refAnnotation]
			}
			if ref == "" || m.Digest == "" {
				return nil, fmt.Errorf("image archive %s: a manifest has no name or no digest", file)
			}
			images[ref] = m.Digest
		}
		if len(images) == 0 {
			return nil, fmt.Errorf("image archive %s: no image in it", file)
		}
		return images, nil
	}
}
