package rules_test

import (
	"fmt"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

var workloadsSituations = map[string][]situation{
	"PodCrashLooping": {
		{name: "between two attempts", at: "10m", quietUntil: "4m", series: map[string]string{
			kube("kube_pod_container_status_waiting_reason", `pod="a",container="api",reason="CrashLoopBackOff"`): "1 1 _ 1 1 _ 1 1 1 1 1"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "a", "pod": "a", "container": "api", "reason": "CrashLoopBackOff"}), crashSummary,
				"Container api of pod a" + crashText}}},
		{name: "an init container", at: "10m", series: map[string]string{
			kube("kube_pod_init_container_status_waiting_reason", `pod="a",container="wait",reason="CrashLoopBackOff"`): "1x20"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "a", "pod": "a", "container": "wait", "reason": "CrashLoopBackOff"}), crashSummary,
				"Container wait of pod a" + crashText}}},
		{name: "waiting for its image", at: "10m", series: map[string]string{
			kube("kube_pod_container_status_waiting_reason", `pod="a",container="api",reason="ContainerCreating"`): "1x20"}},
	},
	"ContainerOutOfMemory": {
		{name: "killed and started again", at: "10m", series: map[string]string{
			kube("kube_pod_container_status_last_terminated_reason", `pod="a",container="api",reason="OOMKilled"`): "_x4 1x20",
			kube("kube_pod_container_status_restarts_total", `pod="a",container="api"`):                            "0x4 1x20"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "a", "pod": "a", "container": "api", "reason": "OOMKilled"}), "A container was killed for its memory",
				"Container api of pod a went over its memory limit and was killed."}}},
		{name: "long ago", at: "1h", series: map[string]string{
			kube("kube_pod_container_status_last_terminated_reason", `pod="a",container="api",reason="OOMKilled"`): "1x70",
			kube("kube_pod_container_status_restarts_total", `pod="a",container="api"`):                            "1x70"}},
		{name: "another end", at: "10m", series: map[string]string{
			kube("kube_pod_container_status_last_terminated_reason", `pod="a",container="api",reason="Error"`): "1x20",
			kube("kube_pod_container_status_restarts_total", `pod="a",container="api"`):                        "0x4 1x20"}},
	},
	"ContainerThrottled": {
		{name: "three in ten", at: "25m", quietUntil: "15m", series: throttling("backend-7d9c8b6f5-x2x4z", "api", 600, 180),
			fires: []firing{{rule.Warning, map[string]string{"job": "kubelet", "namespace": "n", "workload": "backend", "pod": "backend-7d9c8b6f5-x2x4z", "container": "api"},
				"A container is held back at its CPU limit",
				"Container api of pod backend-7d9c8b6f5-x2x4z has had to wait in 30% of the time in which it had work, for 15 minutes: its CPU limit is too low for what it does."}}},
		{name: "two containers of a pod, one of them", at: "25m", series: with(throttling("cache-0", "redis", 600, 10), throttling("cache-0", "exporter", 100, 90)),
			fires: []firing{{rule.Warning, map[string]string{"job": "kubelet", "namespace": "n", "workload": "cache", "pod": "cache-0", "container": "exporter"},
				"A container is held back at its CPU limit",
				"Container exporter of pod cache-0 has had to wait in 90% of the time in which it had work, for 15 minutes: its CPU limit is too low for what it does."}}},
		{name: "a quarter", at: "25m", series: throttling("backend-7d9c8b6f5-x2x4z", "api", 600, 150)},
		{name: "one that wakes up for moments", at: "25m", series: throttling("cache-0", "exporter", 60, 60)},
		{name: "the pod as a whole, which is its containers", at: "25m", series: throttling("cache-0", "", 600, 600)},
	},
	"PodNotReady": {
		{name: "running, not ready", at: "20m", quietUntil: "14m", series: map[string]string{
			kube("kube_pod_status_ready", `pod="a",condition="true"`): "0x30", kube("kube_pod_status_phase", `pod="a",phase="Running"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "a", "pod": "a", "condition": "true"}), "A pod does not become ready",
				"Pod a is not ready for 15 minutes and gets no traffic."}}},
		{name: "a minute before its time", at: "14m", series: map[string]string{
			kube("kube_pod_status_ready", `pod="a",condition="true"`): "0x30", kube("kube_pod_status_phase", `pod="a",phase="Running"`): "1x30"}},
		{name: "a finished job", at: "20m", series: map[string]string{
			kube("kube_pod_status_ready", `pod="a",condition="true"`): "0x30", kube("kube_pod_status_phase", `pod="a",phase="Succeeded"`): "1x30", kube("kube_pod_status_phase", `pod="a",phase="Running"`): "0x30"}},
	},
	"ReplicasMissing": {
		{name: "a deployment", at: "20m", quietUntil: "14m", series: map[string]string{
			kube("kube_deployment_spec_replicas", `deployment="backend"`): "3x30", kube("kube_deployment_status_replicas_available", `deployment="backend"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "backend", "deployment": "backend"}), "backend runs with too few pods", "2" + replicasText}}},
		{name: "a stateful set", at: "20m", series: map[string]string{
			kube("kube_statefulset_replicas", `statefulset="database"`): "1x30", kube("kube_statefulset_status_replicas_ready", `statefulset="database"`): "0x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "database", "statefulset": "database"}), "database runs with too few pods", "1" + replicasText}}},
		{name: "a surge pod more", at: "20m", series: map[string]string{
			kube("kube_deployment_spec_replicas", `deployment="backend"`): "3x30", kube("kube_deployment_status_replicas_available", `deployment="backend"`): "4x30"}},
		{name: "scaling up", at: "20m", series: map[string]string{
			kube("kube_deployment_spec_replicas", `deployment="backend"`): "3x10 6x20", kube("kube_deployment_status_replicas_available", `deployment="backend"`): "3x14 6x20"}},
	},
	"AutoscalerAtMaximum": {
		{name: "ten of ten", at: "20m", quietUntil: "14m", series: map[string]string{
			kube("kube_horizontalpodautoscaler_status_current_replicas", `horizontalpodautoscaler="backend"`): "10x30",
			kube("kube_horizontalpodautoscaler_spec_max_replicas", `horizontalpodautoscaler="backend"`):       "10x30",
			kube("kube_horizontalpodautoscaler_spec_min_replicas", `horizontalpodautoscaler="backend"`):       "3x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "backend", "horizontalpodautoscaler": "backend"}), "backend cannot scale further",
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
		{name: "no metrics", at: "20m", quietUntil: "14m", series: map[string]string{
			kube("kube_horizontalpodautoscaler_status_condition", `horizontalpodautoscaler="backend",condition="ScalingActive",status="false"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "backend", "horizontalpodautoscaler": "backend", "condition": "ScalingActive", "status": "false"}), "backend does not scale",
				"The autoscaler of backend cannot read the usage of its pods, mostly because the metrics server does not answer. The number of pods stays as it is."}}},
		{name: "at its limit", at: "20m", series: map[string]string{
			kube("kube_horizontalpodautoscaler_status_condition", `horizontalpodautoscaler="backend",condition="ScalingActive",status="false"`): "0x30",
			kube("kube_horizontalpodautoscaler_status_condition", `horizontalpodautoscaler="backend",condition="ScalingLimited",status="true"`): "1x30"}},
	},
	"VolumeFilling": {
		{name: "97 % of the database's", at: "10m", quietUntil: "4m", series: map[string]string{
			`pg_database_size_bytes{job="database",pod="database-0",datname="alphapulse"}`: "90x20", `pg_wal_size_bytes{job="database",pod="database-0"}`: "7x20", fmt.Sprintf(claimSize, "database"): "100x20"},
			fires: []firing{{rule.Critical, map[string]string{"workload": "database", "persistentvolumeclaim": "database"}, "The volume of database is filling up",
				"97% of the claim database is used. Once it is full, writes fail."}}},
		{name: "90 % of the cache's", at: "20m", quietUntil: "14m", series: map[string]string{
			`redis_aof_current_size_bytes{job="cache"}`: "90x30", fmt.Sprintf(claimSize, "cache"): "100x30"},
			fires: []firing{{rule.Warning, map[string]string{"workload": "cache", "persistentvolumeclaim": "cache"}, "The volume of cache is filling up",
				"90% of the claim cache is used. Enlarge it before it is full."}}},
		{name: "growing fast", at: "8h", quietUntil: "260m", series: map[string]string{
			`pg_database_size_bytes{job="database",pod="database-0",datname="alphapulse"}`: "40+0.05x500", `pg_wal_size_bytes{job="database",pod="database-0"}`: "0x500", fmt.Sprintf(claimSize, "database"): "100x500"},
			fires: []firing{{rule.Warning, map[string]string{"workload": "database", "persistentvolumeclaim": "database", "trend": "growing"}, "The volume of database is filling up",
				"64% of the claim database is used. If it goes on growing as in the last six hours, it is full within four days."}}},
		{name: "95 % of the cache's", at: "20m", series: map[string]string{
			`redis_aof_current_size_bytes{job="cache"}`: "95x30", fmt.Sprintf(claimSize, "cache"): "100x30"},
			fires: []firing{{rule.Warning, map[string]string{"workload": "cache", "persistentvolumeclaim": "cache"}, "The volume of cache is filling up",
				"95% of the claim cache is used. Enlarge it before it is full."}}},
		{name: "85 % of the cache's", at: "20m", series: map[string]string{`redis_aof_current_size_bytes{job="cache"}`: "85x30", fmt.Sprintf(claimSize, "cache"): "100x30"}},
		{name: "97 %, a minute before its time", at: "4m", series: map[string]string{`redis_aof_current_size_bytes{job="cache"}`: "97x30", fmt.Sprintf(claimSize, "cache"): "100x30"}},
		{name: "90 %, a minute before its time", at: "14m", series: map[string]string{`redis_aof_current_size_bytes{job="cache"}`: "90x30", fmt.Sprintf(claimSize, "cache"): "100x30"}},
		{name: "growing fast, half full soon", at: "3h", series: map[string]string{`redis_aof_current_size_bytes{job="cache"}`: "40+0.05x300", fmt.Sprintf(claimSize, "cache"): "100x300"}},
		{name: "growing to 97 % within four days", at: "8h", series: map[string]string{`redis_aof_current_size_bytes{job="cache"}`: "60+0.0059x500", fmt.Sprintf(claimSize, "cache"): "100x500"}},
		{name: "growing slowly", at: "8h", series: map[string]string{
			`pg_database_size_bytes{job="database",pod="database-0",datname="alphapulse"}`: "60+0.006x500", `pg_wal_size_bytes{job="database",pod="database-0"}`: "0x500", fmt.Sprintf(claimSize, "database"): "100x500"}},
		{name: "84 % of the cache's", at: "20m", series: map[string]string{
			`redis_aof_current_size_bytes{job="cache"}`: "84x30", fmt.Sprintf(claimSize, "cache"): "100x30"}},
		{name: "growing fast, but not half full yet", at: "8h", series: map[string]string{
			`pg_database_size_bytes{job="database",pod="database-0",datname="alphapulse"}`: "44+0.01x500", `pg_wal_size_bytes{job="database",pod="database-0"}`: "0x500", fmt.Sprintf(claimSize, "database"): "100x500"}},
		{name: "silences fill Alertmanager's", at: "20m", series: map[string]string{
			`alertmanager_nflog_snapshot_size_bytes{job="monitoring-alertmanager"}`: "6x30", `alertmanager_silences_snapshot_size_bytes{job="monitoring-alertmanager"}`: "80x30",
			fmt.Sprintf(claimSize, "monitoring-alertmanager"): "100x30"},
			fires: []firing{{rule.Warning, map[string]string{"workload": "monitoring-alertmanager", "persistentvolumeclaim": "monitoring-alertmanager"}, "The volume of monitoring-alertmanager is filling up",
				"86% of the claim monitoring-alertmanager is used. Enlarge it before it is full."}}},
		{name: "Alertmanager's is half full and stays so", at: "8h", series: map[string]string{
			`alertmanager_nflog_snapshot_size_bytes{job="monitoring-alertmanager"}`: "20x500", `alertmanager_silences_snapshot_size_bytes{job="monitoring-alertmanager"}`: "40x500",
			fmt.Sprintf(claimSize, "monitoring-alertmanager"): "100x500"}},
		{name: "Prometheus fills its share", at: "8h", series: map[string]string{
			`prometheus_tsdb_storage_blocks_bytes{job="monitoring-prometheus"}`: "50+0.05x500", `prometheus_tsdb_wal_storage_size_bytes{job="monitoring-prometheus"}`: "1x500",
			`prometheus_tsdb_head_chunks_storage_size_bytes{job="monitoring-prometheus"}`: "1x500", fmt.Sprintf(claimSize, "monitoring-prometheus"): "100x500"}},
	},
	"ImagePullFailing": {
		{name: "it does not exist", at: "20m", quietUntil: "9m", series: map[string]string{
			kube("kube_pod_container_status_waiting_reason", `pod="backend-engine-7d9c8b6f5-x2x4z",container="engine",reason="ImagePullBackOff"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "backend-engine", "pod": "backend-engine-7d9c8b6f5-x2x4z", "container": "engine", "reason": "ImagePullBackOff"}),
				"An image cannot be pulled", "The image of container engine of pod backend-engine-7d9c8b6f5-x2x4z cannot be had (ImagePullBackOff)."}}},
		{name: "the registry is away for five minutes", at: "20m", series: map[string]string{
			kube("kube_pod_container_status_waiting_reason", `pod="a",container="api",reason="ErrImagePull"`): "1x5 stale"}},
	},
	"ContainerConfigurationInvalid": {
		{name: "a Secret is missing", at: "20m", quietUntil: "9m", series: map[string]string{
			kube("kube_pod_init_container_status_waiting_reason", `pod="cache-0",container="wait",reason="CreateContainerConfigError"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "cache", "pod": "cache-0", "container": "wait", "reason": "CreateContainerConfigError"}),
				"A container cannot be started", "Container wait of pod cache-0 cannot be started (CreateContainerConfigError): something that it names is missing or refused."}}},
		{name: "for a moment", at: "20m", series: map[string]string{
			kube("kube_pod_container_status_waiting_reason", `pod="cache-0",container="redis",reason="CreateContainerConfigError"`): "1x4 stale"}},
	},
	"PodUnschedulable": {
		{name: "no node has room", at: "15m", quietUntil: "9m", series: map[string]string{kube("kube_pod_status_unschedulable", `pod="backend-5f6d8-abc12"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "backend-5f6d8-abc12", "pod": "backend-5f6d8-abc12"}),
				"A pod finds no node", "No node has room for pod backend-5f6d8-abc12, or none satisfies what it asks for."}}},
		{name: "a node is added in time", at: "15m", series: map[string]string{kube("kube_pod_status_unschedulable", `pod="backend-5f6d8-abc12"`): "1x8 stale"}},
	},
	"RolloutStuck": {
		{name: "a deployment at its deadline", at: "20m", quietUntil: "14m", series: map[string]string{
			kube("kube_deployment_status_condition", `deployment="backend",condition="Progressing",status="false"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "backend", "deployment": "backend", "condition": "Progressing", "status": "false"}),
				"The rollout of backend does not end", "Pods of backend still run as they did before the last change, and no new one became ready in time."}}},
		{name: "a stateful set", at: "20m", series: map[string]string{
			kube("kube_statefulset_replicas", `statefulset="database"`): "1x30", kube("kube_statefulset_status_replicas_updated", `statefulset="database"`): "0x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "database", "statefulset": "database"}),
				"The rollout of database does not end", "Pods of database still run as they did before the last change, and no new one became ready in time."}}},
		{name: "it goes on", at: "20m", series: map[string]string{
			kube("kube_deployment_status_condition", `deployment="backend",condition="Progressing",status="false"`): "0x30",
			kube("kube_statefulset_replicas", `statefulset="database"`):                                             "1x30",
			kube("kube_statefulset_status_replicas_updated", `statefulset="database"`):                              "0x12 1x20"}},
	},
	"AutoscalerFlapping": {
		{name: "every three minutes", at: "50m", quietUntil: "41m", series: map[string]string{
			kube("kube_horizontalpodautoscaler_status_desired_replicas", `horizontalpodautoscaler="backend"`): strings.Repeat("3x2 5x2 ", 10)},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "backend", "horizontalpodautoscaler": "backend"}),
				"The autoscaler of backend goes up and down",
				"The autoscaler of backend changed the number of pods 9 times within half an hour. Each change costs starts and drained connections."}}},
		{name: "eight times in each half an hour", at: "55m", series: map[string]string{
			kube("kube_horizontalpodautoscaler_status_desired_replicas", `horizontalpodautoscaler="backend"`): strings.Repeat("3x3 5x3 3x3 5x3 3x3 5x2 3x2 5x2 ", 2)}},
	},
	"QuotaNearlyUsed": {
		{name: "91 of 100", at: "20m", quietUntil: "14m", series: map[string]string{
			kube("kube_resourcequota", `resourcequota="stack",resource="limits.cpu",type="used"`): "91x30",
			kube("kube_resourcequota", `resourcequota="stack",resource="limits.cpu",type="hard"`): "100x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"resourcequota": "stack", "resource": "limits.cpu"}),
				"The namespace's quota is nearly used", "91% of limits.cpu in the quota stack is used. Pods beyond it are not created."}}},
		{name: "each of the stack's own claims is there, and an administrator's quota has no more", at: "20m", series: map[string]string{
			kube("kube_resourcequota", `resourcequota="platform",resource="persistentvolumeclaims",type="used"`): "10x30",
			kube("kube_resourcequota", `resourcequota="platform",resource="persistentvolumeclaims",type="hard"`): "10x30",
			kube("kube_resourcequota", `resourcequota="team",resource="persistentvolumeclaims",type="used"`):     "10x30",
			kube("kube_resourcequota", `resourcequota="team",resource="persistentvolumeclaims",type="hard"`):     "10x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"resourcequota": "team", "resource": "persistentvolumeclaims"}),
				"The namespace's quota is nearly used", "100% of persistentvolumeclaims in the quota team is used. Pods beyond it are not created."}}},
		{name: "90 of 100", at: "20m", series: map[string]string{
			kube("kube_resourcequota", `resourcequota="stack",resource="limits.cpu",type="used"`): "90x30",
			kube("kube_resourcequota", `resourcequota="stack",resource="limits.cpu",type="hard"`): "100x30"}},
	},
	"JobFailed": {
		{name: "a backup", at: "5m", series: map[string]string{kube("kube_job_failed", `job_name="backup-29312460",condition="true"`): "1x10"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "backup", "job_name": "backup-29312460", "condition": "true"}),
				"A job has failed", "The job backup-29312460 has failed and is not tried again."}}},
		{name: "it is tried again", at: "5m", series: map[string]string{kube("kube_job_failed", `job_name="backup-29312460",condition="true"`): "0x10"}},
	},
	"ClaimPending": {
		{name: "no volume", at: "20m", quietUntil: "14m", series: map[string]string{kube("kube_persistentvolumeclaim_status_phase", `persistentvolumeclaim="database",phase="Pending"`): "1x30"},
			fires: []firing{{rule.Warning, state(map[string]string{"workload": "database", "persistentvolumeclaim": "database", "phase": "Pending"}),
				"A claim gets no volume", "The claim database waits for a volume for 15 minutes. The pod that uses it cannot start."}}},
		{name: "after ten minutes", at: "20m", series: map[string]string{kube("kube_persistentvolumeclaim_status_phase", `persistentvolumeclaim="database",phase="Pending"`): "1x10 0x20"}},
	},
	"NodeLost": {
		{name: "with two workloads", at: "10m", quietUntil: "4m", series: with(
			lostPod("database-0", "n1", ""), lostPod("backend-7d9c8b6f5-x2x4z", "n1", ""), lostPod("backend-7d9c8b6f5-k8v7d", "n1", ""), runningPod("backend-7d9c8b6f5-2qzrt", "n2")),
			fires: []firing{
				{rule.Critical, map[string]string{"job": "monitoring-kube-state-metrics", "namespace": "n", "node": "n1", "workload": "backend"},
					"A node is lost", "The node n1 does not report any more. 2 of the pods of backend ran there."},
				{rule.Critical, map[string]string{"job": "monitoring-kube-state-metrics", "namespace": "n", "node": "n1", "workload": "database"},
					"A node is lost", "The node n1 does not report any more. 1 of the pods of database ran there."},
			}},
		{name: "its pods are being replaced", at: "20m", start: 9000, series: lostPod("database-0", "n1", "9400"),
			fires: []firing{{rule.Critical, map[string]string{"job": "monitoring-kube-state-metrics", "namespace": "n", "node": "n1", "workload": "database"},
				"A node is lost", "The node n1 does not report any more. 1 of the pods of database ran there."}}},
		{name: "an hour ago", at: "20m", start: 9000, series: lostPod("database-0", "n1", "6590")},
		{name: "a pod that is not ready by itself", at: "10m", series: map[string]string{
			kube("kube_pod_info", `pod="database-0",node="n1"`):                                "1x30",
			kube("kube_pod_status_ready", `pod="database-0",condition="true"`):                 "0x30",
			kube("kube_pod_container_status_ready", `pod="database-0",container="postgresql"`): "0x30",
			kube("kube_pod_container_status_ready", `pod="database-0",container="exporter"`):   "1x30"}},
		{name: "the network is away for two minutes", at: "10m", series: map[string]string{
			kube("kube_pod_info", `pod="database-0",node="n1"`):                                "1x30",
			kube("kube_pod_status_ready", `pod="database-0",condition="true"`):                 "1x4 0x1 1x30",
			kube("kube_pod_container_status_ready", `pod="database-0",container="postgresql"`): "1x30"}},
	},
}

// throttling is what a kubelet tells of a container that has work in so many periods a
// minute, and is held back in some of them.
func throttling(pod, container string, periods, throttled int) map[string]string {
	series := map[string]string{}
	for metric, perMinute := range map[string]int{"periods": periods, "throttled_periods": throttled} {
		series[fmt.Sprintf(`container_cpu_cfs_%s_total{job="kubelet",instance="n1",node="n1",namespace="n",pod=%q,container=%q,image="i",id="/a",name="a"}`, metric, pod, container)] =
			fmt.Sprintf("0+%dx60", perMinute)
	}
	return series
}

// lostPod is a pod that its node does not report any more from the third minute on, and
// that Kubernetes gave up at the time deleted, or "".
func lostPod(name, node, deleted string) map[string]string {
	p := runningPod(name, node)
	p[kube("kube_pod_status_ready", fmt.Sprintf(`pod=%q,condition="true"`, name))] = "1x2 0x300"
	if deleted != "" {
		p[kube("kube_pod_deletion_timestamp", fmt.Sprintf(`pod=%q`, name))] = deleted + "x300"
	}
	return p
}

func runningPod(name, node string) map[string]string {
	return map[string]string{
		kube("kube_pod_info", fmt.Sprintf(`pod=%q,node=%q`, name, node)):                                  "1x300",
		kube("kube_pod_status_ready", fmt.Sprintf(`pod=%q,condition="true"`, name)):                       "1x300",
		kube("kube_pod_container_status_ready", fmt.Sprintf(`pod=%q,container="first"`, name)):            "1x300",
		kube("kube_pod_container_status_ready", fmt.Sprintf(`pod=%q,container="beside the first"`, name)): "1x300",
	}
}
