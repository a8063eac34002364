package monitoring

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// DockerArgs are what a monitoring has on a Docker host only.
type DockerArgs struct {
	// PrometheusPort and GrafanaPort of the host's loopback address; 0 for none.
	PrometheusPort, GrafanaPort int
}

// DockerMonitoring is Prometheus, Alertmanager and Grafana as containers of a Docker
// host. There is no kube-state-metrics, and nothing that follows from it.
type DockerMonitoring struct {
	pulumi.ResourceState
}

// NewDockerMonitoring creates the monitoring on a Docker host.
func NewDockerMonitoring(ctx *pulumi.Context, name string, host *workload.Host, args *Args, on DockerArgs, opts ...pulumi.ResourceOption) (*DockerMonitoring, error) {
	if host == nil {
		return nil, workload.ErrNoHost
	}
	if args == nil {
		return nil, errors.New("docker monitoring: Args is missing: pass those of the monitoring")
	}
	filled := *args
	filled.Namespace = pulumi.String(host.Prefix())
	filled.Images.KubeStateMetrics = pulumi.String("") // none runs
	own, err := filled.Validated(name)
	if err != nil {
		return nil, err
	}
	own.Watched.KubeStateMetrics = ""
	problems, _ := own.CheckCustom(room.DockerHost)
	if len(problems) > 0 {
		return nil, fmt.Errorf("docker monitoring: Custom: %s", problems[0])
	}
	m := &DockerMonitoring{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerMonitoring", name, m, opts...); err != nil {
		return nil, err
	}
	published := map[string]int{PrometheusOf(name).Name: on.PrometheusPort, GrafanaOf(name).Name: on.GrafanaPort}
	for _, make := range servers {
		s, err := make(own, name, room.DockerHost)
		if err != nil {
			return nil, err
		}
		c := workload.Container{}
		c.Process, c.Volumes = s.render(own)
		if port := published[s.identity.Name]; port != 0 {
			c.Published = []workload.Published{{Host: port, Container: s.port, Address: workload.Loopback}}
		}
		if _, err := host.Run(ctx, c, pulumi.Parent(m)); err != nil {
			return nil, fmt.Errorf("%s: %w", s.container, err)
		}
	}
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{})
}
