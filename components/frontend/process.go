package frontend

import (
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload"
)

const portName = "http"

// ports of the server's Services.
func (a *Args) ports() []workload.Port { return workload.WithTLS(a.port(), a.TLSPort) }

func (a *Args) port() workload.Port { return workload.Port{Name: portName, Number: a.Port} }

// process is the server as both targets run it, with its writable folders. It expects the
// defaults to be filled in.
func (a *Args) process(name string) (workload.Process, []workload.Volume) {
	volumes, mounts := workload.Writable("128Mi", "16Mi", Writable)
	p := workload.Process{
		Name: "frontend", Identity: UI(name), Image: a.Image, User: User,
		Env:       pulumi.StringMap{"PORT": pulumi.String(strconv.Itoa(a.Port))},
		Resources: a.Resources, Ports: []workload.Port{a.port()}, Mounts: mounts,
		StartupSeconds: a.StartupSeconds,
		Alive:          &workload.Probe{Path: a.LivenessPath, Port: portName, PeriodSeconds: 10, TimeoutSeconds: 3, Failures: 3},
		Ready:          &workload.Probe{Path: a.ReadinessPath, Port: portName, PeriodSeconds: 5, TimeoutSeconds: 3, Failures: 2},
		PreStopSeconds: preStopSeconds, GraceSeconds: DrainSeconds,
	}
	if a.TLSPort != 0 {
		volumes = append(volumes, a.Authority.Secure(&p, name, a.TLSPort))
	}
	return p, volumes
}
