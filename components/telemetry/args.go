// Package telemetry takes up logs and traces: an OpenTelemetry Collector as the gateway of
// a namespace, and where they are kept. That is VictoriaLogs and Jaeger beside it, or what
// somebody else runs. Nothing of it needs more than a namespace.
package telemetry

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Backend is where a signal is kept.
type Backend string

// The backends.
const (
	// Off keeps a signal nowhere: nobody takes it.
	Off Backend = "off"
	// Local is a server of the namespace: VictoriaLogs for logs, Jaeger for traces.
	Local Backend = "local"
	// OTLP is any server that takes OpenTelemetry's protocol over HTTP.
	OTLP Backend = "otlp"
	// Elasticsearch takes logs by its bulk API, into data streams. Spans lie there in the
	// indices of a Jaeger of the namespace, which has no volume then.
	Elasticsearch Backend = "elasticsearch"
)

// The backends of each signal.
var (
	LogsBackends   = []Backend{Off, Local, OTLP, Elasticsearch}
	TracesBackends = []Backend{Off, Local, OTLP, Elasticsearch}
)

// Remote is a backend that somebody else runs.
type Remote struct {
	// URL is an https address; of OTLP without the signal's path.
	URL string
	// Header carries the Credential of OTLP, e.g. "Authorization".
	Header string
	// Credential is a secret, the header's whole value, e.g. "Bearer TOKEN", or the API key
	// of Elasticsearch; nil for none.
	Credential pulumi.StringInput
	// CA has the certificates, PEM, by which the backend's is trusted; "" for those that
	// come with the image.
	CA string
}

// Store is a server of the namespace.
type Store struct {
	// Image of VictoriaLogs for logs, of Jaeger for traces, with a tag or digest; nil takes
	// that of Defaults.
	Image pulumi.StringInput
	// Resources of its container; zero takes those of Defaults. Below LeastMemory as the
	// limit it does not start.
	Resources room.Resources
	// Storage of what is kept. It may grow later, never shrink.
	Storage resource.Quantity
	// Retention is how long it is kept, a Prometheus duration in days or hours; in an
	// Elasticsearch, of lines the retention of their data streams, of spans how far back
	// Jaeger looks.
	Retention string
}

// Signal is where logs or traces go.
type Signal struct {
	// Backend is who keeps it; "" and Off take none.
	Backend Backend
	// Remote is for OTLP and Elasticsearch, Store for Local; of the latter, what is no volume
	// is for the Jaeger of an Elasticsearch, too.
	Remote Remote
	Store  Store
}

// On tells whether anybody takes the signal.
func (s Signal) On() bool { return s.Backend != "" && s.Backend != Off }

// Tail says which traces the gateway keeps once it has seen them whole: those with an error
// and slow ones always.
type Tail struct {
	// Share of the others that is kept, from 0 to 1; nil takes 1, with which nothing is
	// decided about and nothing waits.
	Share *float64
	// SlowMilliseconds is how long a trace takes that is slow; by default 500.
	SlowMilliseconds int
}

// On tells whether anything is dropped.
func (s Tail) On() bool { return s.Share != nil && *s.Share < 1 }

// Collector sizes the gateway.
type Collector struct {
	// Image of upstream's contrib distribution.
	Image pulumi.StringInput
	// Resources of its container; zero takes those of Defaults.
	Resources room.Resources
	// Storage of what its backends have not taken yet; each signal may fill two fifths.
	Storage resource.Quantity
}

// Args configure a Telemetry. What is zero takes the value of Defaults, of which no signal
// is taken.
type Args struct {
	workload.Placement
	// Collector is there if any signal is taken.
	Collector Collector
	// Logs and Traces are off by default.
	Logs, Traces Signal
	// Tail is about Traces, wherever they are kept.
	Tail Tail
	// LinesShown tells that Grafana has a data source for VictoriaLogs: panels ask for lines.
	LinesShown bool
	// AgentNamespace is that of the pods on the nodes that read log files and send what
	// they find to the gateway; "" lets nobody in from elsewhere.
	AgentNamespace string
	// AgentImage is the project's agent, which gives logs an index template in an
	// Elasticsearch; in a namespace only.
	AgentImage pulumi.StringInput
	// EngineFolder is where a Docker engine keeps its data, whose log files are read; on a
	// Docker host only.
	EngineFolder string
	// StorageClass of the volumes when they are first made; "" takes the cluster's default.
	StorageClass string
	// Protect makes Pulumi refuse to delete claims and StatefulSets, and keep them if the
	// stack is destroyed all the same.
	Protect bool
}

// On tells whether any signal is taken, without which nothing runs.
func (a *Args) On() bool { return a.Logs.On() || a.Traces.On() }

// RunsJaeger tells whether there is a Jaeger to ask for traces: one with a volume of its own,
// or one whose spans lie in an Elasticsearch.
func (a *Args) RunsJaeger() bool {
	return a.Traces.Backend == Local || a.Traces.Backend == Elasticsearch
}

// Validated is a copy with every default filled in, or all that is wrong.
func (a *Args) Validated() (*Args, error) {
	d := a.withDefaults()
	return d, d.validate()
}

