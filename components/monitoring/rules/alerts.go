package rules

import (
	"fmt"
	"strings"
)

// DeadMansSwitch is the alert that fires for as long as monitoring works.
const DeadMansSwitch = "DeadMansSwitch"

// Thresholds, each a share of what there is.
const (
	connectionsHigh = 0.8
	cacheFull       = 0.9
	// VolumeHigh is above the share of its volume that Prometheus uses by design.
	VolumeHigh = 0.85
	volumeFull = 0.95
)

// VolumeUsed and CertificateNotAfter name recorded series: the used share of a
// claim by the label persistentvolumeclaim, and a time in Unix seconds.
const (
	VolumeUsed          = "alphapulse:volume_used:ratio"
	CertificateNotAfter = "alphapulse:edge_certificate_not_after:timestamp_seconds"
)

// availability tells what does not answer.
func availability(w Watched) Group {
	g := Group{Name: "availability", Rules: []Rule{
		alert("TargetDown", Warning, "5m", `up == 0`,
			"A target cannot be scraped",
			"Prometheus has not reached the metrics of {{ $labels.job }} at {{ $labels.instance }} for five minutes. Its other alerts are blind meanwhile."),
	}}
	add := func(r Rule) { g.Rules = append(g.Rules, r) }
	if w.Database != "" {
		add(alert("DatabaseDown", Critical, "1m", fmt.Sprintf(`pg_up%[1]s == 0 or absent(pg_up%[1]s)`, job(w.Database)),
			"The database does not answer",
			"The exporter beside the database cannot log in, or does not answer itself. The API answers 503 to what is not cached."))
	}
	if w.Cache != "" {
		add(alert("CacheDown", Warning, "2m", fmt.Sprintf(`redis_up%[1]s == 0 or absent(redis_up%[1]s)`, job(w.Cache)),
			"The cache does not answer",
			"The exporter beside the cache cannot log in, or does not answer itself. Every read goes to the database: expect slow answers."))
		add(alert("CachePersistenceFailing", Warning, "10m",
			fmt.Sprintf(`redis_aof_last_write_status%[1]s == 0 or redis_rdb_last_bgsave_status%[1]s == 0 or redis_aof_last_bgrewrite_status%[1]s == 0`, job(w.Cache)),
			"The cache cannot write to its volume",
			"The last write or rewrite of the append-only file, or the last snapshot, failed. A restart would lose what came since."))
	}
	if w.Edge != "" {
		add(missing("EdgeDown", Critical, "1m", "nginx_up", w.Edge,
			"No edge pod answers",
			"No nginx of the edge answers its exporter: nothing is reachable from outside."))
	}
	if w.Engine != "" {
		// A rollout of the engine stops the old pod first and starts the new one
		// after it: shorter gaps are part of its life.
		absent := missing("EngineAbsent", Critical, "5m", "up", w.Engine,
			"No trading engine works",
			"No pod of "+w.Engine+" answers, or none is the one that works: no market data, no signals, and open positions are watched by nobody.")
		// In builds that choose a leader, pods that only wait are not working.
		const leaders = `(alphapulse_engine_leader%s)`
		absent.Expr += fmt.Sprintf(` or sum`+leaders+` == 0`, job(w.Engine))
		add(absent)
		add(alert("EngineDoubled", Critical, "1m",
			fmt.Sprintf(`sum by (job) `+leaders+` > 1 or count by (job) (up%[1]s == 1) > 1 unless on(job) count by (job) `+`(alphapulse_engine_leader%[1]s)`, job(w.Engine)),
			"More than one trading engine works",
			"{{ $value }} pods of {{ $labels.job }} work at the same time. Each of them trades on its own: positions may be opened twice."))
		add(alert("EngineStalled", Critical, "2m",
			fmt.Sprintf(`time() - max by (job) (alphapulse_engine_heartbeat_timestamp_seconds%s) > 60`, job(w.Engine)),
			"The trading engine has stopped working",
			"{{ $labels.job }} answers, but has not taken in any market data for {{ $value | humanizeDuration }}."))
	}
	return g
}

