// Package programs gets the programs that nodes run: Debian's are unpacked, those of
// Kubernetes built, and what they call on the machine is installed there.
package programs

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// Step gets the programs. They are no traces: they stay in the cache, for the next
// time.
type Step struct{}

// Do gets what is missing and tells the steps after it where everything is.
func (Step) Do(ctx context.Context, b *steps.Bringup) error {
	p := b.Plan(b.Cluster.First()) // other nodes run less
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		// One after the other: they share apt's lock.
		if err := installCommands(gctx, b.Report, p); err != nil {
			return err
		}
		return unpackRuntime(gctx, b.Report, b.Kind, p)
	})
	g.Go(func() (err error) {
		b.Programs, err = build.Ensure(gctx, b.Report, p.Tools...)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	debian, folders, _, err := Unpacked(b.Kind, p)
	if err != nil {
		return err
	}
	maps.Copy(b.Programs, debian)
	b.Folders = folders
	if b.Kind == plan.Engine {
		b.Folders["modules"], err = moduleCache(ctx)
	}
	return err
}

// Undo has nothing to take away.
func (Step) Undo(*steps.Bringup, []topology.Host) error { return nil }

// Traces are none.
func (Step) Traces(*steps.Bringup, []topology.Host) []string { return nil }

// moduleCache returns the folder of this machine's download cache of Go modules,
// which is laid out as a module proxy.
func moduleCache(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMODCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMODCACHE: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "cache", "download")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("download cache of Go modules: %w", err)
	}
	return dir, nil
}
