package backup

import (
	"github.com/alphapulse/alphapulse-infra/components/backup/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Taker is the identity of the pods that take backups, for links.
func Taker(name string) room.Identity {
	return room.Identity{Name: name, Instance: name, Component: "backup"}
}

// Looker is the identity of the pod that looks into a repository before a restore.
func Looker(name string) room.Identity {
	return room.Identity{Name: name + "-restore", Instance: name, Component: "backup-restore"}
}

// Prover is the identity of the pod that proves.
func Prover(name string) room.Identity {
	return room.Identity{Name: name + "-proof", Instance: name, Component: "backup-proof"}
}

// StoreOf is the identity of the S3 server, for links.
func StoreOf(name string) room.Identity {
	return room.Identity{Name: name + "-store", Instance: name, Component: "backup-store"}
}

// Facts of the backup called name. It is for namespaces: two pods that take a backup, one
// by schedule and one by hand, and one that proves; on a Docker host for a container each.
func (a *Args) Facts(name string, on room.Target) room.Facts {
	if on == room.DockerHost {
		return a.hostFacts(name)
	}
	var former []room.Claim
	if a.Former != nil {
		former = append(former, room.Claim{Name: StoreOf(name).Name, Size: a.Former.Storage})
	}
	if a.Off {
		return room.Facts{Claims: former}
	}
	f := room.Facts{
		Workloads: []room.Workload{
			{Identity: Taker(name), Replicas: 2, Ordered: true, Containers: []room.Resources{a.Resources}},
			{Identity: Prover(name), Replicas: 1, Ordered: true, Containers: []room.Resources{a.Resources}},
		},
		Claims: append(former, room.Claim{Name: Prover(name).Name, Size: a.Scratch}),
	}
	if a.Wanted != nil {
		f.Workloads = append(f.Workloads, room.Workload{Identity: Looker(name), Replicas: 1, Ordered: true, Containers: []room.Resources{a.Resources}})
	}
	if a.Store != nil {
		store := StoreOf(name)
		f.Workloads = append(f.Workloads, room.Workload{Identity: store, Replicas: 1, Ordered: true, Containers: []room.Resources{a.Store.Resources}})
		f.Claims = append(f.Claims, room.Claim{Name: store.Name, Size: a.Store.Storage})
		f.Services = []string{store.Name}
	}
	watched := a.watched(name, on)
	f.Rules, f.Panels = observe.Alerts(watched), observe.Panels(watched)
	return f
}

func (a *Args) hostFacts(name string) room.Facts {
	metrics := &room.Scrape{Port: MetricsPort, Path: "/metrics"}
	var f room.Facts
	for _, identity := range []room.Identity{Taker(name), Prover(name)} {
		f.Workloads = append(f.Workloads, room.Workload{Identity: identity, Replicas: 1, Containers: []room.Resources{a.Resources}, Scrape: metrics})
	}
	watched := a.watched(name, room.DockerHost)
	f.Rules, f.Panels = observe.Alerts(watched), observe.Panels(watched)
	return f
}
