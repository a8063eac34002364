package cache

import (
	"github.com/alphapulse/alphapulse-infra/components/cache/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Server is the identity of the cache called name, for links.
func Server(name string) room.Identity {
	return room.Identity{Name: name, Instance: name, Component: "cache"}
}

// exporterOf is the identity of the exporter's container on a Docker host.
func exporterOf(name string) room.Identity {
	return room.Identity{Name: name + "-exporter", Instance: name, Component: "cache-metrics"}
}

// Facts of the cache called name: one server, whose pod is stopped before the next one
// starts, and its exporter.
func (a *Args) Facts(name string, on room.Target) room.Facts {
	a = a.withDefaults()
	server := room.Workload{Identity: Server(name), Replicas: 1, Ordered: true, Containers: []room.Resources{a.Resources}}
	metrics := &room.Scrape{Port: MetricsPort, Path: "/metrics"}
	watched := observe.Watched{Job: name, KeepsEverything: a.Policy == NoEviction, Limits: a.Limits}
	f := room.Facts{Claims: []room.Claim{{Name: name, Size: a.Storage}}}
	if on == room.Kubernetes {
		watched.Claim = name
		server.Containers = append(server.Containers, ExporterResources)
		server.Scrape = metrics
		f.Workloads = []room.Workload{server}
		f.Services = workload.ServiceNames(a.services(name))
	} else {
		metrics.Job = Server(name)
		f.Workloads = []room.Workload{
			server, {Identity: exporterOf(name), Replicas: 1, Containers: []room.Resources{ExporterResources}, Scrape: metrics},
		}
		f.Services = append([]string{name}, a.AliasServices...)
		f.Links = []room.Link{{From: room.Of(exporterOf(name)), To: room.Of(Server(name)), Ports: []int{Port}, Zone: room.Data}}
	}
	f.Rules, f.Panels = observe.Alerts(watched), observe.Panels(watched)
	return f
}

func (a *Args) services(name string) []workload.Service {
	return workload.Server(name, a.AliasServices, a.ports()...)
}
