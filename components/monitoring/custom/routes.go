package custom

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// routesFile is a file of routes.
type routesFile struct {
	Routes        []route         `yaml:"routes"`
	TimeIntervals []timeIntervals `yaml:"time_intervals"`
	InhibitRules  []inhibitRule   `yaml:"inhibit_rules"`
}

// route is what Alertmanager knows of one. Nodes know where they stand.
type route struct {
	Receiver            yaml.Node      `yaml:"receiver"`
	Matchers            []yaml.Node    `yaml:"matchers"`
	GroupBy             []yaml.Node    `yaml:"group_by"`
	GroupWait           model.Duration `yaml:"group_wait"`
	GroupInterval       *period        `yaml:"group_interval"`
	RepeatInterval      *period        `yaml:"repeat_interval"`
	ActiveTimeIntervals []yaml.Node    `yaml:"active_time_intervals"`
	MuteTimeIntervals   []yaml.Node    `yaml:"mute_time_intervals"`
	Continue            bool           `yaml:"continue"`
	Routes              []route        `yaml:"routes"`
}

// period is a duration, and where it stands.
type period struct {
	model.Duration
	line int
}

// UnmarshalYAML keeps the line.
func (p *period) UnmarshalYAML(n *yaml.Node) error {
	p.line = n.Line
	return n.Decode(&p.Duration)
}

type timeIntervals struct {
	Name          yaml.Node                   `yaml:"name"`
	TimeIntervals []timeinterval.TimeInterval `yaml:"time_intervals"`
}

type inhibitRule struct {
	Source []yaml.Node `yaml:"source_matchers"`
	Target []yaml.Node `yaml:"target_matchers"`
	Equal  []yaml.Node `yaml:"equal"`
}

// routes reads a file of routes.
func (r *reader) routes(file string, content []byte) {
	var read routesFile
	if !r.decode(file, content, &read) {
		return
	}
	// Rendered as they were written.
	var raw struct {
		Routes        []yaml.Node `yaml:"routes"`
		TimeIntervals []yaml.Node `yaml:"time_intervals"`
		InhibitRules  []yaml.Node `yaml:"inhibit_rules"`
	}
	if err := yaml.Unmarshal(content, &raw); err != nil {
		r.yamlProblems(file, err)
		return
	}
	for i, top := range read.Routes {
		n := &raw.Routes[i]
		if len(top.Matchers) == 0 && !top.Continue {
			r.problem(file, n.Line, "this route takes every alert, so that no other receiver gets one: add matchers, or continue: true")
		}
		if top.Receiver.Value == "" {
			r.problem(file, n.Line, "the route names no receiver: add receiver: and a name of alertReceivers")
		}
		r.route(file, top)
		r.Routes = append(r.Routes, n)
	}
	for i, t := range read.TimeIntervals {
		n := &raw.TimeIntervals[i]
		if t.Name.Value == "" || len(t.TimeIntervals) == 0 {
			r.problem(file, n.Line, "a time interval needs name and time_intervals")
		}
		r.intervals = append(r.intervals, located{t.Name.Value, file, n.Line})
		r.TimeIntervals = append(r.TimeIntervals, n)
	}
	for i, rule := range read.InhibitRules {
		n := &raw.InhibitRules[i]
		if len(rule.Source) == 0 || len(rule.Target) == 0 {
			r.problem(file, n.Line, "an inhibit rule needs source_matchers and target_matchers: without them it silences everything")
		}
		r.matchers(file, slices.Concat(rule.Source, rule.Target))
		r.labels(file, "equal", rule.Equal)
		r.InhibitRules = append(r.InhibitRules, n)
	}
}

// route checks one and those below it.
func (r *reader) route(file string, to route) {
	if to.Receiver.Value != "" {
		r.receivers = append(r.receivers, located{to.Receiver.Value, file, to.Receiver.Line})
	}
	r.matchers(file, to.Matchers)
	r.groupBy(file, to.GroupBy)
	r.period(file, "group_interval", to.GroupInterval)
	r.period(file, "repeat_interval", to.RepeatInterval)
	for _, n := range slices.Concat(to.ActiveTimeIntervals, to.MuteTimeIntervals) {
		r.named = append(r.named, located{n.Value, file, n.Line})
	}
	for _, below := range to.Routes {
		r.route(file, below)
	}
}

func (r *reader) period(file, field string, p *period) {
	if p != nil && p.Duration == 0 {
		r.problem(file, p.line, "%s is zero, which Alertmanager refuses: write e.g. 5m, or take it away", field)
	}
}

// groupBy names labels, each once, or all of them by "...".
func (r *reader) groupBy(file string, names []yaml.Node) {
	all := slices.ContainsFunc(names, func(n yaml.Node) bool { return n.Value == everyLabel })
	labels := slices.DeleteFunc(slices.Clone(names), func(n yaml.Node) bool { return n.Value == everyLabel })
	if all && len(labels) > 0 {
		r.problem(file, labels[0].Line, "group_by: %s stands for every label already: take it away, or the others", everyLabel)
	}
	r.labels(file, "group_by", labels)
	named := map[string]bool{}
	for _, l := range labels {
		if named[l.Value] {
			r.problem(file, l.Line, "group_by: %q is named twice: name it once", l.Value)
		}
		named[l.Value] = true
	}
}

// everyLabel stands for all of them in group_by.
const everyLabel = "..."

func (r *reader) labels(file, field string, names []yaml.Node) {
	for _, l := range names {
		if !model.UTF8Validation.IsValidLabelName(l.Value) {
			r.problem(file, l.Line, "%s: %q is no name of a label", field, l.Value)
		}
	}
}

// matchers are in Alertmanager's notation.
func (r *reader) matchers(file string, all []yaml.Node) {
	for _, n := range all {
		if _, err := labels.ParseMatchers(n.Value); err != nil || n.Value == "" {
			r.problem(file, n.Line, "%q is no matcher of Alertmanager's: write e.g. severity=\"critical\"", n.Value)
		}
	}
}

// decode reads a file of YAML in which nothing unknown may stand.
func (r *reader) decode(file string, content []byte, into any) bool {
	d := yaml.NewDecoder(bytes.NewReader(content))
	d.KnownFields(true)
	err := d.Decode(into)
	switch {
	case errors.Is(err, io.EOF):
		r.problem(file, 0, "it is empty: fill it or delete it")
		return false
	case err != nil:
		r.yamlProblems(file, err)
		return false
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.problem(file, 0, "it holds more than one document, of which only the first would be read: make files of the others")
		return false
	}
	return true
}
