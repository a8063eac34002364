package monitoring

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Defaults are the arguments of a monitoring, sized as in the application's first
// manifests; what has no sensible default is left out.
func Defaults() Args {
	return Args{
		Images: Images{
			Prometheus:       pulumi.String("docker.io/prom/prometheus:v3.16.0"),
			Alertmanager:     pulumi.String("docker.io/prom/alertmanager:v0.34.2"),
			Grafana:          pulumi.String("docker.io/grafana/grafana:13.2.3"),
			KubeStateMetrics: pulumi.String("registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0"),
		},
		Prometheus: Prometheus{
			Resources: room.ResourcesOf("500m", "1Gi", "1", "2Gi"), Storage: resource.MustParse("20Gi"), Retention: "200h",
		},
		Alertmanager: Alertmanager{
			Resources: room.ResourcesOf("50m", "64Mi", "200m", "128Mi"), Storage: resource.MustParse("1Gi"),
		},
		Grafana: Grafana{
			Resources: room.ResourcesOf("250m", "512Mi", "500m", "1Gi"), Storage: resource.MustParse("10Gi"),
			LogsPlugin: defaultLogsPlugin,
		},
		APIServerPorts:   []int{443, 6443},
		KubeStateMetrics: KubeStateMetrics{Resources: room.ResourcesOf("50m", "64Mi", "200m", "128Mi")},
	}
}

// defaultLogsPlugin is the version of Grafana's data source for VictoriaLogs. Grafana leads from
// a trace to its lines from 12.2 on.
const defaultLogsPlugin = "0.30.1"

// LeastMemory are the memory limits below which the processes do not start: what each
// takes with nothing to do.
var LeastMemory = struct{ Prometheus, Alertmanager, Grafana, KubeStateMetrics resource.Quantity }{
	Prometheus:       resource.MustParse("96Mi"),
	Alertmanager:     resource.MustParse("32Mi"),
	Grafana:          resource.MustParse("96Mi"),
	KubeStateMetrics: resource.MustParse("32Mi"),
}
