// Package monitoring runs Prometheus, Alertmanager, Grafana and kube-state-metrics
// for one namespace, with nothing but namespaced permissions. A pod is scraped
// when it carries the annotations prometheus.io/scrape "true", prometheus.io/port
// and prometheus.io/path, and declares that port.
package monitoring

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Monitoring is the monitoring of one namespace.
type Monitoring struct {
	pulumi.ResourceState
}

// servers are the processes that both targets have.
var servers = []func(*Args, string, room.Target) (*server, error){
	(*Args).alertmanager, (*Args).prometheus, (*Args).grafana,
}

// NewMonitoring creates the monitoring.
func NewMonitoring(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Monitoring, error) {
	if args == nil {
		args = &Args{}
	}
	args, err := args.Validated(name)
	if err != nil {
		return nil, err
	}
	m := &Monitoring{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Monitoring", name, m, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(m)
	facts := args.Facts(name, room.Kubernetes)
	own := servers
	if args.Operator != nil {
		own = []func(*Args, string, room.Target) (*server, error){(*Args).grafana}
		if err := args.operated(ctx, name, facts, parent); err != nil {
			return nil, err
		}
	}
	for _, make := range own {
		s, err := make(args, name, room.Kubernetes)
		if err != nil {
			return nil, err
		}
		stated, _ := facts.Workload(s.identity.Name)
		if err := s.pod(ctx, args, stated.Scrape, parent); err != nil {
			return nil, fmt.Errorf("%s: %w", s.container, err)
		}
	}
	if err := kubeStateMetrics(ctx, name, args, facts, parent); err != nil {
		return nil, fmt.Errorf("kube-state-metrics: %w", err)
	}
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{})
}

// kubeStateMetrics tells how pods and claims are; two at once would report every object
// twice.
func kubeStateMetrics(ctx *pulumi.Context, name string, a *Args, facts room.Facts, opts ...pulumi.ResourceOption) error {
	const telemetryPort, telemetryName = 8081, "telemetry"
	identity := KubeStateMetricsOf(name)
	stated, _ := facts.Workload(identity.Name)
	placement := a.Placement
	placement.PriorityClass = nil // it holds no data
	_, err := workload.Pod{
		Identity: identity, Placement: placement, Kind: workload.Recreate,
		Processes: []workload.Process{{
			Name: "kube-state-metrics", Image: a.Images.KubeStateMetrics, User: workload.Nobody,
			Args: pulumi.StringArray{
				pulumi.Sprintf("--namespaces=%s", a.Namespace),
				pulumi.String("--resources=" + strings.Join(slices.Sorted(maps.Keys(config.Observed)), ",")),
				pulumi.Sprintf("--port=%d", KubeStateMetricsPort),
				pulumi.Sprintf("--telemetry-port=%d", telemetryPort),
			},
			Resources: a.KubeStateMetrics.Resources,
			Ports:     []workload.Port{{Name: portName, Number: KubeStateMetricsPort}, {Name: telemetryName, Number: telemetryPort}},
			// kube-state-metrics asks the API server before it calls itself alive, so its
			// liveness looks at the process alone: an API server that is away for a minute
			// must not restart it.
			Alive:          &workload.Probe{Path: "/healthz", Port: portName, PeriodSeconds: 10, TimeoutSeconds: 5, Failures: 6},
			Ready:          &workload.Probe{Path: "/readyz", Port: telemetryName, PeriodSeconds: 5, TimeoutSeconds: 5, Failures: 3},
			StartupSeconds: 60, GraceSeconds: 10,
		}},
		Scrape: stated.Scrape, Reads: config.Observed,
	}.Create(ctx, opts...)
	return err
}
