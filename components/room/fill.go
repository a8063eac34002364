package room

import "reflect"

// Fill is args with every field that is zero taken from defaults. What tells itself
// whether it is zero, such as an amount or Resources, is taken as a whole.
func Fill[T any](args, defaults T) T {
	fill(reflect.ValueOf(&args).Elem(), reflect.ValueOf(defaults))
	return args
}

func fill(to, from reflect.Value) {
	whole, knows := to.Addr().Interface().(interface{ IsZero() bool })
	switch {
	case to.Kind() == reflect.Struct && !knows:
		for i := range to.NumField() {
			if to.Field(i).CanSet() {
				fill(to.Field(i), from.Field(i))
			}
		}
	case knows && whole.IsZero(), !knows && to.IsZero():
		to.Set(from)
	}
}
