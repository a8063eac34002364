package monitoring

import (
	"cmp"
	"slices"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// PrometheusOf is the identity of Prometheus of the monitoring called name, for links.
func PrometheusOf(name string) room.Identity {
	return room.Identity{Name: name + "-prometheus", Instance: name, Component: "metrics"}
}

// AlertmanagerOf is the identity of Alertmanager.
func AlertmanagerOf(name string) room.Identity {
	return room.Identity{Name: name + "-alertmanager", Instance: name, Component: "alerts"}
}

// GrafanaOf is the identity of Grafana.
func GrafanaOf(name string) room.Identity {
	return room.Identity{Name: name + "-grafana", Instance: name, Component: "dashboards"}
}

// KubeStateMetricsOf is the identity of kube-state-metrics, which a cluster alone has.
func KubeStateMetricsOf(name string) room.Identity {
	return room.Identity{Name: name + "-kube-state-metrics", Instance: name, Component: "cluster-state"}
}

// Facts of the monitoring called name. None of its workloads is ever more than one pod:
// each stops before its successor starts.
func (a *Args) Facts(name string, on room.Target) room.Facts {
	d := a.withDefaults(name)
	var (
		prometheus, alertmanager = PrometheusOf(name), AlertmanagerOf(name)
		grafana, state           = GrafanaOf(name), KubeStateMetricsOf(name)
	)
	one := func(i room.Identity, r room.Resources, port int, path string) room.Workload {
		return room.Workload{Identity: i, Replicas: 1, Containers: []room.Resources{r}, Scrape: &room.Scrape{Port: port, Path: path}}
	}
	ordered := func(w room.Workload) room.Workload {
		w.Ordered = true
		return w
	}
	link := func(from, to room.Identity, port int) room.Link {
		return room.Link{From: room.Of(from), To: room.Of(to), Ports: []int{port}, Zone: room.Watch}
	}
	if d.Operator != nil {
		return d.operatedFacts(name, on)
	}
	f := room.Facts{
		Workloads: []room.Workload{
			ordered(one(prometheus, d.Prometheus.Resources, PrometheusPort, PrometheusPath+"/metrics")),
			ordered(one(alertmanager, d.Alertmanager.Resources, AlertmanagerPort, AlertmanagerPath+"/metrics")),
			one(grafana, d.Grafana.Resources, GrafanaPort, "/metrics"),
		},
		Claims: []room.Claim{
			{Name: prometheus.Name, Size: d.Prometheus.Storage},
			{Name: alertmanager.Name, Size: d.Alertmanager.Storage},
			{Name: grafana.Name, Size: d.Grafana.Storage},
		},
		Services: []string{prometheus.Name, alertmanager.Name, grafana.Name},
		Links: []room.Link{
			link(prometheus, alertmanager, AlertmanagerPort), // for alerts, too
			link(prometheus, grafana, GrafanaPort),
			link(grafana, prometheus, PrometheusPort),
		},
	}
	if on == room.Kubernetes {
		f.Workloads = append(f.Workloads, one(state, d.KubeStateMetrics.Resources, KubeStateMetricsPort, "/metrics"))
		f.Links = append(f.Links, link(prometheus, state, KubeStateMetricsPort))
		for _, from := range []room.Identity{prometheus, state} {
			f.Links = append(f.Links, room.Link{From: room.Of(from), To: room.Outside(room.Anywhere), Ports: d.APIServerPorts, Zone: room.Exit})
		}
	}
	if d.Prometheus.Kubelets != nil {
		f.Links = append(f.Links, room.Link{From: room.Of(prometheus), To: room.Outside(room.Anywhere), Ports: []int{config.KubeletPort}, Zone: room.Exit})
	}
	f.Links = append(f.Links, d.customLinks(prometheus)...)
	f.Links = append(f.Links, d.Grafana.SignOn.links(grafana)...)
	f.Links = append(f.Links, d.logsPlugin().links(grafana)...)
	if w := d.Prometheus.RemoteWrite; w != nil {
		if port, err := config.HTTPSPort(w.URL); err == nil {
			f.Links = append(f.Links, room.Link{From: room.Of(prometheus), To: room.Outside(room.Anywhere), Ports: []int{port}, Zone: room.Exit})
		}
	}
	if ports := d.Alertmanager.ports(); len(ports) > 0 {
		f.Links = append(f.Links, room.Link{From: room.Of(alertmanager), To: room.Outside(room.Internet), Ports: ports, Zone: room.Exit})
	}
	return f
}

// scraped lets Prometheus reach a workload.
func (a *Args) scraped(name string, to room.Identity, ports []int) room.Link {
	if a.Operator != nil {
		return room.Link{From: room.Within(a.Operator.Namespace), To: room.Of(to), Ports: ports, Zone: room.Entry}
	}
	return room.Link{From: room.Of(PrometheusOf(name)), To: room.Of(to), Ports: ports, Zone: room.Watch}
}

// roomOf is the name of the room that says so; "" for one without a workload.
func roomOf(f room.Facts) string {
	if len(f.Workloads) == 0 {
		return ""
	}
	return f.Workloads[0].Instance
}

// owned are the rules of a room with those who act on them.
func (a *Args) owned(room string, groups []rule.Group) []rule.Group {
	return rule.Owned(groups, func(byDefault string) string {
		if byDefault == rule.Platform && a.Owners[room] != "" {
			return a.Owners[room]
		}
		return cmp.Or(a.Owners[byDefault], byDefault)
	})
}

// rules are those of the rooms and monitoring's own.
func (a *Args) rules() []rule.Group {
	before, after := observe.Own(a.Watched)
	return slices.Concat(a.owned(a.Watched.Name, before), a.Rules, a.owned(a.Watched.Name, after))
}

// Watch lets the monitoring called name take up what rooms say about themselves: rules,
// panels and scraping, and by links who asks whom. It returns the links of scraping, which
// have to be allowed, too. The rooms may include the monitoring, which scrapes itself.
func (a *Args) Watch(name string, links []room.Link, rooms ...room.Facts) []room.Link {
	var scraping []room.Link
	for _, f := range rooms {
		a.Rules, a.Panels = append(a.Rules, a.owned(roomOf(f), f.Rules)...), append(a.Panels, f.Panels...)
		a.Taken = append(a.Taken, f.Services...)
		for _, w := range f.Workloads {
			a.Taken = append(a.Taken, w.Name)
			if w.Scrape == nil || w.Instance == name {
				continue
			}
			a.Scraped = append(a.Scraped, w)
			var ports []int
			for _, s := range w.Scrape.All() {
				ports = append(ports, s.Port)
			}
			scraping = append(scraping, a.scraped(name, w.Identity, ports))
		}
	}
	a.Consumers = map[string][]string{}
	for _, l := range links {
		// What belongs to the room itself is none of its clients.
		if l.From.Workload != nil && l.To.Workload != nil && l.From.Workload.Instance != l.To.Workload.Instance {
			a.Consumers[l.To.Workload.Name] = append(a.Consumers[l.To.Workload.Name], l.From.Workload.Name)
		}
	}
	return scraping
}
