package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/alphapulse/alphapulse-infra/local/internal/debian"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/serve"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// Contexts of the image builds that the engine is made ready for, relative to the
// repository.
var (
	goContexts = []string{"docker/backend", "docker/frontend"}
	npmContext = "docker/frontend"
)

// Gather brings the modules and packages that image builds ask for to dir,
// from where the engine's node serves them: there is no way out of it to a registry.
func Gather(ctx context.Context, r *progress.Reporter, dir string) error {
	root, err := paths.Root()
	if err != nil {
		return err
	}
	// The same commands as the frontend's image needs.
	if err := debian.Install(ctx, r, map[string]string{"node": "nodejs", "npm": "npm"}); err != nil {
		return err
	}
	s := r.Step("fetch the modules and packages that image builds ask for")
	return s.Done(func() error {
		for _, c := range goContexts {
			cmd := exec.CommandContext(ctx, "go", "mod", "download")
			cmd.Dir, cmd.Env = filepath.Join(root, filepath.FromSlash(c)), append(os.Environ(), "GOWORK=off")
			cmd.Stdout, cmd.Stderr = s.Writer(), s.Writer()
			if err := cmd.Run(); err != nil {
				return progress.Explain(fmt.Errorf("go mod download in %s: %w", c, err), "", "Check that the Go module proxy can be reached, then run it again.")
			}
		}
		raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(npmContext), "package-lock.json"))
		if err != nil {
			return err
		}
		locked, err := serve.LockedPackages(raw)
		if err != nil {
			return fmt.Errorf("%s/package-lock.json: %w", npmContext, err)
		}
		return pack(ctx, dir, locked, s)
	}())
}

// pack puts the packages into dir. Those that are there are not fetched again.
func pack(ctx context.Context, dir string, locked []serve.Package, s *progress.Step) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	args := []string{"pack", "--silent", "--pack-destination", dir}
	fixed := len(args)
	for _, p := range locked {
		if _, err := os.Stat(filepath.Join(dir, p.File())); errors.Is(err, os.ErrNotExist) {
			args = append(args, p.Name+"@"+p.Version)
		}
	}
	if len(args) > fixed {
		cmd := exec.CommandContext(ctx, "npm", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "NO_UPDATE_NOTIFIER=1")
		cmd.Stdout, cmd.Stderr = s.Writer(), s.Writer()
		if err := cmd.Run(); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return progress.Explain(fmt.Errorf("npm pack: %w", err), "", "Check that the npm registry can be reached (npm ping), then run it again.")
		}
	}
	b, err := json.MarshalIndent(locked, "", "  ")
	if err != nil {
		return err
	}
	return state.WriteFile(filepath.Join(dir, serve.LockedFile), b, 0o644)
}
