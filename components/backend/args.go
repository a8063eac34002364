package backend

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/backend/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// User is the numeric uid of the backend's images: they set USER by name, which
// runAsNonRoot cannot check.
const User = 1000

// Process is what every backend workload has in common: an image and what it reads.
type Process struct {
	// Image reference, with a tag or digest; nil takes the reference backend's for the API,
	// and the API's for the others. An image of its own has the Port and paths that are
	// given and no others.
	Image pulumi.StringInput
	// Command replaces the image's entrypoint when not empty.
	Command []string
	// Args are the entrypoint's arguments, none when empty; they must not contain a
	// credential. The reference backend reads what it is to be from a variable.
	Args []string
	// Env are plain variables of this workload alone; they win over the shared settings.
	Env map[string]string
	// Credentials are secret variables of this workload alone, beside those of Access.
	Credentials pulumi.StringMap
	// Resources of one pod.
	Resources room.Resources
	// Port that the process listens on; 0 for a process without one.
	Port int
	// TLSPort is where the build speaks TLS beside Port, told by TLS_PORT, TLS_CERT_FILE and
	// TLS_KEY_FILE; 0 for one that does not.
	TLSPort int
	// LivenessPath answers as long as the process works, whatever its dependencies
	// do. "" disables the probe.
	LivenessPath string
	// ReadinessPath answers when the process can serve. "" disables the probe.
	ReadinessPath string
	// MetricsPath is scraped by Prometheus; "" when the build serves no metrics, so
	// that there is no permanently red target.
	MetricsPath string
	// StartupSeconds is how long the process may take to answer LivenessPath for
	// the first time.
	StartupSeconds int
	// Plain reaches the stores without TLS, for a build that cannot.
	Plain bool
}

// Args configure a Backend. What is zero takes the value of Defaults.
type Args struct {
	workload.Placement
	// Settings are the plain variables that every workload reads; the zero value takes
	// DefaultSettings, with what follows from the arguments.
	Settings Settings
	// Access is how every workload reaches the stores; nil for a build that needs none.
	Access *Access
	// Authority signs the certificates of processes with a TLSPort.
	Authority workload.Authority
	// API serves REST and WebSockets; it is scaled by Scaling, which is taken as a whole.
	API     Process
	Scaling Scaling
	// Engine is the singleton that collects data and trades; nil for a build without one.
	Engine *Process
	// TradingEnabled lets the engine trade. The API pods never do.
	TradingEnabled bool
	// RealMoney is what the engine trades with; else it is simulated.
	RealMoney bool
	// Dashboard is the real-time dashboard; nil for a build without one.
	Dashboard *Process
	// RequestTimeoutSeconds bounds one request, and so the drain of a stopping pod.
	RequestTimeoutSeconds int
	// WaitImage has sh, printf and nc in it (busybox); an init container of it waits for
	// the database of Access, where there is one, instead of letting the application
	// crash-loop.
	WaitImage pulumi.StringInput
	// HTTP says under which names the API counts its requests, and Objectives what it
	// promises, for alerts and dashboards. The paths of the API's probes and metrics are
	// no user's; HTTP.Excluded are further ones.
	HTTP       observe.HTTP
	Objectives observe.Objectives
	// Trading says from when on what the engine does is worth a look.
	Trading observe.Trading
	// Telemetry is where the processes send logs and traces.
	Telemetry Telemetry
	// SpreadRequired leaves a pod pending rather than put two API pods on one host.
	SpreadRequired bool
}

// Validate reports everything that keeps the backend from being created.
func (a *Args) Validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("backend: "+format, v...)) }
	if a.Namespace == nil {
		problem("Namespace is missing: pass the namespace to create the objects in")
	}
	for _, err := range a.Scaling.validate() {
		problem("%w", err)
	}
	if a.RequestTimeoutSeconds < 1 {
		problem("RequestTimeoutSeconds is %d: want at least 1", a.RequestTimeoutSeconds)
	}
	if a.API.Port == 0 {
		problem("API.Port is missing: pass the port that the API listens on")
	}
	for _, p := range a.processes() {
		if err := p.Resources.Validate(); err != nil {
			problem("%s: Resources: %w", p.role, err)
		}
		for _, path := range []string{p.LivenessPath, p.ReadinessPath, p.MetricsPath} {
			if path != "" && !strings.HasPrefix(path, "/") {
				problem("%s: path %q: start it with a slash", p.role, path)
			}
			if path != "" && p.Port == 0 {
				problem("%s: path %q needs a Port", p.role, path)
			}
		}
	}
	return errors.Join(problems...)
}

type namedProcess struct {
	*Process
	role string
}

// processes lists the workloads that the arguments ask for.
func (a *Args) processes() []namedProcess {
	list := []namedProcess{{&a.API, "api"}}
	if a.Engine != nil {
		list = append(list, namedProcess{a.Engine, "engine"})
	}
	if a.Dashboard != nil {
		list = append(list, namedProcess{a.Dashboard, "dashboard"})
	}
	return list
}
