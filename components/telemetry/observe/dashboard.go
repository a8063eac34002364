package observe

import (
	"fmt"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// Panels show what the Collector takes and gives, and what the stores keep.
func Panels(w Watched) []board.Contribution {
	rows := []board.Contribution{{Dashboard: Telemetry, Row: "Collector", Panels: w.gateway()}}
	if w.Traces {
		rows = append(rows, board.Contribution{Dashboard: Telemetry, Row: "Services, by their spans", Panels: w.services()})
	}
	if w.LinesShown {
		rows = append(rows, board.Contribution{Dashboard: Telemetry, Row: "Lines", Panels: lines()})
	}
	var kept []board.Panel
	if w.LogStore != "" {
		q := board.On(w.LogStore)
		kept = append(kept,
			board.Series("Log lines kept", "short", 2, q(`sum(vl_storage_rows{$job})`, "lines")),
			board.Series("Size of the logs", "bytes", 2, q(`sum by (type) (vl_data_size_bytes{$job})`, "{{type}}"), q(`sum(vl_free_disk_space_bytes{$job})`, "free")))
	}
	switch q := board.On(w.TraceStore); {
	case w.TraceStore == "":
	case w.SpansAway:
		kept = append(kept, spansAway(q))
	default:
		kept = append(kept,
			board.Series("Spans stored", "ops", 2, q(`sum(rate(otelcol_exporter_sent_spans{$job}[$__rate_interval]))`, "stored")),
			board.Series("Size of the traces", "bytes", 2, q(`sum(jaeger_storage_badger_size_bytes_lsm{$job})`, "keys"), q(`sum(jaeger_storage_badger_size_bytes_vlog{$job})`, "values")))
	}
	return append(rows, board.Contribution{Dashboard: Telemetry, Row: "Kept", Panels: kept})
}

func (w Watched) gateway() []board.Panel {
	q := board.On(w.Collector)
	var taken, sent, lost []board.Query
	for _, s := range w.signals() {
		taken = append(taken, q(`sum(rate(otelcol_receiver_accepted_`+s.items+`{$job}[$__rate_interval]))`, s.counted))
		sent = append(sent, q(`sum(rate(otelcol_exporter_sent_`+s.items+`{$job}[$__rate_interval]))`, s.counted))
		lost = append(lost,
			q(`sum(rate(otelcol_receiver_refused_`+s.items+`{$job}[$__rate_interval])) or vector(0)`, s.counted+" refused"),
			q(`sum(rate(otelcol_exporter_send_failed_`+s.items+`{$job}[$__rate_interval])) or vector(0)`, s.counted+" lost"))
		if s == spans && w.Decided {
			lost = append(lost, q(`sum(rate(otelcol_exporter_enqueue_failed_`+s.items+`{$job}[$__rate_interval])) or vector(0)`, s.counted+" lost at a full queue"))
		}
	}
	return []board.Panel{
		board.Series("Taken", "ops", 4, taken...),
		board.Series("Sent", "ops", 4, sent...),
		board.Series("Refused and lost", "ops", 4, lost...),
		board.Line(board.Series("Queue", "percentunit", 4,
			q(`max by (exporter) (otelcol_exporter_queue_size{$job} / (otelcol_exporter_queue_capacity{$job} > 0))`, "{{exporter}}")).Max(1), queueHigh),
	}
}

// severe are lines that somebody may have to read. Severities are called as OpenTelemetry
// does, whatever the program calls them.
const severe = `severity_text:in(WARN, ERROR, FATAL)`

// lines are what was written, by VictoriaLogs' own language.
func lines() []board.Panel {
	return []board.Panel{
		board.LineCounts("Lines by severity", 2, `* | stats by (severity_text) count() lines`, "{{severity_text}}"),
		board.LineCounts("Warnings and errors by service", 2, severe+` | stats by (service.name) count() lines`, "{{service.name}}"),
		board.Lines("Warnings and errors", severe).
			Description("A line's details have its trace_id, which leads to the trace where traces are kept, too."),
	}
}

func (w Watched) services() []board.Panel {
	q := board.On(w.Collector)
	slowest := q(`topk(10, histogram_quantile(0.95, sum by (le, service_name, span_name) (rate(span_duration_seconds_bucket{$job}[$__rate_interval]))))`, "{{service_name}} {{span_name}}")
	slowest.Examples = true
	panels := []board.Panel{
		board.Series("Spans of services", "ops", 3, q(`sum by (service_name) (rate(span_calls_total{$job}[$__rate_interval]))`, "{{service_name}}")),
		board.Series("Spans with errors", "ops", 3, q(`sum by (service_name, span_name) (rate(span_calls_total{$job,status_code="STATUS_CODE_ERROR"}[$__rate_interval])) > 0`, "{{service_name}} {{span_name}}")),
		board.Series("Slowest spans (p95)", "s", 3, slowest),
		board.Series("Who calls whom", "ops", 2, q(between(`sum by (service_name, %s) (rate(span_calls_total{$job,span_kind="SPAN_KIND_CLIENT"}[$__rate_interval]))`), "{{service_name}} to {{called}}")),
		board.Series("How long those calls take (p95)", "s", 2, q(between(`histogram_quantile(0.95, sum by (le, service_name, %s) (rate(span_duration_seconds_bucket{$job,span_kind="SPAN_KIND_CLIENT"}[$__rate_interval])))`), "{{service_name}} to {{called}}")),
	}
	if w.Decided {
		panels = append(panels, board.Series("Traces kept and dropped", "ops", 1,
			q(`sum by (sampled) (rate(otelcol_processor_tail_sampling_global_count_traces_sampled{$job}[$__rate_interval]))`, "kept: {{sampled}}"),
			q(`sum(rate(`+undecided+`{$job}[$__rate_interval])) or vector(0)`, "given up unseen")))
	}
	// In an Elasticsearch it is a batch job of Jaeger's that finds them out.
	if w.TraceStore != "" && !w.SpansAway {
		panels = append(panels, board.Services("Services, by their traces").
			Description("Who began what others went on with, in the newest hundred traces."))
	}
	return panels
}

// callee are the labels that may name who is called, the last one that does winning.
var callee = []string{"server_address", "db_system", "db_system_name"}

// between adds the label called to what an expression tells of clients' spans by callee.
func between(expr string) string {
	expr = fmt.Sprintf(`label_replace(%s, "called", "others", "", "")`, fmt.Sprintf(expr, strings.Join(callee, ", ")))
	for _, label := range callee {
		expr = fmt.Sprintf(`label_replace(%s, "called", "$1", "%s", "(.+)")`, expr, label)
	}
	return expr
}
