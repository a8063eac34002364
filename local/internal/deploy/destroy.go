package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
	"github.com/alphapulse/alphapulse-infra/local/internal/toolchain"
)

// Destroy takes away what stands on the local cluster, and dev wherever it is. It
// is what `make down` does before the cluster goes, so a local cluster that does
// not answer is no obstacle: what it held ends with it.
func Destroy(ctx context.Context, r *progress.Reporter) error {
	root, err := paths.Root()
	if err != nil {
		return err
	}
	names, err := stacks()
	if err != nil {
		return err
	}
	var errs []error
	// What other stacks use goes last.
	if i := slices.Index(names, addonStack); i >= 0 {
		names = append(slices.Delete(names, i, i+1), addonStack)
	}
	for _, name := range names {
		was, err := remembered(name)
		switch {
		case err != nil:
			errs = append(errs, err)
		case was.Docker: // `local engine down` is the end of that one
		case was.Local:
			errs = append(errs, destroyLocal(ctx, r, root, name))
		case name == Stack:
			errs = append(errs, destroyCurrent(ctx, r, root, name, *was))
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
	}
	return errors.Join(errs...)
}

func destroyLocal(ctx context.Context, r *progress.Reporter, root, stack string) error {
	_, kubeconfig, notThere := local(ctx)
	if notThere != nil || len(toolchain.Missing(ctx, r)) > 0 {
		why := "it does not answer"
		if notThere == nil {
			why = "there is no pulumi to ask it with"
		}
		r.Infof("stack %s is forgotten together with the local cluster (%s)", stack, why)
		return drop(stack)
	}
	tools, err := toolchain.Ensure(ctx, r)
	if err != nil {
		return err
	}
	tools = tools.With("KUBECONFIG=" + kubeconfig)
	if err := tools.Run(ctx, root, toolchain.Std(), "destroy", "--stack", stack, "--yes", "--skip-preview"); err != nil {
		if ctx.Err() != nil {
			return err
		}
		// Protected things stay, and broken ones may: they end with the cluster.
		r.Infof("pulumi destroy of stack %s left something (%v), which ends with the local cluster", stack, err)
	}
	return drop(stack)
}

func destroyCurrent(ctx context.Context, r *progress.Reporter, root, stack string, was target) error {
	now, err := current(ctx)
	if err != nil {
		return err
	}
	if now == nil {
		return fmt.Errorf("stack %s is deployed to %s, and there is no current kube context: point KUBECONFIG at it", stack, was)
	}
	if !was.same(now.target) {
		return elsewhere(stack, was, now.target)
	}
	if now.err != nil {
		return fmt.Errorf("stack %s is deployed to %s, which does not answer: %w", stack, was, now.err)
	}
	tools, err := toolchain.Ensure(ctx, r)
	if err != nil {
		return err
	}
	if err := tools.Run(ctx, root, toolchain.Std(), "destroy", "--stack", stack, "--yes", "--skip-preview"); err != nil {
		return fmt.Errorf("pulumi destroy of stack %s on %s: %w", stack, was, err)
	}
	return forget(stack)
}

// drop removes the state of a stack whose cluster is gone or about to go.
func drop(stack string) error {
	dir, err := paths.State("state", ".pulumi")
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "stacks", "*", stack+".json*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			return fmt.Errorf("state of stack %s: %w", stack, err)
		}
	}
	return forget(stack)
}
