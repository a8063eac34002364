package stacks

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/telemetry"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

func (s *Stack) telemetrySettings(set *settings.Set) {
	a := s.Telemetry
	on := settings.While(a.On, "logsBackend or tracesBackend is not off")
	g := set.Group("Logs and traces", "The OpenTelemetry Collector, and where logs and traces are kept. Both are off by default; each can be on alone.")
	g.Image(&a.Collector.Image, "collectorImage", "OpenTelemetry Collector, contrib distribution: the gateway, and the forwarder of the edge's log.", on)
	g.Resources(&a.Collector.Resources, "collectorResources", "the gateway", leastCollector, on)
	s.volume(g, telemetry.CollectorOf(telemetryName).Name, &a.Collector.Storage, "collectorStorage",
		"Size of the volume on which logs and traces wait for their backend; each may fill two fifths. It can grow, never shrink.", settings.AtLeast(telemetry.LeastQueue, ""), on)
	s.signalSettings(g, &a.Logs, signalKeys{key: "logs", store: "VictoriaLogs", claim: telemetry.LogsOf(telemetryName).Name,
		retention: "How long VictoriaLogs keeps logs, in days or hours; on a cluster with elasticsearch, how long their data streams do."}, telemetry.LogsBackends,
		"Where logs are kept: off; local: VictoriaLogs beside it; otlp or elasticsearch: the server that logsUrl names.", settings.AtLeast(telemetry.LeastMemory.Logs, "as limits.memory it does not start with it"))
	g.Text(&a.AgentNamespace, "logsAgentNamespace", "Namespace of the agent that reads the nodes' log files, which is let in to the gateway: log-agent for the add-on logAgent; by default nobody is.",
		settings.Valid(namespaceName), settings.While(func() bool { return a.Logs.On() }, "logsBackend is not off"), settings.Only(room.Kubernetes))
	g.Text(&a.EngineFolder, "logsEngineFolder", "Folder in which the Docker engine keeps its data, whose log files are read; by default what the engine says, and "+telemetry.DefaultEngineFolder+" where it is not asked, as behind ssh.",
		settings.Valid(hostFolder), settings.While(func() bool { return a.Logs.On() }, "logsBackend is not off"), settings.Only(room.DockerHost))
	s.signalSettings(g, &a.Traces, signalKeys{key: "traces", store: "Jaeger", claim: telemetry.TracesOf(telemetryName).Name, storage: []settings.Option{settings.Only(room.Kubernetes)}, indexed: true,
		retention: "How long Jaeger keeps traces, in days or hours; with elasticsearch, how far back it looks."}, telemetry.TracesBackends,
		"Where traces are kept: off; local: Jaeger beside it; otlp: the server that tracesUrl names; elasticsearch: Jaeger beside it, whose traces lie in the one that tracesUrl names. edgeTraceSampling says how many.", settings.AtLeast(telemetry.LeastMemory.Traces, "as limits.memory it does not start with it"))
	s.tracesSettings(g)
}

// tracesSettings say which traces are kept.
func (s *Stack) tracesSettings(g *settings.Group) {
	a := s.Telemetry
	traced := settings.While(func() bool { return a.Traces.On() }, "tracesBackend is not off")
	g.Fraction(a.Tail.Share, "tracesTailSampling", "Share of the traces that the collector keeps of those without an error that took no longer than tracesSlowMilliseconds; the others are kept always. Below 1 each waits in memory for "+telemetry.TailWait+" until it is whole. Needs edgeTraceSampling at 1 to see every one.", traced)
	g.Int(&a.Tail.SlowMilliseconds, "tracesSlowMilliseconds", "From which time on a trace is slow, and kept.", settings.Between(1, 600000), settings.In("milliseconds"),
		settings.While(func() bool { return a.Traces.On() && a.Tail.On() }, "tracesTailSampling is below 1"))
	g.Check(func(p *settings.Problems) {
		if a.Traces.On() && a.Tail.On() && s.Edge.TraceSampling > 0 && s.Edge.TraceSampling < 1 {
			p.Warn("tracesTailSampling", "edgeTraceSampling is %v: only that share of the requests is seen by it; set 1 to keep every one that failed or was slow", s.Edge.TraceSampling)
		}
		if a.Traces.Backend == telemetry.Local && s.Target == room.Kubernetes && a.Traces.Store.Storage.Cmp(telemetry.TracesReserve) < 0 {
			p.Warn("tracesStorage", "Jaeger's store takes 2 GiB of %s at once, for which VolumeFilling fires: set at least %s", a.Traces.Store.Storage.String(), telemetry.TracesReserve.String())
		}
		if a.Traces.On() && s.Edge.TraceSampling == 0 {
			p.Warn("tracesBackend", "edgeTraceSampling is 0: only requests that bring a sampled trace of their own are kept; set e.g. 0.05")
		}
	})
}