// capacity tells what is about to be full.
func capacity(w Watched) Group {
	g := Group{Name: "capacity"}
	add := func(r ...Rule) { g.Rules = append(g.Rules, r...) }
	// What the programs know of their own files, against what was asked for. The
	// node's own figures (kubelet_volume_stats_*) need cluster-wide permissions.
	used := func(jobName, claim string, metrics ...string) []Rule {
		if w.KubeStateMetrics == "" {
			return nil
		}
		sums := make([]string, len(metrics))
		for i, m := range metrics {
			sums[i] = "sum(" + m + job(jobName) + ")"
		}
		return []Rule{{
			Record: VolumeUsed,
			Expr: fmt.Sprintf(`(%s) / sum(kube_persistentvolumeclaim_resource_requests_storage_bytes{persistentvolumeclaim=%q})`,
				strings.Join(sums, " + "), claim),
			Labels: map[string]string{"persistentvolumeclaim": claim},
		}}
	}
	if w.Database != "" {
		add(used(w.Database, w.DatabaseClaim, "pg_database_size_bytes", "pg_wal_size_bytes")...)
		add(alert("DatabaseConnectionsHigh", Warning, "5m",
			fmt.Sprintf(`sum by (job) (pg_stat_database_numbackends%[1]s) / on(job) max by (job) (pg_settings_max_connections%[1]s) > %[2]g`, job(w.Database), connectionsHigh),
			"The database is running out of connections",
			"{{ $value | humanizePercentage }} of the database's connections are in use. At 100 % new ones are refused, and API pods that start cannot become ready."))
	}
	if w.Cache != "" {
		add(used(w.Cache, w.CacheClaim, "redis_aof_current_size_bytes")...)
		// A full cache that drops what was not read for long works as designed as
		// long as nobody misses it: full and dropping is worth a look, either alone is not.
		add(alert("CacheMemoryFull", Warning, "15m",
			fmt.Sprintf(`redis_memory_used_bytes%[1]s / (redis_memory_max_bytes%[1]s > 0) > %[2]g and rate(redis_evicted_keys_total%[1]s[15m]) > 0`, job(w.Cache), cacheFull),
			"The cache is full and drops entries",
			"{{ $value | humanizePercentage }} of the cache's memory is used, and entries are dropped before they expire. More reads go to the database than have to."))
	}
	if w.Prometheus != "" {
		add(used(w.Prometheus, w.PrometheusClaim,
			"prometheus_tsdb_storage_blocks_bytes", "prometheus_tsdb_wal_storage_size_bytes", "prometheus_tsdb_head_chunks_storage_size_bytes")...)
	}
	if w.Alertmanager != "" {
		// Its files, as they were written last: every quarter of an hour.
		add(used(w.Alertmanager, w.AlertmanagerClaim, "alertmanager_nflog_snapshot_size_bytes", "alertmanager_silences_snapshot_size_bytes")...)
	}
	if w.KubeStateMetrics == "" {
		return g
	}
	filling := func(severity Severity, wait, expr, description string) Rule {
		return alert("VolumeFilling", severity, wait, expr, "The volume of {{ $labels.persistentvolumeclaim }} is filling up", description)
	}
	const share = "{{ $value | humanizePercentage }} of the claim {{ $labels.persistentvolumeclaim }} is used. "
	// Prometheus drops its oldest samples by itself: its growth says nothing.
	growing := filling(Warning, "1h", fmt.Sprintf(`%[1]s{persistentvolumeclaim!=%[2]q} > 0.5 and predict_linear(%[1]s[6h], 4 * 24 * 3600) > 1`, VolumeUsed, w.PrometheusClaim),
		share+"If it goes on growing as in the last six hours, it is full within four days.")
	growing.Labels["trend"] = "growing"
	add(
		filling(Critical, "5m", fmt.Sprintf(`%s > %g`, VolumeUsed, volumeFull), share+"Once it is full, writes fail."),
		filling(Warning, "15m", fmt.Sprintf(`%s > %g`, VolumeUsed, VolumeHigh), share+"Enlarge it before it is full."),
		growing,
	)
	return g
}

