// Package debian makes root file systems out of Debian packages: files only, no
// maintainer script runs, and equal packages give equal bytes.
package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// Suites of Debian that root file systems are made of.
const (
	// Stable is Debian 13, with its security updates.
	Stable = "trixie"
	// Unstable is Debian sid, for what stable has only in an older version.
	Unstable = "sid"
)

const (
	// bootstrap is the program that resolves, fetches and verifies packages.
	bootstrap = "mmdebstrap"
	// format changes when Build makes something else of the same recipe.
	format = "2"
	// stopGrace is what an interrupted program gets to clean up after itself.
	stopGrace = 15 * time.Second
)

// ErrRegistry says that no Debian mirror gave the packages.
var ErrRegistry = errors.New("the Debian mirror did not give the packages")

// A Recipe says what a root file system holds.
type Recipe struct {
	Suite    string   // Stable or Unstable
	Packages []string // the first names the recipe; with everything that they depend on
	// Keep, if not empty, names all that is kept of the packages' files. Drop
	// names what is not. Both hold patterns of path.Match for absolute paths; one
	// that matches a directory takes in everything below it.
	Keep, Drop []string
	// Python compiles the modules of Debian's Python 3, as its packages' scripts would:
	// a program that cannot write beside them would do it anew at each start.
	Python bool `json:",omitempty"`
}

// Key names the recipe: recipes with equal keys give the same files, as long as
// the mirror offers the same versions.
func (r Recipe) Key() string {
	raw, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings only
	}
	sum := sha256.Sum256(append([]byte(format), raw...))
	return hex.EncodeToString(sum[:])[:16]
}

// A Rootfs is a built root file system.
type Rootfs struct {
	Path     string            // an uncompressed tar
	Versions map[string]string // versions of all packages in it, by name
}

func (r Recipe) files(dir string) (tarPath, listPath string) {
	return filepath.Join(dir, r.Key()+".tar"), filepath.Join(dir, r.Key()+".json")
}

// Load returns the root file system that an earlier Build left in the folder dir.
func (r Recipe) Load(dir string) (*Rootfs, error) {
	tarPath, listPath := r.files(dir)
	return load(tarPath, listPath)
}

// Build makes the root file system in the folder dir. w gets the output of the
// tools. It needs root and what Install installs. Errors wrap ErrRegistry when
// packages could not be fetched.
func (r Recipe) Build(ctx context.Context, dir string, w io.Writer) (*Rootfs, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	tarPath, listPath := r.files(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cache folder: %w", err)
	}
	tmp, err := os.MkdirTemp(dir, ".rootfs-")
	if err != nil {
		return nil, fmt.Errorf("cache folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	// The tools run as root and read through other users' eyes.
	if err := os.Chmod(tmp, 0o755); err != nil {
		return nil, err
	}

	raw := filepath.Join(tmp, "raw.tar")
	versions, err := r.fetch(ctx, tmp, raw, w)
	if err != nil {
		return nil, err
	}
	list, err := json.Marshal(versions)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(tmp, "list"), list, 0o644); err != nil {
		return nil, err
	}
	if err := r.filter(raw, filepath.Join(tmp, "tar")); err != nil {
		return nil, fmt.Errorf("select files of %s: %w", strings.Join(r.Packages, ", "), err)
	}
	// The list first: what load takes for complete is both.
	if err := os.Rename(filepath.Join(tmp, "list"), listPath); err != nil {
		return nil, err
	}
	if err := os.Rename(filepath.Join(tmp, "tar"), tarPath); err != nil {
		return nil, err
	}
	return load(tarPath, listPath)
}

func load(tarPath, listPath string) (*Rootfs, error) {
	if _, err := os.Stat(tarPath); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(listPath)
	if err != nil {
		return nil, err
	}
	fs := &Rootfs{Path: tarPath}
	if err := json.Unmarshal(raw, &fs.Versions); err != nil {
		return nil, fmt.Errorf("%s: %w", listPath, err)
	}
	// What is used stays: Prune goes by this time.
	now := time.Now()
	_ = os.Chtimes(tarPath, now, now)
	_ = os.Chtimes(listPath, now, now)
	return fs, nil
}

// fetch has the packages unpacked into a tar at out and returns their versions.
func (r Recipe) fetch(ctx context.Context, tmp, out string, w io.Writer) (map[string]string, error) {
	bin, err := exec.LookPath(bootstrap)
	if err != nil {
		return nil, progress.Explain(fmt.Errorf("%s is not on PATH", bootstrap), "", "Install it: apt-get install "+bootstrap)
	}
	args := []string{
		"--quiet", "--variant=extract", "--mode=root", "--architectures=amd64", "--format=tar",
		"--include=" + strings.Join(r.Packages, ","),
		// The sandbox user of apt cannot write below a private folder.
		`--aptopt=APT::Sandbox::User "root"`,
		`--aptopt=Acquire::Retries "3"`,
		// Each .deb is still there when this hook runs; dpkg's status is not written.
		`--extract-hook=for f in "$1"/var/cache/apt/archives/*.deb; do dpkg-deb --show --showformat='PACKAGE ${Package} ${Version}\n' "$f"; done >&2`,
	}
	if r.Python {
		// By the content of the source: times are not kept.
		args = append(args, `--extract-hook=chroot "$1" /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.* >&2`)
	}
	if r.Suite == Unstable {
		// Mirrors of unstable that pause are past its week of validity; the
		// signature is checked all the same.
		args = append(args, `--aptopt=Acquire::Check-Valid-Until "false"`)
	}
	sources, err := sources(sourcesDir, r.Suite)
	if err != nil {
		return nil, err
	}
	args = slices.Concat(args, []string{r.Suite, out}, sources)
	_, _ = fmt.Fprintf(w, "%s %s\n", bin, strings.Join(args, " "))

	var seen listing
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "LC_ALL=C.UTF-8", "SOURCE_DATE_EPOCH=0")
	cmd.Stdout = w
	cmd.Stderr = io.MultiWriter(w, &seen)
	// A group of its own, so that an interrupt reaches apt and tar too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, progress.Explain(
			fmt.Errorf("%w: %s of Debian %s: %s: %w", ErrRegistry, strings.Join(r.Packages, ", "), r.Suite, bootstrap, err), "",
			"Check that the Debian mirror in this machine's apt sources can be reached (apt-get update), then run it again; what is built is kept.")
	}
	versions := seen.versions()
	for _, p := range r.Packages {
		if versions[p] == "" {
			return nil, fmt.Errorf("%s did not unpack %s of Debian %s", bootstrap, p, r.Suite)
		}
	}
	return versions, nil
}

// listing collects the lines that fetch's hook prints.
type listing struct{ b strings.Builder }

func (l *listing) Write(p []byte) (int, error) { return l.b.Write(p) }

func (l *listing) versions() map[string]string {
	v := map[string]string{}
	for line := range strings.Lines(l.b.String()) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "PACKAGE" {
			v[f[1]] = f[2]
		}
	}
	return v
}

// Prune removes from dir what no Ensure has used for longer than age.
func Prune(dir string, age time.Duration) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cache folder: %w", err)
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil || time.Since(fi.ModTime()) < age {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove what is no longer used: %w", err)
		}
	}
	return nil
}
