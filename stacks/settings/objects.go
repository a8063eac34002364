package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Objects declares values of one shape by their names, e.g. receivers. A field of T is
// written as its tag for JSON says; another name is refused.
func Objects[T any](g *Group, p *map[string]T, key, description string, options ...Option) {
	s := g.declare(Named, key, map[string]any{}, description, options)
	s.read = func(raw string, fail failer) {
		var given map[string]json.RawMessage
		if err := Decode(raw, &given); err != nil {
			fail("", "it is not an object of objects: set it in the stack file, or with `pulumi config set --path %s.NAME.FIELD VALUE`", key)
			return
		}
		out := map[string]T{}
		for _, name := range slices.Sorted(maps.Keys(given)) {
			var v T
			if shaped(reflect.TypeFor[T](), given[name], "."+name, fail) {
				// What can still be wrong is the type of a field; the value may be a secret.
				if err := json.Unmarshal(given[name], &v); err != nil {
					fail("."+name, "%s", mistyped(err))
				}
			}
			out[name] = v
		}
		*p = out
	}
}

// shaped reports fields that t does not have, wherever they stand.
func shaped(t reflect.Type, raw json.RawMessage, sub string, fail failer) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return true
	}
	names, types := fields(t)
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil || given == nil {
		fail(sub, "it is not an object: its fields are %s", strings.Join(names, ", "))
		return false
	}
	ok := true
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if types[name] == nil {
			fail(sub+"."+name, "no such field; did you mean %s?", Nearest(name, names))
			ok = false
			continue
		}
		ok = shaped(types[name], given[name], sub+"."+name, fail) && ok
	}
	return ok
}

// fields of a struct and of those embedded in it that a setting can have: their names as
// they are written, in order, and their types.
func fields(t reflect.Type) (names []string, types map[string]reflect.Type) {
	types = map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !f.Anonymous && name != "-" {
			names, types[name] = append(names, name), f.Type
		}
	}
	return names, types
}

// mistyped says which field has a value of another type, without the value.
func mistyped(err error) string {
	var e *json.UnmarshalTypeError
	if errors.As(err, &e) {
		kind := map[reflect.Kind]string{reflect.String: "a text", reflect.Slice: "a list", reflect.Bool: "true or false"}[e.Type.Kind()]
		if kind == "" {
			kind = "a whole number"
		}
		return fmt.Sprintf("%s is a %s: write %s", e.Field, e.Value, kind)
	}
	return "it cannot be read as JSON"
}
