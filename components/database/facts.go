package database

import (
	"github.com/alphapulse/alphapulse-infra/components/database/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Server is the identity of the database called name, for links.
func Server(name string) room.Identity {
	return room.Identity{Name: name, Instance: name, Component: "database"}
}

// reconcilerOf and exporterOf are the identities of the containers beside the server on a Docker host.
func reconcilerOf(name string) room.Identity {
	return room.Identity{Name: name + "-reconcile", Instance: name, Component: "database-roles"}
}

func exporterOf(name string) room.Identity {
	return room.Identity{Name: name + "-exporter", Instance: name, Component: "database-metrics"}
}

// Facts of the database called name: one server, whose pod is stopped before the next
// one starts, and what is beside it.
func (a *Args) Facts(name string, on room.Target) room.Facts {
	a = a.withDefaults()
	server := room.Workload{Identity: Server(name), Replicas: 1, Ordered: true, Containers: []room.Resources{a.Resources}}
	metrics := &room.Scrape{Port: MetricsPort, Path: "/metrics"}
	watched := observe.Watched{Job: name}
	f := room.Facts{Claims: []room.Claim{{Name: name, Size: a.Storage}}}
	if on == room.Kubernetes {
		watched.Claim = name
		server.Containers = append(server.Containers, ReconcilerResources, ExporterResources)
		server.Scrape = metrics
		f.Workloads = []room.Workload{server}
		f.Services = workload.ServiceNames(services(name, a.AliasServices))
	} else {
		metrics.Job = Server(name)
		f.Workloads = []room.Workload{
			server,
			{Identity: reconcilerOf(name), Replicas: 1, Containers: []room.Resources{ReconcilerResources}},
			{Identity: exporterOf(name), Replicas: 1, Containers: []room.Resources{ExporterResources}, Scrape: metrics},
		}
		f.Services = append([]string{name}, a.AliasServices...)
		// The exporter goes through the server's socket.
		f.Links = []room.Link{{From: room.Of(reconcilerOf(name)), To: room.Of(Server(name)), Ports: []int{Port}, Zone: room.Data}}
	}
	f.Rules, f.Panels = observe.Alerts(watched), observe.Panels(watched)
	return f
}

func services(name string, aliases []string) []workload.Service {
	return workload.Server(name, aliases, workload.Port{Name: portName, Number: Port})
}
