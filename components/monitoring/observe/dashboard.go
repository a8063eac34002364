package observe

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/table"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// now counts what is wrong at present.
func (w Watched) now() board.Contribution {
	c := board.Contribution{Dashboard: board.Overview, Row: "Now", Panels: []board.Panel{
		board.Number("Firing alerts", "short", 4, `count(ALERTS{alertstate="firing",alertname!="`+DeadMansSwitch+`"}) or vector(0)`).Thresholds(board.Limit(1)),
		board.Number("Targets down", "short", 4, `count(up == 0) or vector(0)`).Thresholds(board.Limit(1)),
	}}
	if w.KubeStateMetrics != "" {
		c.Panels = append(c.Panels,
			board.Number("Pods not ready", "short", 4,
				`count(kube_pod_status_ready{condition="true"} == 0 and on(namespace, pod) kube_pod_status_phase{phase=~"Pending|Running|Unknown"} == 1) or vector(0)`).
				Thresholds(board.Limit(1)),
			board.Number("Restarts in a day", "short", 4, `sum(increase(kube_pod_container_status_restarts_total[1d]))`).Thresholds(board.Limit(1)))
	}
	return c
}

// Marks are what has changed: rollouts, as Kubernetes tells of them.
func Marks(w Watched) []board.Mark {
	if w.KubeStateMetrics == "" {
		return nil
	}
	return []board.Mark{{Name: "Rollout", Tags: []string{"deployment", "statefulset"}, Expr: rollouts}}
}

// rollouts are Deployments and StatefulSets that have just been changed. An autoscaler
// changes its Deployment, too, without anything new: there it takes pods of both kinds.
const rollouts = `changes(kube_deployment_metadata_generation[2m]) > 0 unless on(namespace, deployment) label_replace(kube_horizontalpodautoscaler_spec_min_replicas, "deployment", "$1", "horizontalpodautoscaler", "(.+)")` +
	` or kube_deployment_status_replicas > kube_deployment_status_replicas_updated` +
	` or changes(kube_statefulset_metadata_generation[2m]) > 0`

// panels come below those of the rooms.
func (w Watched) panels() []board.Contribution {
	q := board.On(w.Prometheus)
	var workloads []board.Panel
	if w.KubeStateMetrics != "" {
		workloads = []board.Panel{
			board.Line(board.Series("Volumes", "percentunit", 1, q(rule.VolumeUsed, "{{persistentvolumeclaim}}")).
				Description("What each program knows of its own files, against the size of its claim.").Max(1), w.Limits.Volumes),
		}
	}
	panels := []board.Panel{board.Series("Targets", "short", 3, q(`count by (job) (up == 1)`, "{{job}} up"), q(`count by (job) (up == 0)`, "{{job}} down"))}
	if w.Prometheus != "" {
		panels = append(panels,
			board.Series("Series in memory", "short", 3, q(`prometheus_tsdb_head_series{$job}`, "series")),
			board.Series("Slowest rule groups", "s", 3, q(`topk(5, prometheus_rule_group_last_duration_seconds{$job})`, "{{rule_group}}")))
	}
	return append(w.platform(),
		board.Contribution{Dashboard: board.Overview, Row: "Attention", Panels: []board.Panel{firing()}},
		board.Contribution{Dashboard: board.Infrastructure, Row: "Workloads", Panels: append(workloads,
			board.Series("Memory of processes", "bytes", 2, q(`sum by (job) (process_resident_memory_bytes)`, "{{job}}")).
				Description("Processes that serve metrics about themselves; for database, cache and edge that is the exporter."),
			board.Series("CPU of processes", "short", 2, q(`sum by (job) (rate(process_cpu_seconds_total[$__rate_interval]))`, "{{job}}")).
				Description("In cores. Processes that serve metrics about themselves; for database, cache and edge that is the exporter."),
		)},
		board.Contribution{Dashboard: board.Infrastructure, Row: "Monitoring", Panels: panels},
	)
}

// firing lists what fires.
func firing() *table.PanelBuilder {
	return table.NewPanelBuilder().
		Title("Firing alerts").
		Description("The runbook of each is docs/runbooks/<alertname>.md.").
		NoValue("no alert").
		Datasource(board.Source()).
		Height(board.SeriesHeight).
		Span(board.GridWidth).
		WithTarget(board.Query{
			Expr: fmt.Sprintf(`sum by (alertname, severity, job, pod, persistentvolumeclaim) (ALERTS{alertstate="firing",alertname!=%q})`, DeadMansSwitch),
		}.Target(0).Instant().Format(prometheus.PromQueryFormatTable))
}
