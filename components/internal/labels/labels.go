// Package labels gives every object the uniform app.kubernetes.io labels.
package labels

import "maps"

// Set identifies one workload. Name and Instance make up the selector, which
// Kubernetes never lets change: both are constants of the program, never a setting.
type Set struct {
	// Name is the workload's name, e.g. "backend-engine".
	Name string
	// Instance is the component instance that owns the workload, e.g. "backend".
	Instance string
	// Component is the workload's role in the architecture, e.g. "api" or "database".
	Component string
}

// Selector returns the labels that select the workload's pods.
func (s Set) Selector() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":     s.Name,
		"app.kubernetes.io/instance": s.Instance,
	}
}

// All returns the full label set that objects and pods carry.
func (s Set) All() map[string]string {
	all := map[string]string{
		"app.kubernetes.io/component":  s.Component,
		"app.kubernetes.io/part-of":    "alphapulse",
		"app.kubernetes.io/managed-by": "pulumi",
	}
	maps.Copy(all, s.Selector())
	return all
}
