// Package files puts keys, certificates and configuration where nodes find them.
package files

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/pki"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// A Spec tells a node's first process what to run.
type Spec struct {
	Kind     plan.Kind         `json:"kind"`
	Host     topology.Host     `json:"host"`
	RunDir   string            `json:"runDir"`   // of the machine
	Programs map[string]string `json:"programs"` // name → path on the machine
	Folders  map[string]string `json:"folders"`  // likewise
}

// ReadSpec returns the spec in a node's folder.
func ReadSpec(dir state.Dir) (Spec, error) {
	var s Spec
	b, err := os.ReadFile(dir.Spec())
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return s, fmt.Errorf("what to run: %w", err)
	}
	return s, nil
}

// Step writes the nodes' files. They are no traces: what a node stores is kept when
// it ends.
type Step struct{}

// Do writes the files.
func (Step) Do(_ context.Context, b *steps.Bringup) error {
	for _, h := range b.Nodes {
		if err := write(b, h); err != nil {
			return err
		}
	}
	return nil
}

// Undo has nothing to take away.
func (Step) Undo(*steps.Bringup, []topology.Host) error { return nil }

// Traces are none.
func (Step) Traces(*steps.Bringup, []topology.Host) []string { return nil }

func write(b *steps.Bringup, h topology.Host) error {
	dir := b.State.Of(h)
	for _, d := range []string{dir.Lib(), dir.Log(), dir.Own()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("state folder: %w", err)
		}
	}
	// Volumes and keys are for root alone, whoever may read the clone.
	if err := os.Chmod(dir.Lib(), 0o711); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := rotateLogs(dir.Log()); err != nil {
		return err
	}
	if b.Kind == plan.Cluster {
		if err := writeIdentities(b, h); err != nil {
			return err
		}
	}
	if err := b.Plan(h).WriteConfig(dir.Config()); err != nil {
		return err
	}
	_ = os.Remove(dir.Components()) // of the last run
	raw, err := json.MarshalIndent(Spec{Kind: b.Kind, Host: h, RunDir: string(b.RunDir), Programs: own(b, h), Folders: b.Folders}, "", "  ")
	if err != nil {
		return err
	}
	return state.WriteFile(dir.Spec(), raw, 0o644)
}

// own returns the programs that a node runs, of those that there are.
func own(b *steps.Bringup, h topology.Host) map[string]string {
	p := b.Plan(h)
	programs := map[string]string{}
	for _, name := range slices.Concat(p.Programs, p.Tools) {
		programs[name] = b.Programs[name]
	}
	return programs
}

// writeIdentities makes a node's keys and certificates, and what their users present
// them with.
func writeIdentities(b *steps.Bringup, h topology.Host) error {
	dir := b.State.Of(h).PKI()
	if err := pki.Write(b.State.PKI(), dir, h, time.Now()); err != nil {
		return err
	}
	for _, id := range pki.Identities(h) {
		if id.User {
			if err := pki.WriteKubeconfig(dir, id.Name, h.Cluster, dir+"/"+id.Name+".kubeconfig"); err != nil {
				return err
			}
		}
	}
	if !h.ControlPlane() {
		return nil
	}
	return pki.WriteKubeconfig(dir, "admin", h.Cluster, b.State.Kubeconfig())
}

// rotateLogs keeps the logs of one run before this one.
func rotateLogs(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return err
	}
	for _, f := range logs {
		if err := os.Rename(f, f+".old"); err != nil {
			return fmt.Errorf("logs: %w", err)
		}
	}
	return nil
}
