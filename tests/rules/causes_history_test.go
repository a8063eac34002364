package rules_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// deployedStack is what a recorded stack has, to which tests/unit holds the file.
type deployedStack struct {
	// Workloads are the jobs by the Deployment or StatefulSet, "" for one without metrics.
	Workloads map[string]string
	// Consumers are those that its links name.
	Consumers map[string][]string
}

func loadStack(t *testing.T) deployedStack {
	t.Helper()
	raw, err := os.ReadFile("testdata/stack.json")
	if err != nil {
		t.Fatal(err)
	}
	var s deployedStack
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// set is the StatefulSet of the database's members. Their job is called like the database.
const set = "database-g1"

// deployed is what is watched, with the names of the recorded stack.
var deployed = func() composition {
	c := watched
	c.database.Workload, c.database.Members = set, nil
	for i, m := range watched.database.Members {
		m.Pod = fmt.Sprintf("%s-%d", set, i)
		c.database.Members = append(c.database.Members, m)
	}
	return c
}()

// The fault comes after ten minutes; at its end everything that waits has waited.
const (
	faultMinute = 10
	lastMinute  = 45
)

// history is what is scraped of a stack. Values are given for before and after the fault:
// "1" stays, "+60" grows by 60 a minute, "" is not there.
type history map[string][2]string

func (h history) load() string {
	values := func(value string, minutes int) string {
		switch {
		case value == "":
			return fmt.Sprintf("_x%d", minutes)
		case strings.HasPrefix(value, "+"):
			return fmt.Sprintf("0%sx%d", value, minutes-1)
		default:
			return fmt.Sprintf("%sx%d", value, minutes-1)
		}
	}
	var b strings.Builder
	b.WriteString("load 1m\n")
	for _, series := range slices.Sorted(maps.Keys(h)) {
		before, after := values(h[series][0], faultMinute), values(h[series][1], lastMinute-faultMinute+1)
		if h[series][1] == "" && h[series][0] != "" {
			after = "stale " + after
		}
		fmt.Fprintf(&b, "  %s %s %s\n", series, before, after)
	}
	return b.String()
}

// set changes what is there after the fault.
func (h history) set(after string, series ...string) {
	for _, s := range series {
		h[s] = [2]string{h[s][0], after}
	}
}

// put is what stays as it is, whatever happens.
func (h history) put(value string, series ...string) {
	for _, s := range series {
		h[s] = [2]string{value, value}
	}
}

// The nodes. The stores of logs and traces have one of their own.
const (
	mainNode  = "n1"
	storeNode = "n2"
)

// pod is one that works.
func (h history) pod(job, name, node string) {
	if job != "" {
		h.put("1", up(job, name))
	}
	h.put("1", kube("kube_pod_info", fmt.Sprintf(`pod=%q,node=%q`, name, node)), ready(name), container(name),
		kube("kube_pod_status_phase", fmt.Sprintf(`pod=%q,phase="Running"`, name)))
}

// podsOf are the names of a workload's pods.
func podsOf(workload string) []string {
	switch {
	case workload == set:
		return []string{primary, set + "-1", set + "-2"}
	case slices.Contains(deployments, workload):
		return []string{workload + "-7d9c8b6f5-x2x4z"}
	}
	return []string{workload + "-0"}
}

// deployments are the workloads whose pods have no numbers.
var deployments = []string{"backend", "backend-dashboard", "backend-engine", "database-pooler", "edge", "frontend", "monitoring-kube-state-metrics"}

// healthy is a stack that nothing is wrong with.
func healthy(s deployedStack) history {
	h := history{}
	for workload, job := range s.Workloads {
		node := mainNode
		if workload == logStore || workload == traceStore {
			node = storeNode
		}
		for _, name := range podsOf(workload) {
			h.pod(job, name, node)
		}
		h.put(fmt.Sprint(len(podsOf(workload))), wanted(workload), available(workload))
	}
	h.put("1", `pg_up{job="database",pod="`+primary+`"}`, `pg_up{job="database",pod="`+set+`-1"}`, standbyUp)
	h.put("0", primaryIs, queued)
	h.put("1", streams, `redis_up{job="cache",pod="cache-0"}`, edgeUp, leader, kubeletOf(mainNode), kubeletOf(storeNode))
	h.put("+600", succeeded, duration, inTime, edgeServed)
	h.put("+0", edgeFailed, notFound, notSent, unarchived)
	h.put("+60", ticks)
	h.put("+4", lookedUp)
	h.put("+6", archived)
	h.put("0", kube("kube_cronjob_created", `cronjob="backup-full"`), kube("kube_cronjob_created", `cronjob="backup-proof"`))
	for _, signal := range []string{"logs", "traces"} {
		h.put("1000", gateway("otelcol_exporter_queue_capacity", `exporter="otlp_http/`+signal+`"`))
	}
	h.put("0", linesWait, spansWait, writable)
	h.put("+600", linesSent, spansSent)
	// The heartbeat is the time itself.
	h[heartbeat] = [2]string{"+60", "600+60"}
	return h
}

const (
	apiPod     = "backend-7d9c8b6f5-x2x4z"
	enginePod  = "backend-engine-7d9c8b6f5-x2x4z"
	edgePod    = "edge-7d9c8b6f5-x2x4z"
	primary    = set + "-0"
	logStore   = "telemetry-logs"
	traceStore = "telemetry-traces"

	primaryIs = `pg_replication_is_replica{job="database",pod="` + primary + `"}`
	standbyUp = `pg_up{job="database",pod="` + set + `-2"}`
	queued    = `pgbouncer_pools_client_maxwait_seconds{job="database-pooler",pod="database-pooler-x",database="alphapulse",user="u"}`
	streams   = `pg_replication_slot_slot_is_active{job="database",pod="` + primary + `",slot_type="physical"}`
	succeeded = `http_requests_total{job="backend",pod="` + apiPod + `",status="200"}`
	failed    = `http_requests_total{job="backend",pod="` + apiPod + `",status="503"}`
	duration  = `http_request_duration_seconds_count{job="backend",pod="` + apiPod + `"}`
	inTime    = `http_request_duration_seconds_bucket{job="backend",pod="` + apiPod + `",le="0.2"}`
	// What users are answered.
	edgeServed = `edge_requests_total{job="edge",pod="` + edgePod + `",route="api",status="200",outcome="answered"}`
	edgeFailed = `edge_requests_total{job="edge",pod="` + edgePod + `",route="api",status="503",outcome="unreached"}`
	edgeUp     = `nginx_up{job="edge",pod="` + edgePod + `"}`
	leader     = `alphapulse_engine_leader{job="backend-engine",pod="` + enginePod + `"}`
	heartbeat  = `alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="` + enginePod + `"}`
	ticks      = `market_ticks_ingested_total{job="backend-engine",pod="` + enginePod + `"}`
	lookedUp   = `prometheus_sd_dns_lookups_total{job="monitoring-prometheus"}`
	notFound   = `prometheus_sd_dns_lookup_failures_total{job="monitoring-prometheus"}`
	notSent    = `alertmanager_notifications_failed_total{job="monitoring-alertmanager",integration="webhook",reason="other"}`
	// What becomes of the write-ahead log.
	archived   = `pg_stat_archiver_archived_count{job="database",pod="` + primary + `"}`
	unarchived = `pg_stat_archiver_failed_count{job="database",pod="` + primary + `"}`
	writable   = `vl_storage_is_read_only{job="telemetry-logs",pod="telemetry-logs-0",path="/data"}`
)

// What waits at the gateway, and what it has sent.
var (
	linesWait = gateway("otelcol_exporter_queue_size", logsExporter)
	spansWait = gateway("otelcol_exporter_queue_size", tracesExporter)
	linesSent = gateway("otelcol_exporter_sent_log_records", logsExporter)
	spansSent = gateway("otelcol_exporter_sent_spans", tracesExporter)
)

func ready(pod string) string {
	return kube("kube_pod_status_ready", fmt.Sprintf(`pod=%q,condition="true"`, pod))
}

func container(pod string) string {
	return kube("kube_pod_container_status_ready", fmt.Sprintf(`pod=%q,container="c"`, pod))
}

func up(job, pod string) string {
	return fmt.Sprintf(`up{job=%q,pod=%q,instance="%[2]s:1"}`, job, pod)
}

func kubeletOf(node string) string {
	return fmt.Sprintf(`up{job="kubelet",node=%q,instance=%[1]q}`, node)
}

// wanted and available are how many pods a workload should have, and has.
func wanted(workload string) string {
	if slices.Contains(deployments, workload) {
		return kube("kube_deployment_spec_replicas", fmt.Sprintf(`deployment=%q`, workload))
	}
	return kube("kube_statefulset_replicas", fmt.Sprintf(`statefulset=%q`, workload))
}

func available(workload string) string {
	if slices.Contains(deployments, workload) {
		return kube("kube_deployment_status_replicas_available", fmt.Sprintf(`deployment=%q`, workload))
	}
	return kube("kube_statefulset_status_replicas_ready", fmt.Sprintf(`statefulset=%q`, workload))
}

// fails lets all pods of a workload fail, as their kubelet tells; lost as nobody tells who
// could, since their node is gone.
func (h history) fails(s deployedStack, workload string) {
	h.lost(s, workload)
	for _, name := range podsOf(workload) {
		h.set("0", container(name))
	}
}

func (h history) lost(s deployedStack, workload string) {
	for _, name := range podsOf(workload) {
		h.set("0", ready(name))
		if job := s.Workloads[workload]; job != "" {
			h.set("0", up(job, name))
		}
	}
	h.set("0", available(workload))
}

// unready lets a workload run that takes nothing.
func (h history) unready(workload string) {
	for _, name := range podsOf(workload) {
		h.set("0", ready(name), container(name))
	}
	h.set("0", available(workload))
}

// The API fails and the engine stands still, as without the database or without names.
func (h history) applicationFails() {
	h.set("+300", succeeded, failed, edgeServed, edgeFailed)
	h.set("600", heartbeat, ticks)
	h.unready("backend")
}

// databaseSilent is what goes with the database: what its members tell, what stands on it,
// and the backup whose time it is.
func (h history) databaseSilent() {
	h.set("", `pg_up{job="database",pod="`+primary+`"}`, `pg_up{job="database",pod="`+set+`-1"}`, standbyUp, primaryIs, streams, archived, unarchived)
	h.set("60", queued)
	h.set("700", kube("kube_job_status_start_time", `job_name="backup-full-29000000"`))
	h.set("1", kube("kube_job_failed", `job_name="backup-full-29000000",condition="true"`))
	h.applicationFails()
}

// linesPile lets lines wait at the gateway as nobody takes them, spansPile spans.
func (h history) linesPile() {
	h.set("+28", linesWait)
	h.set("5400", linesSent)
}

func (h history) spansPile() {
	h.set("+28", spansWait)
	h.set("5400", spansSent)
}

// archiveAway lets nothing of the write-ahead log get into the repository.
func (h history) archiveAway() {
	h.set("54", archived)
	h.set("+6", unarchived)
}
