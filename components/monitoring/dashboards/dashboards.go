// Package dashboards builds Grafana's dashboards. Plain Go without Pulumi types.
// Panels are of kinds that come with Grafana: no plugin is needed.
package dashboards

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/rules"
)

// OverviewFile is the file of the dashboard that Grafana opens with.
const OverviewFile = "overview.json"

// tag lets the dashboards link to each other.
const tag = "alphapulse"

// The width of Grafana's grid, and of the panels in it.
const (
	gridWidth    = 24
	numberHeight = 4
	seriesHeight = 8
)

// Files gives the JSON of each dashboard by its file name.
func Files(w rules.Watched) (map[string]string, error) {
	files := map[string]string{}
	var problems []error
	for name, b := range map[string]*dashboard.DashboardBuilder{
		OverviewFile:          overview(w),
		"trading.json":        trading(w),
		"infrastructure.json": infrastructure(w),
	} {
		built, err := b.Build()
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
			continue
		}
		content, err := json.MarshalIndent(built, "", " ")
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
			continue
		}
		files[name] = string(content)
	}
	return files, errors.Join(problems...)
}

func board(title, uid, description string) *dashboard.DashboardBuilder {
	return dashboard.NewDashboardBuilder(title).
		Uid(uid).
		Description(description).
		Tags([]string{tag}).
		Refresh("30s").
		Time("now-3h", "now").
		Timezone("browser").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Readonly(). // a change in the browser could not be saved
		Link(dashboard.NewDashboardLinkBuilder("AlphaPulse").
			Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{tag}).
			KeepTime(true))
}

func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr(config.DatasourceUID)}
}

// query is one line of a panel; its legend may use labels.
type query struct{ expr, legend string }

func (q query) target(ref int) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().
		Expr(q.expr).
		LegendFormat(q.legend).
		RefId(string(rune('A' + ref))).
		Datasource(source())
}

// limit colours a value: green below it and red from it on.
type limit float64

func (l limit) thresholds() *dashboard.ThresholdsConfigBuilder {
	value := float64(l)
	return dashboard.NewThresholdsConfigBuilder().
		Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Color: "green"}, {Color: "red", Value: &value}})
}

// number shows the present value, of a row of so many.
func number(title, unit string, of int, expr string) *stat.PanelBuilder {
	return stat.NewPanelBuilder().
		Title(title).
		Unit(unit).
		NoValue("none").
		Datasource(source()).
		Height(numberHeight).
		Span(uint32(gridWidth / of)).
		GraphMode(common.BigValueGraphModeArea).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		WithTarget(query{expr, ""}.target(0))
}

// series shows values over time, of a row of so many.
func series(title, unit string, of int, queries ...query) *timeseries.PanelBuilder {
	p := timeseries.NewPanelBuilder().
		Title(title).
		Unit(unit).
		Datasource(source()).
		Height(seriesHeight).
		Span(uint32(gridWidth / of)).
		FillOpacity(10).
		Legend(common.NewVizLegendOptionsBuilder().
			DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom).
			ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti))
	for i, q := range queries {
		p.WithTarget(q.target(i))
	}
	return p
}

// line draws a limit across a panel of series.
func line(p *timeseries.PanelBuilder, at float64) *timeseries.PanelBuilder {
	return p.Thresholds(limit(at).thresholds()).
		ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeLine))
}

// alerts lists what fires.
func alerts() *table.PanelBuilder {
	return table.NewPanelBuilder().
		Title("Firing alerts").
		Description("The runbook of each is docs/runbooks/<alertname>.md.").
		NoValue("no alert").
		Datasource(source()).
		Height(seriesHeight).
		Span(gridWidth).
		WithTarget(query{
			expr: fmt.Sprintf(`sum by (alertname, severity, job, pod, persistentvolumeclaim) (ALERTS{alertstate="firing",alertname!=%q})`, rules.DeadMansSwitch),
		}.target(0).Instant().Format(prometheus.PromQueryFormatTable))
}

func row(title string) *dashboard.RowBuilder { return dashboard.NewRowBuilder(title) }

// of formats an expression with the name of a job.
func of(expr, job string) string { return fmt.Sprintf(expr, job) }
