// Package observe says what is watched of logs and traces on their way and where they are
// kept: alerts and panels. Plain Go without Pulumi types.
package observe

import (
	"fmt"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
	"github.com/alphapulse/alphapulse-infra/components/telemetry/config"
)

// Watched is what there is to watch.
type Watched struct {
	// Collector is the gateway's name among the jobs of Prometheus.
	Collector string
	// LogLines and Traces tell which signals it takes.
	LogLines, Traces bool
	// Decided tells that it drops whole traces which nobody is likely to ask for.
	Decided bool
	// LogStore and TraceStore are the jobs of VictoriaLogs and Jaeger, called like their
	// claims; "" where somebody else keeps the signal.
	LogStore, TraceStore string
	// SpansAway tells that the TraceStore has no volume: its spans lie in an Elasticsearch.
	SpansAway bool
	// LinesShown tells that Grafana can ask the LogStore for lines.
	LinesShown bool
	// Bounded says that their volumes have a size, as claims do.
	Bounded bool
}

// Telemetry is the dashboard of logs and traces.
var Telemetry = board.Dashboard{
	File: "telemetry.json", UID: "alphapulse-telemetry", Title: "AlphaPulse Logs and Traces",
	Description: "What is taken, waits, is sent and is lost, what is kept, and what the spans tell of the services.",
}

// queueHigh is the share of a queue from which on it is worth a look.
const queueHigh = 0.5

// group is the name of the rules' group.
const group = "telemetry"

// signal is what the Collector's metrics call one kind of item.
type signal struct{ name, items, counted string }

var (
	logLines = signal{"logs", "log_records", "log lines"}
	spans    = signal{"traces", "spans", "spans"}
)

func (w Watched) signals() []signal {
	var all []signal
	if w.LogLines {
		all = append(all, logLines)
	}
	if w.Traces {
		all = append(all, spans)
	}
	return all
}

// Alerts are the rules on logs and traces.
func Alerts(w Watched) []rule.Group {
	about := func(workload string) rule.About {
		return rule.About{Owner: rule.Platform, Workload: workload, Dashboard: Telemetry.UID}
	}
	rules := about(w.Collector).Alerts(w.collector()...)
	var volumes []rule.Rule
	if w.LogStore != "" && w.Bounded {
		volumes = append(volumes, rule.Volume(w.LogStore, w.LogStore, "vl_data_size_bytes"))
	}
	if w.TraceStore != "" && !w.SpansAway && w.Bounded {
		volumes = append(volumes, rule.Volume(w.TraceStore, w.TraceStore, "jaeger_storage_badger_size_bytes_lsm", "jaeger_storage_badger_size_bytes_vlog"))
	}
	if w.LogStore != "" {
		rules = append(rules, about(w.LogStore).Alerts(storeDown("LogStoreDown", w.LogStore, logLines,
			"The store of the logs does not answer",
			"VictoriaLogs does not answer: nobody can read log lines. New ones wait in the collector until its queue is full."), rule.Alert("LogStoreReadOnly", rule.Warning, "5m",
			rule.On(w.LogStore, `vl_storage_is_read_only{$job} == 1`),
			"The store of the logs takes nothing",
			"VictoriaLogs found too little room on its volume and refuses every line. The collector keeps them until its queue is full."))...)
	}
	if w.TraceStore != "" {
		rules = append(rules, about(w.TraceStore).Alerts(storeDown("TraceStoreDown", w.TraceStore, spans,
			"The store of the traces does not answer",
			"Jaeger does not answer: nobody can read traces. New spans wait in the collector until its queue is full."), w.traceStoreFailing())...)
	}
	return []rule.Group{{Name: rule.Capacity, Rules: volumes}, {Name: group, Rules: rules}}
}

// storeDown tells that a store is away. That what is for it waits, and that it is more and
// more, follows from it; that some is lost does not.
func storeDown(name, store string, s signal, summary, description string) rule.Rule {
	down := rule.Missing(name, rule.Warning, "5m", "up", store, summary, description)
	down.Silences = []rule.Silence{
		{Matchers: []string{`severity="warning"`}, Equal: []string{rule.WorkloadLabel}},
		{Matchers: []string{`alertname=~"TelemetryNotSent|TelemetryQueueFilling"`, fmt.Sprintf("exporter=~%q", exporters(s))}},
	}
	return down
}

