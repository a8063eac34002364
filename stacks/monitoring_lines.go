package stacks

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/telemetry"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// logsPluginOff lets Grafana show no log lines.
const logsPluginOff = "off"

// logsPluginSetting says where Grafana has its data source for VictoriaLogs from.
func (s *Stack) logsPluginSetting(g *settings.Group) {
	g.Text(&s.Monitoring.Grafana.LogsPlugin, "grafanaLogsPlugin",
		"Where Grafana has its data source for VictoriaLogs from: a version at grafana.com, or the https address of an archive, which is fetched before Grafana starts; "+
			"or, without a way out, the folder of grafanaImage that holds it; off shows no log lines in Grafana.",
		settings.Valid(logsPlugin), settings.While(func() bool { return s.Telemetry.Logs.Backend == telemetry.Local }, "logsBackend is local"))
}

// logsPlugin is for settings.Valid.
func logsPlugin(v string) error {
	if v == logsPluginOff {
		return nil
	}
	if err := monitoring.CheckLogsPlugin(v); err != nil {
		return fmt.Errorf("%w, or %s", err, logsPluginOff)
	}
	return nil
}

// linesURL is where Grafana asks for log lines.
var linesURL = fmt.Sprintf("http://%s:%d%s", telemetry.LogsOf(telemetryName).Name, telemetry.LogsPort, telemetry.LogsPath)

// sendsLines are the workloads that send what they write themselves; that of others is kept
// where an agent on the nodes reads it.
func sendsLines() []string {
	return []string{
		ingress.Edge(edgeName).Name, backend.API(backendName).Name, backend.Engine(backendName).Name, backend.Dashboard(backendName).Name,
	}
}

// linesShown tells whether Grafana asks for log lines.
func (s *Stack) linesShown() bool {
	return s.Telemetry.Logs.Backend == telemetry.Local && s.Monitoring.Grafana.LogsPlugin != logsPluginOff
}
