package rules_test

import (
	"fmt"
	"maps"

	monitoring "github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// situation is what Prometheus has scraped, one value a minute, and what fires then.
type situation struct {
	name string
	// start of the clock in Unix seconds.
	start int64
	// series in promtool's notation: "1x5" is 1 six times, "0+60x5" grows by 60.
	series map[string]string
	// at is the time since the start.
	at string
	// fires is empty where the alert stays quiet.
	fires []firing
}

type firing struct {
	severity             rule.Severity
	labels               map[string]string
	summary, description string
}

// traffic is four hours of 600 requests a minute, of which so many fail and so
// many take longer than the objective allows.
func traffic(failed, slow int) map[string]string {
	const perMinute, minutes = 600, 250
	grows := func(by int) string { return fmt.Sprintf("0+%dx%d", by, minutes) }
	return map[string]string{
		`http_requests_total{job="backend",pod="a",status="200"}`:              grows(perMinute - failed),
		`http_requests_total{job="backend",pod="a",status="503"}`:              grows(failed),
		`http_request_duration_seconds_count{job="backend",pod="a"}`:           grows(perMinute),
		`http_request_duration_seconds_bucket{job="backend",le="0.2",pod="a"}`: grows(perMinute - slow),
	}
}

// with adds series to others.
func with(all ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, m := range all {
		maps.Copy(merged, m)
	}
	return merged
}

const (
	failsTooMuch       = "The API fails too many requests"
	answersSlowly      = "The API answers too slowly"
	latencyUnknown     = "The API's latency objective cannot be measured"
	latencyUnknownText = "Requests are answered whose time no bucket of the histogram http_request_duration_seconds from 0.2 s to below 0.6 s tells. " +
		"APILatencyBudgetBurn is blind for them."
	someoneElses      = `up{job="someone-else",instance="x:1"}`
	kubeLabels        = `job="monitoring-kube-state-metrics",instance="kube-state-metrics",namespace="n"`
	claimSize         = `kube_persistentvolumeclaim_resource_requests_storage_bytes{` + kubeLabels + `,persistentvolumeclaim="%s"}`
	replicasText      = " replicas are missing for 15 minutes: pods cannot start, cannot be scheduled, or are not ready."
	expiringText      = "The edge's certificate expires in %s. After that browsers refuse every page."
	expiringSoon      = "The edge's certificate expires soon"
	crashText         = " ends soon after every start. Kubernetes waits longer each time before it tries again."
	crashSummary      = "A container crashes again and again"
	databaseText      = "The exporter beside the database cannot log in, or does not answer itself. The API answers 503 to what is not cached."
	databaseIsDown    = "The database does not answer"
	cacheText         = "The exporter beside the cache cannot log in, or does not answer itself. Every read goes to the database: expect slow answers."
	cacheIsDown       = "The cache does not answer"
	cacheWrites       = "The cache cannot write to its volume"
	engineAbsent      = "No trading engine works"
	engineAbsentText  = "No pod of backend-engine answers, or none is the one that works: no market data, no signals, and open positions are watched by nobody."
	engineDoubled     = "More than one trading engine works"
	engineDoubledText = "2 pods of backend-engine work at the same time. Each of them trades on its own: positions may be opened twice."
	cacheWriteText    = "The last write or rewrite of the append-only file, or the last snapshot, failed. A restart would lose what came since."
)

// state completes the labels that series of kube-state-metrics carry.
func state(labels map[string]string) map[string]string {
	l := map[string]string{"job": "monitoring-kube-state-metrics", "instance": "kube-state-metrics", "namespace": "n"}
	maps.Copy(l, labels)
	return l
}

func kube(metric, labels string) string {
	return metric + "{" + kubeLabels + "," + labels + "}"
}

// burning is what fires at a burn rate.
func burning(severity rule.Severity, window, summary, description string) []firing {
	return []firing{{severity, map[string]string{"window": window}, summary, description}}
}

func errorText(share, window, exhausted string) string {
	return share + " of the API's requests failed with 5xx over " + window +
		", and it goes on. At this rate the error budget of 30 days (1 % of the requests) is used up within " + exhausted + "."
}

func slowText(share, window, exhausted string) string {
	return share + " of the API's requests took longer than 0.2 s (the nearest bucket at or above it) over " + window +
		", and it goes on. At this rate the latency budget of 30 days (5 % of the requests) is used up within " + exhausted + "."
}

var situations = map[string][]situation{
	"APIDown": {
		{name: "no pod", at: "5m", fires: []firing{{rule.Critical, map[string]string{"job": "backend"}, "No API pod answers",
			"Prometheus reaches the metrics of no pod of backend: users get errors from the edge."}}},
		{name: "pods that do not answer", at: "5m", series: map[string]string{`up{job="backend",pod="a"}`: "0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "backend"}, "No API pod answers",
				"Prometheus reaches the metrics of no pod of backend: users get errors from the edge."}}},
		{name: "one of two answers", at: "5m", series: map[string]string{`up{job="backend",pod="a"}`: "0x10", `up{job="backend",pod="b"}`: "1x10"}},
	},
	"APIErrorBudgetBurn": {
		{name: "20 % for ten minutes", at: "10m", series: traffic(120, 0),
			fires: burning(rule.Critical, "1h", failsTooMuch, errorText("20%", "1h", "two days"))},
		{name: "8 % for forty minutes", at: "40m", series: traffic(48, 0),
			fires: burning(rule.Critical, "6h", failsTooMuch, errorText("8%", "6h", "five days"))},
		{name: "4 % for two hours", at: "2h", series: traffic(24, 0),
			fires: burning(rule.Warning, "1d", failsTooMuch, errorText("4%", "1d", "ten days"))},
		{name: "2 % for four hours", at: "4h", series: traffic(12, 0),
			fires: burning(rule.Warning, "3d", failsTooMuch, errorText("2%", "3d", "thirty days"))},
		{name: "0.9 % for four hours", at: "4h", series: traffic(5, 0)},
		{name: "no failure ever", at: "10m", series: map[string]string{`http_requests_total{job="backend",status="200"}`: "0+600x10"}},
		{name: "half of one request in five minutes", at: "1h", series: map[string]string{
			`http_requests_total{job="backend",status="200"}`: "0+0.1x60", `http_requests_total{job="backend",status="503"}`: "0+0.1x60"}},
		{name: "refused requests are the client's", at: "10m", series: map[string]string{
			`http_requests_total{job="backend",status="200"}`: "0+600x10", `http_requests_total{job="backend",status="429"}`: "0+600x10"}},
		{name: "a readiness probe that says no", at: "10m", series: with(traffic(0, 0),
			map[string]string{`http_requests_total{job="backend",route="/ready",status="503"}`: "0+6000x10"})},
		{name: "failures of another service", at: "10m", series: with(traffic(0, 0),
			map[string]string{`http_requests_total{job="frontend",status="500"}`: "0+6000x10"})},
	},
	"APILatencyBudgetBurn": {
		{name: "80 % slow for ten minutes", at: "10m", series: traffic(0, 480),
			fires: burning(rule.Critical, "1h", answersSlowly, slowText("80%", "1h", "two days"))},
		{name: "40 % slow for forty minutes", at: "40m", series: traffic(0, 240),
			fires: burning(rule.Critical, "6h", answersSlowly, slowText("40%", "6h", "five days"))},
		{name: "20 % slow for two hours", at: "2h", series: traffic(0, 120),
			fires: burning(rule.Warning, "1d", answersSlowly, slowText("20%", "1d", "ten days"))},
		{name: "10 % slow for four hours", at: "4h", series: traffic(0, 60),
			fires: burning(rule.Warning, "3d", answersSlowly, slowText("10%", "3d", "thirty days"))},
		{name: "slow users among fast probes", at: "10m", series: with(traffic(0, 480), map[string]string{
			`http_request_duration_seconds_count{job="backend",route="/health"}`:           "0+6000x10",
			`http_request_duration_seconds_bucket{job="backend",route="/health",le="0.2"}`: "0+6000x10"}),
			fires: burning(rule.Critical, "1h", answersSlowly, slowText("80%", "1h", "two days"))},
		{name: "4 % slow for four hours", at: "4h", series: traffic(0, 24)},
	},
	// More builds are looked at in TestLatencyOfAnyBuild.
	"APILatencyUnmeasured": {
		{name: "no bucket near the objective", at: "10m", series: map[string]string{
			`http_request_duration_seconds_count{job="backend",pod="a"}`:           "0+600x20",
			`http_request_duration_seconds_bucket{job="backend",pod="a",le="0.6"}`: "0+600x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "backend"}, latencyUnknown, latencyUnknownText}}},
		{name: "the furthest that is near enough", at: "10m", series: map[string]string{
			`http_request_duration_seconds_count{job="backend",pod="a"}`:            "0+600x20",
			`http_request_duration_seconds_bucket{job="backend",pod="a",le="0.59"}`: "0+600x20"}},
	},
	"TargetDown": {
		{name: "for six minutes", at: "6m", series: map[string]string{`up{job="cache",instance="10.0.0.2:9121",pod="cache-0"}`: "0x10"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache", "instance": "10.0.0.2:9121", "pod": "cache-0"},
				"A target cannot be scraped",
				"Prometheus has not reached the metrics of cache at 10.0.0.2:9121 for five minutes. Its other alerts are blind meanwhile."}}},
		{name: "a pod that takes three minutes to start", at: "8m", series: map[string]string{`up{job="backend",instance="x:1"}`: "0x3 1x10"}},
		{name: "a pod that was removed", at: "8m", series: map[string]string{`up{job="backend",instance="x:1"}`: "0x3 stale"}},
	},
	"DatabaseDown": {
		{name: "the exporter cannot log in", at: "8m", series: map[string]string{`pg_up{job="database",instance="x:1"}`: "1x4 0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "database", "instance": "x:1"}, databaseIsDown, databaseText}}},
		{name: "the pod is gone", at: "8m", series: map[string]string{`pg_up{job="database",instance="x:1"}`: "1x4 stale"},
			fires: []firing{{rule.Critical, map[string]string{"job": "database"}, databaseIsDown, databaseText}}},
		{name: "it answers", at: "8m", series: map[string]string{`pg_up{job="database",instance="x:1"}`: "1x10"}},
	},
	"CacheDown": {
		{name: "the exporter cannot log in", at: "8m", series: map[string]string{`redis_up{job="cache",instance="x:1"}`: "1x4 0x10"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache", "instance": "x:1"}, cacheIsDown, cacheText}}},
		{name: "the pod is gone", at: "8m", fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, cacheIsDown, cacheText}}},
		{name: "a restart", at: "8m", series: map[string]string{`redis_up{job="cache",instance="x:1"}`: "1x4 0 1x10"}},
	},
	"CachePersistenceFailing": {
		{name: "the append-only file", at: "20m", series: map[string]string{
			`redis_aof_last_write_status{job="cache"}`: "0x30", `redis_rdb_last_bgsave_status{job="cache"}`: "1x30", `redis_aof_last_bgrewrite_status{job="cache"}`: "1x30"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, cacheWrites, cacheWriteText}}},
		{name: "its rewrite", at: "20m", series: map[string]string{
			`redis_aof_last_write_status{job="cache"}`: "1x30", `redis_rdb_last_bgsave_status{job="cache"}`: "1x30", `redis_aof_last_bgrewrite_status{job="cache"}`: "0x30"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, cacheWrites, cacheWriteText}}},
		{name: "all well", at: "20m", series: map[string]string{
			`redis_aof_last_write_status{job="cache"}`: "1x30", `redis_rdb_last_bgsave_status{job="cache"}`: "1x30", `redis_aof_last_bgrewrite_status{job="cache"}`: "1x30"}},
	},
	"EdgeDown": {
		{name: "nginx does not answer", at: "5m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "edge"}, "No edge pod answers",
				"No nginx of the edge answers its exporter: nothing is reachable from outside."}}},
		{name: "one of two answers", at: "5m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "0x10", `nginx_up{job="edge",pod="b"}`: "1x10"}},
	},
	"EngineAbsent": {
		{name: "no pod", at: "10m", fires: []firing{{rule.Critical, map[string]string{"job": "backend-engine"}, engineAbsent, engineAbsentText}}},
		{name: "a pod that does not work", at: "10m", series: map[string]string{
			`up{job="backend-engine",pod="a"}`: "1x10", `alphapulse_engine_leader{job="backend-engine",pod="a"}`: "0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "backend-engine"}, engineAbsent, engineAbsentText}}},
		{name: "it works", at: "10m", series: map[string]string{
			`up{job="backend-engine",pod="a"}`: "1x10", `alphapulse_engine_leader{job="backend-engine",pod="a"}`: "1x10"}},
		{name: "a build without a leader", at: "10m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x10"}},
		{name: "the gap of a rollout", at: "10m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x4 stale", `up{job="backend-engine",pod="b"}`: "_x7 1x10"}},
	},
	"EngineDoubled": {
		{name: "two leaders", at: "5m", series: map[string]string{
			`up{job="backend-engine",pod="a"}`: "1x10", `up{job="backend-engine",pod="b"}`: "1x10",
			`alphapulse_engine_leader{job="backend-engine",pod="a"}`: "1x10", `alphapulse_engine_leader{job="backend-engine",pod="b"}`: "1x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "backend-engine"}, engineDoubled, engineDoubledText}}},
		{name: "two pods of a build without a leader", at: "5m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x10", `up{job="backend-engine",pod="b"}`: "1x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "backend-engine"}, engineDoubled, engineDoubledText}}},
		{name: "one leader and one that waits", at: "5m", series: map[string]string{
			`up{job="backend-engine",pod="a"}`: "1x10", `up{job="backend-engine",pod="b"}`: "1x10",
			`alphapulse_engine_leader{job="backend-engine",pod="a"}`: "1x10", `alphapulse_engine_leader{job="backend-engine",pod="b"}`: "0x10"}},
		{name: "one pod", at: "5m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x10", `up{job="backend",pod="b"}`: "1x10"}},
		{name: "one pod and one that does not answer", at: "5m", series: map[string]string{`up{job="backend-engine",pod="a"}`: "1x10", `up{job="backend-engine",pod="b"}`: "0x10"}},
	},
	"EngineStalled": {
		{name: "no batch for ten minutes", at: "10m", series: map[string]string{`alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="a"}`: "0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "backend-engine"}, "The trading engine has stopped working",
				"backend-engine answers, but has not taken in any market data for 10m 0s."}}},
		{name: "a batch every minute", at: "10m", series: map[string]string{`alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="a"}`: "0+60x10"}},
		{name: "one that waits beside one that works", at: "10m", series: map[string]string{
			`alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="a"}`: "0x10", `alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="b"}`: "0+60x10"}},
	},
	"DatabaseConnectionsHigh": {
		{name: "85 of 100", at: "10m", series: map[string]string{
			`pg_stat_database_numbackends{job="database",datname="alphapulse"}`: "80x20",
			`pg_stat_database_numbackends{job="database",datname="postgres"}`:   "5x20",
			`pg_settings_max_connections{job="database",server="x"}`:            "100x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "database"}, "The database is running out of connections",
				"85% of the database's connections are in use. At 100 % new ones are refused, and API pods that start cannot become ready."}}},
		{name: "60 of 100", at: "10m", series: map[string]string{
			`pg_stat_database_numbackends{job="database",datname="alphapulse"}`: "60x20",
			`pg_settings_max_connections{job="database",server="x"}`:            "100x20"}},
	},
	"CacheMemoryFull": {
		{name: "full and dropping", at: "30m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "95x40", `redis_memory_max_bytes{job="cache"}`: "100x40", `redis_evicted_keys_total{job="cache"}`: "0+5x40"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, "The cache is full and drops entries",
				"95% of the cache's memory is used, and entries are dropped before they expire. More reads go to the database than have to."}}},
		{name: "full, nothing dropped", at: "30m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "95x40", `redis_memory_max_bytes{job="cache"}`: "100x40", `redis_evicted_keys_total{job="cache"}`: "7x40"}},
		{name: "no limit set", at: "30m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "95x40", `redis_memory_max_bytes{job="cache"}`: "0x40", `redis_evicted_keys_total{job="cache"}`: "0+5x40"}},
	},
	"VolumeFilling": {
		{name: "97 % of the database's", at: "10m", series: map[string]string{
			`pg_database_size_bytes{job="database",datname="alphapulse"}`: "90x20", `pg_wal_size_bytes{job="database"}`: "7x20", fmt.Sprintf(claimSize, "database"): "100x20"},
			fires: []firing{{rule.Critical, map[string]string{"persistentvolumeclaim": "database"}, "The volume of database is filling up",
				"97% of the claim database is used. Once it is full, writes fail."}}},
		{name: "90 % of the cache's", at: "20m", series: map[string]string{
			`redis_aof_current_size_bytes{job="cache"}`: "90x30", fmt.Sprintf(claimSize, "cache"): "100x30"},
			fires: []firing{{rule.Warning, map[string]string{"persistentvolumeclaim": "cache"}, "The volume of cache is filling up",
				"90% of the claim cache is used. Enlarge it before it is full."}}},
		{name: "growing fast", at: "8h", series: map[string]string{
			`pg_database_size_bytes{job="database",datname="alphapulse"}`: "40+0.05x500", `pg_wal_size_bytes{job="database"}`: "0x500", fmt.Sprintf(claimSize, "database"): "100x500"},
			fires: []firing{{rule.Warning, map[string]string{"persistentvolumeclaim": "database", "trend": "growing"}, "The volume of database is filling up",
				"64% of the claim database is used. If it goes on growing as in the last six hours, it is full within four days."}}},
		{name: "growing slowly", at: "8h", series: map[string]string{
			`pg_database_size_bytes{job="database",datname="alphapulse"}`: "60+0.001x500", `pg_wal_size_bytes{job="database"}`: "0x500", fmt.Sprintf(claimSize, "database"): "100x500"}},
		{name: "silences fill Alertmanager's", at: "20m", series: map[string]string{
			`alertmanager_nflog_snapshot_size_bytes{job="monitoring-alertmanager"}`: "6x30", `alertmanager_silences_snapshot_size_bytes{job="monitoring-alertmanager"}`: "80x30",
			fmt.Sprintf(claimSize, "monitoring-alertmanager"): "100x30"},
			fires: []firing{{rule.Warning, map[string]string{"persistentvolumeclaim": "monitoring-alertmanager"}, "The volume of monitoring-alertmanager is filling up",
				"86% of the claim monitoring-alertmanager is used. Enlarge it before it is full."}}},
		{name: "Alertmanager's is half full and stays so", at: "8h", series: map[string]string{
			`alertmanager_nflog_snapshot_size_bytes{job="monitoring-alertmanager"}`: "20x500", `alertmanager_silences_snapshot_size_bytes{job="monitoring-alertmanager"}`: "40x500",
			fmt.Sprintf(claimSize, "monitoring-alertmanager"): "100x500"}},
		{name: "Prometheus fills its share", at: "8h", series: map[string]string{
			`prometheus_tsdb_storage_blocks_bytes{job="monitoring-prometheus"}`: "50+0.05x500", `prometheus_tsdb_wal_storage_size_bytes{job="monitoring-prometheus"}`: "1x500",
			`prometheus_tsdb_head_chunks_storage_size_bytes{job="monitoring-prometheus"}`: "1x500", fmt.Sprintf(claimSize, "monitoring-prometheus"): "100x500"}},
	},
	"PodCrashLooping": {
		{name: "between two attempts", at: "10m", series: map[string]string{
			kube("kube_pod_container_status_waiting_reason", `pod="a",container="api",reason="CrashLoopBackOff"`): "1 1 _ 1 1 _ 1 1 1 1 1"},
			fires: []firing{{rule.Warning, state(map[string]string{"pod": "a", "container": "api", "reason": "CrashLoopBackOff"}), crashSummary,
				"Container api of pod a" + crashText}}},
		{name: "an init container", at: "10m", series: map[string]string{
			kube("kube_pod_init_container_status_waiting_reason", `pod="a",container="wait",reason="CrashLoopBackOff"`): "1x20"},
			fires: []firing{{rule.Warning, state(map[string]string{"pod": "a", "container": "wait", "reason": "CrashLoopBackOff"}), crashSummary,
				"Container wait of pod a" + crashText}}},
		{name: "waiting for its image", at: "10m", series: map[string]string{
			kube("kube_pod_container_status_waiting_reason", `pod="a",container="api",reason="ContainerCreating"`): "1x20"}},
	},
	"ContainerOutOfMemory": {
		{name: "killed and started again", at: "10m", series: map[string]string{
			kube("kube_pod_container_status_last_terminated_reason", `pod="a",container="api",reason="OOMKilled"`): "_x4 1x20",
			kube("kube_pod_container_status_restarts_total", `pod="a",container="api"`):                            "0x4 1x20"},
			fires: []firing{{rule.Warning, state(map[string]string{"pod": "a", "container": "api", "reason": "OOMKilled"}), "A container was killed for its memory",
				"Container api of pod a went over its memory limit and was killed."}}},
		{name: "long ago", at: "1h", series: map[string]string{
			kube("kube_pod_container_status_last_terminated_reason", `pod="a",container="api",reason="OOMKilled"`): "1x70",
			kube("kube_pod_container_status_restarts_total", `pod="a",container="api"`):                            "1x70"}},
		{name: "another end", at: "10m", series: map[string]string{
			kube("kube_pod_container_status_last_terminated_reason", `pod="a",container="api",reason="Error"`): "1x20",
			kube("kube_pod_container_status_restarts_total", `pod="a",container="api"`):                        "0x4 1x20"}},
	},
	"PodNotReady": {
		{name: "running, not ready", at: "20m", series: map[string]string{
			kube("kube_pod_status_ready", `pod="a",condition="true"`): "0x30", kube("kube_pod_status_phase", `pod="a",phase="Running"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"pod": "a", "condition": "true"}), "A pod does not become ready",
				"Pod a is not ready for 15 minutes and gets no traffic."}}},
		{name: "a finished job", at: "20m", series: map[string]string{
			kube("kube_pod_status_ready", `pod="a",condition="true"`): "0x30", kube("kube_pod_status_phase", `pod="a",phase="Succeeded"`): "1x30", kube("kube_pod_status_phase", `pod="a",phase="Running"`): "0x30"}},
	},
	"ReplicasMissing": {
		{name: "a deployment", at: "20m", series: map[string]string{
			kube("kube_deployment_spec_replicas", `deployment="backend"`): "3x30", kube("kube_deployment_status_replicas_available", `deployment="backend"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"deployment": "backend"}), "backend runs with too few pods", "2" + replicasText}}},
		{name: "a stateful set", at: "20m", series: map[string]string{
			kube("kube_statefulset_replicas", `statefulset="database"`): "1x30", kube("kube_statefulset_status_replicas_ready", `statefulset="database"`): "0x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"statefulset": "database"}), "database runs with too few pods", "1" + replicasText}}},
		{name: "a surge pod more", at: "20m", series: map[string]string{
			kube("kube_deployment_spec_replicas", `deployment="backend"`): "3x30", kube("kube_deployment_status_replicas_available", `deployment="backend"`): "4x30"}},
		{name: "scaling up", at: "20m", series: map[string]string{
			kube("kube_deployment_spec_replicas", `deployment="backend"`): "3x10 6x20", kube("kube_deployment_status_replicas_available", `deployment="backend"`): "3x14 6x20"}},
	},
	"AutoscalerAtMaximum": {
		{name: "ten of ten", at: "20m", series: map[string]string{
			kube("kube_horizontalpodautoscaler_status_current_replicas", `horizontalpodautoscaler="backend"`): "10x30",
			kube("kube_horizontalpodautoscaler_spec_max_replicas", `horizontalpodautoscaler="backend"`):       "10x30",
			kube("kube_horizontalpodautoscaler_spec_min_replicas", `horizontalpodautoscaler="backend"`):       "3x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"horizontalpodautoscaler": "backend"}), "backend cannot scale further",
				"backend has run at its maximum of 10 pods for 15 minutes. More load makes it slower."}}},
		{name: "nine of ten", at: "20m", series: map[string]string{
			kube("kube_horizontalpodautoscaler_status_current_replicas", `horizontalpodautoscaler="backend"`): "9x30",
			kube("kube_horizontalpodautoscaler_spec_max_replicas", `horizontalpodautoscaler="backend"`):       "10x30",
			kube("kube_horizontalpodautoscaler_spec_min_replicas", `horizontalpodautoscaler="backend"`):       "3x30"}},
		{name: "fixed to one size", at: "20m", series: map[string]string{
			kube("kube_horizontalpodautoscaler_status_current_replicas", `horizontalpodautoscaler="backend"`): "3x30",
			kube("kube_horizontalpodautoscaler_spec_max_replicas", `horizontalpodautoscaler="backend"`):       "3x30",
			kube("kube_horizontalpodautoscaler_spec_min_replicas", `horizontalpodautoscaler="backend"`):       "3x30"}},
	},
	"AutoscalerNotScaling": {
		{name: "no metrics", at: "20m", series: map[string]string{
			kube("kube_horizontalpodautoscaler_status_condition", `horizontalpodautoscaler="backend",condition="ScalingActive",status="false"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"horizontalpodautoscaler": "backend", "condition": "ScalingActive", "status": "false"}), "backend does not scale",
				"The autoscaler of backend cannot read the usage of its pods, mostly because the metrics server does not answer. The number of pods stays as it is."}}},
		{name: "at its limit", at: "20m", series: map[string]string{
			kube("kube_horizontalpodautoscaler_status_condition", `horizontalpodautoscaler="backend",condition="ScalingActive",status="false"`): "0x30",
			kube("kube_horizontalpodautoscaler_status_condition", `horizontalpodautoscaler="backend",condition="ScalingLimited",status="true"`): "1x30"}},
	},
	"CertificateExpiring": {
		{name: "fifteen days left", start: notAfter - 15*24*3600, at: "2h",
			fires: []firing{{rule.Warning, nil, expiringSoon, fmt.Sprintf(expiringText, "14d 22h 0m 0s")}}},
		{name: "two days left", start: notAfter - 2*24*3600, at: "2h", fires: []firing{
			{rule.Critical, nil, expiringSoon, fmt.Sprintf(expiringText, "1d 22h 0m 0s")},
			{rule.Warning, nil, expiringSoon, fmt.Sprintf(expiringText, "1d 22h 0m 0s")},
		}},
		{name: "a month left", at: "2h"},
	},
	monitoring.DeadMansSwitch: {
		{name: "something is scraped", at: "0m", series: map[string]string{someoneElses: "1x5"},
			fires: []firing{{rule.None, nil, "Monitoring works", "This alert always fires. The heartbeat receiver raises an alarm when it stops."}}},
		{name: "nothing is scraped any more", at: "5m", series: map[string]string{someoneElses: "0x5"}},
		{name: "nothing is discovered", at: "5m"},
	},
	"ClusterStateUnknown": {
		{name: "gone", at: "10m", fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-kube-state-metrics"}, "The state of the workloads is unknown",
			"kube-state-metrics does not answer: alerts on pods, replicas, autoscalers and volumes are blind."}}},
		{name: "there", at: "10m", series: map[string]string{`up{job="monitoring-kube-state-metrics"}`: "1x20"}},
	},
	"PrometheusConfigurationRejected": {
		{name: "rejected", at: "10m", series: map[string]string{`prometheus_config_last_reload_successful{job="monitoring-prometheus"}`: "0x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-prometheus"}, "Prometheus rejected its configuration",
				"Prometheus runs with an older configuration than the one it was given."}}},
		{name: "accepted", at: "10m", series: map[string]string{`prometheus_config_last_reload_successful{job="monitoring-prometheus"}`: "1x20"}},
	},
	"PrometheusRuleFailing": {
		{name: "again and again", at: "15m", series: map[string]string{`prometheus_rule_evaluation_failures_total{job="monitoring-prometheus",rule_group="api"}`: "0+4x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-prometheus", "rule_group": "api"}, "A rule of Prometheus fails",
				"Rules of the group api cannot be evaluated: their alerts are blind."}}},
		{name: "once, long ago", at: "15m", series: map[string]string{`prometheus_rule_evaluation_failures_total{job="monitoring-prometheus",rule_group="api"}`: "1x20"}},
	},
	"AlertNotificationsFailing": {
		{name: "the receiver refuses", at: "15m", series: map[string]string{`alertmanager_notifications_failed_total{job="monitoring-alertmanager",integration="webhook",reason="serverError"}`: "0+1x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "monitoring-alertmanager", "integration": "webhook", "reason": "serverError"}, "Alerts do not reach their receiver",
				"Alertmanager cannot deliver to the webhook receiver (serverError)."}}},
		{name: "all delivered", at: "15m", series: map[string]string{`alertmanager_notifications_failed_total{job="monitoring-alertmanager",integration="webhook",reason="serverError"}`: "0x20"}},
	},
}
