package board

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/nodegraph"
)

// TracesDatasource is the uid of Jaeger's data source, which a stack has that keeps traces in
// it, and its kind.
const TracesDatasource = "jaeger"

// Services draws the services and who of them leads to whom, by their traces, over the whole
// width.
func Services(title string) *nodegraph.PanelBuilder {
	source := common.DataSourceRef{Type: cog.ToPtr(TracesDatasource), Uid: cog.ToPtr(TracesDatasource)}
	return nodegraph.NewPanelBuilder().
		Title(title).
		Datasource(source).
		Height(SeriesHeight + SeriesHeight/2).
		Span(GridWidth).
		// The SDK knows no queries of Jaeger's.
		WithTarget(variants.NewUnknownDataqueryBuilderFromObject(variants.UnknownDataquery{
			"refId": "A", "datasource": source, "queryType": "dependencyGraph",
		}))
}
