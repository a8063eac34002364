package stacks

import (
	"slices"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// registry knows every resource that the stack has registered, in that order. To depend on
// a component is not the same: its children tell it of themselves in their own time, and
// the SDK takes those that the component happens to know at that moment.
type registry struct {
	mu      sync.Mutex
	all     []pulumi.Resource
	parents map[pulumi.Resource]pulumi.Resource
}

// newRegistry lists what is registered from now on.
func newRegistry(ctx *pulumi.Context) (*registry, error) {
	r := &registry{parents: map[pulumi.Resource]pulumi.Resource{}}
	return r, ctx.RegisterStackTransformation(func(args *pulumi.ResourceTransformationArgs) *pulumi.ResourceTransformationResult {
		r.mu.Lock()
		defer r.mu.Unlock()
		if options, err := pulumi.NewResourceOptions(args.Opts...); err == nil && options.Parent != nil {
			r.parents[args.Resource] = options.Parent
		}
		if resource, custom := args.Resource.(pulumi.CustomResource); custom {
			r.all = append(r.all, resource)
		}
		return nil
	})
}

// everything is all of it.
func (r *registry) everything() []pulumi.Resource {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// of is what these components consist of.
func (r *registry) of(components ...pulumi.Resource) []pulumi.Resource {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []pulumi.Resource
	for _, resource := range r.all {
		for at := r.parents[resource]; at != nil; at = r.parents[at] {
			if slices.Contains(components, at) {
				parts = append(parts, resource)
				break
			}
		}
	}
	return parts
}
