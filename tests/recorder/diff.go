package recorder

import (
	"reflect"
	"slices"
)

// Changed names, as "Type/name" with the type's last word, every registration that
// differs between two recordings in its inputs or its options, or is in one only.
func Changed(a, b *Recording) []string {
	index := func(r *Recording) map[string]Resource {
		m := map[string]Resource{}
		for _, x := range r.Resources {
			m[x.ID()] = x
		}
		return m
	}
	ia, ib := index(a), index(b)
	changed := map[string]bool{}
	for id, x := range ia {
		y, ok := ib[id]
		if !ok || !reflect.DeepEqual(untimed(x), untimed(y)) ||
			x.RPC.GetProtect() != y.RPC.GetProtect() || x.RPC.GetRetainOnDelete() != y.RPC.GetRetainOnDelete() {
			changed[x.Label()] = true
		}
	}
	for id, y := range ib {
		if _, ok := ia[id]; !ok {
			changed[y.Label()] = true
		}
	}
	var names []string
	for n := range changed {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// untimed are the inputs without the moment of the try that a container is named by: two
// recordings are seldom of one second.
func untimed(x Resource) map[string]any {
	inputs := Plain(x.Inputs)
	if name, ok := inputs["name"].(string); ok {
		inputs["name"] = Attempt.ReplaceAllString(name, "")
	}
	return inputs
}

// Label is the registration's short name, e.g. "Deployment/backend".
func (r Resource) Label() string {
	kind := r.Kind()
	if kind == "" {
		kind = r.Type[lastColon(r.Type)+1:]
	}
	return kind + "/" + r.Name
}

func lastColon(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == ':' {
			return i
		}
	}
	return -1
}
