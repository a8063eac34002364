package backend

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/backend/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Defaults are the arguments of the reference backend with all three processes, sized
// as in the application's first manifests. Dashboard.Image is nil: it runs the API's.
func Defaults() Args {
	image := pulumi.String("docker.io/alphapulse/backend:0.1.0")
	return Args{
		API: Process{
			Image: image, Port: 8000, Resources: room.ResourcesOf("500m", "1Gi", "1", "2Gi"),
			LivenessPath: "/health", ReadinessPath: "/ready", MetricsPath: "/metrics", StartupSeconds: 180,
		},
		Scaling: Scaling{Min: 3, Max: 10, CPUUtilization: 70, MemoryUtilization: 80, Up: defaultUp, Down: defaultDown},
		Engine: &Process{
			Image: image, Port: 9090, Resources: room.ResourcesOf("500m", "1Gi", "1", "2Gi"),
			LivenessPath: "/health", MetricsPath: "/metrics", StartupSeconds: 180,
		},
		WaitImage: pulumi.String("docker.io/library/busybox:1.37"),
		Dashboard: &Process{
			Port: 8050, Resources: room.ResourcesOf("250m", "256Mi", "500m", "512Mi"),
			LivenessPath: "/api/health", ReadinessPath: "/api/health", MetricsPath: "/metrics", StartupSeconds: 180,
		},
		RequestTimeoutSeconds: 30,
		HTTP:                  observe.DefaultHTTP(),
		Objectives:            observe.DefaultObjectives(),
	}
}

// withDefaults is a copy with every default filled in.
func (a *Args) withDefaults() *Args {
	own := Defaults()
	api := a.API.or(own.API)
	own.API = api
	ports := [2]int{own.Engine.Port, own.Dashboard.Port}
	optional := func(given, own *Process) *Process {
		if given == nil {
			return nil
		}
		own.Image = api.Image
		filled := given.or(*own)
		return &filled
	}
	own.Engine, own.Dashboard = optional(a.Engine, own.Engine), optional(a.Dashboard, own.Dashboard)
	d := *a
	d.API, d.Engine, d.Dashboard = Process{}, own.Engine, own.Dashboard
	d = room.Fill(d, own)
	d.Scaling = d.Scaling.paced()
	if a.Settings.IsZero() {
		d.Settings = DefaultSettings()
		d.Settings.APIPort, d.Settings.MetricsPort, d.Settings.DashboardPort = api.Port, ports[0], ports[1]
		if d.Engine != nil {
			d.Settings.MetricsPort = d.Engine.Port
		}
		if d.Dashboard != nil {
			d.Settings.DashboardPort = d.Dashboard.Port
		}
		d.Settings.PrometheusEnabled, d.Settings.RequestTimeoutSeconds = api.MetricsPath != "", d.RequestTimeoutSeconds
	}
	return &d
}

// or is a process with what it does not say taken from own. An image of its own has the
// port and the paths that the process names, and no others.
func (p Process) or(own Process) Process {
	if p.Image != nil {
		own.Port = 0
		own.LivenessPath, own.ReadinessPath, own.MetricsPath = "", "", ""
	}
	return room.Fill(p, own)
}

// DefaultSettings are what the processes read when nobody says otherwise; ports,
// metrics and the time-out follow from Args.
func DefaultSettings() Settings {
	return Settings{
		ListenAddress: "0.0.0.0",
		MaxSymbols:    3000, MaxPortfolioRisk: 0.1, CacheTTLSeconds: 300,
		WorkerThreads: 4, MaxConnections: 100, ComplianceReporting: true,
	}
}

// LeastMemory is the memory limit below which no HTTP service starts, whatever its
// build: the runtime of a container and of a small server.
var LeastMemory = resource.MustParse("16Mi")
