package images

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
)

// goHome is where the upstream image has Go.
const goHome = "/usr/local/go"

// goCache is where the go command of the image's user looks for what is compiled.
const goCache = "/root/.cache/go-build"

// addGo puts the tool chain of exactly that Go version into the tree: this
// machine's own if it is that one, else one that the go command fetches and
// verifies as it does for modules that ask for it. What it compiles lies in dir
// until the tree is written.
func addGo(ctx context.Context, t oci.Tree, version, dir string, w io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION")
	cmd.Dir = os.TempDir() // no module, so that none decides on the version
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=go"+version, "GOWORK=off")
	cmd.Stderr = w
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("find Go %s: %w", version, err)
	}
	root, err := goRoot(string(out), version)
	if err != nil {
		return err
	}
	if err := addGoTree(t, root); err != nil {
		return err
	}
	return addStandardLibrary(ctx, t, root, dir, w)
}

// addStandardLibrary puts the compiled standard library of the Go in the folder root
// into the tree. Each build of an image begins with an empty cache, and would spend
// half of its time on the same packages.
func addStandardLibrary(ctx context.Context, t oci.Tree, root, dir string, w io.Writer) error {
	cmd := exec.CommandContext(ctx, filepath.Join(root, "bin", "go"), "build", "-trimpath", "std")
	cmd.Dir = dir
	// As the Dockerfiles build, and nothing of this machine's settings.
	cmd.Env = []string{"GOCACHE=" + dir, "GOENV=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0", "HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("compile the standard library in %s: %w", root, err)
	}
	return addFiles(t, dir, goCache)
}

// goRoot reads where that Go version lies from the answer to `go env GOROOT
// GOVERSION`. A go command that ignored the wish answers with another version.
func goRoot(answer, version string) (string, error) {
	root, found, _ := strings.Cut(strings.TrimSpace(answer), "\n")
	// Distributions add a suffix after a blank.
	if found, _, _ = strings.Cut(found, " "); found != "go"+version {
		return "", fmt.Errorf("find Go %s: the go command answers with %s in %s", version, found, root)
	}
	return root, nil
}

// addGoTree puts the tool chain in the folder root into the tree, without what
// only Go's developers need.
func addGoTree(t oci.Tree, root string) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch rel {
			case "api", "doc", "test", ".git", filepath.Join("pkg", "obj"):
				return filepath.SkipDir
			}
			if d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || strings.HasSuffix(d.Name(), "_test.go") {
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		t[path.Join(goHome, filepath.ToSlash(rel))] = oci.Entry{Mode: int64(fi.Mode().Perm()), Source: p}
		return nil
	})
}
