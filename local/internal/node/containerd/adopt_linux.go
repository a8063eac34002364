package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	containerdtypes "github.com/containerd/containerd/api/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// blobs is where containerd keeps the content of images, below a node's /var/lib.
	// What lies there is named by its digest and never changed.
	blobs = "containerd/io.containerd.content.v1.content/blobs"
	// namespace is the one of containerd's that the kubelet looks into.
	namespace = "k8s.io"
)

// adopt gives a node the image of that name and digest from the files of a node that
// has it, from and to being the /var/lib of the two: the content gets further names
// there, containerd is told of it, and nothing is copied. Where files cannot have two
// names it fails, and the image has to be imported.
func adopt(ctx context.Context, conn *grpc.ClientConn, from, to, ref, digest string) error {
	raw, err := os.ReadFile(blob(from, digest))
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return fmt.Errorf("manifest %s: %w", digest, err)
	}
	self := descriptor{or(m.MediaType, ociManifest), digest, int64(len(raw))}
	// References keep content alive as long as what refers to it.
	labels := map[string]string{"containerd.io/gc.ref.content.config": m.Config.Digest}
	for i, l := range m.Layers {
		labels[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", i)] = l.Digest
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
	// The image comes last, because the kubelet's part of containerd looks into it then.
	// Until it is there, a lease keeps its content from being taken for garbage.
	leases := leasesapi.NewLeasesClient(conn)
	lease, err := leases.Create(ctx, &leasesapi.CreateRequest{})
	if err != nil {
		return err
	}
	defer func() { _, _ = leases.Delete(ctx, &leasesapi.DeleteRequest{ID: lease.Lease.ID}) }()
	leased := metadata.AppendToOutgoingContext(ctx, "containerd-lease", lease.Lease.ID)
	content := contentapi.NewContentClient(conn)
	for _, d := range append(m.Layers, m.Config) {
		if err := putContent(leased, content, from, to, d, nil); err != nil {
			return err
		}
	}
	if err := putContent(leased, content, from, to, self, labels); err != nil {
		return err
	}
	return putImage(ctx, imagesapi.NewImagesClient(conn), ref, self)
}

// ociManifest is what a manifest is that does not tell.
const ociManifest = "application/vnd.oci.image.manifest.v1+json"

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// manifest is what is needed of an OCI image manifest.
type manifest struct {
	MediaType string       `json:"mediaType"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

func blob(lib, digest string) string {
	return filepath.Join(lib, blobs, filepath.FromSlash(strings.Replace(digest, ":", "/", 1)))
}

func putImage(ctx context.Context, client imagesapi.ImagesClient, ref string, d descriptor) error {
	image := &imagesapi.Image{Name: ref, Target: &containerdtypes.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}}
	_, err := client.Create(ctx, &imagesapi.CreateImageRequest{Image: image})
	if status.Code(err) == codes.AlreadyExists {
		_, err = client.Update(ctx, &imagesapi.UpdateImageRequest{Image: image})
	}
	return err
}

// putContent names a file of one node in the other, too, and tells that one's
// containerd: it takes what is in its store and has the expected digest for its own.
func putContent(ctx context.Context, client contentapi.ContentClient, from, to string, d descriptor, labels map[string]string) error {
	target := blob(to, d.Digest)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := os.Link(blob(from, d.Digest), target); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Write(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&contentapi.WriteContentRequest{
		Action: contentapi.WriteAction_COMMIT, Ref: "adopt-" + d.Digest,
		Total: d.Size, Offset: d.Size, Expected: d.Digest, Labels: labels,
	})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return err
}