// waits lets a rule that nothing is sent silence that more and more waits.
func waits(r rule.Rule) rule.Rule {
	r.Silences = []rule.Silence{{Matchers: []string{`alertname="TelemetryQueueFilling"`}, Equal: []string{"job", "exporter"}}}
	return r
}

// exporters matches the gateway's of one signal, whatever they speak.
func exporters(s signal) string { return "otlp_http/" + s.name + "|elasticsearch/" + s.name }

// collector tells what the gateway does not get done.
func (w Watched) collector() []rule.Rule {
	on := func(s signal, expr string) string {
		return rule.On(w.Collector, fmt.Sprintf(expr, s.items, exporters(s)))
	}
	of := func(s signal, r rule.Rule) rule.Rule {
		r.Labels["signal"] = s.name
		return r
	}
	var rules []rule.Rule
	for _, s := range w.signals() {
		lost := newly(`otelcol_exporter_send_failed_%[1]s`)
		if s == logLines {
			// The edge's forwarders tell theirs to the gateway. nginx does not send a line
			// again that finds their queue full; others keep what is not taken.
			// An agent on a node keeps what was not taken in its file, and tries again.
			const ofForwarders = `exported_job!="` + config.AgentService + `"`
			lost += ` or ` + newly(`otelcol_exporter_send_failed_%[1]s_total`, ofForwarders) + ` or ` + newly(`otelcol_exporter_enqueue_failed_%[1]s_total`, ofForwarders)
		}
		rules = append(rules,
			of(s, rule.Alert("TelemetryRefused", rule.Warning, "5m",
				on(s, `sum by (job) (rate(otelcol_receiver_refused_%[1]s{$job}[5m])) > 0`),
				"The collector refuses "+s.counted,
				"The collector refuses {{ $value | printf \"%.2g\" }} "+s.counted+" per second, as its memory or its queue is full. Senders keep them for a while, then drop them.")),
			// The counter is not there before the first loss: what it shows then is all new.
			of(s, rule.Alert("TelemetryLost", rule.Warning, "",
				on(s, lost),
				"The collector loses "+s.counted,
				"{{ $value | humanize }} "+s.counted+" were lost within ten minutes: their backend refused them, or nothing more could wait for it.")),
			waits(of(s, rule.Alert("TelemetryNotSent", rule.Warning, "5m",
				on(s, `sum by (job, exporter) (otelcol_exporter_queue_size{$job,exporter=~"%[2]s"}) > 0 unless sum by (job, exporter) (rate(otelcol_exporter_sent_%[1]s{$job}[5m])) > 0`),
				"The backend takes no "+s.counted,
				"What the collector has for {{ $labels.exporter }} waits, and nothing was sent for five minutes. Nothing is lost until the queue is full."))))
	}
	if w.Decided {
		rules = append(rules, rule.Alert("TracesGivenUp", rule.Warning, "",
			rule.On(w.Collector, newly(undecided)),
			"The collector gives traces up unseen",
			"{{ $value | humanize }} traces were dropped within ten minutes before it was known whether they failed or were slow: more came at once than its memory holds."))
	}
	return append(rules, rule.Alert("TelemetryQueueFilling", rule.Warning, "10m",
		rule.On(w.Collector, fmt.Sprintf(`max by (job, exporter) (otelcol_exporter_queue_size{$job} / (otelcol_exporter_queue_capacity{$job} > 0)) > %g`, queueHigh)),
		"The collector's queue is filling up",
		"{{ $value | humanizePercentage }} of the queue of {{ $labels.exporter }} is used. Once it is full, what comes is lost."))
}

// undecided counts the traces that had to go before they were whole.
const undecided = "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early"

// newly is how much a counter has grown within ten minutes, from nothing where there was
// none. More matchers say of whom.
func newly(metric string, matchers ...string) string {
	series := metric + "{" + strings.Join(append([]string{"$job"}, matchers...), ",") + "}"
	now := "sum by (job, exporter) (" + series + ")"
	return "(" + now + " - (sum by (job, exporter) (" + series + " offset 10m) or " + now + " * 0) > 0)"
}
