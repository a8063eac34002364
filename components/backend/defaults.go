package backend

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Defaults are the arguments of the reference backend with all three processes, sized
// as in the application's first manifests. Dashboard.Image is nil: it runs the API's.
func Defaults() Args {
	image := pulumi.String("docker.io/alphapulse/backend:0.1.0")
	return Args{
		API: Process{
			Image: image, Args: []string{"api"}, Port: 8000, Resources: room.ResourcesOf("500m", "1Gi", "1", "2Gi"),
			LivenessPath: "/health", ReadinessPath: "/ready", MetricsPath: "/metrics", StartupSeconds: 180,
		},
		Scaling: Scaling{Min: 3, Max: 10, CPUUtilization: 70, MemoryUtilization: 80, Up: defaultUp, Down: defaultDown},
		Engine: &Process{
			Image: image, Args: []string{"engine"}, Port: 9090, Resources: room.ResourcesOf("500m", "1Gi", "1", "2Gi"),
			LivenessPath: "/health", MetricsPath: "/metrics", StartupSeconds: 180,
		},
		PaperTrading: true,
		WaitImage:    pulumi.String("docker.io/library/busybox:1.37"),
		Dashboard: &Process{
			Args: []string{"dashboard"}, Port: 8050, Resources: room.ResourcesOf("250m", "256Mi", "500m", "512Mi"),
			LivenessPath: "/api/health", ReadinessPath: "/api/health", MetricsPath: "/metrics", StartupSeconds: 180,
		},
		RequestTimeoutSeconds: 30,
	}
}

// DefaultSettings are what the processes read when nobody says otherwise; ports,
// metrics and the time-out follow from Args.
func DefaultSettings() Settings {
	return Settings{
		MaxSymbols: 3000, MaxPortfolioRisk: 0.1, CacheTTLSeconds: 300,
		WorkerThreads: 4, MaxConnections: 100, ComplianceReporting: true,
	}
}

// LeastMemory is the memory limit below which no HTTP service starts, whatever its
// build: the runtime of a container and of a small server.
var LeastMemory = resource.MustParse("16Mi")
