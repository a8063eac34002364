// Package frontend runs the UI: any HTTP server that serves the built pages on one
// port. What the pages need to know at run time comes as environment.
package frontend

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// DefaultPort is the port that the UI's images listen on.
const DefaultPort = 3000

// User is the numeric uid of the UI's images: they set USER by name, which
// runAsNonRoot cannot check.
const User = 1001

// preStopSeconds is how long a stopping pod keeps serving while its removal from the
// endpoints reaches the edge: its resolver's and the cluster DNS' caches together.
const preStopSeconds = 10

// DrainSeconds is what the server may need for its last requests.
const DrainSeconds = 15

// Args configure a Frontend. What is zero takes the value of Defaults.
type Args struct {
	workload.Placement
	// Image reference, with a tag or digest; nil takes the reference frontend's.
	Image pulumi.StringInput
	// Port that the server listens on, given to it as PORT.
	Port int
	// TLSPort is where the server speaks TLS beside Port, told by TLS_PORT, TLS_CERT_FILE and
	// TLS_KEY_FILE; 0 for one that does not. Authority signs its certificate.
	TLSPort   int
	Authority workload.Authority
	// Env are the run-time settings of the UI. They are public: browsers read them.
	Env map[string]string
	// LivenessPath and ReadinessPath answer while the server works, and can serve.
	LivenessPath, ReadinessPath string
	// MetricsPath is scraped by Prometheus; "" when an Image of the user's own serves no
	// metrics.
	MetricsPath string
	// StartupSeconds is how long the server may take to answer for the first time.
	StartupSeconds int
	// Replicas of the pod.
	Replicas int
	// Resources of one pod.
	Resources room.Resources
	// SpreadRequired is workload.SpreadRequired.
	SpreadRequired bool
}

// Writable are the paths that the UI's images write to under a read-only root; the
// second is where a Next.js server keeps its cache.
var Writable = map[string]string{"tmp": "/tmp", "next-cache": "/app/.next/cache"}

// Validated is a copy with every default filled in, or all that is wrong.
func (a *Args) Validated() (*Args, error) {
	d := a.withDefaults()
	return d, d.validate()
}

// withDefaults gives a copy with every default filled in.
func (a *Args) withDefaults() *Args {
	defaults := Defaults()
	if a.Image != nil {
		defaults.MetricsPath = "" // which the reference's image has
	}
	d := room.Fill(*a, defaults)
	return &d
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// validate expects the defaults to be filled in.
func (a *Args) validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("frontend: "+format, v...)) }
	if a.Namespace == nil {
		problem("Namespace is missing: pass the namespace to create the objects in")
	}
	// Below 1024 a port needs a capability that the pods do not have everywhere.
	if a.Port < 1024 || a.Port > 65535 {
		problem("Port %d: want a port from 1024 to 65535", a.Port)
	}
	for _, p := range []struct{ name, path string }{
		{"LivenessPath", a.LivenessPath}, {"ReadinessPath", a.ReadinessPath}, {"MetricsPath", a.MetricsPath},
	} {
		if p.path != "" && !strings.HasPrefix(p.path, "/") {
			problem("%s %q: start it with a slash", p.name, p.path)
		}
	}
	if a.StartupSeconds < 1 {
		problem("StartupSeconds %d: want at least 1", a.StartupSeconds)
	}
	if a.Replicas < 1 {
		problem("Replicas %d: want at least 1", a.Replicas)
	}
	for k := range a.Env {
		if !variable.MatchString(k) {
			problem("Env: %q is no variable name: use letters, digits and underscores", k)
		}
		if k == "PORT" {
			problem("Env: PORT follows from Port: set that")
		}
	}
	if err := a.Resources.Validate(); err != nil {
		problem("Resources: %w", err)
	}
	return errors.Join(problems...)
}
