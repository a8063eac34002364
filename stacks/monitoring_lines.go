package stacks

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// logsPluginOff lets Grafana show no log lines.
const logsPluginOff = "off"

// logsPluginSetting says where Grafana has its data source for VictoriaLogs from.
func (s *Stack) logsPluginSetting(g *settings.Group) {
	g.Text(&s.Monitoring.Grafana.LogsPlugin, "grafanaLogsPlugin",
		"Where Grafana has its data source for VictoriaLogs from: a version at grafana.com, or the https address of an archive, which is fetched before Grafana starts; "+
			"or, without a way out, the folder of grafanaImage that holds it; off shows no log lines in Grafana.",
		settings.Valid(logsPlugin), settings.While(s.linesKept, "logsBackend is local"))
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

// linesShown tells whether Grafana asks for log lines.
func (s *Stack) linesShown() bool {
	return s.linesKept() && s.Monitoring.Grafana.LogsPlugin != logsPluginOff
}
