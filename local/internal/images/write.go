package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/debian"
	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// list is what lies beside an archive.
type list struct {
	ID      string
	Version string
	// Packages are the Debian packages in the image, with their versions.
	Packages map[string]string `json:",omitempty"`
}

func load(base string, i Image) (*Archive, error) {
	if _, err := os.Stat(base + ".tar"); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(base + ".json")
	if err != nil {
		return nil, err
	}
	var l list
	if err := json.Unmarshal(raw, &l); err != nil {
		return nil, fmt.Errorf("%s.json: %w", base, err)
	}
	return &Archive{Name: i.Name, Refs: i.Refs, Path: base + ".tar", ID: l.ID, Version: l.Version}, nil
}

func touch(base string) {
	now := time.Now()
	_ = os.Chtimes(base+".tar", now, now) // what is used stays: Prune goes by this time
	_ = os.Chtimes(base+".json", now, now)
}

// write puts the image together.
func (f *factory) write(ctx context.Context, i Image, base string, below []*debian.Rootfs, binaries map[string]string, s *progress.Step) (*Archive, error) {
	tmp, err := os.MkdirTemp(f.archive, ".image-")
	if err != nil {
		return nil, fmt.Errorf("cache folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()

	tree, err := i.content(ctx, tmp, binaries, s)
	if err != nil {
		return nil, err
	}
	l := list{Version: i.Version, Packages: map[string]string{}}
	under := oci.Below{}
	var layers []string
	for _, fs := range below {
		if err := under.Add(fs.Path); err != nil {
			return nil, err
		}
		layers = append(layers, fs.Path)
		for p, v := range fs.Versions {
			l.Packages[p] = v
		}
	}
	for name, text := range i.appends {
		e, err := appended(layers, name, text)
		if err != nil {
			return nil, err
		}
		tree[name] = e
	}
	if i.debPackage != "" {
		l.Version = upstream(l.Packages[i.debPackage])
		if l.Version != i.Version {
			f.r.Infof("  %s: Debian has %s by now, the table of images says %s", i.Name, l.Version, i.Version)
		}
	}

	top := filepath.Join(tmp, "top.tar")
	file, err := os.Create(top)
	if err != nil {
		return nil, err
	}
	err = tree.WriteLayer(file, under)
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}

	config := i.config
	config.Labels = map[string]string{
		"org.opencontainers.image.title":       i.Name,
		"org.opencontainers.image.version":     l.Version,
		"org.opencontainers.image.description": "Made for the local cluster of alphapulse-infra from " + i.Source,
	}
	if l.ID, err = oci.CreateArchive(filepath.Join(tmp, "tar"), i.Refs, config, append(layers, top)...); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(tmp, "json"), raw, 0o644); err != nil {
		return nil, err
	}
	for _, ext := range []string{"json", "tar"} {
		if err := os.Rename(filepath.Join(tmp, ext), base+"."+ext); err != nil {
			return nil, err
		}
	}
	return load(base, i)
}

// content is what the image has beside what is below it.
func (i Image) content(ctx context.Context, tmp string, binaries map[string]string, s *progress.Step) (oci.Tree, error) {
	tree := oci.Tree{}
	for name, e := range i.tree {
		tree[name] = e
	}
	for name, tool := range i.tools {
		tree[name] = oci.Entry{Mode: 0o755, Source: binaries[tool]}
	}
	for to, pages := range i.pages {
		if err := addFiles(tree, binaries[pages], to); err != nil {
			return nil, err
		}
	}
	for _, m := range i.modules {
		if err := m.add(ctx, tree, s.Writer()); err != nil {
			return nil, err
		}
	}
	if i.goVersion != "" {
		std := filepath.Join(tmp, "std")
		if err := os.Mkdir(std, 0o755); err != nil {
			return nil, err
		}
		if err := addGo(ctx, tree, i.goVersion, std, s.Writer()); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// appended returns the file that the topmost layer with that name has, with text
// at its end.
func appended(layers []string, name, text string) (oci.Entry, error) {
	var errs []error
	for _, l := range slices.Backward(layers) {
		raw, err := oci.ReadFile(l, name)
		if err == nil {
			return oci.Entry{Mode: 0o644, Content: append(raw, text...)}, nil
		}
		errs = append(errs, err)
	}
	return oci.Entry{}, errors.Join(errs...)
}

// upstream returns the version that a Debian version is a packaging of:
// 5:8.0.6-3 → 8.0.6, 2.19.3+dfsg-1+deb13u1 → 2.19.3.
func upstream(debian string) string {
	if _, rest, ok := strings.Cut(debian, ":"); ok {
		debian = rest
	}
	if i := strings.LastIndex(debian, "-"); i >= 0 {
		debian = debian[:i]
	}
	if i := strings.IndexAny(debian, "+~"); i >= 0 {
		debian = debian[:i]
	}
	return debian
}
