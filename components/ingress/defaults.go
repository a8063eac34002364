package ingress

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Defaults are the arguments of an edge that a cloud's load balancer leads to, sized as
// in the application's first manifests; what has no sensible default is left out.
func Defaults() Args {
	limits := nginx.DefaultLimits()
	return Args{
		Image:            pulumi.String("docker.io/nginxinc/nginx-unprivileged:1.30.6"),
		ExporterImage:    pulumi.String("docker.io/nginx/nginx-prometheus-exporter:1.5.1"),
		ProberImage:      pulumi.String("docker.io/prom/blackbox-exporter:v0.28.0"),
		CounterImage:     pulumi.String("docker.io/prom/statsd-exporter:v0.31.0"),
		AgentImage:       pulumi.String(room.AgentImage),
		Exposure:         LoadBalancer,
		PublicHTTPSPort:  443,
		Limits:           &limits,
		HSTSSeconds:      31536000,
		MaxBodyMegabytes: 10, RequestTimeoutSeconds: 35,
		BodyPauseSeconds: nginx.DefaultBodyPauseSeconds,
		HeaderKilobytes:  nginx.DefaultHeaderKilobytes, ResponseHeaderKilobytes: nginx.DefaultResponseHeaderKilobytes,
		Replicas:          2,
		Resources:         room.ResourcesOf("250m", "128Mi", "1", "256Mi"),
		ExporterResources: room.ResourcesOf("10m", "16Mi", "100m", "64Mi"),
		ProberResources:   room.ResourcesOf("10m", "32Mi", "100m", "64Mi"),
		CounterResources:  room.ResourcesOf("10m", "24Mi", "200m", "64Mi"),
		AgentResources:    room.ResourcesOf("5m", "8Mi", "100m", "32Mi"),
		ExpiryWarningDays: 21, LatencyMilliseconds: 500,
		Logs: Forwarding{
			Image: pulumi.String("docker.io/otel/opentelemetry-collector-contrib:0.165.1"), Resources: room.ResourcesOf("20m", "96Mi", "200m", "192Mi"),
		},
	}
}

// LeastMemory is the memory limit below which nginx does not start: its workers, and the
// shared memory of limits, sessions and upstreams.
var LeastMemory = resource.MustParse("32Mi")

// LeastVersion of nginx: it looks upstream names up again and again, and keeps
// connections for a least time.
const LeastVersion = "1.28"
