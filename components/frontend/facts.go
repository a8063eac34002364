package frontend

import (
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// UI is the identity of the user interface called name, for links.
func UI(name string) room.Identity {
	return room.Identity{Name: name, Instance: name, Component: "frontend"}
}

// Facts of the user interface called name; one container on a Docker host, whatever
// Replicas says.
func (a *Args) Facts(name string, on room.Target) room.Facts {
	d := a.withDefaults()
	w := room.Workload{Identity: UI(name), Replicas: 1, Containers: []room.Resources{d.Resources}}
	if d.MetricsPath != "" {
		w.Scrape = &room.Scrape{Port: d.Port, Path: d.MetricsPath}
	}
	services := []string{name}
	if on == room.Kubernetes {
		w.Replicas, w.Surge = d.Replicas, 1
		if w.Scrape != nil {
			w.Scrape.Service = workload.PodsService(name)
		}
		services = workload.ServiceNames(workload.Balanced(name, d.port()))
	}
	return room.Facts{Workloads: []room.Workload{w}, Services: services}
}
