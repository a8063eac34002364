package main

import (
	"encoding/json"
	"fmt"
)

// A dashboard is Grafana's model, as far as it is drawn.
type dashboard struct {
	UID, Title, Description string
	Panels                  []panel
	Annotations             struct {
		List []struct{ Expr string }
	}
}

type panel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []target
	FieldConfig struct{ Defaults field }
}

type target struct {
	Expr         string
	LegendFormat string
	Instant      bool
	QueryType    string // of the data source of log lines
	MaxLines     int    // of that, too
}

type field struct {
	Unit, NoValue string
	Max           *float64
	Thresholds    struct {
		Steps []struct {
			Color string
			Value *float64 // nil for the lowest
		}
	}
	Custom struct {
		DrawStyle       string
		ThresholdsStyle struct{ Mode string }
	}
}

// read reads the JSON of a dashboard. A kind of panel that is not drawn is an error: a
// picture with a hole in it would be none of what is deployed.
func read(raw string) (dashboard, error) {
	var d dashboard
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		return d, err
	}
	for _, p := range d.Panels {
		switch p.Type {
		case "row", "stat", "timeseries", "table", "logs", "nodeGraph":
		default:
			return d, fmt.Errorf("%s, panel %s: a panel of kind %q is not drawn: add it to cmd/pictures", d.Title, p.Title, p.Type)
		}
	}
	return d, nil
}

// colour is that of a value by the panel's thresholds.
func (f field) colour(v float64) string {
	name := "green"
	for _, s := range f.Thresholds.Steps {
		if s.Value == nil || v >= *s.Value {
			name = s.Color
		}
	}
	if name == "red" {
		return red
	}
	return green
}

// limits are the values at which lines are drawn across the panel.
func (f field) limits() []float64 {
	var all []float64
	if f.Custom.ThresholdsStyle.Mode == "line" {
		for _, s := range f.Thresholds.Steps {
			if s.Value != nil {
				all = append(all, *s.Value)
			}
		}
	}
	return all
}
