package backend

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// engine creates the singleton: exactly one replica, and the old pod is gone before
// a new one starts, so that there are never two that trade.
func (b *Backend) engine(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) error {
	_, err := deployment{
		labels: engineLabels(name), process: args.Engine, args: args,
		env:      args.trades(),
		replicas: pulumi.Int(1), most: 1, recreate: true,
	}.create(ctx, opts...)
	return err
}
