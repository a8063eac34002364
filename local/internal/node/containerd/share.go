package containerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// content is where containerd keeps the content of images, below a node's /var/lib.
// What lies there is named by its digest and never changed.
const content = "containerd/io.containerd.content.v1.content/blobs/sha256"

// Share gives the node whose /var/lib is to the content of images that the one at
// from has, as further names of the same files. An import finds it there and copies
// nothing. Where files cannot have two names, the import copies.
func Share(from, to string) error {
	have, err := os.ReadDir(filepath.Join(from, content))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(to, content), 0o755)
	}
	if err != nil {
		return fmt.Errorf("content of images: %w", err)
	}
	for _, e := range have {
		// What is there already, and what was removed meanwhile, is no concern; what
		// cannot be linked is copied later.
		_ = os.Link(filepath.Join(from, content, e.Name()), filepath.Join(to, content, e.Name()))
	}
	return nil
}
