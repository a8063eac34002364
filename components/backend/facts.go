package backend

import (
	"fmt"
	"slices"

	"github.com/alphapulse/alphapulse-infra/components/backend/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// API is the identity of the API of the backend called name, for links.
func API(name string) room.Identity {
	return room.Identity{Name: name, Instance: name, Component: "api"}
}

// Engine is the identity of the trading engine.
func Engine(name string) room.Identity {
	return room.Identity{Name: name + "-engine", Instance: name, Component: "engine"}
}

// Dashboard is the identity of the real-time dashboard.
func Dashboard(name string) room.Identity {
	return room.Identity{Name: name + "-dashboard", Instance: name, Component: "dashboard"}
}

// Facts of the backend called name at full scale. A workload whose build serves no
// metrics is not watched, so that its absence is not an alarm.
func (a *Args) Facts(name string, on room.Target) room.Facts {
	a = a.withDefaults()
	var f room.Facts
	var watched observe.Watched
	for _, r := range a.running(name) {
		counted := r.Resources
		if on == room.Kubernetes {
			counted = counted.AtLeast(waitResources)
		}
		w := room.Workload{Identity: r.Identity, Replicas: 1, Containers: []room.Resources{counted}}
		if r.MetricsPath != "" {
			w.Scrape = &room.Scrape{Port: r.Port, Path: r.MetricsPath}
			switch r.Process {
			case &a.API:
				watched.API = r.Name
				watched.HTTP, watched.Objectives = a.HTTP, a.Objectives
				watched.HTTP.Excluded = slices.Concat([]string{r.LivenessPath, r.ReadinessPath, r.MetricsPath}, a.HTTP.Excluded)
			case a.Engine:
				watched.Engine, watched.Trading = r.Name, a.Trading
			}
		}
		switch {
		case on == room.DockerHost && r.Process == &a.API:
			w.Members = a.members(name)
			w.Replicas = len(w.Members)
		case on == room.Kubernetes && r.Process == &a.API:
			w.Replicas, w.Surge = a.Scaling.Max, 1
		case on == room.Kubernetes && r.Process == a.Dashboard:
			w.Surge = 1
		}
		f.Workloads = append(f.Workloads, w)
		if r.Process == a.Engine {
			continue // nobody asks it
		}
		if on == room.Kubernetes {
			f.Services = append(f.Services, workload.ServiceNames(workload.Balanced(r.Name, r.port()))...)
			if w.Scrape != nil {
				w.Scrape.Service = workload.PodsService(r.Name)
			}
		} else {
			f.Services = append(f.Services, append([]string{r.Name}, w.Members...)...)
		}
	}
	f.Rules, f.Panels = observe.Alerts(watched), observe.Panels(watched)
	return f
}

// members are the names of the containers of the API on a Docker host.
func (a *Args) members(name string) []string {
	members := make([]string, a.Scaling.Min)
	for i := range members {
		members[i] = fmt.Sprintf("%s-%d", name, i+1)
	}
	return members
}
