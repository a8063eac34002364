// Package state knows where a node keeps what it stores, seen from the machine.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// A Dir is the folder of a cluster or an engine, below .local of the clone. The
// first node's state lies in it, that of others below nodes.
type Dir string

// Of returns the folder of one node.
func (d Dir) Of(h topology.Host) Dir {
	if h.ControlPlane() {
		return d
	}
	return d + Dir("/nodes/"+h.Name())
}

// ClusterFile is the file that says what the cluster consists of.
func (d Dir) ClusterFile() string { return string(d) + "/cluster.json" }

// ReadCluster returns what the cluster consists of; one node if nothing was stored.
func (d Dir) ReadCluster() (topology.Cluster, error) {
	c := topology.Local()
	b, err := os.ReadFile(d.ClusterFile())
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return c, fmt.Errorf("nodes of the cluster: %s: %w", d.ClusterFile(), err)
	}
	return c, nil
}

// WriteCluster stores what the cluster consists of.
func (d Dir) WriteCluster(c topology.Cluster) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = os.MkdirAll(string(d), 0o755)
	}
	if err == nil {
		err = WriteFile(d.ClusterFile(), b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("nodes of the cluster: %w", err)
	}
	return nil
}

// Lib is the node's /var/lib.
func (d Dir) Lib() string { return string(d) + "/lib" }

// Log is the node's /var/log.
func (d Dir) Log() string { return string(d) + "/log" }

// Own holds what this program keeps for the node.
func (d Dir) Own() string { return d.Lib() + "/" + topology.Product }

// PKI holds keys and certificates.
func (d Dir) PKI() string { return d.Own() + "/pki" }

// Config holds the configuration of the node's programs.
func (d Dir) Config() string { return d.Own() + "/config" }

// Spec is the file that tells the node's first process what to run.
func (d Dir) Spec() string { return d.Own() + "/spec.json" }

// Components is the file in which the first process tells what runs.
func (d Dir) Components() string { return d.Own() + "/components.json" }

// Kubeconfig is the administrator's.
func (d Dir) Kubeconfig() string { return string(d) + "/kubeconfig" }

// WriteFile replaces the file at path in one step, so that a crash leaves the old
// content or the new one.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err := f.Write(data); err != nil {
		_ = f.Close()
		return err
	}
	if err := errors.Join(f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
