package database

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

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

// Facts of the database called name: its members, each of which is stopped before it
// starts anew, and its poolers; on a Docker host one server, and what is beside it.
func (a *Args) Facts(name string, on room.Target) room.Facts {
	a = a.withDefaults()
	server := room.Workload{Identity: Server(name), Replicas: 1, Ordered: true, Containers: []room.Resources{a.Resources}}
	metrics := &room.Scrape{Port: MetricsPort, Path: "/metrics"}
	watched := observe.Watched{Job: name, Limits: a.Limits}
	var f room.Facts
	if on == room.Kubernetes {
		watched.Workload = a.scope(name)
		for i := range a.Instances {
			claim := Claim(name, a.Generation, i)
			f.Claims = append(f.Claims, room.Claim{Name: claim, Size: a.Storage})
			watched.Members = append(watched.Members, observe.Member{Pod: fmt.Sprintf("%s-%d", a.scope(name), i), Claim: claim})
		}
		for _, claim := range slices.Sorted(maps.Keys(a.Kept)) {
			f.Claims = append(f.Claims, room.Claim{Name: claim, Size: a.Kept[claim]})
		}
		server.Replicas = a.Instances
		server.Containers = append(server.Containers, AgentResources, ExporterResources)
		if a.Archive != nil {
			server.Containers = append(server.Containers, BackrestResources)
		}
		// The agent beside it knows what the exporter does not.
		metrics.Beside = &room.Scrape{Port: agentPort, Path: "/metrics"}
		server.Scrape = metrics
		watched.Pooler = Pooler(name).Name
		f.Workloads = []room.Workload{server, {
			Identity: Pooler(name), Replicas: poolers, Surge: 1, Containers: []room.Resources{PoolerResources, AgentResources},
			Scrape: poolerMetrics,
		}}
		if a.Former != nil {
			f.Claims = append(f.Claims, room.Claim{Name: name, Size: resource.MustParse(a.Former.Size)})
			f.Workloads = append(f.Workloads, room.Workload{Identity: copyIdentity(name), Replicas: 1, Containers: []room.Resources{a.Resources, a.Resources}})
		}
		if a.LookIntoImage {
			f.Workloads = append(f.Workloads, room.Workload{Identity: fitsIdentity(name), Replicas: 1, Ordered: true, Containers: []room.Resources{AgentResources}})
		}
		f.Services = workload.ServiceNames(append(a.clusterServices(name), a.poolerServices(name)...))
		f.Links = a.clusterLinks(name)
	} else {
		f.Claims = []room.Claim{{Name: a.HostVolume(name), Size: a.Storage}}
		metrics.Job = Server(name)
		f.Workloads = []room.Workload{
			server,
			{Identity: reconcilerOf(name), Replicas: 1, Containers: []room.Resources{ReconcilerResources}},
			{Identity: exporterOf(name), Replicas: 1, Containers: []room.Resources{ExporterResources}, Scrape: metrics},
		}
		if a.Restore != nil {
			f.Workloads = append(f.Workloads, room.Workload{Identity: Filler(name), Replicas: 1, Containers: []room.Resources{a.Resources}})
		}
		f.Services = append([]string{name}, a.AliasServices...)
		// The exporter goes through the server's socket.
		f.Links = []room.Link{{From: room.Of(reconcilerOf(name)), To: room.Of(Server(name)), Ports: []int{Port}, Zone: room.Data}}
	}
	f.Rules, f.Panels = observe.Alerts(watched), observe.Panels(watched)
	return f
}
