package node

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

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// commandPackages are Debian packages that are installed on the machine when
// their command is missing. kube-proxy, the enforcement of network policies and
// the CNI plugins call these commands, the kubelet calls mount.
var commandPackages = []struct{ command, pkg string }{
	{"iptables", "iptables"},
	{"ipset", "ipset"},
	{"nft", "nftables"},
	{"mount", "mount"},
}

// runtimePackages are Debian packages that are unpacked into the cache and not
// installed: installing them would start a containerd as a service of the
// machine, or remove the one that came with Docker.
var runtimePackages = []string{"containerd", "runc", "containernetworking-plugins"}

// runtimePrograms are what the node uses of runtimePackages, besides the plugins.
var runtimePrograms = []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc"}

// missingCommands returns the packages to install.
func missingCommands() []string {
	var missing []string
	for _, c := range commandPackages {
		if _, err := lookSystem(c.command); err != nil {
			missing = append(missing, c.pkg)
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

// installCommands installs what missingCommands found.
func installCommands(ctx context.Context, r *progress.Reporter) error {
	missing := missingCommands()
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
		if still := missingCommands(); len(still) > 0 {
			return fmt.Errorf("installed, but their commands are still missing: %s", strings.Join(still, " "))
		}
		return nil
	}())
}

// runtimeDir returns where runtimePackages are unpacked. The name tells the
// release that they are from: they are linked to its C library.
func runtimeDir() (string, error) {
	release := "unknown"
	if b, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok && v != "" {
				release = strings.Trim(v, `"`)
			}
		}
	}
	return paths.Cache("runtime", release+"-"+runtime.GOARCH)
}

// runtimeFiles returns the paths of runtimePrograms and of the plugins' folder,
// and whether all are there.
func runtimeFiles() (programs map[string]string, plugins string, complete bool, err error) {
	dir, err := runtimeDir()
	if err != nil {
		return nil, "", false, err
	}
	programs, complete = map[string]string{}, true
	for _, name := range runtimePrograms {
		path := filepath.Join(dir, "usr", "bin", name)
		if name == "runc" {
			path = filepath.Join(dir, "usr", "sbin", name)
		}
		programs[name] = path
		if _, err := os.Stat(path); err != nil {
			complete = false
		}
	}
	plugins = filepath.Join(dir, "usr", "lib", "cni")
	for _, name := range []string{"loopback", "ptp", "host-local", "portmap"} {
		if _, err := os.Stat(filepath.Join(plugins, name)); err != nil {
			complete = false
		}
	}
	return programs, plugins, complete, nil
}

// unpackRuntime downloads runtimePackages, which apt verifies, and unpacks them
// into the cache.
func unpackRuntime(ctx context.Context, r *progress.Reporter) error {
	_, _, complete, err := runtimeFiles()
	if err != nil || complete {
		return err
	}
	s := r.Step("unpack Debian packages: " + strings.Join(runtimePackages, " "))
	return s.Done(func() error {
		dir, err := runtimeDir()
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
		get := append([]string{"download"}, runtimePackages...)
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
		if _, _, complete, err := runtimeFiles(); err != nil || !complete {
			return errors.Join(err, fmt.Errorf("%s of this release lack a program that the node needs: see %s", strings.Join(runtimePackages, ", "), dir))
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
