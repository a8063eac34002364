package board

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/logs"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// The data source of log lines, which a stack has that keeps them in VictoriaLogs: its uid,
// and its kind, which is that of a plugin and does not come with Grafana.
const (
	LinesDatasource = "victorialogs"
	LinesKind       = "victoriametrics-logs-datasource"
)

// mostLines are shown by a panel at once.
const mostLines = 200

// LinesSource is the data source of panels of log lines.
func LinesSource() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr(LinesKind), Uid: cog.ToPtr(LinesDatasource)}
}

// lineQuery is one in LogsQL, which the SDK knows nothing of; how is what the plugin calls the
// kind of answer.
func lineQuery(expr, how string, more map[string]any) cog.Builder[variants.Dataquery] {
	query := variants.UnknownDataquery{
		"refId": "A", "datasource": LinesSource(), "expr": expr, "queryType": how, "editorMode": "code",
	}
	for key, value := range more {
		query[key] = value
	}
	return variants.NewUnknownDataqueryBuilderFromObject(query)
}

// Lines shows log lines, the latest first, over the whole width; expr is in LogsQL.
func Lines(title, expr string) *logs.PanelBuilder {
	return logs.NewPanelBuilder().
		Title(title).
		Datasource(LinesSource()).
		Height(SeriesHeight + SeriesHeight/2).
		Span(GridWidth).
		ShowTime(true).
		WrapLogMessage(true).
		EnableLogDetails(true).
		SortOrder(common.LogsSortOrderDescending).
		DedupStrategy(common.LogsDedupStrategyNone).
		WithTarget(lineQuery(expr, "instant", map[string]any{"maxLines": mostLines}))
}

// LineCounts shows how many log lines there are over time, of a row of so many; expr is in
// LogsQL and ends in stats, legend may use its labels.
func LineCounts(title string, of int, expr, legend string) *timeseries.PanelBuilder {
	return Series(title, "short", of).
		Datasource(LinesSource()).
		DrawStyle(common.GraphDrawStyleBars).
		WithTarget(lineQuery(expr, "statsRange", map[string]any{"legendFormat": legend}))
}
