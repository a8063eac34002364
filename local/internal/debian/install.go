package debian

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// Commands returns the commands that Build runs, with their packages, for Install.
func Commands() map[string]string {
	return map[string]string{bootstrap: bootstrap, "gpg": "gpg", "dpkg-deb": "dpkg"}
}

// Install installs the Debian packages of those commands (command → package)
// that are not on PATH. It needs root.
func Install(ctx context.Context, r *progress.Reporter, commands map[string]string) error {
	var missing []string
	for command, pkg := range commands {
		if _, err := exec.LookPath(command); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	s := r.Step("install Debian packages: " + strings.Join(missing, " "))
	return s.Done(func() error {
		args := append([]string{"install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"}, missing...)
		if err := apt(ctx, s, args...); err == nil {
			return nil
		}
		// The lists of packages may be absent or too old.
		if err := apt(ctx, s, "update"); err != nil {
			return progress.Explain(err, "", "Check that apt's package sources can be reached.")
		}
		if err := apt(ctx, s, args...); err != nil {
			return progress.Explain(err, "", "Install these packages by hand and run this again.")
		}
		return nil
	}())
}

func apt(ctx context.Context, s *progress.Step, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	cmd.Stdout, cmd.Stderr = s.Writer(), s.Writer()
	// dpkg must not be killed half-way; it ends soon after its input does.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("apt-get %s: %w", args[0], err)
	}
	return nil
}
