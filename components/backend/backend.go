// Package backend runs the application: an autoscaled API, the singleton trading
// engine and the real-time dashboard. Any HTTP service image fits the slots: port,
// command, environment, probe paths and metrics path are arguments.
package backend

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Backend is the application's server side.
type Backend struct {
	pulumi.ResourceState

	// APIHost and DashboardHost are the client Services' names.
	APIHost, DashboardHost pulumi.StringOutput
	// APIPodsHost and DashboardPodsHost are the headless Services' names, which
	// resolve to one address for each ready pod.
	APIPodsHost, DashboardPodsHost pulumi.StringOutput
}

// NewBackend creates the backend.
func NewBackend(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Backend, error) {
	if args == nil {
		args = &Args{}
	}
	if err := args.Validate(); err != nil {
		return nil, err
	}
	b := &Backend{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Backend", name, b, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(b)
	if err := b.api(ctx, name, args, parent); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if args.Engine != nil {
		if err := b.engine(ctx, name, args, parent); err != nil {
			return nil, fmt.Errorf("engine: %w", err)
		}
	}
	if args.Dashboard != nil {
		if err := b.dashboard(ctx, name, args, parent); err != nil {
			return nil, fmt.Errorf("dashboard: %w", err)
		}
	}
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{
		"apiHost":           b.APIHost,
		"apiPodsHost":       b.APIPodsHost,
		"dashboardHost":     b.DashboardHost,
		"dashboardPodsHost": b.DashboardPodsHost,
	})
}
