package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// gateway is a series of the Collector.
func gateway(metric, labels string) string {
	return fmt.Sprintf(`%s{job="telemetry-collector",pod="telemetry-collector-0",%s}`, metric, labels)
}

// byExporter are the labels of an alert on one exporter.
func byExporter(signal, exporter string) map[string]string {
	return map[string]string{"job": "telemetry-collector", "signal": signal, "exporter": exporter}
}

const (
	logsExporter   = `exporter="otlp_http/logs"`
	tracesExporter = `exporter="otlp_http/traces"`
	lostText       = " were lost within ten minutes: their backend refused them, or nothing more could wait for it."
	refusedText    = " per second, as its memory or its queue is full. Senders keep them for a while, then drop them."
	waitsText      = "What the collector has for %s waits, and nothing was sent for five minutes. Nothing is lost until the queue is full."
)

// undecided counts traces that had to go too early.
var undecided = gateway("otelcol_processor_tail_sampling_sampling_trace_dropped_too_early", `service_name="otelcol-contrib"`)

const gatewayUp = `up{job="telemetry-collector",pod="telemetry-collector-0"}`

// agentOf is how long the agent of a node has run.
func agentOf(node string) string {
	return gateway("otelcol_process_uptime_seconds_total", `exported_job="alphapulse-log-agent",exported_instance="`+node+`"`)
}

// readers are the agents of two nodes; that of n1 tells of itself as is said after 20 minutes.
func readers(then string) map[string]string {
	return map[string]string{agentOf("n1"): "0+60x20 " + strings.Replace(then, "20x", "1200x", 1), agentOf("n2"): "0+60x60", gatewayUp: "1x60"}
}

func podOn(node string) string {
	return kube("kube_pod_info", `pod="backend-`+node+`",node="`+node+`"`)
}

// podsOnBoth are pods on each node.
var podsOnBoth = map[string]string{podOn("n1"): "1x60", podOn("n2"): "1x60"}

func silent(node string) []firing {
	return []firing{{rule.Warning, map[string]string{"job": "telemetry-collector", "node": node}, "Whoever reads the log files is silent",
		"The reader of the log files of " + node + " has told nothing for ten minutes. Lines wait in their files, and are lost once these are rotated away."}}
}

