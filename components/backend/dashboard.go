package backend

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// dashboard creates the real-time dashboard, a process of its own that the API
// does not serve.
func (b *Backend) dashboard(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) error {
	l := dashboardLabels(name)
	_, err := deployment{
		labels: l, process: args.Dashboard, args: args, env: neverTrades,
		replicas: pulumi.Int(1), most: 1,
	}.create(ctx, opts...)
	if err != nil {
		return err
	}
	b.DashboardHost, b.DashboardPodsHost, err = services(ctx, l, args.Namespace, args.Dashboard.Port, opts...)
	return err
}
