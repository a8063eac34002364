package frontend

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Defaults are the arguments of the reference frontend; what has no sensible default
// is left out.
func Defaults() Args {
	return Args{
		Image:        pulumi.String("docker.io/alphapulse/frontend:0.1.0"),
		Port:         DefaultPort,
		LivenessPath: "/healthz", ReadinessPath: "/healthz", MetricsPath: "/metrics",
		StartupSeconds: 60,
		Replicas:       2,
		Resources:      room.ResourcesOf("250m", "512Mi", "500m", "1Gi"),
	}
}

// LeastMemory is the memory limit below which no HTTP server starts, whatever its build.
var LeastMemory = resource.MustParse("16Mi")
