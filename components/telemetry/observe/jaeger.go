package observe

import (
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Jaeger's exporter is done with a span once it waits for Elasticsearch's bulk API: what
// becomes of it there is told by metrics of their own. A bulk request that fails as a whole is
// no error of its documents.
const (
	documentsRefused = `jaeger_storage_bulk_index_errors{$job}`
	requestsFailed   = `jaeger_storage_bulk_index_latency_err_count{$job}`
)

// traceStoreFailing tells that Jaeger loses spans, on its volume or in an Elasticsearch.
func (w Watched) traceStoreFailing() rule.Rule {
	if w.SpansAway {
		return rule.Alert("TraceStoreFailing", rule.Warning, "5m",
			rule.On(w.TraceStore, `sum by (job) (rate(`+documentsRefused+`[5m])) > 0 or sum by (job) (rate(`+requestsFailed+`[5m])) > 0`),
			"The store of the traces cannot write",
			"Elasticsearch refuses {{ $value | printf \"%.2g\" }} documents or requests of Jaeger's per second. Spans are lost.")
	}
	return rule.Alert("TraceStoreFailing", rule.Warning, "5m",
		rule.On(w.TraceStore, `sum by (job) (rate(otelcol_exporter_send_failed_spans{$job}[5m])) > 0`),
		"The store of the traces cannot write",
		"Jaeger loses {{ $value | printf \"%.2g\" }} spans per second, as it cannot write them to its volume.")
}

// spansAway shows what Jaeger writes to an Elasticsearch.
func spansAway(q func(expr, legend string) board.Query) board.Panel {
	return board.Series("Written to Elasticsearch", "ops", 4,
		q(`sum(rate(jaeger_storage_bulk_index_attempts{$job}[$__rate_interval]))`, "documents"),
		q(`sum(rate(`+documentsRefused+`[$__rate_interval])) or vector(0)`, "documents refused"),
		q(`sum(rate(`+requestsFailed+`[$__rate_interval])) or vector(0)`, "requests failed"))
}
