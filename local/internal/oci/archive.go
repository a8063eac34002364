package oci

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// containerdName is the annotation by which `ctr images import` names an image.
const containerdName = "io.containerd.image.name"

// WriteArchive writes one image of the given layers (paths of uncompressed tars,
// the lowest first) for linux/amd64 under all of refs, and returns the digest of
// its configuration, which container runtimes use as the image's ID. Equal input
// gives equal bytes.
//
// The archive is an OCI image layout that also carries the index of `docker
// save`, so that any containerd and any Docker load it. Layers stay
// uncompressed: on one machine, compressing and expanding costs more time than
// the copy.
func WriteArchive(w io.Writer, refs []string, config v1.Config, layers ...string) (string, error) {
	image, err := compose(config, layers)
	if err != nil {
		return "", err
	}
	for _, ref := range refs {
		if _, err := name.NewTag(ref, name.StrictValidation); err != nil {
			return "", fmt.Errorf("image name %q: %w", ref, err)
		}
	}
	out := archive{tw: tar.NewWriter(w), have: map[string]bool{}}
	id, err := out.write(image, refs)
	if err != nil {
		return "", fmt.Errorf("write archive of %s: %w", refs[0], err)
	}
	return id, nil
}

func compose(config v1.Config, layers []string) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, file := range layers {
		layer, err := newPlainLayer(file)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", file, err)
		}
		if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCIUncompressedLayer}); err != nil {
			return nil, fmt.Errorf("layer %s: %w", file, err)
		}
	}
	cf, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture = "linux", "amd64"
	cf.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	cf.History = nil
	cf.Config = config
	return mutate.ConfigFile(image, cf)
}

// A plainLayer is a tar file as a layer, stored as it is. The library's own layers
// are always compressed.
type plainLayer struct {
	file string
	sum  v1.Hash
	size int64
}

func newPlainLayer(file string) (*plainLayer, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	l := &plainLayer{file: file}
	l.sum, l.size, err = v1.SHA256(f)
	return l, err
}

func (l *plainLayer) Digest() (v1.Hash, error)             { return l.sum, nil }
func (l *plainLayer) DiffID() (v1.Hash, error)             { return l.sum, nil }
func (l *plainLayer) Size() (int64, error)                 { return l.size, nil }
func (l *plainLayer) Compressed() (io.ReadCloser, error)   { return os.Open(l.file) }
func (l *plainLayer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.file) }
func (l *plainLayer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }

type archive struct {
	tw   *tar.Writer
	have map[string]bool
}

func (a *archive) write(image v1.Image, refs []string) (string, error) {
	if err := a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return "", err
	}
	configDigest, err := image.ConfigName()
	if err != nil {
		return "", err
	}
	raw, err := image.RawConfigFile()
	if err != nil {
		return "", err
	}
	if err := a.blob(configDigest, int64(len(raw)), bytes.NewReader(raw)); err != nil {
		return "", err
	}
	layers, err := image.Layers()
	if err != nil {
		return "", err
	}
	saved := dockerManifest{Config: blobPath(configDigest), RepoTags: refs}
	for _, l := range layers {
		d, err := l.Digest()
		if err != nil {
			return "", err
		}
		size, err := l.Size()
		if err != nil {
			return "", err
		}
		r, err := l.Compressed() // as it is stored: not compressed at all
		if err != nil {
			return "", err
		}
		err = a.blob(d, size, r)
		_ = r.Close()
		if err != nil {
			return "", err
		}
		saved.Layers = append(saved.Layers, blobPath(d))
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	if err := a.blob(digest, int64(len(manifest)), bytes.NewReader(manifest)); err != nil {
		return "", err
	}

	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, ref := range refs {
		index.Manifests = append(index.Manifests, v1.Descriptor{
			MediaType:   types.OCIManifestSchema1,
			Size:        int64(len(manifest)),
			Digest:      digest,
			Platform:    &v1.Platform{OS: "linux", Architecture: "amd64"},
			Annotations: map[string]string{containerdName: ref},
		})
	}
	if err := a.json("index.json", index); err != nil {
		return "", err
	}
	if err := a.json("manifest.json", []dockerManifest{saved}); err != nil {
		return "", err
	}
	return configDigest.String(), a.tw.Close()
}

// dockerManifest is an entry of manifest.json in what `docker save` writes.
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func blobPath(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }

func (a *archive) blob(h v1.Hash, size int64, r io.Reader) error {
	if a.have[h.Hex] {
		return nil
	}
	a.have[h.Hex] = true
	return a.stream(blobPath(h), size, r)
}

func (a *archive) json(file string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.file(file, raw)
}

func (a *archive) file(file string, content []byte) error {
	return a.stream(file, int64(len(content)), bytes.NewReader(content))
}

func (a *archive) stream(file string, size int64, r io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: file, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := a.tw.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(a.tw, r)
	return err
}

// CreateArchive is WriteArchive into a new file.
func CreateArchive(file string, refs []string, config v1.Config, layers ...string) (id string, err error) {
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if id, err = WriteArchive(w, refs, config, layers...); err != nil {
		return "", err
	}
	return id, w.Flush()
}
