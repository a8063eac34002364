package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The page: as wide as Grafana's grid of 24 columns, with a head above it.
const (
	column, unitHeight = 50.0, 30.0
	pageWidth          = 24 * column
	headHeight         = 58.0
	margin             = 5.0
	letter             = 6.4 // width of most of them
)

// Colours on a light ground.
const (
	ground, paper, edge = "#f4f5f5", "#fff", "#dcdee0"
	ink, pale           = "#24292e", "#6a7177"
	red, green, blue    = "#c4162a", "#37872d", "#1f60c4"
)

// palette colours series one after another.
var palette = []string{"#37872d", "#e0b400", "#1f60c4", "#e55400", "#c4162a", "#8f3bb8", "#00868b", "#7c6a00", "#ad4d83", "#5f6f7f"}

// An answer is what a panel's queries had as results.
type answer struct {
	series []series
	lines  []line
}

// A line is one of a log.
type line struct{ time, severity, service, text string }

// empty tells whether there is nothing to draw.
func (a answer) empty() bool {
	return len(a.lines) == 0 && !slices.ContainsFunc(a.series, func(s series) bool { return len(s.points) > 0 })
}

// draw makes the picture of a dashboard from the answers to its panels, in their order.
// marks are times at which something has changed.
func draw(d dashboard, answers []answer, s span, marks []float64) string {
	rows := 0
	for _, p := range d.Panels {
		rows = max(rows, p.GridPos.Y+p.GridPos.H)
	}
	height := headHeight + float64(rows)*unitHeight + margin
	c := &canvas{}
	c.put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" font-family="system-ui,sans-serif" font-size="11" fill="%s">`, short(pageWidth), short(height), ink)
	c.put(`<title>%s</title>`, escape(d.Title))
	c.put(`<style>.l{fill:none;stroke-width:1.3;stroke-linejoin:round}.g{stroke:%s;stroke-width:.6}.p{fill:%s}.e{text-anchor:end}.m{text-anchor:middle}.t{font-weight:600;font-size:12px}</style>`, edge, pale)
	c.put(`<rect width="100%%" height="100%%" fill="%s"/>`, ground)
	c.put(`<text x="10" y="24" font-size="18" font-weight="600">%s</text>`, escape(d.Title))
	c.put(`<text x="10" y="44" class="p">%s</text>`, escape(d.Description))
	c.put(`<text x="%s" y="24" class="p e">%s to %s UTC</text>`, short(pageWidth-10), s.from.UTC().Format("2006-01-02 15:04"), s.to.UTC().Format("15:04"))
	c.put(`<text x="%s" y="44" class="p e">what the panels’ queries gave, drawn by make pictures; not a page of Grafana</text>`, short(pageWidth-10))
	for n, p := range d.Panels {
		g := p.GridPos
		b := box{float64(g.X)*column + margin, headHeight + float64(g.Y)*unitHeight, float64(g.W)*column - 2*margin, float64(g.H)*unitHeight - margin}
		if p.Type == "row" {
			c.put(`<text x="%s" y="%s" font-size="14" font-weight="600">%s</text>`, short(b.x+3), short(b.y+18), escape(p.Title))
			continue
		}
		c.panel(p, answers[n], b, s, marks)
	}
	c.put(`</svg>`)
	return c.String()
}

type canvas struct{ strings.Builder }

func (c *canvas) put(format string, args ...any) { _, _ = fmt.Fprintf(c, format+"\n", args...) }

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a builder takes everything
	return b.String()
}

// fitting cuts a text to what fits into so many pixels, by the width of most letters.
func fitting(s string, width, letter float64) string {
	r := []rune(s)
	if n := int(width / letter); len(r) > n {
		return string(r[:max(n-1, 0)]) + "…"
	}
	return s
}

func (c *canvas) panel(p panel, a answer, b box, s span, marks []float64) {
	c.put(`<rect x="%s" y="%s" width="%s" height="%s" rx="3" fill="%s" stroke="%s"/>`, short(b.x), short(b.y), short(b.w), short(b.h), paper, edge)
	c.put(`<text x="%s" y="%s" class="t">%s</text>`, short(b.x+8), short(b.y+17), escape(fitting(p.Title, b.w-16, 6.6)))
	inner := box{b.x + 8, b.y + 26, b.w - 16, b.h - 32}
	if a.empty() {
		c.put(`<text x="%s" y="%s" class="p m" font-size="14">no data</text>`, short(b.x+b.w/2), short(b.y+b.h/2+8))
		if says := p.FieldConfig.Defaults.NoValue; says != "" {
			c.put(`<text x="%s" y="%s" class="p m">Grafana says: %s</text>`, short(b.x+b.w/2), short(b.y+b.h/2+26), escape(says))
		}
		return
	}
	switch p.Type {
	case "stat":
		c.number(p, a.series, inner, s)
	case "table":
		c.table(a.series, inner)
	case "logs", "nodeGraph":
		c.log(a.lines, inner)
	default:
		c.chart(p, a.series, inner, s, marks)
	}
}

