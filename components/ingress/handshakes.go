package ingress

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// nginx has no figure of TLS handshakes that fail; it writes of each in its log of errors,
// among much that is none. The project's agent takes that log from the pod's loopback
// address and has the counter count them: the counter parses no text, and what does and is
// kept is the Collector, a hundred MiB beside each nginx. nginx never waits for it. A Docker
// host has no agent, and counts none.

const (
	handshakesAddress = "127.0.0.1:9126"
	// handshakesPort is where it says that it is alive.
	handshakesPort = 9103
	// agentUser is the uid of the agent's image.
	agentUser = 65532
)

// handshakes counts those that failed. It has no readiness: without it the edge serves.
func (a *Args) handshakes(name string) workload.Process {
	return workload.Process{
		Name: "handshakes", Identity: Edge(name), Image: a.AgentImage, User: agentUser,
		Args: pulumi.ToStringArray([]string{
			"handshakes", "-from=" + handshakesAddress, "-to=" + countAddress, "-name=" + nginx.CountHandshakes, fmt.Sprintf("-listen=:%d", handshakesPort),
		}),
		Resources:      a.AgentResources,
		Ports:          []workload.Port{{Name: "handshakes", Number: handshakesPort}},
		Alive:          &workload.Probe{Path: "/alive", Port: "handshakes", PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 3},
		StartupSeconds: startupSeconds, GraceSeconds: 5,
	}
}
