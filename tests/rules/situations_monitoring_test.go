package rules_test

import (
	monitoring "github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

var monitoringSituations = map[string][]situation{
	"TargetDown": {
		{name: "for six minutes", at: "6m", quietUntil: "4m", series: map[string]string{`up{job="cache",instance="10.0.0.2:9121",pod="cache-0"}`: "0x10"},
			fires: []firing{{rule.Warning, map[string]string{"workload": "cache", "job": "cache", "instance": "10.0.0.2:9121", "pod": "cache-0"},
				"A target cannot be scraped",
				"Prometheus has not reached the metrics of cache at 10.0.0.2:9121 for five minutes. Its other alerts are blind meanwhile."}}},
		{name: "a pod that takes three minutes to start", at: "8m", series: map[string]string{`up{job="backend",instance="x:1"}`: "0x3 1x10"}},
		{name: "a pod that was removed", at: "8m", series: map[string]string{`up{job="backend",instance="x:1"}`: "0x3 stale"}},
	},
	monitoring.DeadMansSwitch: {
		{name: "something is scraped", at: "0m", series: map[string]string{someoneElses: "1x5"},
			fires: []firing{{rule.None, nil, "Monitoring works", "This alert always fires. The heartbeat receiver raises an alarm when it stops."}}},
		{name: "nothing is scraped any more", at: "5m", series: map[string]string{someoneElses: "0x5"}},
		{name: "nothing is discovered", at: "5m"},
	},
	"ClusterStateUnknown": {
		{name: "gone", at: "10m", quietUntil: "4m", fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-kube-state-metrics"}, "The state of the workloads is unknown",
			"kube-state-metrics does not answer: alerts on pods, replicas, autoscalers and volumes are blind."}}},
		{name: "there", at: "10m", series: map[string]string{`up{job="monitoring-kube-state-metrics"}`: "1x20"}},
	},
	"PrometheusConfigurationRejected": {
		{name: "rejected", at: "10m", quietUntil: "4m", series: map[string]string{`prometheus_config_last_reload_successful{job="monitoring-prometheus"}`: "0x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-prometheus"}, "Prometheus rejected its configuration",
				"Prometheus runs with an older configuration than the one it was given."}}},
		{name: "accepted", at: "10m", series: map[string]string{`prometheus_config_last_reload_successful{job="monitoring-prometheus"}`: "1x20"}},
	},
	"PrometheusRuleFailing": {
		{name: "again and again", at: "15m", quietUntil: "5m", series: map[string]string{`prometheus_rule_evaluation_failures_total{job="monitoring-prometheus",rule_group="api"}`: "0+4x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-prometheus", "rule_group": "api"}, "A rule of Prometheus fails",
				"Rules of the group api cannot be evaluated: their alerts are blind."}}},
		{name: "once, long ago", at: "15m", series: map[string]string{`prometheus_rule_evaluation_failures_total{job="monitoring-prometheus",rule_group="api"}`: "1x20"}},
	},
	"AlertNotificationsFailing": {
		{name: "the receiver refuses", at: "15m", quietUntil: "5m", series: map[string]string{`alertmanager_notifications_failed_total{job="monitoring-alertmanager",integration="webhook",reason="serverError"}`: "0+1x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-alertmanager", "integration": "webhook", "reason": "serverError"}, "Alerts do not reach their receiver",
				"Alertmanager cannot deliver to the webhook receiver (serverError)."}}},
		{name: "all delivered", at: "15m", series: map[string]string{`alertmanager_notifications_failed_total{job="monitoring-alertmanager",integration="webhook",reason="serverError"}`: "0x20"}},
	},
	"DNSFailing": {
		{name: "three of four fail", at: "10m", quietUntil: "2m", series: map[string]string{
			`prometheus_sd_dns_lookups_total{job="monitoring-prometheus"}`: "0+4x20", `prometheus_sd_dns_lookup_failures_total{job="monitoring-prometheus"}`: "0+3x20"},
			fires: []firing{{rule.Critical, map[string]string{"job": "monitoring-prometheus"}, "Names cannot be looked up",
				"75% of Prometheus' look-ups of names fail: most likely, the cluster's DNS does not answer, and nothing finds anything that it is not connected to."}}},
		{name: "one of two fails", at: "10m", series: map[string]string{
			`prometheus_sd_dns_lookups_total{job="monitoring-prometheus"}`: "0+4x20", `prometheus_sd_dns_lookup_failures_total{job="monitoring-prometheus"}`: "0+2x20"}},
		{name: "all fail for two minutes", at: "10m", series: map[string]string{
			`prometheus_sd_dns_lookups_total{job="monitoring-prometheus"}`: "0+4x20", `prometheus_sd_dns_lookup_failures_total{job="monitoring-prometheus"}`: "0x4 4 8x20"}},
	},
	"PrometheusRulesMissed": {
		{name: "every turn", at: "25m", quietUntil: "15m", series: map[string]string{`prometheus_rule_group_iterations_missed_total{job="monitoring-prometheus",rule_group="api"}`: "0+1x40"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-prometheus", "rule_group": "api"}, "Prometheus is too slow for its rules",
				"The group api was left out 5 times within five minutes, as the turn before took too long: alerts come late."}}},
		{name: "while it started", at: "25m", series: map[string]string{`prometheus_rule_group_iterations_missed_total{job="monitoring-prometheus",rule_group="api"}`: "0+1x10 10x30"}},
	},
	"MetricsRefused": {
		{name: "a label of unbounded values", at: "15m", quietUntil: "5m", series: map[string]string{`prometheus_target_scrapes_exceeded_sample_limit_total{job="monitoring-prometheus"}`: "0+4x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-prometheus"}, "A target serves too many series",
				"20 scrapes within five minutes had more samples than one may have. Nothing of them was kept: the target counts as down."}}},
		{name: "once", at: "15m", series: map[string]string{`prometheus_target_scrapes_exceeded_sample_limit_total{job="monitoring-prometheus"}`: "0x5 1x20"}},
	},
	"PrometheusStorageFailing": {
		{name: "compactions", at: "60m", quietUntil: "35m", series: stored("0x20 3x200", "0x220"),
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-prometheus"}, "Prometheus cannot store what it measures",
				"Writing blocks, or reading the write-ahead log, failed 3 times within three hours. Samples are lost, or will be at the next start."}}},
		{name: "the write-ahead log", at: "60m", series: stored("0x220", "0x20 1x200"),
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-prometheus"}, "Prometheus cannot store what it measures",
				"Writing blocks, or reading the write-ahead log, failed 1 times within three hours. Samples are lost, or will be at the next start."}}},
		{name: "all well, but once before", at: "60m", series: stored("4x220", "0x220")},
	},
	"RemoteWriteFailing": {
		{name: "it refuses, and is away", at: "25m", quietUntil: "15m", series: map[string]string{
			`prometheus_remote_storage_samples_failed_total{job="monitoring-prometheus",url="https://x"}`:  "0+60x40",
			`prometheus_remote_storage_samples_retried_total{job="monitoring-prometheus",url="https://x"}`: "0+120x40"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-prometheus", "url": "https://x"}, "Samples do not reach the other server",
				"3 samples a second that Prometheus sends to https://x are refused, or have to be sent again."}}},
		{name: "it was away for ten minutes", at: "25m", series: map[string]string{
			`prometheus_remote_storage_samples_failed_total{job="monitoring-prometheus",url="https://x"}`:  "0x40",
			`prometheus_remote_storage_samples_retried_total{job="monitoring-prometheus",url="https://x"}`: "0x4 0+120x10 1200x40"}},
	},
	"AlertsDropped": {
		{name: "now and then", at: "15m", quietUntil: "5m", series: map[string]string{`prometheus_notifications_dropped_total{job="monitoring-prometheus"}`: "0+2x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-prometheus"}, "Prometheus drops alerts",
				"10 alerts within five minutes did not get from Prometheus to Alertmanager."}}},
		{name: "before", at: "15m", series: map[string]string{`prometheus_notifications_dropped_total{job="monitoring-prometheus"}`: "0+2x4 8x20"}},
	},
	"AlertmanagerConfigurationRejected": {
		{name: "rejected", at: "10m", quietUntil: "4m", series: map[string]string{`alertmanager_config_last_reload_successful{job="monitoring-alertmanager"}`: "0x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-alertmanager"}, "Alertmanager rejected its configuration",
				"Alertmanager runs with an older configuration than the one it was given: alerts go where they went before."}}},
		{name: "accepted", at: "10m", series: map[string]string{`alertmanager_config_last_reload_successful{job="monitoring-alertmanager"}`: "1x20"}},
	},
}

// stored are failures of compactions and of the write-ahead log.
func stored(compactions, log string) map[string]string {
	return map[string]string{
		`prometheus_tsdb_compactions_failed_total{job="monitoring-prometheus"}`:      compactions,
		`prometheus_tsdb_head_truncations_failed_total{job="monitoring-prometheus"}`: "0x220",
		`prometheus_tsdb_wal_corruptions_total{job="monitoring-prometheus"}`:         log,
	}
}
