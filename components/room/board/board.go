// Package board is the vocabulary in which a room says what Grafana shows of it. Plain
// Go without Pulumi types. Panels are of kinds that come with Grafana; only the data source
// of log lines is a plugin.
package board

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Datasource is the uid of the datasource that the panels ask.
const Datasource = "prometheus"

// Dashboard is a page of panels.
type Dashboard struct {
	// File is the name of its file, e.g. "overview.json"; it tells two dashboards apart.
	File string
	// Title and Description are what users read.
	Title, Description string
	// UID is part of its address.
	UID string
}

// The dashboards to which several rooms add.
var (
	// Overview is the one that Grafana opens with.
	Overview = Dashboard{
		File: "overview.json", UID: "alphapulse-overview", Title: "AlphaPulse Overview",
		Description: "Is it up, is it fast, does it fail, and what asks for attention.",
	}
	// Infrastructure shows what the application stands on.
	Infrastructure = Dashboard{
		File: "infrastructure.json", UID: "alphapulse-infrastructure", Title: "AlphaPulse Infrastructure",
		Description: "Cache, edge, volumes, workloads and monitoring itself.",
	}
	// Data shows where what users stored is, and whether it is safe: the database's room and
	// the backup's add to it.
	Data = Dashboard{
		File: "data.json", UID: "alphapulse-data", Title: "AlphaPulse Data",
		Description: "The database: its members, poolers and work, TimescaleDB's chunks and jobs, and the backups.",
	}
)

// Panel builds a panel: Number and Series do, and every builder of the Grafana
// Foundation SDK.
type Panel = cog.Builder[dashboard.Panel]

// Contribution is what a room adds to one row of a dashboard.
type Contribution struct {
	// Dashboard that gets it.
	Dashboard Dashboard
	// Row is its title.
	Row string
	// Panels from left to right.
	Panels []Panel
}

// tag lets the dashboards link to each other.
const tag = "alphapulse"

// The width of Grafana's grid, and the heights of the panels in it.
const (
	GridWidth    = 24
	SeriesHeight = 8

	numberHeight = 4
)

// page is a dashboard that is put together.
type page struct {
	Dashboard
	rows []Contribution
}

// Mark is an event that is drawn across the panels of every dashboard.
type Mark struct {
	// Name is what users switch it on and off by.
	Name string
	// Expr is in PromQL; the event lasts for as long as it has a result.
	Expr string
	// Tags are the labels whose values are shown.
	Tags []string
}

// mark is one as Grafana's data source for Prometheus reads it, of which the SDK knows a
// part.
type mark struct {
	Name       string               `json:"name"`
	Datasource common.DataSourceRef `json:"datasource"`
	Enable     bool                 `json:"enable"`
	IconColor  string               `json:"iconColor"`
	Expr       string               `json:"expr"`
	Title      string               `json:"titleFormat"`
	TagKeys    string               `json:"tagKeys"`
}

// Files gives the JSON of each dashboard by its file name. Dashboards and their rows
// come into being with the first contribution that has a panel, in that order. Every one
// has the marks.
func Files(contributions []Contribution, marks ...Mark) (map[string]string, error) {
	pages, err := assemble(contributions)
	problems := []error{err}
	files := map[string]string{}
	for _, p := range pages {
		content, err := p.json(marks)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", p.File, err))
			continue
		}
		files[p.File] = content
	}
	return files, errors.Join(problems...)
}

func assemble(contributions []Contribution) ([]*page, error) {
	var pages []*page
	var problems []error
	for _, c := range contributions {
		if len(c.Panels) == 0 {
			continue
		}
		i := slices.IndexFunc(pages, func(p *page) bool { return p.File == c.Dashboard.File || p.UID == c.Dashboard.UID })
		if i < 0 {
			i = len(pages)
			pages = append(pages, &page{Dashboard: c.Dashboard})
		}
		p := pages[i]
		if p.Dashboard != c.Dashboard {
			problems = append(problems, fmt.Errorf("dashboards: %+v and %+v are two with one file or uid: give one of them another", p.Dashboard, c.Dashboard))
		}
		r := slices.IndexFunc(p.rows, func(other Contribution) bool { return other.Row == c.Row })
		if r < 0 {
			p.rows = append(p.rows, c)
			continue
		}
		p.rows[r].Panels = append(slices.Clip(p.rows[r].Panels), c.Panels...)
	}
	return pages, errors.Join(problems...)
}