// signalKeys are what the settings of one signal are called like.
type signalKeys struct {
	key, store, claim string
	// storage has what is special of the volume's size.
	storage []settings.Option
	// indexed tells that the store runs in front of an Elasticsearch, too.
	indexed bool
	// retention describes how long what is kept.
	retention string
}

// signalSettings say where one signal is kept.
func (s *Stack) signalSettings(g *settings.Group, to *telemetry.Signal, k signalKeys, backends []telemetry.Backend, what string, floor settings.Option) {
	local := settings.While(func() bool { return to.Backend == telemetry.Local }, k.key+"Backend is local")
	// On a Docker host nobody tells an Elasticsearch how long to keep log lines.
	kept := settings.While(func() bool {
		return to.Backend == telemetry.Local || to.Backend == telemetry.Elasticsearch && s.Target == room.Kubernetes
	}, k.key+"Backend is local, or on a cluster elasticsearch")
	runs := local
	if k.indexed {
		runs = settings.While(func() bool { return to.Backend == telemetry.Local || to.Backend == telemetry.Elasticsearch }, k.key+"Backend is local or elasticsearch")
		kept = runs
	}
	remote := settings.While(func() bool { return to.On() && to.Backend != telemetry.Local }, k.key+"Backend is a server of somebody else's")
	g.Text((*string)(&to.Backend), k.key+"Backend", what, settings.OneOf(backends...))
	g.Image(&to.Store.Image, k.key+"Image", k.store+".", runs)
	g.Resources(&to.Store.Resources, k.key+"Resources", k.store, floor, runs)
	s.volume(g, k.claim, &to.Store.Storage, k.key+"Storage", "Size of "+k.store+"' volume. It can grow, never shrink.", append(k.storage, settings.AtLeast(smallestVolume, ""), local)...)
	g.Text(&to.Store.Retention, k.key+"Retention", k.retention, settings.Valid(telemetry.CheckRetention), kept)
	g.Text(&to.Remote.URL, k.key+"Url", "https address of the server that takes "+k.key+"; of otlp without /v1/"+k.key+".", settings.Valid(telemetry.CheckURL), remote)
	g.Text(&to.Remote.Header, k.key+"Header", "Header that carries "+k.key+"Credential to a server of otlp.", settings.Valid(headerName), settings.While(func() bool { return to.Backend == telemetry.OTLP }, k.key+"Backend is otlp"))
	g.SecretText(&to.Remote.Credential, k.key+"Credential", "What the server asks for: the whole value of "+k.key+"Header, e.g. Bearer TOKEN, or an API key of elasticsearch.", settings.Valid(func(v string) error { return errors.Join(credential(v), telemetry.CheckCredential(v)) }), remote)
	g.Text(&to.Remote.CA, k.key+"Ca", "PEM certificates by which the server's is trusted; by default those that come with the image.", settings.Valid(certificates), remote)
	g.Check(func(p *settings.Problems) {
		if to.Backend == telemetry.Local && !k.indexed {
			if err := telemetry.CheckLogRetention(to.Store.Retention); err != nil {
				p.Add(k.key+"Retention", "%v", err)
			}
		}
		if to.On() && to.Backend != telemetry.Local && to.Remote.URL == "" {
			p.Add(k.key+"Url", "it is not set, and %sBackend is %s: name the server, e.g. https://otlp.example.com", k.key, to.Backend)
		}
	})
}

