//go:build !linux

package node

import (
	"context"

	"github.com/alphapulse/alphapulse-infra/local/internal/preflight"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// Hidden sub-commands of the program; see the Linux build.
const (
	InitCommand    = "node-init"
	ForwardCommand = "node-forward"
)

// Needs returns what preflight refuses on this system.
func Needs(context.Context) (preflight.Needs, error) { return preflight.Needs{Root: true}, nil }

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

// RunInit fails with ErrNotLinux.
func RunInit(string) error { return ErrNotLinux }

// RunForward fails with ErrNotLinux.
func RunForward() error { return ErrNotLinux }
