// Package oci writes container images: file trees as layers, and archives that
// containerd and Docker both load.
package oci

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"
	"time"
)

// An Entry is one file, directory or symbolic link of a Tree.
type Entry struct {
	Mode     int64 // permission bits, with 0o1000 for sticky and 0o2000 for set-group-ID
	UID, GID int
	Dir      bool
	Link     string // target, if the entry is a symbolic link
	Content  []byte // of a file, unless Source is set
	Source   string // path on this machine of a file's content
}

// A Tree is the content of one layer, by absolute path.
type Tree map[string]Entry

// Below is what a layer lies on: the kinds of the entries of the layers below it.
type Below map[string]below

type below struct {
	dir  bool
	link string
	mode int64
	uid  int
	gid  int
}

// Add reads which entries one more uncompressed layer has.
func (b Below) Add(layer string) error {
	return each(layer, func(h *tar.Header, _ io.Reader) error {
		b[path.Clean("/"+h.Name)] = below{dir: h.Typeflag == tar.TypeDir, link: symlink(h), mode: h.Mode, uid: h.Uid, gid: h.Gid}
		return nil
	})
}

func symlink(h *tar.Header) string {
	if h.Typeflag == tar.TypeSymlink {
		return h.Linkname
	}
	return ""
}

// ReadFile returns a file's content from an uncompressed layer.
func ReadFile(layer, name string) ([]byte, error) {
	var content []byte
	found := false
	err := each(layer, func(h *tar.Header, r io.Reader) (err error) {
		if path.Clean("/"+h.Name) == name && h.Typeflag == tar.TypeReg {
			found = true
			content, err = io.ReadAll(r)
		}
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%s has no file %s", layer, name)
	}
	return content, err
}

func each(layer string, f func(*tar.Header, io.Reader) error) error {
	file, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for r := tar.NewReader(bufio.NewReaderSize(file, 1<<20)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("layer %s: %w", layer, err)
		}
		if err := f(h, r); err != nil {
			return fmt.Errorf("layer %s: %w", layer, err)
		}
	}
}

// WriteLayer writes the tree as an uncompressed layer that lies on b (nil:
// nothing). Equal trees give equal bytes. A path through a symbolic link of the
// layers below is followed, because an entry above a link would replace it.
func (t Tree) WriteLayer(w io.Writer, b Below) error {
	real := Tree{}
	for name, e := range t {
		if !path.IsAbs(name) || path.Clean(name) != name || name == "/" {
			return fmt.Errorf("layer entry %q: the path must be absolute and clean", name)
		}
		dir, err := b.resolve(path.Dir(name), 0)
		if err != nil {
			return fmt.Errorf("layer entry %s: %w", name, err)
		}
		p := path.Join(dir, path.Base(name))
		if e.Dir {
			// A directory that is a link below means the link's target.
			if p, err = b.resolve(p, 0); err != nil {
				return fmt.Errorf("layer entry %s: %w", name, err)
			}
		}
		if e.Link == p {
			return fmt.Errorf("layer entry %s: a link to itself", name)
		}
		if _, twice := real[p]; twice {
			return fmt.Errorf("layer entry %s: there are two for %s", name, p)
		}
		real[p] = e
	}
	for name := range real {
		for d := path.Dir(name); d != "/"; d = path.Dir(d) {
			switch e, ours := real[d]; {
			case ours && !e.Dir:
				return fmt.Errorf("layer entry %s: %s is not a directory", name, d)
			case ours:
			case b[d].dir:
				real[d] = Entry{Dir: true, Mode: b[d].mode, UID: b[d].uid, GID: b[d].gid}
			default:
				real[d] = Entry{Dir: true, Mode: 0o755}
			}
		}
	}

	names := make([]string, 0, len(real))
	for n := range real {
		names = append(names, n)
	}
	sort.Strings(names)
	out := tar.NewWriter(w)
	for _, name := range names {
		if err := real[name].write(out, name); err != nil {
			return fmt.Errorf("layer entry %s: %w", name, err)
		}
	}
	return out.Close()
}

// resolve follows the links of the layers below in a path.
func (b Below) resolve(name string, depth int) (string, error) {
	const tooDeep = 40
	if depth > tooDeep {
		return "", errors.New("too many symbolic links")
	}
	if name == "/" {
		return name, nil
	}
	dir, err := b.resolve(path.Dir(name), depth+1)
	if err != nil {
		return "", err
	}
	p := path.Join(dir, path.Base(name))
	link := b[p].link
	if link == "" {
		return p, nil
	}
	if !path.IsAbs(link) {
		link = path.Join(dir, link)
	}
	return b.resolve(path.Clean(link), depth+1)
}

func (e Entry) write(out *tar.Writer, name string) error {
	h := &tar.Header{
		Name:    strings.TrimPrefix(name, "/"),
		Mode:    e.Mode,
		Uid:     e.UID,
		Gid:     e.GID,
		ModTime: time.Unix(0, 0),
		Format:  tar.FormatPAX,
	}
	var content io.Reader
	switch {
	case e.Dir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	case e.Link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Link, 0o777
	case e.Source != "":
		f, err := os.Open(e.Source)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		fi, err := f.Stat()
		if err != nil {
			return err
		}
		h.Typeflag, h.Size, content = tar.TypeReg, fi.Size(), f
	default:
		h.Typeflag, h.Size, content = tar.TypeReg, int64(len(e.Content)), bytes.NewReader(e.Content)
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	if content != nil {
		if _, err := io.Copy(out, content); err != nil {
			return err
		}
	}
	return nil
}
