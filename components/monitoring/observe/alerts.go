package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// DeadMansSwitch is the alert that fires for as long as monitoring works.
const DeadMansSwitch = "DeadMansSwitch"

// Shares of what there is.
const (
	// VolumeHigh is the default of Limits.Volumes, above the share of its volume that Prometheus uses by design.
	VolumeHigh = 0.85
	volumeFull = 0.95
)

// own are the rules that are about no room, or about monitoring.
func (w Watched) own() []rule.Group {
	monitoring := rule.Group{Name: rule.Monitoring, Rules: w.monitoring()}
	if w.KubeStateMetrics == "" {
		return []rule.Group{monitoring}
	}
	return []rule.Group{
		{Name: rule.Capacity, Rules: w.volumes()},
		{Name: rule.Workloads, Rules: w.workloads()},
		monitoring,
	}
}

// targets tells what does not answer Prometheus.
func (w Watched) targets() rule.Group {
	// A pod tells which workload it is of, as in all other alerts on it: several may have one
	// job, as a database's members of two generations.
	about := rule.About{Owner: rule.Platform, Workload: "{{ if $labels.pod }}" + ofPod + "{{ else }}{{ $labels.job }}{{ end }}", Dashboard: board.Infrastructure.UID}
	down := rule.Alert(targetDown, rule.Warning, "5m", `up == 0`,
		"A target cannot be scraped",
		"Prometheus has not reached the metrics of {{ $labels.job }} at {{ $labels.instance }} for five minutes. Its other alerts are blind meanwhile.")
	down.Silences = []rule.Silence{rule.OnSameWorkload(notReady, replicasMissing)}
	return rule.Group{Name: rule.Availability, Rules: about.Alerts(down)}
}

// volumes tells which claim is about to be full, of those that a room records.
func (w Watched) volumes() []rule.Rule {
	filling := func(severity rule.Severity, wait, expr, description string) rule.Rule {
		return rule.Alert("VolumeFilling", severity, wait, expr, "The volume of {{ $labels.persistentvolumeclaim }} is filling up", description)
	}
	const share = "{{ $value | humanizePercentage }} of the claim {{ $labels.persistentvolumeclaim }} is used. "
	// Prometheus drops its oldest samples by itself: its growth says nothing.
	growing := filling(rule.Warning, "1h", fmt.Sprintf(`%[1]s{persistentvolumeclaim!=%[2]q} > 0.5 and predict_linear(%[1]s[6h], 4 * 24 * 3600) > 1`, rule.VolumeUsed, w.PrometheusClaim),
		share+"If it goes on growing as in the last six hours, it is full within four days.")
	growing.Labels["trend"] = "growing"
	var own []rule.Rule
	if w.Prometheus != "" {
		own = []rule.Rule{
			rule.Volume(w.PrometheusClaim, w.Prometheus,
				"prometheus_tsdb_storage_blocks_bytes", "prometheus_tsdb_wal_storage_size_bytes", "prometheus_tsdb_head_chunks_storage_size_bytes"),
			// Its files, as they were written last: every quarter of an hour.
			rule.Volume(w.AlertmanagerClaim, w.Alertmanager, "alertmanager_nflog_snapshot_size_bytes", "alertmanager_silences_snapshot_size_bytes"),
		}
	}
	return rule.About{Owner: rule.Platform, Workload: ofClaim, Dashboard: board.Infrastructure.UID}.Alerts(append(own,
		filling(rule.Critical, "5m", fmt.Sprintf(`%s > %g`, rule.VolumeUsed, volumeFull), share+"Once it is full, writes fail."),
		filling(rule.Warning, "15m", fmt.Sprintf(`%s > %g`, rule.VolumeUsed, w.Limits.Volumes), share+"Enlarge it before it is full."),
		growing,
	)...)
}

// monitoring tells what monitoring itself does not get done.
func (w Watched) monitoring() []rule.Rule {
	about := func(workload string) rule.About {
		return rule.About{Owner: rule.Platform, Workload: workload, Dashboard: board.Infrastructure.UID}
	}
	var all []rule.Rule
	if w.Prometheus != "" {
		all = w.pipeline(about)
	}
	if w.KubeStateMetrics != "" {
		all = append(all, about(w.KubeStateMetrics).Alerts(rule.Missing("ClusterStateUnknown", rule.Warning, "5m", "up", w.KubeStateMetrics,
			"The state of the workloads is unknown",
			"kube-state-metrics does not answer: alerts on pods, replicas, autoscalers and volumes are blind."))...)
	}
	return all
}

