// Package backend runs the application: an autoscaled API, the singleton trading
// engine and the real-time dashboard. Any HTTP service image fits the slots: port,
// command, environment, probe paths and metrics path are arguments.
package backend

import (
	"fmt"
	"maps"

	autoscalingv2 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/autoscaling/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
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
	args = args.withDefaults()
	if err := args.Validate(); err != nil {
		return nil, err
	}
	b := &Backend{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Backend", name, b, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(b)
	settings, err := content.ConfigMap(ctx, name+"-settings", args.Namespace, API(name), pulumi.ToStringMap(args.Settings.Environment()), parent)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	facts := args.Facts(name, room.Kubernetes)
	for _, r := range args.running(name) {
		created, err := args.create(ctx, r, settings, facts, parent)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Component, err)
		}
		switch r.Process {
		case &args.API:
			b.APIHost, b.APIPodsHost = created.Services[0], created.Services[1]
			if err := autoscaler(ctx, r.Identity, args, created.Name, parent); err != nil {
				return nil, fmt.Errorf("autoscaler: %w", err)
			}
		case args.Dashboard:
			b.DashboardHost, b.DashboardPodsHost = created.Services[0], created.Services[1]
		}
	}
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{
		"apiHost":           b.APIHost,
		"apiPodsHost":       b.APIPodsHost,
		"dashboardHost":     b.DashboardHost,
		"dashboardPodsHost": b.DashboardPodsHost,
	})
}

// create makes one workload: the API as many pods as the autoscaler asks for, the engine
// exactly one, whose old pod is gone before a new one starts, so that there are never two
// that trade, and the dashboard, a process of its own that the API does not serve.
func (a *Args) create(ctx *pulumi.Context, r running, settings pulumi.StringInput, facts room.Facts, opts ...pulumi.ResourceOption) (*workload.Created, error) {
	process, volumes := a.process(r)
	process.Settings = settings
	// Each has a Secret of its own, with exactly the credentials that it reads.
	plain, secret := a.credentialFiles(r)
	maps.Copy(secret, plain)
	if len(secret) > 0 {
		var err error
		if process.Credentials, err = content.Secret(ctx, r.Name+"-credentials", a.Namespace, r.Identity, "", secret, opts...); err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
	}
	stated, _ := facts.Workload(r.Name)
	pod := workload.Pod{
		Identity: r.Identity, Placement: a.Placement,
		Processes: []workload.Process{process}, Init: a.waitForDatabase(), Volumes: volumes, Scrape: stated.Scrape,
	}
	switch r.Process {
	case &a.API:
		pod.Most, pod.Spread = a.Scaling.Max, workload.SpreadOf(a.SpreadRequired)
		pod.Services = workload.Balanced(r.Name, r.ports()...)
	case a.Engine:
		pod.Kind = workload.Recreate
	default:
		pod.Replicas, pod.Services = pulumi.Int(1), workload.Balanced(r.Name, r.ports()...)
	}
	return pod.Create(ctx, opts...)
}

// autoscaler owns the number of the API's pods.
func autoscaler(ctx *pulumi.Context, i room.Identity, args *Args, deployment pulumi.StringInput, opts ...pulumi.ResourceOption) error {
	scaling := args.Scaling
	_, err := autoscalingv2.NewHorizontalPodAutoscaler(ctx, i.Name, &autoscalingv2.HorizontalPodAutoscalerArgs{
		Metadata: workload.Meta(i.Name, args.Namespace, i),
		Spec: &autoscalingv2.HorizontalPodAutoscalerSpecArgs{
			ScaleTargetRef: &autoscalingv2.CrossVersionObjectReferenceArgs{
				ApiVersion: pulumi.String("apps/v1"), Kind: pulumi.String("Deployment"), Name: deployment.ToStringOutput(),
			},
			MinReplicas: pulumi.Int(scaling.Min),
			MaxReplicas: pulumi.Int(scaling.Max),
			Metrics:     scaling.metrics(),
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehaviorArgs{
				ScaleUp: scaling.Up.rules(), ScaleDown: scaling.Down.rules(),
			},
		},
	}, opts...)
	return err
}
