package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// A rest is what a stand-in for somebody else's module takes over from it: a module below
// local/modules replaces it by a folder that holds a few packages of its own, and every
// other package is put beside them when it is compiled.
type rest struct {
	module  string // path@version
	sum     string // as in go.sum
	folder  string // the stand-in's, relative to the module that replaces
	without []string
}

// generator makes the files.
func (r rest) generator() generator {
	return generator{id: strings.Join(append([]string{r.module, r.sum, r.folder}, r.without...), " "), run: r.write}
}

// write puts the packages below out. The folder of a module in Go's cache cannot be written
// to, and the compiler shows nothing in it that is not there: so that they are copied.
func (r rest) write(ctx context.Context, _, out string, step *progress.Step) error {
	// Where there is no module, none can replace this one.
	var stdout bytes.Buffer
	if err := runGoTo(ctx, filepath.Dir(out), step, &stdout, "mod", "download", "-json", r.module); err != nil {
		return err
	}
	var found struct{ Dir, Sum string }
	if err := json.NewDecoder(&stdout).Decode(&found); err != nil {
		return fmt.Errorf("download %s: %w", r.module, err)
	}
	if found.Sum != r.sum {
		return fmt.Errorf("module %s has the checksum %s, and %s is expected: do not go on, and find out which proxy served it (go env GOPROXY)", r.module, found.Sum, r.sum)
	}
	return r.copy(os.DirFS(found.Dir), filepath.Join(out, filepath.FromSlash(r.folder)))
}

// copy copies the packages, without tests and commands.
func (r rest) copy(from fs.FS, to string) error {
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(r.without, name) || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || !strings.Contains(name, "/") {
			return nil
		}
		raw, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, raw, 0o644)
	})
}

// legoWithoutClouds is Lego, which Traefik asks authorities with, but for the clients of two
// hundred name servers: a dozen of their modules are refused by module proxies.
var legoWithoutClouds = rest{
	module: "github.com/go-acme/lego/v5@v5.4.1", sum: "h1:Jt6xAP9xQrJ3SLLGgxejfDDd3pzdrmuLCWe4oTqHHQc=",
	folder: "lego", without: []string{"cmd", "e2e", "providers", "internal/generators"},
}.generator()