// formerStores tells which volumes an update deletes, as what is kept lies elsewhere now or
// nowhere. Of a protected stack Pulumi refuses to delete any.
func (s *Stack) formerStores(p *settings.Problems, before Previous) {
	if s.Target != room.Kubernetes || s.Platform.Protect {
		return
	}
	for _, store := range []struct {
		key, claim string
		backend    telemetry.Backend
	}{
		{"logs", telemetry.LogsOf(telemetryName).Name, s.Telemetry.Logs.Backend},
		{"traces", telemetry.TracesOf(telemetryName).Name, s.Telemetry.Traces.Backend},
	} {
		if _, had := before.Volumes[store.claim]; had && store.backend != telemetry.Local {
			p.Warn(store.key+"Backend", "%s: this update deletes the volume %s with the %s that were kept there; set local to keep it", store.backend, store.claim, store.key)
		}
	}
}

// headerName is for settings.Valid.
func headerName(v string) error {
	if v == "" || strings.ContainsFunc(v, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return fmt.Errorf("%q is no header's name: write e.g. Authorization", v)
	}
	return nil
}

// hostFolder is for settings.Valid.
func hostFolder(v string) error {
	if !path.IsAbs(v) || path.Clean(v) != v || v == "/" {
		return fmt.Errorf("%q is no folder of a host: write e.g. %s", v, telemetry.DefaultEngineFolder)
	}
	return nil
}

// credential is for settings.Valid: it stands in a header.
func credential(v string) error {
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New("it holds line breaks, or what no header can hold: set the key or the token alone")
	}
	return nil
}

// arrangeTelemetry comes last: others send to it.
func (s *Stack) arrangeTelemetry() {
	a := s.Telemetry
	a.StorageClass, a.Protect = s.Cluster.StorageClass, s.Platform.Protect
	a.AgentImage = s.Database.AgentImage
	if !a.On() {
		return
	}
	endpoint := fmt.Sprintf("http://%s:%d", telemetry.CollectorOf(telemetryName).Name, telemetry.HTTPPort)
	s.Backend.Telemetry.Endpoint = endpoint
	s.Backend.Telemetry.Logs, s.Backend.Telemetry.Traces = a.Logs.On(), a.Traces.On()
	s.Backend.Telemetry.Sampling = s.Edge.TraceSampling
	if s.Target == room.DockerHost {
		// What they write is read where the engine keeps it, as everybody's is.
		s.Backend.Telemetry.Logs = false
		s.Backend.Telemetry.Attributes = "service.namespace=" + s.Host.Prefix
		if !a.Traces.On() {
			s.Backend.Telemetry.Endpoint = ""
		}
	}
	if a.RunsJaeger() {
		s.Monitoring.TracesURL = fmt.Sprintf("http://%s:%d%s", telemetry.TracesOf(telemetryName).Name, telemetry.TracesPort, telemetry.TracesPath)
	}
	if s.linesShown() {
		a.LinesShown, s.Monitoring.LogsURL = true, linesURL
		s.Monitoring.LogsPages = s.Edge.URLs()["grafana"] + telemetry.LogsPath
		if s.Target == room.Kubernetes && a.AgentNamespace == "" {
			s.Monitoring.LogsOf = s.senders()
		}
	}
	if a.Logs.On() && s.Target == room.Kubernetes {
		s.Edge.Logs.To, s.Edge.Logs.Image = endpoint, a.Collector.Image
	}
}

// agentGateway is where an agent on the nodes sends what is written in a stack's namespace,
// on the port agentPort of the gateway's pod.
func agentGateway(namespace string) string {
	return fmt.Sprintf("http://%s.%s:%d", telemetry.CollectorOf(telemetryName).Name, namespace, agentPort)
}

const agentPort = telemetry.HTTPPort

// leastCollector is the floor of the memory of any Collector.
var leastCollector = settings.AtLeast(telemetry.LeastMemory.Collector, "as limits.memory it does not start with it")

// linesKept tells whether VictoriaLogs keeps log lines beside the stack.
func (s *Stack) linesKept() bool { return s.Telemetry.Logs.Backend == telemetry.Local }

// linesURL is where Grafana asks for log lines.
var linesURL = fmt.Sprintf("http://%s:%d%s", telemetry.LogsOf(telemetryName).Name, telemetry.LogsPort, telemetry.LogsPath)

// senders are the workloads that send what they write themselves. What others write is kept
// where an agent on the nodes reads it.
func (s *Stack) senders() (names []string) {
	for _, l := range s.links() {
		if l.To.Workload != nil && *l.To.Workload == telemetry.CollectorOf(telemetryName) && l.From.Workload != nil {
			names = append(names, l.From.Workload.Name)
		}
	}
	return names
}
