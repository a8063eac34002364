package monitoring

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// values are what alerts lead to, by Grafana's address as users see it.
func (a *Args) values(grafana string, on room.Target) rule.Values {
	v := rule.Values{DashboardsURL: grafana}
	if a.LogsURL == "" {
		return v
	}
	v.LinesURL = func(workload string) string {
		if a.LogsOf != nil && !slices.Contains(a.LogsOf, workload) {
			return ""
		}
		// The name may be a template that Prometheus fills in: no character of it is escaped.
		return grafana + strings.ReplaceAll(explored(linesOf(anyWorkload, on)), anyWorkload, workload)
	}
	return v
}

// anyWorkload stands for the name of one.
const anyWorkload = "WORKLOAD"

// linesOf is the query in LogsQL for what a workload has written: by its pods, whatever the
// processes in them call themselves. A Docker host's reader calls all of them like the workload.
func linesOf(workload string, on room.Target) string {
	if on == room.DockerHost {
		return fmt.Sprintf("service.name:=%q", "alphapulse-"+workload)
	}
	return fmt.Sprintf("k8s.pod.name:~%q", "^"+workload+"(-[a-z0-9]+){1,2}$")
}

// explored is the path of Grafana's page that shows what a query finds in the last hour.
func explored(query string) string {
	pane, err := json.Marshal(map[string]any{"a": map[string]any{
		"datasource": board.LinesDatasource, "queries": []any{map[string]string{"refId": "A", "expr": query}},
		"range": map[string]string{"from": "now-1h", "to": "now"},
	}})
	if err != nil {
		return "" // it is made of texts
	}
	return "/explore?schemaVersion=1&panes=" + url.QueryEscape(string(pane))
}