var telemetrySituations = map[string][]situation{
	"TelemetryRefused": {
		{name: "two lines a second", at: "15m", quietUntil: "5m", series: map[string]string{gateway("otelcol_receiver_refused_log_records", `receiver="otlp"`): "0+120x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "telemetry-collector", "signal": "logs"}, "The collector refuses log lines", "The collector refuses 2 log lines" + refusedText}}},
		{name: "spans", at: "15m", quietUntil: "5m", series: map[string]string{gateway("otelcol_receiver_refused_spans", `receiver="otlp"`): "0+60x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "telemetry-collector", "signal": "traces"}, "The collector refuses spans", "The collector refuses 1 spans" + refusedText}}},
		{name: "once, at its start", at: "15m", series: map[string]string{gateway("otelcol_receiver_refused_log_records", `receiver="otlp"`): "0 120x20"}},
	},
	"TelemetryLost": {
		{name: "a backend that refuses, the first time", at: "8m", series: map[string]string{gateway("otelcol_exporter_send_failed_log_records", logsExporter): "_x5 40x20"},
			fires: []firing{{rule.Warning, byExporter("logs", "otlp_http/logs"), "The collector loses log lines", "40 log lines" + lostText}}},
		{name: "and again", at: "30m", series: map[string]string{gateway("otelcol_exporter_send_failed_spans", tracesExporter): "7x25 10x20"},
			fires: []firing{{rule.Warning, byExporter("traces", "otlp_http/traces"), "The collector loses spans", "3 spans" + lostText}}},
		{name: "an edge pod's queue is full", at: "8m", series: map[string]string{gateway("otelcol_exporter_enqueue_failed_log_records_total", `exported_job="alphapulse-edge-forwarder",exporter="otlp_http"`): "_x5 5x20"},
			fires: []firing{{rule.Warning, byExporter("logs", "otlp_http"), "The collector loses log lines", "5 log lines" + lostText}}},
		{name: "spans that were decided about, at a full queue", at: "8m", series: map[string]string{gateway("otelcol_exporter_enqueue_failed_spans", tracesExporter): "_x5 6x20"},
			fires: []firing{{rule.Warning, byExporter("traces", "otlp_http/traces"), "The collector loses spans", "6 spans" + lostText}}},
		{name: "a minute after ten minutes", at: "15m", series: map[string]string{
			gateway("otelcol_exporter_send_failed_log_records", logsExporter): "_x5 40x40", gateway("otelcol_exporter_send_failed_spans", tracesExporter): "7x4 8x40",
			gateway("otelcol_exporter_enqueue_failed_spans", tracesExporter):                                                              "_x5 6x40",
			gateway("otelcol_exporter_enqueue_failed_log_records_total", `exported_job="alphapulse-edge-forwarder",exporter="otlp_http"`): "_x5 5x40"}},
		{name: "a minute before, still told", at: "14m", series: map[string]string{gateway("otelcol_exporter_enqueue_failed_spans", tracesExporter): "_x5 6x40"},
			fires: []firing{{rule.Warning, byExporter("traces", "otlp_http/traces"), "The collector loses spans", "6 spans" + lostText}}},
		{name: "an agent on a node tries again", at: "8m", series: map[string]string{gateway("otelcol_exporter_send_failed_log_records_total", `exported_job="alphapulse-log-agent",exporter="otlp_http/alphapulse-dev"`): "_x5 99x20"}},
		{name: "ten minutes ago", at: "15m", series: map[string]string{
			gateway("otelcol_exporter_send_failed_log_records", logsExporter): "_x5 40x40", gateway("otelcol_exporter_send_failed_spans", tracesExporter): "7x40"}},
	},
	"TelemetryNotSent": {
		{name: "VictoriaLogs is away", at: "20m", quietUntil: "13m", series: map[string]string{
			gateway("otelcol_exporter_queue_size", logsExporter): "0x5 0+1000x20", gateway("otelcol_exporter_sent_log_records", logsExporter): "0+100x5 500x20"},
			fires: []firing{{rule.Warning, byExporter("logs", "otlp_http/logs"), "The backend takes no log lines", fmt.Sprintf(waitsText, "otlp_http/logs")}}},
		{name: "Jaeger never was there", at: "20m", quietUntil: "5m", series: map[string]string{gateway("otelcol_exporter_queue_size", tracesExporter): "0+1000x30"},
			fires: []firing{{rule.Warning, byExporter("traces", "otlp_http/traces"), "The backend takes no spans", fmt.Sprintf(waitsText, "otlp_http/traces")}}},
		{name: "slow, but it takes", at: "20m", series: map[string]string{
			gateway("otelcol_exporter_queue_size", logsExporter): "0+1000x30", gateway("otelcol_exporter_sent_log_records", logsExporter): "0+1x30"}},
		{name: "nothing to send", at: "20m", series: map[string]string{
			gateway("otelcol_exporter_queue_size", logsExporter): "0x30", gateway("otelcol_exporter_sent_log_records", logsExporter): "500x30"}},
	},
	"TelemetryQueueFilling": {
		{name: "51 of 100", at: "20m", quietUntil: "9m", series: map[string]string{
			gateway("otelcol_exporter_queue_size", logsExporter): "51x30", gateway("otelcol_exporter_queue_capacity", logsExporter): "100x30"},
			fires: []firing{{rule.Warning, map[string]string{"job": "telemetry-collector", "exporter": "otlp_http/logs"}, "The collector's queue is filling up",
				"51% of the queue of otlp_http/logs is used. Once it is full, what comes is lost."}}},
		{name: "50 of 100", at: "20m", series: map[string]string{
			gateway("otelcol_exporter_queue_size", logsExporter): "50x30", gateway("otelcol_exporter_queue_capacity", logsExporter): "100x30"}},
	},
	"TracesGivenUp": {
		{name: "more than memory holds", at: "30m", series: map[string]string{undecided: "0x20 250x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "telemetry-collector"}, "The collector gives traces up unseen",
				"250 traces were dropped within ten minutes before it was known whether they failed or were slow: more came at once than its memory holds."}}},
		{name: "ten minutes ago", at: "31m", series: map[string]string{undecided: "0x20 250x40"}},
	},
	"LogAgentSilent": {
		{name: "one of two, on a node with pods", at: "40m", series: with(readers("20x40"), podsOnBoth), fires: silent("n1")},
		{name: "a minute before its time", at: "28m", series: with(readers("20x40"), podsOnBoth)},
		{name: "at its time", at: "29m", series: with(readers("20x40"), podsOnBoth), fires: silent("n1")},
		{name: "its last word gone from the gateway", at: "40m", series: with(readers("_x40"), podsOnBoth), fires: silent("n1")},
		{name: "it starts anew in between", at: "28m", series: with(readers("20x6 0+60x40"), podsOnBoth)},
		{name: "none of the stack's pods is on that node any more", at: "40m", series: with(readers("20x40"), map[string]string{podOn("n2"): "1x60"})},
		{name: "nothing tells of pods", at: "40m", series: readers("20x40"), fires: silent("n1")},
		{name: "the gateway is away and hears nobody", at: "40m", series: with(readers("20x40"), podsOnBoth, map[string]string{gatewayUp: "1x20 0x40"})},
		{name: "hours ago", at: "211m", series: with(map[string]string{agentOf("n1"): "0+60x20 _x200", gatewayUp: "1x220"}, map[string]string{podOn("n1"): "1x220"})},
		{name: "no agent", at: "40m", series: with(map[string]string{gatewayUp: "1x60"}, podsOnBoth)},
	},
	"LogStoreReadOnly": {
		{name: "its volume is full", at: "15m", quietUntil: "10m", series: map[string]string{`vl_storage_is_read_only{job="telemetry-logs",path="/data"}`: "0x5 1x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "telemetry-logs", "path": "/data"}, "The store of the logs takes nothing",
				"VictoriaLogs found too little room on its volume and refuses every line. The collector keeps them until its queue is full."}}},
		{name: "for a moment", at: "15m", series: map[string]string{`vl_storage_is_read_only{job="telemetry-logs",path="/data"}`: "0x5 1x2 0x20"}},
	},
	"TraceStoreFailing": {
		{name: "three spans a second", at: "15m", quietUntil: "5m", series: map[string]string{`otelcol_exporter_send_failed_spans{job="telemetry-traces",exporter="jaeger_storage_exporter"}`: "0+180x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "telemetry-traces"}, "The store of the traces cannot write",
				"Jaeger loses 3 spans per second, as it cannot write them to its volume."}}},
		{name: "a few, once", at: "15m", series: map[string]string{`otelcol_exporter_send_failed_spans{job="telemetry-traces",exporter="jaeger_storage_exporter"}`: "0 9x20"}},
	},
}

// spansInElasticsearch is a stack whose Jaeger has no volume.
var spansInElasticsearch = func() composition {
	c := watched
	c.telemetry.SpansAway = true
	return c
}()

func TestSpansThatElasticsearchRefuses(t *testing.T) {
	const refused, failed = `jaeger_storage_bulk_index_errors{job="telemetry-traces",kind="elasticsearch"}`, `jaeger_storage_bulk_index_latency_err_count{job="telemetry-traces",kind="elasticsearch"}`
	fires := func(value string) []firing {
		return []firing{{rule.Warning, map[string]string{"job": "telemetry-traces"}, "The store of the traces cannot write",
			"Elasticsearch refuses " + value + " documents or requests of Jaeger's per second. Spans are lost."}}
	}
	check(t, spansInElasticsearch, "TraceStoreFailing", []situation{
		{name: "three documents a second", at: "15m", series: map[string]string{refused: "0+180x20", failed: "0x20"}, fires: fires("3")},
		{name: "each request", at: "15m", series: map[string]string{failed: "0+6x20"}, fires: fires("0.1")},
		{name: "a few, once", at: "15m", series: map[string]string{refused: "0 9x20", failed: "0 1x20"}},
	})
}

// The reader of a Docker host calls itself like an agent, and no kube-state-metrics is there.
func TestTelemetryOfADockerHost(t *testing.T) {
	for alert, list := range telemetrySituations {
		if alert == "LogAgentSilent" {
			list = []situation{
				{name: "silent", at: "29m", series: readers("20x40"), fires: silent("n1")},
				{name: "a minute before its time", at: "28m", series: readers("20x40")},
			}
		}
		t.Run(alert, func(t *testing.T) { check(t, onDockerHost, alert, list) })
	}
}
