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

// Facts of the edge called name; one container on a Docker host, whatever Replicas says.
func (a *Args) Facts(name string, on room.Target) room.Facts {
	d := a.withDefaults()
	metrics := &room.Scrape{Port: MetricsPort, Path: "/metrics"}
	w := room.Workload{Identity: Edge(name), Replicas: 1, Containers: []room.Resources{d.Resources}}
	watched := observe.Watched{Job: name}
	f := room.Facts{Services: []string{name}, Rules: observe.Alerts(watched), Panels: observe.Panels(watched)}
	if on == room.Kubernetes {
		w.Replicas, w.Surge, w.Scrape = d.Replicas, 1, metrics
		w.Containers = append(w.Containers, d.ExporterResources)
		f.Workloads = []room.Workload{w}
		return f
	}
	metrics.Job = Edge(name)
	f.Workloads = []room.Workload{
		w, {Identity: exporterOf(name), Replicas: 1, Containers: []room.Resources{d.ExporterResources}, Scrape: metrics},
	}
	f.Links = []room.Link{{From: room.Of(exporterOf(name)), To: room.Of(Edge(name)), Ports: []int{StatusPort}, Zone: room.Watch}}
	return f
}
