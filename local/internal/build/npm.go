package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// ErrNpm says that the packages of a user interface could not be fetched or
// that it could not be built.
var ErrNpm = errors.New("the user interface was not built")

// userInterface builds the site that the frontend embeds. It works on a copy, so
// that neither a developer's node_modules nor ui/dist is touched.
var userInterface = generator{
	id: "npm ci, npm run build: 1",
	run: func(ctx context.Context, dir, out string, step *progress.Step) error {
		work, err := os.MkdirTemp(filepath.Dir(out), "ui-")
		if err != nil {
			return err
		}
		if err := copySources(dir, work, "ui/dist"); err != nil {
			return fmt.Errorf("copy %s: %w", dir, err)
		}
		for _, args := range [][]string{{"ci", "--no-audit", "--no-fund"}, {"run", "build"}} {
			if err := npm(ctx, work, step, args...); err != nil {
				return err
			}
		}
		if err := os.Mkdir(filepath.Join(out, "ui"), 0o755); err != nil {
			return err
		}
		return os.Rename(filepath.Join(work, "ui", "dist"), filepath.Join(out, "ui", "dist"))
	},
}

// copySources copies a package without what npm made in it, and without what is in the
// named folders.
func copySources(from, to string, without ...string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir() && d.Name() == "node_modules":
			return filepath.SkipDir
		case d.IsDir() && slices.Contains(without, filepath.ToSlash(rel)):
			if err := os.MkdirAll(target, 0o755); err != nil {
				return err
			}
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(target, raw, 0o644)
	})
}

func npm(ctx context.Context, dir string, step *progress.Step, args ...string) error {
	return packages(ctx, dir, step, nil, "npm", args...)
}

// packages runs a manager of packages in dir, with further variables.
func packages(ctx context.Context, dir string, step *progress.Step, env []string, command string, args ...string) error {
	name, w := filepath.Base(command), step.Writer()
	_, _ = fmt.Fprintf(w, "%s: %s %v\n", dir, name, args)
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(os.Environ(), []string{"CI=true", "NO_UPDATE_NOTIFIER=1"}, env)
	cmd.Stdout, cmd.Stderr = w, w
	// It starts others: a group of its own, so that an interrupt reaches them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	err := cmd.Run()
	step.Used(cpuOf(cmd))
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return progress.Explain(fmt.Errorf("%w: %s %s: %w", ErrNpm, name, args[0], err), "",
			"Check that the npm registry can be reached (npm ping), then run it again; what is built is kept.")
	}
	return nil
}
