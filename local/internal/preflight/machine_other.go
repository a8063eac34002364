//go:build !linux

package preflight

import "context"

// machine looks at nothing: Check stops at the system's name.
func machine(context.Context, Needs, *Facts) {}
