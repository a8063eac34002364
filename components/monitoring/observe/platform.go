package observe

import (
	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// Platform is the dashboard of how Kubernetes runs the workloads. There is none on a Docker
// host.
var Platform = board.Dashboard{
	File: "platform.json", UID: "alphapulse-platform", Title: "AlphaPulse Platform",
	Description: "Rollouts, autoscalers, quota, and what containers take.",
}

// platform shows what Kubernetes does with the workloads.
func (w Watched) platform() []board.Contribution {
	if w.KubeStateMetrics == "" {
		return nil
	}
	row := func(title string, panels ...board.Panel) board.Contribution {
		return board.Contribution{Dashboard: Platform, Row: title, Panels: panels}
	}
	q := func(expr, legend string) board.Query { return board.Query{Expr: expr, Legend: legend} }
	return append([]board.Contribution{
		row("Rollouts",
			board.Series("Pods of Deployments", "short", 2,
				q(`kube_deployment_spec_replicas`, "{{deployment}} wanted"),
				q(`kube_deployment_status_replicas_available`, "{{deployment}} available"),
				q(`kube_deployment_status_replicas_updated`, "{{deployment}} updated")),
			board.Series("Pods of StatefulSets", "short", 2,
				q(`kube_statefulset_replicas`, "{{statefulset}} wanted"),
				q(`kube_statefulset_status_replicas_ready`, "{{statefulset}} ready"),
				q(`kube_statefulset_status_replicas_updated`, "{{statefulset}} updated")),
			board.Line(board.Series("Pods missing", "short", 3,
				q(`kube_deployment_spec_replicas - kube_deployment_status_replicas_available`, "{{deployment}}"),
				q(`kube_statefulset_replicas - kube_statefulset_status_replicas_ready`, "{{statefulset}}")), 1),
			board.Series("Generations behind", "short", 3,
				q(`kube_deployment_metadata_generation - kube_deployment_status_observed_generation`, "{{deployment}}"),
				q(`kube_statefulset_metadata_generation - kube_statefulset_status_observed_generation`, "{{statefulset}}")).
				Description("Changes that no controller has looked at yet."),
			board.Series("Most restarts within an hour", "short", 3,
				q(`topk(10, sum by (pod) (increase(kube_pod_container_status_restarts_total[1h])))`, "{{pod}}"))),
		row("Autoscaler",
			board.Series("Replicas", "short", 2,
				q(`kube_horizontalpodautoscaler_status_current_replicas`, "{{horizontalpodautoscaler}} now"),
				q(`kube_horizontalpodautoscaler_status_desired_replicas`, "{{horizontalpodautoscaler}} wanted"),
				q(`kube_horizontalpodautoscaler_spec_max_replicas`, "{{horizontalpodautoscaler}} maximum"),
				q(`kube_horizontalpodautoscaler_spec_min_replicas`, "{{horizontalpodautoscaler}} minimum")),
			board.Series("Metrics of their targets", "percentunit", 2,
				q(`kube_horizontalpodautoscaler_status_target_metric / kube_horizontalpodautoscaler_spec_target_metric`, "{{horizontalpodautoscaler}} {{metric_name}}")).
				Description("Above 100 % pods are added, once it is more than a tenth above.")),
		row("Quota",
			board.Line(board.Series("Quota used", "percentunit", 1, q(quotaUsed, "{{resource}}")).Max(1), w.Limits.Quota)),
	}, w.taken()...)
}