// number shows the last value, above what it was before.
func (c *canvas) number(p panel, all []series, b box, s span) {
	f := p.FieldConfig.Defaults
	points := all[0].points
	last := points[len(points)-1].value
	if s.end()-points[len(points)-1].at > 2*s.step.Seconds() {
		last = math.NaN()
	}
	colour := f.colour(last)
	if len(points) > 1 {
		a := fit(box{b.x, b.y + b.h*0.55, b.w, b.h * 0.45}, s, all[:1], f)
		c.put(`<path class="l" stroke="%s" opacity=".5" d="%s"/>`, colour, a.path(points))
	}
	text := "no value now"
	if !math.IsNaN(last) {
		text = format(last, f.Unit)
	}
	c.put(`<text x="%s" y="%s" class="m" font-size="26" font-weight="600" fill="%s">%s</text>`, short(b.x+b.w/2), short(b.y+b.h*0.42), colour, escape(text))
}

// table lists the labels of each result.
func (c *canvas) table(all []series, b box) {
	for n, s := range all {
		y := b.y + 14 + float64(n)*17
		if y > b.y+b.h {
			break
		}
		var said []string
		for _, name := range sortedKeys(s.labels) {
			said = append(said, name+"="+s.labels[name])
		}
		c.put(`<text x="%s" y="%s">%s</text>`, short(b.x), short(y), escape(fitting(strings.Join(said, "  "), b.w, letter)))
	}
}

// log shows as many lines as there is room for.
func (c *canvas) log(all []line, b box) {
	c.put(`<g font-family="ui-monospace,monospace" font-size="10">`)
	for n, l := range all {
		y := b.y + 12 + float64(n)*15
		if y > b.y+b.h {
			break
		}
		c.put(`<text x="%s" y="%s">%s</text>`, short(b.x), short(y), escape(fitting(l.time+" "+l.severity+" "+l.service+" "+l.text, b.w, 6.1)))
	}
	c.put(`</g>`)
}

// chart shows values over time, what is drawn across them, and whose they are.
func (c *canvas) chart(p panel, all []series, b box, s span, marks []float64) {
	f := p.FieldConfig.Defaults
	limits := f.limits()
	all = slices.DeleteFunc(slices.Clone(all), func(s series) bool { return len(s.points) == 0 })
	names := legend(all, limits, f.Unit, b.w)
	a := fit(box{b.x + 62, b.y + 4, b.w - 68, b.h - 24 - 14*float64(len(names))}, s, all, f)
	for _, v := range ticks(a.low, a.high, f.Unit) {
		c.put(`<path class="g" d="M%s %sh%s"/><text class="p e" x="%s" y="%s">%s</text>`, short(a.x), short(a.py(v)), short(a.w), short(a.x-5), short(a.py(v)+4), escape(format(v, f.Unit)))
	}
	for n := range 4 {
		at := s.from.Add(s.to.Sub(s.from) * time.Duration(2*n+1) / 8)
		c.put(`<text class="p m" x="%s" y="%s">%s</text>`, short(a.px(float64(at.Unix()))), short(a.y+a.h+14), at.UTC().Format("15:04"))
	}
	var across strings.Builder
	for _, at := range marks {
		fmt.Fprintf(&across, "M%s %sv%s", short(a.px(at)), short(a.y), short(a.h))
	}
	if across.Len() > 0 {
		c.put(`<path class="l" stroke="%s" stroke-dasharray="3 3" opacity=".6" d="%s"/>`, blue, across.String())
	}
	for n, one := range all {
		path := a.path(one.points)
		if f.Custom.DrawStyle == "bars" {
			path = a.bars(one.points)
		}
		c.put(`<path class="l" stroke="%s" d="%s"/>`, palette[n%len(palette)], path)
	}
	for _, l := range limits {
		if l <= a.high {
			c.put(`<path class="l" stroke="%s" stroke-dasharray="6 4" d="M%s %sh%s"/>`, red, short(a.x), short(a.py(l)), short(a.w))
		}
	}
	for n, row := range names {
		y := short(a.y + a.h + 30 + 14*float64(n))
		for _, e := range row {
			if e.colour != "" {
				c.put(`<path stroke="%s" stroke-width="3" d="M%s %sh10"/>`, e.colour, short(b.x+e.x), short(a.y+a.h+26+14*float64(n)))
			}
			c.put(`<text x="%s" y="%s">%s</text>`, short(b.x+e.x+14), y, escape(e.name))
		}
	}
}

// An entry of a legend stands x pixels from its left.
type entry struct {
	name, colour string
	x            float64
}

// legendRows are as many as do not press the chart together.
const legendRows = 3

// legend names the limits and the series, in rows. What has no room is counted.
func legend(all []series, limits []float64, unit string, width float64) [][]entry {
	var entries []entry
	for _, l := range limits {
		entries = append(entries, entry{name: "limit " + format(l, unit), colour: red})
	}
	for n, s := range all {
		entries = append(entries, entry{name: s.name, colour: palette[n%len(palette)]})
	}
	var rows [][]entry
	x := width
	for n, e := range entries {
		e.name = fitting(e.name, width/2-20, letter)
		need := float64(len([]rune(e.name)))*letter + 26
		// The last row keeps room to say what is missing.
		room := width
		if len(rows) == legendRows && n < len(entries)-1 {
			room -= 80
		}
		if x+need > room {
			if len(rows) == legendRows {
				rows[legendRows-1] = append(rows[legendRows-1], entry{name: fmt.Sprintf("and %d more", len(entries)-n), x: x})
				break
			}
			rows, x = append(rows, nil), 0
		}
		e.x = x
		rows[len(rows)-1] = append(rows[len(rows)-1], e)
		x += need
	}
	return rows
}
