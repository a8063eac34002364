package node

import (
	"github.com/alphapulse/alphapulse-infra/local/internal/node/inside"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/serve"
)

// RunInit is the first process of the node whose state lies in dir.
func RunInit(dir string) error { return inside.RunInit(dir) }

// RunForward serves listeners that it was given, each with one of the targets.
func RunForward(targets []string) error { return inside.RunForward(targets) }

// RunServe is the registry of the engine's node.
func RunServe() error { return serve.Run() }
