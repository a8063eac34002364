package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// DeadMansSwitch is the alert that fires for as long as monitoring works.
const DeadMansSwitch = "DeadMansSwitch"

// Shares of what there is.
const (
	// VolumeHigh is above the share of its volume that Prometheus uses by design.
	VolumeHigh = 0.85
	volumeFull = 0.95
)

// own are the rules that are about no room, or about monitoring.
func own(w Watched) []rule.Group {
	if w.KubeStateMetrics == "" {
		return []rule.Group{selfMonitoring(w)}
	}
	return []rule.Group{volumes(w), workloads(), selfMonitoring(w)}
}

// targets tells what does not answer Prometheus.
func targets() rule.Group {
	return rule.Group{Name: rule.Availability, Rules: []rule.Rule{
		rule.Alert("TargetDown", rule.Warning, "5m", `up == 0`,
			"A target cannot be scraped",
			"Prometheus has not reached the metrics of {{ $labels.job }} at {{ $labels.instance }} for five minutes. Its other alerts are blind meanwhile."),
	}}
}

// volumes tells which claim is about to be full, of those that a room records.
func volumes(w Watched) rule.Group {
	filling := func(severity rule.Severity, wait, expr, description string) rule.Rule {
		return rule.Alert("VolumeFilling", severity, wait, expr, "The volume of {{ $labels.persistentvolumeclaim }} is filling up", description)
	}
	const share = "{{ $value | humanizePercentage }} of the claim {{ $labels.persistentvolumeclaim }} is used. "
	// Prometheus drops its oldest samples by itself: its growth says nothing.
	growing := filling(rule.Warning, "1h", fmt.Sprintf(`%[1]s{persistentvolumeclaim!=%[2]q} > 0.5 and predict_linear(%[1]s[6h], 4 * 24 * 3600) > 1`, rule.VolumeUsed, w.PrometheusClaim),
		share+"If it goes on growing as in the last six hours, it is full within four days.")
	growing.Labels["trend"] = "growing"
	return rule.Group{Name: rule.Capacity, Rules: []rule.Rule{
		rule.Volume(w.PrometheusClaim, w.Prometheus,
			"prometheus_tsdb_storage_blocks_bytes", "prometheus_tsdb_wal_storage_size_bytes", "prometheus_tsdb_head_chunks_storage_size_bytes"),
		// Its files, as they were written last: every quarter of an hour.
		rule.Volume(w.AlertmanagerClaim, w.Alertmanager, "alertmanager_nflog_snapshot_size_bytes", "alertmanager_silences_snapshot_size_bytes"),
		filling(rule.Critical, "5m", fmt.Sprintf(`%s > %g`, rule.VolumeUsed, volumeFull), share+"Once it is full, writes fail."),
		filling(rule.Warning, "15m", fmt.Sprintf(`%s > %g`, rule.VolumeUsed, VolumeHigh), share+"Enlarge it before it is full."),
		growing,
	}}
}

// workloads tells what Kubernetes does not get done.
func workloads() rule.Group {
	return rule.Group{Name: rule.Workloads, Rules: []rule.Rule{
		rule.Alert("PodCrashLooping", rule.Warning, "5m",
			`max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m]) >= 1 or max_over_time(kube_pod_init_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m]) >= 1`,
			"A container crashes again and again",
			"Container {{ $labels.container }} of pod {{ $labels.pod }} ends soon after every start. Kubernetes waits longer each time before it tries again."),
		rule.Alert("ContainerOutOfMemory", rule.Warning, "",
			`kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1 and on(namespace, pod, container) increase(kube_pod_container_status_restarts_total[30m]) > 0`,
			"A container was killed for its memory",
			"Container {{ $labels.container }} of pod {{ $labels.pod }} went over its memory limit and was killed."),
		rule.Alert("PodNotReady", rule.Warning, "15m",
			`kube_pod_status_ready{condition="true"} == 0 and on(namespace, pod) kube_pod_status_phase{phase=~"Pending|Running|Unknown"} == 1`,
			"A pod does not become ready",
			"Pod {{ $labels.pod }} is not ready for 15 minutes and gets no traffic."),
		rule.Alert("ReplicasMissing", rule.Warning, "15m",
			`kube_deployment_spec_replicas - kube_deployment_status_replicas_available > 0 or kube_statefulset_replicas - kube_statefulset_status_replicas_ready > 0`,
			"{{ $labels.deployment }}{{ $labels.statefulset }} runs with too few pods",
			"{{ $value }} replicas are missing for 15 minutes: pods cannot start, cannot be scheduled, or are not ready."),
		// A range of one number is no range that could be at its end.
		rule.Alert("AutoscalerAtMaximum", rule.Warning, "15m",
			`kube_horizontalpodautoscaler_status_current_replicas >= kube_horizontalpodautoscaler_spec_max_replicas and kube_horizontalpodautoscaler_spec_max_replicas > kube_horizontalpodautoscaler_spec_min_replicas`,
			"{{ $labels.horizontalpodautoscaler }} cannot scale further",
			"{{ $labels.horizontalpodautoscaler }} has run at its maximum of {{ $value }} pods for 15 minutes. More load makes it slower."),
		rule.Alert("AutoscalerNotScaling", rule.Warning, "15m", `kube_horizontalpodautoscaler_status_condition{condition="ScalingActive",status="false"} == 1`,
			"{{ $labels.horizontalpodautoscaler }} does not scale",
			"The autoscaler of {{ $labels.horizontalpodautoscaler }} cannot read the usage of its pods, mostly because the metrics server does not answer. The number of pods stays as it is."),
	}}
}

// selfMonitoring tells what monitoring itself does not get done.
func selfMonitoring(w Watched) rule.Group {
	g := rule.Group{Name: rule.Monitoring, Rules: []rule.Rule{
		// It stops when Prometheus is down, scrapes nothing, evaluates no rule or
		// cannot reach Alertmanager. Whoever gets the heartbeat notices.
		rule.Alert(DeadMansSwitch, rule.None, "", `count(up == 1) > 0`,
			"Monitoring works",
			"This alert always fires. The heartbeat receiver raises an alarm when it stops."),
		rule.Alert("PrometheusConfigurationRejected", rule.Warning, "5m", rule.On(w.Prometheus, `prometheus_config_last_reload_successful{$job} == 0`),
			"Prometheus rejected its configuration",
			"Prometheus runs with an older configuration than the one it was given."),
		rule.Alert("PrometheusRuleFailing", rule.Warning, "5m", rule.On(w.Prometheus, `increase(prometheus_rule_evaluation_failures_total{$job}[5m]) > 0`),
			"A rule of Prometheus fails",
			"Rules of the group {{ $labels.rule_group }} cannot be evaluated: their alerts are blind."),
		rule.Alert("AlertNotificationsFailing", rule.Warning, "5m", rule.On(w.Alertmanager, `rate(alertmanager_notifications_failed_total{$job}[5m]) > 0`),
			"Alerts do not reach their receiver",
			"Alertmanager cannot deliver to the {{ $labels.integration }} receiver ({{ $labels.reason }})."),
	}}
	if w.KubeStateMetrics != "" {
		g.Rules = append(g.Rules, rule.Missing("ClusterStateUnknown", rule.Warning, "5m", "up", w.KubeStateMetrics,
			"The state of the workloads is unknown",
			"kube-state-metrics does not answer: alerts on pods, replicas, autoscalers and volumes are blind."))
	}
	return g
}
