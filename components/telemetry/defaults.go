package telemetry

import (
	"time"

	"github.com/prometheus/common/model"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

const hour = time.Hour

// Defaults are the arguments of a telemetry that takes nothing; a signal that is switched
// on has these sizes.
func Defaults() Args {
	every := 1.0
	return Args{
		Tail:       Tail{Share: &every, SlowMilliseconds: 500},
		AgentImage: pulumi.String(room.AgentImage),
		Collector: Collector{
			Image:     pulumi.String("docker.io/otel/opentelemetry-collector-contrib:0.165.1"),
			Resources: room.ResourcesOf("100m", "192Mi", "500m", "384Mi"), Storage: resource.MustParse("2Gi"),
		},
		Logs: Signal{Backend: Off, Remote: Remote{Header: "Authorization"}, Store: Store{
			Image:     pulumi.String("docker.io/victoriametrics/victoria-logs:v1.52.1"),
			Resources: room.ResourcesOf("100m", "128Mi", "500m", "512Mi"), Storage: resource.MustParse("10Gi"), Retention: "7d",
		}},
		Traces: Signal{Backend: Off, Remote: Remote{Header: "Authorization"}, Store: Store{
			Image:     pulumi.String("docker.io/jaegertracing/jaeger:2.13.0"),
			Resources: room.ResourcesOf("100m", "192Mi", "500m", "512Mi"), Storage: resource.MustParse("5Gi"), Retention: "48h",
		}},
	}
}

// withDefaults is a copy with every default filled in.
func (a *Args) withDefaults() *Args {
	d := room.Fill(*a, Defaults())
	return &d
}

// Below these the processes do not start, or do not keep anything.
var (
	// LeastMemory is a limit: what each takes with nothing to do.
	LeastMemory = struct{ Collector, Logs, Traces resource.Quantity }{
		Collector: resource.MustParse("128Mi"), Logs: resource.MustParse("64Mi"), Traces: resource.MustParse("192Mi"),
	}
	// LeastQueue is a volume.
	LeastQueue = resource.MustParse("256Mi")
	// TracesReserve is the volume from which on what Badger takes before it has kept anything,
	// a file of 2 GiB for its values, is not most of it.
	TracesReserve = resource.MustParse("4Gi")
)

// IndicesResources are those of what gives logs an index template in an Elasticsearch.
var IndicesResources = room.ResourcesOf("20m", "32Mi", "200m", "64Mi")

// ReaderResources are those of what reads a Docker engine's log files.
var ReaderResources = room.ResourcesOf("20m", "64Mi", "250m", "192Mi")

// hours of a retention, which CheckRetention has seen.
func hours(retention string) int {
	d, err := model.ParseDuration(retention)
	if err != nil {
		return 0
	}
	return int(time.Duration(d) / hour)
}
