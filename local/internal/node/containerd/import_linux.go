// Package containerd loads images into the containerd of a node and ends its
// containers.
package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// parallelImports bounds the imports at a time: they compete for the disk.
const parallelImports = 2

// An Importer loads images into a node's containerd.
type Importer struct {
	Ctr    string // path of the client of the same release
	Socket string // containerd's, seen from the machine
	Lib    string // the node's /var/lib, seen from the machine
}

// SocketOf returns the path at which the machine sees a socket that the node
// has at path.
func SocketOf(initPID int, path string) string { return fmt.Sprintf("/proc/%d/root%s", initPID, path) }

// Load imports those of the archives whose images are not there already, and
// returns once the kubelet can use them. It returns how many it imported.
func (im Importer) Load(ctx context.Context, archives []string, out io.Writer) (int, error) {
	have, err := im.present(ctx)
	if err != nil {
		return 0, err
	}
	wanted := map[string]string{}
	var files []string
	for _, file := range archives {
		images, err := Images(file)
		if err != nil {
			return 0, err
		}
		fresh := false
		for ref, digest := range images {
			wanted[ref] = digest
			fresh = fresh || have[ref] != digest
		}
		if fresh {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return 0, nil
	}
	slots := make(chan struct{}, parallelImports)
	errs := make(chan error, len(files))
	for _, file := range files {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs <- im.run(ctx, out, out, "images", "import", "--no-unpack", file)
		}()
	}
	for range files {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return 0, err
	}
	return len(files), im.known(ctx, wanted)
}

// Follow takes over the images that another node has and this one does not, and
// returns once the kubelet can use them. It returns how many there were. What cannot be
// taken over it tells on out, and leaves it to be imported.
func (im Importer) Follow(ctx context.Context, other Importer, out io.Writer) (int, error) {
	have, err := im.present(ctx)
	if err != nil {
		return 0, err
	}
	theirs, err := other.present(ctx)
	if err != nil {
		return 0, err
	}
	conn, err := runtimeClient(im.Socket)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	taken := map[string]string{}
	for ref, digest := range theirs {
		// Names that are digests are given by the kubelet's part of containerd itself.
		if have[ref] == digest || strings.HasPrefix(ref, "sha256:") {
			continue
		}
		if err := adopt(ctx, conn, other.Lib, im.Lib, ref, digest); err != nil {
			_, _ = fmt.Fprintf(out, "%s could not be taken over from another node: %v\n", ref, err)
			continue
		}
		taken[ref] = digest
	}
	return len(taken), im.known(ctx, taken)
}

// present returns the images that containerd has, as reference → digest.
func (im Importer) present(ctx context.Context) (map[string]string, error) {
	var out bytes.Buffer
	if err := im.run(ctx, &out, io.Discard, "images", "list"); err != nil {
		return nil, err
	}
	have := map[string]string{}
	for line := range strings.Lines(out.String()) {
		// REF TYPE DIGEST SIZE …
		if f := strings.Fields(line); len(f) > 2 && strings.HasPrefix(f[2], "sha256:") {
			have[f[0]] = f[2]
		}
	}
	return have, nil
}

// known waits until the part of containerd that serves the kubelet has noticed
// the images: it learns of them by an event, and a pod that came first would try
// to pull.
func (im Importer) known(ctx context.Context, images map[string]string) error {
	conn, err := runtimeClient(im.Socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client := cri.NewImageServiceClient(conn)
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("containerd did not take notice of an imported image within 30 s"))
	defer cancel()
	for ref := range images {
		for {
			resp, err := client.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: ref}})
			if err == nil && resp.Image != nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("image %s: %w", ref, context.Cause(ctx))
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// run runs containerd's client. It dies with this process: an import that was
// left alone would block the end of the node.
func (im Importer) run(ctx context.Context, stdout, stderr io.Writer, args ...string) error {
	// The kernel ties the signal to the thread that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, im.Ctr, append([]string{"--address", im.Socket, "--namespace", namespace}, args...)...)
	cmd.Stdout = stdout
	var errs bytes.Buffer
	cmd.Stderr = io.MultiWriter(stderr, &errs)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, lastLine(errs.String()))
	}
	return nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
