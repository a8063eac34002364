package platform

import (
	"github.com/pulumi/pulumi-random/sdk/v4/go/random"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// GuardArgs configure a Guard.
type GuardArgs struct {
	// Protect makes Pulumi refuse to delete anything of Guarded.
	Protect bool
	// Guarded are the resources of the stack. A component is not enough: it may not know all of
	// those that it consists of yet.
	Guarded []pulumi.Resource
}

// Guard makes a refused `pulumi destroy` change nothing. Protected resources refuse
// their own deletion and that of what they depend on, but no more: where no preview
// is made first (--skip-preview), Services, network policies and everything else
// would be deleted all the same. So one more protected thing, a number that nobody
// reads, depends on all of the others: it is the first to be deleted.
type Guard struct {
	pulumi.ResourceState
}

// NewGuard creates the guard, after everything that it guards.
func NewGuard(ctx *pulumi.Context, name string, args *GuardArgs, opts ...pulumi.ResourceOption) (*Guard, error) {
	if args == nil {
		args = &GuardArgs{}
	}
	g := &Guard{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Guard", name, g, opts...); err != nil {
		return nil, err
	}
	options := []pulumi.ResourceOption{pulumi.Parent(g), pulumi.Protect(args.Protect)}
	if args.Protect {
		options = append(options, pulumi.DependsOn(args.Guarded))
	}
	if _, err := random.NewRandomId(ctx, name, &random.RandomIdArgs{ByteLength: pulumi.Int(4)}, options...); err != nil {
		return nil, err
	}
	return g, ctx.RegisterResourceOutputs(g, pulumi.Map{})
}
