package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// key names what a unit is built from: every file of its module, the compiler
// and the flags. Two builds with equal keys give the same programs.
func (u unit) key(dir string, g goEnv) (string, error) {
	h := sha256.New()
	put := func(s string) { _, _ = fmt.Fprintf(h, "%d:%s\n", len(s), s) }
	put(g.Version)
	put(g.OS + "/" + g.Arch + "/" + g.AMD64 + "/" + g.ARM64 + "/" + g.Experiment)
	put(g.Flags)
	put(u.generate.id)
	for _, a := range u.args() {
		put(a)
	}
	if err := hashFiles(h, dir); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// hashFiles puts the names and the contents of a module's files into the hash.
func hashFiles(h hash.Hash, dir string) error {
	put := func(s string) { _, _ = fmt.Fprintf(h, "%d:%s\n", len(s), s) }
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			// What npm installs follows from its lock file, which is hashed.
			if name := d.Name(); rel != "." && (name == "node_modules" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		put(filepath.ToSlash(rel))
		put(string(sum.Sum(nil)))
		return nil
	})
	if err != nil {
		return fmt.Errorf("read module %s: %w", dir, err)
	}
	return nil
}
