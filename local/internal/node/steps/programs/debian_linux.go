package programs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// MissingCommands returns the packages to install.
func MissingCommands(p plan.Plan) []string {
	var missing []string
	for _, c := range p.Commands {
		if _, err := lookSystem(c); err != nil {
			missing = append(missing, plan.CommandPackages[c])
		}
	}
	return missing
}

// lookSystem finds a command where the node's programs will look for it.
func lookSystem(name string) (string, error) {
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err == nil && fi.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// installCommands installs what MissingCommands found.
func installCommands(ctx context.Context, r *progress.Reporter, p plan.Plan) error {
	missing := MissingCommands(p)
	if len(missing) == 0 {
		return nil
	}
	s := r.Step("install Debian packages: " + strings.Join(missing, " "))
	return s.Done(func() error {
		args := append([]string{"install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"}, missing...)
		if err := apt(ctx, s, "", "apt-get", args...); err != nil {
			// The lists of packages may be absent or too old.
			if err := apt(ctx, s, "", "apt-get", "update"); err != nil {
				return progress.Explain(err, "", "Check that apt's package sources can be reached.")
			}
			if err := apt(ctx, s, "", "apt-get", args...); err != nil {
				return progress.Explain(err, "", "Install these packages by hand and run this again.")
			}
		}
		if still := MissingCommands(p); len(still) > 0 {
			return fmt.Errorf("installed, but their commands are still missing: %s", strings.Join(still, " "))
		}
		return nil
	}())
}

// runtimeDir returns where the packages of a node of that kind are unpacked and
// not installed: installing them would start a containerd or a Docker engine as a
// service of the machine, or remove the one that is there. The name tells the
// release that they are from: they are linked to its C library.
func runtimeDir(k plan.Kind) (string, error) {
	release := "unknown"
	if b, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok && v != "" {
				release = strings.Trim(v, `"`)
			}
		}
	}
	name := release + "-" + runtime.GOARCH
	if k == plan.Engine {
		name += "-docker"
	}
	return paths.Cache("runtime", name)
}

// Unpacked returns the paths of the plan's programs and folders of Debian packages as
// unpacked, and whether all are there.
func Unpacked(k plan.Kind, p plan.Plan) (programs, folders map[string]string, complete bool, err error) {
	dir, err := runtimeDir(k)
	if err != nil {
		return nil, nil, false, err
	}
	programs, folders, complete = map[string]string{}, map[string]string{}, true
	for _, name := range p.Programs {
		programs[name] = unpacked(dir, "usr/*bin/"+name)
		complete = complete && programs[name] != ""
	}
	for name, pattern := range p.Folders {
		file := unpacked(dir, pattern)
		folders[name] = filepath.Dir(file)
		complete = complete && file != ""
	}
	return programs, folders, complete, nil
}

// unpacked finds a file of the packages below dir; older releases have some
// folders of /usr in / still. It is empty if there is none.
func unpacked(dir, pattern string) string {
	for _, p := range []string{pattern, strings.TrimPrefix(pattern, "usr/")} {
		// The pattern is well-formed: it is a constant of this package.
		if found, _ := filepath.Glob(filepath.Join(dir, filepath.FromSlash(p))); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// unpackRuntime downloads the plan's packages, which apt verifies, and unpacks
// them into the cache.
func unpackRuntime(ctx context.Context, r *progress.Reporter, k plan.Kind, p plan.Plan) error {
	_, _, complete, err := Unpacked(k, p)
	if err != nil || complete {
		return err
	}
	s := r.Step("unpack Debian packages: " + strings.Join(p.Packages, " "))
	return s.Done(func() error {
		dir, err := runtimeDir(k)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return err
		}
		tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-*")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(tmp) }()
		debs := filepath.Join(tmp, "deb")
		root := filepath.Join(tmp, "root")
		for _, d := range []string{debs, root} {
			if err := os.Mkdir(d, 0o755); err != nil {
				return err
			}
		}
		get := append([]string{"download"}, p.Packages...)
		if err := apt(ctx, s, debs, "apt-get", get...); err != nil {
			if err := apt(ctx, s, "", "apt-get", "update"); err != nil {
				return progress.Explain(err, "", "Check that apt's package sources can be reached.")
			}
			if err := apt(ctx, s, debs, "apt-get", get...); err != nil {
				return progress.Explain(err, "", "These packages are in Debian 12 and newer: check apt's package sources.")
			}
		}
		files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := apt(ctx, s, "", "dpkg-deb", "--extract", f, root); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Rename(root, dir); err != nil {
			return err
		}
		if _, _, complete, err := Unpacked(k, p); err != nil || !complete {
			return errors.Join(err, fmt.Errorf("%s of this release lack a program that the node needs: see %s", strings.Join(p.Packages, ", "), dir))
		}
		return nil
	}())
}

// apt runs a command of Debian's package tools in dir.
func apt(ctx context.Context, s *progress.Step, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	cmd.Stdout, cmd.Stderr = s.Writer(), s.Writer()
	// Ctrl-C must not hit dpkg in the middle of a package. apt passes an interrupt
	// on only where that does no harm, so it alone gets one, and is waited for.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return nil
}
