package telemetry

import (
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/telemetry/observe"
)

// The ports that the workloads listen on.
const (
	// GRPCPort and HTTPPort take OTLP.
	GRPCPort = 4317
	HTTPPort = 4318
	// LogsPort is VictoriaLogs': its API, its pages and its metrics.
	LogsPort = 9428
	// TracesPort is Jaeger's: its API and its pages.
	TracesPort = 16686

	metricsPort   = 8888
	forwardedPort = 8889
	healthPort    = 13133
	queryGRPCPort = 16685
)

// CollectorOf is the identity of the gateway of the telemetry called name, for links.
func CollectorOf(name string) room.Identity {
	return room.Identity{Name: name + "-collector", Instance: name, Component: "telemetry"}
}

// LogsOf is the identity of VictoriaLogs.
func LogsOf(name string) room.Identity {
	return room.Identity{Name: name + "-logs", Instance: name, Component: "logs"}
}

// ReaderOf is the identity of what reads a Docker engine's log files.
func ReaderOf(name string) room.Identity {
	return room.Identity{Name: name + "-reader", Instance: name, Component: "telemetry-reader"}
}

// IndicesOf is the identity of what gives logs an index template in an Elasticsearch.
func IndicesOf(name string) room.Identity {
	return room.Identity{Name: name + "-indices", Instance: name, Component: "telemetry-indices"}
}

// TracesOf is the identity of Jaeger.
func TracesOf(name string) room.Identity {
	return room.Identity{Name: name + "-traces", Instance: name, Component: "traces"}
}

// Facts of the telemetry called name: nothing where no signal is taken. None of its
// workloads is ever more than one pod, which stops before its successor starts.
func (a *Args) Facts(name string, on room.Target) room.Facts {
	d := a.withDefaults()
	if !d.On() {
		return room.Facts{}
	}
	collector := CollectorOf(name)
	scrape := &room.Scrape{Port: metricsPort, Path: "/metrics", Beside: &room.Scrape{Port: forwardedPort, Path: "/metrics"}}
	watched := observe.Watched{Collector: collector.Name, LogLines: d.Logs.On(), Traces: d.Traces.On(), Decided: d.Traces.On() && d.Tail.On(), Bounded: on == room.Kubernetes, Nodes: on == room.Kubernetes}
	f := room.Facts{
		Workloads: []room.Workload{{Identity: collector, Replicas: 1, Ordered: true, Containers: []room.Resources{d.Collector.Resources}, Scrape: scrape}},
		Services:  []string{collector.Name},
	}
	claim := func(name string, size resource.Quantity) {
		if on == room.Kubernetes {
			f.Claims = append(f.Claims, room.Claim{Name: name, Size: size})
		}
	}
	claim(collector.Name, d.Collector.Storage)
	store := func(of room.Identity, s Store, takes int, serves *room.Scrape) {
		f.Workloads = append(f.Workloads, room.Workload{
			Identity: of, Replicas: 1, Ordered: true, Containers: []room.Resources{s.Resources}, Scrape: serves,
		})
		f.Services = append(f.Services, of.Name)
		f.Links = append(f.Links, room.Link{From: room.Of(collector), To: room.Of(of), Ports: []int{takes}, Zone: room.Watch})
	}
	// away is a server of somebody else's, and who asks it.
	away := func(from room.Identity, s Signal) {
		if port, err := portOf(s.Remote.URL); err == nil {
			f.Links = append(f.Links, room.Link{From: room.Of(from), To: room.Outside(room.Anywhere), Ports: []int{port}, Zone: room.Exit})
		}
	}
	if d.Logs.Backend == Local {
		claim(LogsOf(name).Name, d.Logs.Store.Storage)
		watched.LogStore, watched.LinesShown = LogsOf(name).Name, d.LinesShown
		store(LogsOf(name), d.Logs.Store, LogsPort, &room.Scrape{Port: LogsPort, Path: LogsPath + "/metrics"})
	}
	if d.RunsJaeger() {
		if d.Traces.Backend == Local {
			claim(TracesOf(name).Name, d.Traces.Store.Storage)
		}
		watched.TraceStore, watched.SpansAway = TracesOf(name).Name, d.Traces.Backend != Local
		store(TracesOf(name), d.Traces.Store, HTTPPort, &room.Scrape{Port: metricsPort, Path: "/metrics"})
	}
	switch d.Logs.Backend {
	case OTLP, Elasticsearch:
		away(collector, d.Logs)
	}
	if d.Logs.Backend == Elasticsearch && on == room.Kubernetes {
		f.Workloads = append(f.Workloads, room.Workload{Identity: IndicesOf(name), Replicas: 1, Ordered: true, Containers: []room.Resources{IndicesResources}})
		away(IndicesOf(name), d.Logs)
	}
	switch d.Traces.Backend {
	case OTLP:
		away(collector, d.Traces)
	case Elasticsearch:
		away(TracesOf(name), d.Traces)
	}
	if d.Logs.On() && on == room.DockerHost {
		reader := ReaderOf(name)
		f.Workloads = append(f.Workloads, room.Workload{Identity: reader, Replicas: 1, Containers: []room.Resources{ReaderResources}})
		f.Links = append(f.Links, room.Link{From: room.Of(reader), To: room.Of(collector), Ports: []int{HTTPPort}, Zone: room.Watch})
	}
	if d.Logs.On() && d.AgentNamespace != "" {
		f.Links = append(f.Links, room.Link{From: room.Within(d.AgentNamespace), To: room.Of(collector), Ports: []int{HTTPPort}, Zone: room.Entry})
	}
	f.Rules, f.Panels = observe.Alerts(watched), observe.Panels(watched)
	return f
}