// pipeline tells what does not get from a target to who acts on it. A Prometheus of
// somebody else's has rules of its own.
func (w Watched) pipeline(about func(workload string) rule.About) []rule.Rule {
	// It stops when Prometheus is down, scrapes nothing, evaluates no rule or cannot
	// reach Alertmanager. Whoever gets the heartbeat notices.
	dead := rule.Alert(DeadMansSwitch, rule.None, "", `count(up == 1) > 0`,
		"Monitoring works",
		"This alert always fires. The heartbeat receiver raises an alarm when it stops.")
	dead.Loud = true
	// Prometheus looks Alertmanager's name up twice a minute, and goes on with the
	// addresses that it had. Nearly everything else follows from it.
	names := rule.Alert("DNSFailing", rule.Critical, "2m",
		rule.On(w.Prometheus, `rate(prometheus_sd_dns_lookup_failures_total{$job}[3m]) / (rate(prometheus_sd_dns_lookups_total{$job}[3m]) > 0) > 0.5`),
		"Names cannot be looked up",
		"{{ $value | humanizePercentage }} of Prometheus' look-ups of names fail: most likely, the cluster's DNS does not answer, and nothing finds anything that it is not connected to.")
	names.Silences, names.Loud = []rule.Silence{{Matchers: []string{rule.WorkloadLabel + `!=""`}}}, true

	all := about("").Alerts(dead, names)
	all = append(all, about(w.Prometheus).Alerts(w.prometheus()...)...)
	return append(all, about(w.Alertmanager).Alerts(
		rule.Alert("AlertNotificationsFailing", rule.Warning, "5m", rule.On(w.Alertmanager, `rate(alertmanager_notifications_failed_total{$job}[5m]) > 0`),
			"Alerts do not reach their receiver",
			"Alertmanager cannot deliver to the {{ $labels.integration }} receiver ({{ $labels.reason }})."),
		rule.Alert("AlertmanagerConfigurationRejected", rule.Warning, "5m", rule.On(w.Alertmanager, `alertmanager_config_last_reload_successful{$job} == 0`),
			"Alertmanager rejected its configuration",
			"Alertmanager runs with an older configuration than the one it was given: alerts go where they went before."),
	)...)
}

func (w Watched) prometheus() []rule.Rule {
	on := func(expr string) string { return rule.On(w.Prometheus, expr) }
	var remote []rule.Rule
	if w.RemoteWrite {
		// What is refused for good is lost; what is tried again piles up, and is lost after
		// two hours.
		remote = append(remote, rule.Alert("RemoteWriteFailing", rule.Warning, "15m",
			on(`rate(prometheus_remote_storage_samples_failed_total{$job}[5m]) + rate(prometheus_remote_storage_samples_retried_total{$job}[5m]) > 0`),
			"Samples do not reach the other server",
			"{{ $value | humanize }} samples a second that Prometheus sends to {{ $labels.url }} are refused, or have to be sent again."))
	}
	return append(remote, []rule.Rule{
		rule.Alert("PrometheusConfigurationRejected", rule.Warning, "5m", on(`prometheus_config_last_reload_successful{$job} == 0`),
			"Prometheus rejected its configuration",
			"Prometheus runs with an older configuration than the one it was given."),
		rule.Alert("PrometheusRuleFailing", rule.Warning, "5m", on(`increase(prometheus_rule_evaluation_failures_total{$job}[5m]) > 0`),
			"A rule of Prometheus fails",
			"Rules of the group {{ $labels.rule_group }} cannot be evaluated: their alerts are blind."),
		rule.Alert("PrometheusRulesMissed", rule.Warning, "15m", on(`increase(prometheus_rule_group_iterations_missed_total{$job}[5m]) > 0`),
			"Prometheus is too slow for its rules",
			"The group {{ $labels.rule_group }} was left out {{ $value | humanize }} times within five minutes, as the turn before took too long: alerts come late."),
		rule.Alert("MetricsRefused", rule.Warning, "5m", on(`increase(prometheus_target_scrapes_exceeded_sample_limit_total{$job}[5m]) > 0`),
			"A target serves too many series",
			"{{ $value | humanize }} scrapes within five minutes had more samples than one may have. Nothing of them was kept: the target counts as down."),
		rule.Alert("PrometheusStorageFailing", rule.Warning, "15m",
			on(`increase(prometheus_tsdb_compactions_failed_total{$job}[3h]) + increase(prometheus_tsdb_head_truncations_failed_total{$job}[3h]) + increase(prometheus_tsdb_wal_corruptions_total{$job}[3h]) > 0`),
			"Prometheus cannot store what it measures",
			"Writing blocks, or reading the write-ahead log, failed {{ $value | humanize }} times within three hours. Samples are lost, or will be at the next start."),
		// While none arrives this does not either; the heartbeat stops. It tells of a few.
		rule.Alert("AlertsDropped", rule.Warning, "5m", on(`increase(prometheus_notifications_dropped_total{$job}[5m]) > 0`),
			"Prometheus drops alerts",
			"{{ $value | humanize }} alerts within five minutes did not get from Prometheus to Alertmanager."),
	}...)
}
