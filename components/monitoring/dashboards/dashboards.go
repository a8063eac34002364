// Package dashboards builds Grafana's dashboards.
package dashboards

import "github.com/alphapulse/alphapulse-infra/components/monitoring/rules"

// OverviewFile is the file of the dashboard that Grafana opens with.
const OverviewFile = "overview.json"

// Files gives the JSON of each dashboard by its file name.
func Files(w rules.Watched) (map[string]string, error) {
	return map[string]string{}, nil
}