func (p *page) json(marks []Mark) (string, error) {
	b := dashboard.NewDashboardBuilder(p.Title).
		Uid(p.UID).
		Description(p.Description).
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
	for _, r := range p.rows {
		b.WithRow(dashboard.NewRowBuilder(r.Row))
		for _, panel := range r.Panels {
			b.WithPanel(unplaced{panel})
		}
	}
	built, err := b.Build()
	if err != nil {
		return "", err
	}
	model := struct {
		dashboard.Dashboard
		Annotations struct {
			List []mark `json:"list"`
		} `json:"annotations"`
	}{Dashboard: built}
	model.Annotations.List = []mark{}
	for _, m := range marks {
		model.Annotations.List = append(model.Annotations.List, mark{
			Name: m.Name, Datasource: Source(), Enable: true, IconColor: "blue", Expr: m.Expr, Title: m.Name, TagKeys: strings.Join(m.Tags, ","),
		})
	}
	content, err := json.MarshalIndent(model, "", " ")
	return string(content), err
}

// unplaced leaves the position that a dashboard gives a panel out of its builder: the
// next dashboard of the same builder would keep it.
type unplaced struct{ Panel }

func (u unplaced) Build() (dashboard.Panel, error) {
	p, err := u.Panel.Build()
	if err == nil && p.GridPos != nil {
		position := *p.GridPos
		p.GridPos = &position
	}
	return p, err
}

// Source is the datasource for panels that are not made by this package.
func Source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr(Datasource)}
}

// Query is one line of a panel.
type Query struct {
	// Expr is in PromQL; $__rate_interval is Grafana's.
	Expr string
	// Legend may use labels, e.g. "{{pod}}".
	Legend string
	// Examples shows single observations of a histogram, which lead to their traces where
	// there are any.
	Examples bool
}

// On makes queries of a job's series: in their expressions it fills in $job, as rule.On
// does.
func On(job string) func(expr, legend string) Query {
	return func(expr, legend string) Query { return Query{Expr: rule.On(job, expr), Legend: legend} }
}

// Target builds the query with the number ref of a panel.
func (q Query) Target(ref int) *prometheus.DataqueryBuilder {
	b := prometheus.NewDataqueryBuilder().
		Expr(q.Expr).
		LegendFormat(q.Legend).
		RefId(string(rune('A' + ref))).
		Datasource(Source())
	if q.Examples {
		b.Exemplar(true)
	}
	return b
}

// Limit colours a value: green below it and red from it on.
func Limit(value float64) *dashboard.ThresholdsConfigBuilder {
	return dashboard.NewThresholdsConfigBuilder().
		Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Color: "green"}, {Color: "red", Value: &value}})
}

// Number shows the present value, of a row of so many.
func Number(title, unit string, of int, expr string) *stat.PanelBuilder {
	return stat.NewPanelBuilder().
		Title(title).
		Unit(unit).
		NoValue("none").
		Datasource(Source()).
		Height(numberHeight).
		Span(uint32(GridWidth / of)).
		GraphMode(common.BigValueGraphModeArea).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		WithTarget(Query{Expr: expr}.Target(0))
}

// Series shows values over time, of a row of so many.
func Series(title, unit string, of int, queries ...Query) *timeseries.PanelBuilder {
	p := timeseries.NewPanelBuilder().
		Title(title).
		Unit(unit).
		Datasource(Source()).
		Height(SeriesHeight).
		Span(uint32(GridWidth / of)).
		FillOpacity(10).
		Legend(common.NewVizLegendOptionsBuilder().
			DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom).
			ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti))
	for i, q := range queries {
		p.WithTarget(q.Target(i))
	}
	return p
}

// Line draws a limit across a panel of series.
func Line(p *timeseries.PanelBuilder, at float64) *timeseries.PanelBuilder {
	return p.Thresholds(Limit(at)).
		ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeLine))
}
