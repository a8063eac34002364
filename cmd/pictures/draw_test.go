package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// minutes are a span of so many, from noon on.
func minutes(n int) span {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	return span{noon, noon.Add(time.Duration(n) * time.Minute), time.Minute}
}

// line makes a series with a value a minute; NaN leaves one out.
func values(s span, name string, all ...float64) series {
	one := series{name: name, labels: map[string]string{"pod": name}}
	for n, v := range all {
		if !math.IsNaN(v) {
			one.points = append(one.points, point{s.start() + float64(n)*60, v})
		}
	}
	return one
}

const board = `{"title": "Toys & more", "description": "What children see.", "panels": [
	{"type": "row", "title": "Now", "gridPos": {"h": 1, "w": 24, "x": 0, "y": 0}},
	{"type": "stat", "title": "Requests", "gridPos": {"h": 4, "w": 6, "x": 0, "y": 1}, "targets": [{"expr": "a"}],
	 "fieldConfig": {"defaults": {"unit": "percentunit", "noValue": "none", "thresholds": {"steps": [{"color": "green", "value": null}, {"color": "red", "value": 0.5}]}}}},
	{"type": "timeseries", "title": "Latency", "gridPos": {"h": 8, "w": 12, "x": 0, "y": 5}, "targets": [{"expr": "b", "legendFormat": "{{pod}}"}],
	 "fieldConfig": {"defaults": {"unit": "s", "custom": {"thresholdsStyle": {"mode": "line"}}, "thresholds": {"steps": [{"color": "green", "value": null}, {"color": "red", "value": 0.2}]}}}},
	{"type": "table", "title": "Alerts", "gridPos": {"h": 8, "w": 12, "x": 12, "y": 5}, "targets": [{"expr": "c", "instant": true}],
	 "fieldConfig": {"defaults": {"noValue": "no alert"}}},
	{"type": "logs", "title": "Lines", "gridPos": {"h": 8, "w": 24, "x": 0, "y": 13}, "targets": [{"expr": "d", "queryType": "instant", "maxLines": 20}]}
]}`

func toys(t *testing.T) dashboard {
	t.Helper()
	d, err := read(board)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// wellFormed fails if a picture is no XML, and returns its texts.
func wellFormed(t *testing.T, svg string) []string {
	t.Helper()
	var texts []string
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			texts = append(texts, string(text))
		}
	}
}

// TestAPictureShowsWhatTheAnswersSay: values with units, names, limits, rows and lines.
func TestAPictureShowsWhatTheAnswersSay(t *testing.T) {
	s := minutes(10)
	svg := draw(toys(t), []answer{
		{},
		{series: []series{values(s, "", 0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.723)}},
		{series: []series{values(s, "api-<1>", 0.1, 0.1, 0.1), values(s, "api-2", 0.05, 0.15)}},
		{series: []series{values(s, "TooSlow", 1)}},
		{lines: []line{{"12:00:01.000", "ERROR", "api", `it said "no" & left`}}},
	}, s, []float64{s.start() + 120})
	texts := wellFormed(t, svg)
	for _, want := range []string{
		"Toys & more", "What children see.", "2026-01-02 12:00 to 12:10 UTC", "Now", "Requests", "72.3 %", "Latency", "api-<1>", "api-2",
		"limit 200 ms", "100 ms", "pod=TooSlow", `12:00:01.000 ERROR api it said "no" & left`,
	} {
		if !slices.Contains(texts, want) {
			t.Errorf("%q is not written: %q", want, texts)
		}
	}
	for what, want := range map[string]string{
		"the value above its limit is red": `fill="` + red + `">72.3 %`,
		"the limit is drawn":               `stroke="` + red + `" stroke-dasharray="6 4"`,
		"what changed is marked":           `stroke="` + blue + `" stroke-dasharray="3 3"`,
		"the second series is another":     `<path class="l" stroke="` + palette[1] + `"`,
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s: there is no %s", what, want)
		}
	}
	if slices.Contains(texts, "no data") {
		t.Error("a panel with data has none")
	}
}

// TestAPanelWithoutDataSaysSo, and what Grafana would say.
func TestAPanelWithoutDataSaysSo(t *testing.T) {
	svg := draw(toys(t), []answer{{}, {}, {series: []series{{name: "empty"}}}, {}, {}}, minutes(10), nil)
	texts := wellFormed(t, svg)
	n := 0
	for _, text := range texts {
		if text == "no data" {
			n++
		}
	}
	if n != 4 || !slices.Contains(texts, "Grafana says: no alert") || !slices.Contains(texts, "Grafana says: none") {
		t.Errorf("%d of 4 panels have no data in %q", n, texts)
	}
}

// TestAnOldNumberIsNone: the last value of a series that ended is not the present one.
func TestAnOldNumberIsNone(t *testing.T) {
	s := minutes(10)
	d := toys(t)
	d.Panels = d.Panels[1:2]
	texts := wellFormed(t, draw(d, []answer{{series: []series{values(s, "", 0.1, 0.2)}}}, s, nil))
	if !slices.Contains(texts, "no value now") || slices.Contains(texts, "20 %") {
		t.Errorf("written is %q", texts)
	}
}

// TestAKindThatIsNotDrawnIsRefused by its name.
func TestAKindThatIsNotDrawnIsRefused(t *testing.T) {
	_, err := read(`{"title": "T", "panels": [{"type": "heatmap", "title": "Hot"}]}`)
	if err == nil || !strings.Contains(err.Error(), `T, panel Hot: a panel of kind "heatmap" is not drawn`) {
		t.Errorf("got %v", err)
	}
}

// TestALegendCountsWhatHasNoRoom and keeps the limit.
func TestALegendCountsWhatHasNoRoom(t *testing.T) {
	var all []series
	for n := range 40 {
		all = append(all, series{name: fmt.Sprintf("a-series-of-some-length-%d", n)})
	}
	rows := legend(all, []float64{0.2}, "percentunit", 560)
	named := 0
	var last entry
	for _, row := range rows {
		end := 0.0
		for _, last = range row {
			if last.x < end {
				t.Errorf("%q stands on what is before it", last.name)
			}
			end = last.x + float64(len(last.name))*letter + 14
			named++
		}
		if end > 560+30 {
			t.Errorf("a row is %f wide", end)
		}
	}
	if len(rows) != legendRows || rows[0][0].name != "limit 20 %" || last.name != fmt.Sprintf("and %d more", 41-(named-1)) {
		t.Errorf("%d rows, the first begins with %q, the last ends with %q after %d", len(rows), rows[0][0].name, last.name, named-1)
	}
	if rows := legend(all[:2], nil, "", 560); len(rows) != 1 || len(rows[0]) != 2 {
		t.Errorf("two names: %v", rows)
	}
}