func (a *Args) validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("telemetry: "+format, v...)) }
	if a.Namespace == nil {
		problem("Namespace is missing: pass the namespace to create the objects in")
	}
	if err := a.Collector.Resources.Validate(); err != nil {
		problem("Collector.Resources: %w", err)
	}
	if a.Collector.Storage.Cmp(LeastQueue) < 0 {
		problem("Collector.Storage is %q: set at least %s", a.Collector.Storage.String(), LeastQueue.String())
	}
	if share := *a.Tail.Share; !(share >= 0 && share <= 1) {
		problem("Tail.Share is %v: set a share from 0 to 1", share)
	}
	if a.Tail.SlowMilliseconds < 1 {
		problem("Tail.SlowMilliseconds is %d: set at least 1", a.Tail.SlowMilliseconds)
	}
	for _, s := range []struct {
		name   string
		signal Signal
		known  []Backend
	}{{"Logs", a.Logs, LogsBackends}, {"Traces", a.Traces, TracesBackends}} {
		if !slices.Contains(s.known, s.signal.Backend) {
			problem("%s.Backend is %q: want one of %v", s.name, s.signal.Backend, s.known)
			continue
		}
		for _, err := range s.signal.problems() {
			problem("%s.%w", s.name, err)
		}
		if err := CheckLogRetention(s.signal.Store.Retention); err != nil && s.name == "Logs" && s.signal.Backend == Local {
			problem("Logs.Store.Retention: %w", err)
		}
	}
	return errors.Join(problems...)
}

// problems are those of what the backend reads.
func (s Signal) problems() []error {
	var problems []error
	switch s.Backend {
	case Local:
		if err := s.Store.Resources.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("Store.Resources: %w", err))
		}
		if s.Store.Storage.Sign() <= 0 {
			problems = append(problems, fmt.Errorf("Store.Storage is %q: set a size above zero", s.Store.Storage.String()))
		}
		if err := CheckRetention(s.Store.Retention); err != nil {
			problems = append(problems, fmt.Errorf("Store.Retention: %w", err))
		}
	case OTLP, Elasticsearch:
		if s.Backend == Elasticsearch {
			if err := s.Store.Resources.Validate(); err != nil {
				problems = append(problems, fmt.Errorf("Store.Resources: %w", err))
			}
			if err := CheckRetention(s.Store.Retention); err != nil {
				problems = append(problems, fmt.Errorf("Store.Retention: %w", err))
			}
		}
		if _, err := portOf(s.Remote.URL); err != nil {
			problems = append(problems, fmt.Errorf("Remote.URL: %w", err))
		}
		if s.Backend == OTLP && s.Remote.Credential != nil && s.Remote.Header == "" {
			problems = append(problems, errors.New("Remote.Header is missing: name the one that carries the credential"))
		}
	}
	return problems
}

// longestRetention and shortestLogs are VictoriaLogs' own bounds; it does not start beyond
// them (flagutil.RetentionDuration: 100 years; vlstorage: a day).
const (
	longestRetention = model.Duration(100 * 365 * 24 * hour)
	shortestLogs     = model.Duration(24 * hour)
)

// CheckLogRetention reports what CheckRetention takes, and VictoriaLogs would not start with.
func CheckLogRetention(v string) error {
	if d, err := model.ParseDuration(v); err == nil && d < shortestLogs {
		return fmt.Errorf("%q is less than the day that VictoriaLogs keeps lines at least: set 1d", v)
	}
	return nil
}

// CheckRetention reports what is no time to keep something for.
func CheckRetention(v string) error {
	if d, err := model.ParseDuration(v); err != nil || d == 0 || d%model.Duration(hour) != 0 {
		return fmt.Errorf("%q is no time of whole hours: write e.g. 7d or 48h", v)
	} else if d > longestRetention {
		return fmt.Errorf("%q is more than 100 years: set less", v)
	}
	return nil
}

// CheckURL reports an address that is not one of a backend.
func CheckURL(v string) error {
	_, err := portOf(v)
	return err
}

// portOf is the port of a backend's address.
func portOf(address string) (int, error) {
	u := room.Address(address, "https")
	switch {
	case u == nil:
		return 0, fmt.Errorf("%q is not an https address: write e.g. https://otlp.example.com", room.Shown(address))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return 0, errors.New("it holds a user, a query or a fragment: a credential is set apart")
	}
	if strings.Contains(address, "$") {
		return 0, errors.New("it holds $, of which the collector would make something else: write %24")
	}
	return room.PortOf(u), nil
}

// CheckCredential reports what the collector would not send as it is: it reads the file as
// YAML, and fills in what stands behind a $.
func CheckCredential(v string) error {
	var read any
	err := yaml.Unmarshal([]byte(v), &read)
	text, is := read.(string)
	switch read.(type) {
	case int, uint64, float64:
		text, is = v, true // the collector keeps how a number is written
	}
	if err != nil || !is || text != v || strings.Contains(v, "$") {
		return errors.New("the collector would read something else, for YAML or a variable: it holds a colon or # at a blank, begins or ends with a quote, a bracket or a blank, or has a $")
	}
	return nil
}
