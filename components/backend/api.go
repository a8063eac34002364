package backend

import (
	autoscalingv2 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/autoscaling/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
)

// neverTrades is what keeps ten autoscaled API pods from trading ten times: in the
// real application every API process starts the trading loops unless told not to,
// once for each of its workers.
var neverTrades = map[string]string{
	"TRADING_ENABLED": "false",
	"PAPER_TRADING":   "true",
	"WEB_CONCURRENCY": "1",
}

func (b *Backend) api(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) error {
	l := apiLabels(name)
	spread := pods.SpreadPreferred
	if args.SpreadRequired {
		spread = pods.SpreadRequired
	}
	d, err := deployment{
		labels: l, process: &args.API, args: args, env: neverTrades,
		most: args.Scaling.Max, spread: spread,
	}.create(ctx, opts...)
	if err != nil {
		return err
	}
	if b.APIHost, b.APIPodsHost, err = services(ctx, l, args.Namespace, args.API.Port, opts...); err != nil {
		return err
	}
	utilization := func(resource string, percent int) autoscalingv2.MetricSpecInput {
		return &autoscalingv2.MetricSpecArgs{
			Type: pulumi.String("Resource"),
			Resource: &autoscalingv2.ResourceMetricSourceArgs{
				Name: pulumi.String(resource),
				Target: &autoscalingv2.MetricTargetArgs{
					Type: pulumi.String("Utilization"), AverageUtilization: pulumi.Int(percent),
				},
			},
		}
	}
	rule := func(stabilization, percent, period int) *autoscalingv2.HPAScalingRulesArgs {
		return &autoscalingv2.HPAScalingRulesArgs{
			StabilizationWindowSeconds: pulumi.Int(stabilization),
			Policies: autoscalingv2.HPAScalingPolicyArray{&autoscalingv2.HPAScalingPolicyArgs{
				Type: pulumi.String("Percent"), Value: pulumi.Int(percent), PeriodSeconds: pulumi.Int(period),
			}},
		}
	}
	if _, err := autoscalingv2.NewHorizontalPodAutoscaler(ctx, name, &autoscalingv2.HorizontalPodAutoscalerArgs{
		Metadata: pods.Meta(name, args.Namespace, l),
		Spec: &autoscalingv2.HorizontalPodAutoscalerSpecArgs{
			ScaleTargetRef: &autoscalingv2.CrossVersionObjectReferenceArgs{
				ApiVersion: pulumi.String("apps/v1"), Kind: pulumi.String("Deployment"), Name: d.Metadata.Name().Elem(),
			},
			MinReplicas: pulumi.Int(args.Scaling.Min),
			MaxReplicas: pulumi.Int(args.Scaling.Max),
			Metrics: autoscalingv2.MetricSpecArray{
				utilization("cpu", args.Scaling.CPUUtilization),
				utilization("memory", args.Scaling.MemoryUtilization),
			},
			// Up fast, down slowly: doubling every 15 s after a minute of load,
			// halving every minute after five quiet ones.
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehaviorArgs{
				ScaleUp:   rule(60, 100, 15),
				ScaleDown: rule(300, 50, 60),
			},
		},
	}, opts...); err != nil {
		return err
	}
	return pods.Budget(ctx, l, args.Namespace, opts...)
}
