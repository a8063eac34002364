//go:build !linux

package node

import (
	"context"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/preflight"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// Needs returns what preflight refuses on this system.
func Needs(context.Context, topology.Request) (preflight.Needs, error) {
	return preflight.Needs{Root: true}, nil
}

// Up fails with ErrNotLinux.
func Up(context.Context, *progress.Reporter, Options) error { return ErrNotLinux }

// Start fails with ErrNotLinux.
func Start(context.Context, *progress.Reporter, Options) error { return ErrNotLinux }

// Stop fails with ErrNotLinux.
func Stop(context.Context, *progress.Reporter) error { return ErrNotLinux }

// Down fails with ErrNotLinux.
func Down(context.Context, *progress.Reporter) error { return ErrNotLinux }

// Status fails with ErrNotLinux.
func Status(context.Context) (State, error) { return State{}, ErrNotLinux }

// Import fails with ErrNotLinux.
func Import(context.Context, *progress.Reporter, []string) error { return ErrNotLinux }

// StopNode fails with ErrNotLinux.
func StopNode(context.Context, *progress.Reporter, string) error { return ErrNotLinux }

// KillNode fails with ErrNotLinux.
func KillNode(context.Context, *progress.Reporter, string) error { return ErrNotLinux }

// StartNode fails with ErrNotLinux.
func StartNode(context.Context, *progress.Reporter, string) error { return ErrNotLinux }

// CutNode fails with ErrNotLinux.
func CutNode(context.Context, *progress.Reporter, string) error { return ErrNotLinux }

// JoinNode fails with ErrNotLinux.
func JoinNode(context.Context, *progress.Reporter, string) error { return ErrNotLinux }

// EngineUp fails with ErrNotLinux.
func EngineUp(context.Context, *progress.Reporter, EngineOptions) error { return ErrNotLinux }

// EngineStop fails with ErrNotLinux.
func EngineStop(context.Context, *progress.Reporter) error { return ErrNotLinux }

// EngineDown fails with ErrNotLinux.
func EngineDown(context.Context, *progress.Reporter) error { return ErrNotLinux }

// EngineStatus fails with ErrNotLinux.
func EngineStatus(context.Context) (State, error) { return State{}, ErrNotLinux }

// EngineID fails with ErrNotLinux.
func EngineID(context.Context) (string, error) { return "", ErrNotLinux }

// EngineLoad fails with ErrNotLinux.
func EngineLoad(context.Context, *progress.Reporter, []images.Archive) error { return ErrNotLinux }

// RunInit fails with ErrNotLinux.
func RunInit(string) error { return ErrNotLinux }

// RunForward fails with ErrNotLinux.
func RunForward([]string) error { return ErrNotLinux }

// RunServe fails with ErrNotLinux.
func RunServe() error { return ErrNotLinux }
