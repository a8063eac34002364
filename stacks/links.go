package stacks

import (
	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/telemetry"
)

// links is the one list of who talks to whom, on every target. Beside it there are only
// what a room says of itself, and that Prometheus reaches whatever serves metrics.
func (s *Stack) links() []room.Link {
	var (
		world               = room.Outside(room.Anywhere)
		markets             = room.Outside(room.Network{CIDRs: s.Cluster.EgressCIDRs, Except: room.Internet.Except})
		edge, ui            = ingress.Edge(edgeName), frontend.UI(frontendName)
		api, engine         = backend.API(backendName), backend.Engine(backendName)
		dashboard           = backend.Dashboard(backendName)
		db                  = database.Server(databaseName)
		pooler, poolerPort  = s.Database.Endpoint(databaseName, s.Target)
		store               = cache.Server(cacheName)
		prometheus, grafana = monitoring.PrometheusOf(monitoringName), monitoring.GrafanaOf(monitoringName)
	)
	var links []room.Link
	link := func(from, to room.End, zone room.Zone, ports ...int) {
		links = append(links, room.Link{From: from, To: to, Ports: ports, Zone: zone})
	}
	web := func(to room.Identity, ports ...int) { link(room.Of(edge), room.Of(to), room.Web, ports...) }
	stores := func(from room.Identity, process *backend.Process) {
		link(room.Of(from), room.Of(db), room.Data, database.Port) // past the poolers, for what needs a session
		if pooler != db {
			link(room.Of(from), room.Of(pooler), room.Data, poolerPort)
		}
		link(room.Of(from), room.Of(store), room.Data, s.cachePorts(process)...)
	}
	trades := func(from room.Identity) {
		if len(s.Cluster.EgressCIDRs) > 0 {
			link(room.Of(from), markets, room.Exit, 443)
		}
	}

	tells := func(from room.Identity) {
		if s.Telemetry.Traces.On() || s.Telemetry.Logs.On() && s.Target == room.Kubernetes {
			link(room.Of(from), room.Of(telemetry.CollectorOf(telemetryName)), room.Watch, telemetry.HTTPPort)
		}
		if s.Monitoring.Prometheus.OTLP {
			link(room.Of(from), room.Of(prometheus), room.Watch, monitoring.PrometheusPort)
		}
	}

	link(world, room.Of(edge), room.Entry, ingress.HTTPPort, ingress.HTTPSPort)
	if s.Host.GrafanaPort != 0 {
		link(world, room.Of(grafana), room.Entry, monitoring.GrafanaPort)
	}
	if s.Host.PrometheusPort != 0 {
		link(world, room.Of(prometheus), room.Entry, monitoring.PrometheusPort)
	}
	web(ui, s.wirePorts(frontend.DefaultPort, s.Frontend.TLSPort)...)
	web(api, s.wirePorts(s.Backend.API.Port, s.Backend.API.TLSPort)...)
	web(grafana, monitoring.GrafanaPort)
	if s.Monitoring.Operator == nil {
		web(prometheus, monitoring.PrometheusPort)
	}
	if s.Telemetry.Logs.Backend == telemetry.Local {
		web(telemetry.LogsOf(telemetryName), telemetry.LogsPort)
		if s.linesShown() {
			link(room.Of(grafana), room.Of(telemetry.LogsOf(telemetryName)), room.Watch, telemetry.LogsPort)
		}
	}
	if s.Telemetry.RunsJaeger() {
		web(telemetry.TracesOf(telemetryName), telemetry.TracesPort)
		link(room.Of(grafana), room.Of(telemetry.TracesOf(telemetryName)), room.Watch, telemetry.TracesPort)
	}
	if s.Telemetry.Logs.On() && s.Target == room.Kubernetes {
		link(room.Of(edge), room.Of(telemetry.CollectorOf(telemetryName)), room.Watch, telemetry.HTTPPort)
	}
	tells(api)
	stores(api, &s.Backend.API)
	trades(api)
	if s.Backend.Engine != nil {
		stores(engine, s.Backend.Engine)
		trades(engine)
		tells(engine)
	}
	if d := s.Backend.Dashboard; d != nil {
		web(dashboard, s.wirePorts(d.Port, d.TLSPort)...)
		stores(dashboard, d)
		tells(dashboard)
	}
	s.loginLinks(link)
	s.backupLinks(link)
	return links
}
