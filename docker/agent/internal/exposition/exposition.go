// Package exposition writes metrics as Prometheus reads them: a handful of figures that are
// asked for when somebody scrapes, for which its client library would be much.
package exposition

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Kind of a metric.
type Kind string

// The kinds.
const (
	Gauge   Kind = "gauge"
	Counter Kind = "counter"
)

// Metric is one with its samples; one without is not written.
type Metric struct {
	Name, Help string
	Kind       Kind
	Samples    []Sample
}

// Sample is a value. Labels are names and values in turn.
type Sample struct {
	Labels []string
	Value  float64
}

// Of is a metric of one sample without labels.
func Of(kind Kind, name, help string, value float64) Metric {
	return Metric{Name: name, Help: help, Kind: kind, Samples: []Sample{{Value: value}}}
}

// Add appends a sample; labels are names and values in turn.
func (m *Metric) Add(value float64, labels ...string) {
	m.Samples = append(m.Samples, Sample{Labels: labels, Value: value})
}

// Text is the metrics in Prometheus' text format.
func Text(metrics []Metric) string {
	var b strings.Builder
	for _, m := range metrics {
		if len(m.Samples) == 0 {
			continue
		}
		fmt.Fprintf(&b, "# HELP %[1]s %[2]s\n# TYPE %[1]s %[3]s\n", m.Name, m.Help, m.Kind)
		for _, s := range m.Samples {
			b.WriteString(m.Name)
			for i := 0; i+1 < len(s.Labels); i += 2 {
				b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
				fmt.Fprintf(&b, `%s="%s"`, s.Labels[i], escaped.Replace(s.Labels[i+1]))
			}
			if len(s.Labels) > 0 {
				b.WriteString("}")
			}
			b.WriteString(" " + strconv.FormatFloat(s.Value, 'f', -1, 64) + "\n")
		}
	}
	return b.String()
}

// escaped is how the format writes what ends a label's value.
var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// Handler answers with what read gives. Where it fails, so does the scrape: figures that are
// missing without a word would be taken for good ones.
func Handler(read func(ctx context.Context) ([]Metric, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		metrics, err := read(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write([]byte(Text(metrics))) // who asked has gone
	}
}