// workloads tells what Kubernetes does not get done.
func workloads(w Watched) Group {
	if w.KubeStateMetrics == "" {
		return Group{}
	}
	return Group{Name: "workloads", Rules: []Rule{
		alert("PodCrashLooping", Warning, "5m",
			`max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m]) >= 1 or max_over_time(kube_pod_init_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m]) >= 1`,
			"A container crashes again and again",
			"Container {{ $labels.container }} of pod {{ $labels.pod }} ends soon after every start. Kubernetes waits longer each time before it tries again."),
		alert("ContainerOutOfMemory", Warning, "",
			`kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1 and on(namespace, pod, container) increase(kube_pod_container_status_restarts_total[30m]) > 0`,
			"A container was killed for its memory",
			"Container {{ $labels.container }} of pod {{ $labels.pod }} went over its memory limit and was killed."),
		alert("PodNotReady", Warning, "15m",
			`kube_pod_status_ready{condition="true"} == 0 and on(namespace, pod) kube_pod_status_phase{phase=~"Pending|Running|Unknown"} == 1`,
			"A pod does not become ready",
			"Pod {{ $labels.pod }} is not ready for 15 minutes and gets no traffic."),
		alert("ReplicasMissing", Warning, "15m",
			`kube_deployment_spec_replicas - kube_deployment_status_replicas_available > 0 or kube_statefulset_replicas - kube_statefulset_status_replicas_ready > 0`,
			"{{ $labels.deployment }}{{ $labels.statefulset }} runs with too few pods",
			"{{ $value }} replicas are missing for 15 minutes: pods cannot start, cannot be scheduled, or are not ready."),
		// A range of one number is no range that could be at its end.
		alert("AutoscalerAtMaximum", Warning, "15m",
			`kube_horizontalpodautoscaler_status_current_replicas >= kube_horizontalpodautoscaler_spec_max_replicas and kube_horizontalpodautoscaler_spec_max_replicas > kube_horizontalpodautoscaler_spec_min_replicas`,
			"{{ $labels.horizontalpodautoscaler }} cannot scale further",
			"{{ $labels.horizontalpodautoscaler }} has run at its maximum of {{ $value }} pods for 15 minutes. More load makes it slower."),
		alert("AutoscalerNotScaling", Warning, "15m", `kube_horizontalpodautoscaler_status_condition{condition="ScalingActive",status="false"} == 1`,
			"{{ $labels.horizontalpodautoscaler }} does not scale",
			"The autoscaler of {{ $labels.horizontalpodautoscaler }} cannot read the usage of its pods, mostly because the metrics server does not answer. The number of pods stays as it is."),
	}}
}

// certificate tells that the edge's certificate is about to expire. Every
// certificate of the edge comes through the program, so the program states its end.
func (o Options) certificate() Group {
	g := Group{Name: "certificate"}
	if o.CertificateNotAfter == 0 {
		return g
	}
	expiring := func(severity Severity, days int) Rule {
		return alert("CertificateExpiring", severity, "1h", fmt.Sprintf(`%s - time() < %d * 24 * 3600`, CertificateNotAfter, days),
			"The edge's certificate expires soon",
			"The edge's certificate expires in {{ $value | humanizeDuration }}. After that browsers refuse every page.")
	}
	g.Rules = []Rule{
		{Record: CertificateNotAfter, Expr: fmt.Sprintf("vector(%d)", o.CertificateNotAfter)},
		expiring(Critical, 3),
		expiring(Warning, 21),
	}
	return g
}

// selfMonitoring tells what monitoring itself does not get done.
func selfMonitoring(w Watched) Group {
	g := Group{Name: "monitoring", Rules: []Rule{
		// It stops when Prometheus is down, scrapes nothing, evaluates no rule or
		// cannot reach Alertmanager. Whoever gets the heartbeat notices.
		alert(DeadMansSwitch, None, "", `count(up == 1) > 0`,
			"Monitoring works",
			"This alert always fires. The heartbeat receiver raises an alarm when it stops."),
		alert("PrometheusConfigurationRejected", Warning, "5m", fmt.Sprintf(`prometheus_config_last_reload_successful%s == 0`, job(w.Prometheus)),
			"Prometheus rejected its configuration",
			"Prometheus runs with an older configuration than the one it was given."),
		alert("PrometheusRuleFailing", Warning, "5m", fmt.Sprintf(`increase(prometheus_rule_evaluation_failures_total%s[5m]) > 0`, job(w.Prometheus)),
			"A rule of Prometheus fails",
			"Rules of the group {{ $labels.rule_group }} cannot be evaluated: their alerts are blind."),
		alert("AlertNotificationsFailing", Warning, "5m", fmt.Sprintf(`rate(alertmanager_notifications_failed_total%s[5m]) > 0`, job(w.Alertmanager)),
			"Alerts do not reach their receiver",
			"Alertmanager cannot deliver to the {{ $labels.integration }} receiver ({{ $labels.reason }})."),
	}}
	if w.KubeStateMetrics != "" {
		g.Rules = append(g.Rules, missing("ClusterStateUnknown", Warning, "5m", "up", w.KubeStateMetrics,
			"The state of the workloads is unknown",
			"kube-state-metrics does not answer: alerts on pods, replicas, autoscalers and volumes are blind."))
	}
	return g
}
