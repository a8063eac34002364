//go:build cluster && linux

package containerd_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/containerd"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/programs"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
)

// start runs a containerd with a node's configuration below a folder, and returns what
// loads images into it.
func start(t *testing.T) containerd.Importer {
	t.Helper()
	h := topology.Local().First()
	p := plan.Cluster.Of(h)
	unpacked, folders, complete, err := programs.Unpacked(plan.Cluster, p)
	if err != nil || !complete {
		t.Fatalf("containerd is unpacked by `local up`: %v", err)
	}
	dir := t.TempDir()
	if err := p.WriteConfig(dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "containerd.toml")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("/var/lib/", dir+"/lib/", "/run/containerd", dir+"/run", plan.Bin+"/cni", folders["cni"], plan.Bin, filepath.Dir(unpacked["runc"])).Replace(string(raw))
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(unpacked["containerd"], "--config", file)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("containerd:\n%s", log.String())
		}
	})
	im := containerd.Importer{Ctr: unpacked["ctr"], Socket: dir + "/run/containerd.sock", Lib: dir + "/lib"}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(im.Socket); err == nil {
			return im
		}
		if time.Now().After(end) {
			t.Fatal("containerd does not answer")
		}
	}
}

// TestImagesAreTakenOver: a node that takes images from another has the same files, can
// read them, keeps them when garbage is collected, and imports what it cannot take over.
func TestImagesAreTakenOver(t *testing.T) {
	dir := t.TempDir()
	archive := func(name, content string) string {
		t.Helper()
		layer, file := filepath.Join(dir, name+".layer"), filepath.Join(dir, name+".tar")
		f, err := os.Create(layer)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(f)
		if err := w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := oci.CreateArchive(file, []string{"docker.io/x/" + name + ":1", "docker.io/x/" + name + ":latest"}, v1.Config{}, layer); err != nil {
			t.Fatal(err)
		}
		return file
	}
	one, other := archive("one", strings.Repeat("one", 1000)), archive("other", "other")
	first, second := start(t), start(t)
	var out bytes.Buffer
	load := func(im containerd.Importer, want int, archives ...string) {
		t.Helper()
		if n, err := im.Load(t.Context(), archives, &out); err != nil || n != want {
			t.Fatalf("loaded %d, %v, want %d\n%s", n, err, want, out.String())
		}
	}
	load(first, 1, one)
	for _, want := range []int{2, 0} { // names of one image; again there is nothing to do
		if n, err := second.Follow(t.Context(), first, &out); err != nil || n != want {
			t.Fatalf("took over %d, %v, want %d\n%s", n, err, want, out.String())
		}
	}
	load(second, 1, one, other) // the first has but one of them
	load(second, 0, one, other)
	files, _ := filepath.Glob(first.Lib + "/containerd/io.containerd.content.v1.content/blobs/sha256/*")
	shared := 0
	for _, f := range files {
		a, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.Stat(second.Lib + strings.TrimPrefix(f, first.Lib)); err == nil && os.SameFile(a, b) {
			shared++
		}
	}
	if shared < 3 {
		t.Errorf("%d of %d files are shared, want manifest, configuration and layer", shared, len(files))
	}
	ctr := func(args ...string) string {
		t.Helper()
		b, err := exec.Command(second.Ctr, append([]string{"--address", second.Socket, "--namespace", "k8s.io"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ctr %v: %v\n%s", args, err, b)
		}
		return string(b)
	}
	// To remove an image synchronously waits until the garbage is collected.
	ctr("images", "remove", "--sync", "docker.io/x/other:1", "docker.io/x/other:latest")
	if got := ctr("images", "check", "name~=docker.io/x/one"); strings.Count(got, "docker.io/x/one") != 2 || strings.Contains(got, "incomplete") {
		t.Errorf("after garbage was collected:\n%s", got)
	}
}
