package recorder

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// forceNew are the fields whose change makes the Kubernetes provider v4.25.0
// replace an object: the provider's own table (pkg/provider/diff.go,
// forceNewProperties) for the kinds that hold data, beside metadata.name and
// metadata.namespace, which hold for every kind.
var forceNew = map[string][]string{
	"PersistentVolumeClaim": {"spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"},
	"StatefulSet": {
		"spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.selector", "spec.serviceName", "spec.volumeClaimTemplates",
	},
	"Namespace": {},
}

// Stateful tells whether losing the resource would lose what a user stored.
func (r Resource) Stateful() bool {
	if r.Type == dockerVolume {
		return r.holdsData()
	}
	_, kind := forceNew[r.Kind()]
	// A naming key opens nothing and names one Secret: it goes with it. Other random
	// values than passwords open nothing either.
	generated := strings.HasPrefix(r.Type, "random:index/randomPassword:") && !strings.HasSuffix(r.Name, "-naming-key")
	return kind || generated
}

// ID names a registration across runs.
func (r Resource) ID() string { return r.RPC.GetParent() + "::" + r.Type + "::" + r.Name }

// Losses compares two recordings and names every stateful resource of the older one
// that the newer one would delete or replace.
func Losses(older, newer []Resource) []string {
	now := map[string]Resource{}
	for _, r := range newer {
		now[r.ID()] = r
	}
	var losses []string
	for _, was := range older {
		if !was.Stateful() {
			continue
		}
		is, ok := now[was.ID()]
		if !ok && was.RPC.GetRetainOnDelete() && (was.Kind() == "Namespace" || was.Kind() == "PersistentVolumeClaim" && !was.RPC.GetProtect()) {
			continue // it stays, with everything in it: the claim of a member that is gone
		}
		if !ok {
			losses = append(losses, fmt.Sprintf("%s %s would be deleted", was.Type, was.Name))
			continue
		}
		for _, field := range Replacing(was, is) {
			losses = append(losses, fmt.Sprintf("%s %s would be replaced: %s changes", was.Type, was.Name, field))
		}
	}
	slices.Sort(losses)
	return losses
}

// Replacing lists the changed fields that make Pulumi replace the resource.
func Replacing(was, is Resource) []string {
	var fields []string
	if strings.HasPrefix(was.Type, "random:") || was.Type == dockerVolume {
		// Every input of a random value and of a Docker volume replaces it.
		if !reflect.DeepEqual(Plain(was.Inputs), Plain(is.Inputs)) {
			fields = append(fields, "inputs")
		}
		return fields
	}
	ignored := is.RPC.GetIgnoreChanges()
	for _, field := range append([]string{"metadata.name", "metadata.namespace"}, forceNew[was.Kind()]...) {
		if slices.Contains(ignored, field) {
			continue
		}
		if !reflect.DeepEqual(at(Plain(was.Inputs), field), at(Plain(is.Inputs), field)) {
			fields = append(fields, field)
		}
	}
	return fields
}

func at(object map[string]any, path string) any {
	var v any = object
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}
