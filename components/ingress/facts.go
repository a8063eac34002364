package ingress

import (
	"github.com/alphapulse/alphapulse-infra/components/ingress/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Edge is the identity of the edge called name, for links.
func Edge(name string) room.Identity {
	return room.Identity{Name: name, Instance: name, Component: "ingress"}
}

// exporterOf is the identity of the exporter's container on a Docker host.
func exporterOf(name string) room.Identity {
	return room.Identity{Name: name + "-exporter", Instance: name, Component: "ingress-metrics"}
}

// Facts of the edge called name; on a Docker host one container and one for each that
// looks at it, whatever Replicas says.
func (a *Args) Facts(name string, on room.Target) room.Facts {
	d := a.withDefaults()
	metrics := &room.Scrape{Port: MetricsPort, Path: "/metrics"}
	w := room.Workload{Identity: Edge(name), Replicas: 1, Containers: []room.Resources{d.Resources}}
	counts := &room.Scrape{Port: CountsPort, Path: "/metrics"}
	watched := observe.Watched{Job: name, ExpiryWarningDays: d.ExpiryWarningDays, Latency: d.latency(), Handshakes: on == room.Kubernetes, Limits: d.AlertLimits}
	f := room.Facts{Services: []string{name}, Rules: observe.Alerts(watched), Panels: observe.Panels(watched)}
	if on == room.Kubernetes {
		metrics.Beside = d.probe("127.0.0.1")
		metrics.Beside.Beside = counts
		w.Replicas, w.Surge, w.Scrape = d.Replicas, 1, metrics
		w.Containers = append(w.Containers, d.ExporterResources, d.ProberResources, d.CounterResources, d.AgentResources)
		if d.Logs.On() {
			w.Containers = append(w.Containers, d.Logs.Resources)
		}
		f.Workloads = []room.Workload{w}
		d.signOnFacts(&f, name, on)
		if i := d.TLS.Issuer; i != nil && i.HTTP01 {
			f.Workloads = append(f.Workloads, solvers(name))
			if d.solves() {
				f.Services = append(f.Services, solver(name))
			}
			// cert-manager makes one for each pod.
			f.Services = append(f.Services, make([]string, solversAtOnce)...)
		}
		return f
	}
	probe := d.probe(name)
	metrics.Job, probe.Job, counts.Job = Edge(name), Edge(name), Edge(name)
	f.Workloads = []room.Workload{
		w,
		{Identity: exporterOf(name), Replicas: 1, Containers: []room.Resources{d.ExporterResources}, Scrape: metrics},
		{Identity: proberOf(name), Replicas: 1, Containers: []room.Resources{d.ProberResources}, Scrape: probe},
		{Identity: counterOf(name), Replicas: 1, Containers: []room.Resources{d.CounterResources}, Scrape: counts},
	}
	d.signOnFacts(&f, name, on)
	f.Links = []room.Link{
		{From: room.Of(exporterOf(name)), To: room.Of(Edge(name)), Ports: []int{StatusPort}, Zone: room.Watch},
		{From: room.Of(proberOf(name)), To: room.Of(Edge(name)), Ports: []int{HTTPSPort}, Zone: room.Watch},
	}
	return f
}
