package custom

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// promql reads expressions as the deployed Prometheus does, without experimental functions.
var promql = parser.NewParser(parser.Options{})

// placed is how Prometheus begins a message: with line and column, of one or two nodes.
var placed = regexp.MustCompile(`^(?:(\d+):\d+: )+`)

// Refused is what Prometheus' own code refuses of a file of rules.
func Refused(rules string) []error {
	_, problems := rulefmt.Parse([]byte(rules), false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	return problems
}

// Said are the values of a label that the folder's alerts have; open tells that a template
// gives one of them others. With the label workload they are the jobs of its scrapes, too, and
// what these reach within the namespace.
func (f *Folder) Said(label, namespace string) (values []string, open bool) {
	for _, g := range f.groups {
		for _, r := range g.rules {
			if v := r.Labels[label]; r.Alert != "" && v != "" {
				values, open = append(values, v), open || strings.Contains(v, "{{")
			}
		}
	}
	if label == rule.WorkloadLabel {
		for _, j := range f.jobs {
			values = append(values, j.name)
		}
		for _, t := range f.Targets {
			if name := t.Inside(namespace); name != "" {
				values = append(values, name)
			}
		}
	}
	return values, open
}

// rules reads a rule file by Prometheus' own code.
func (r *reader) rules(file string, content []byte) {
	read, problems := rulefmt.Parse(content, false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	for _, err := range problems {
		m := placed.FindStringSubmatch(err.Error())
		if m == nil {
			r.yamlProblems(file, err)
			continue
		}
		r.problem(file, number(m[1]), "%s", strings.TrimPrefix(err.Error(), m[0]))
	}
	if read == nil {
		return
	}
	if line := second(content); line > 0 {
		r.problem(file, line, "a second document begins, and Prometheus reads the first alone: make a file of its own of it")
	}
	if len(read.Groups) == 0 {
		r.problem(file, 0, "it has no group of rules: begin with groups:")
	}
	// Prometheus keeps no lines of groups and names.
	var lines struct {
		Groups []struct {
			Name  yaml.Node `yaml:"name"`
			Rules []struct{ Alert, Record, Expr yaml.Node }
		}
	}
	if err := yaml.Unmarshal(content, &lines); err != nil {
		r.yamlProblems(file, err)
		return
	}
	for i, g := range read.Groups {
		at := group{located: located{g.Name, file, lines.Groups[i].Name.Line}}
		for j, r := range g.Rules {
			n := lines.Groups[i].Rules[j]
			at.rules = append(at.rules, placedRule{r, max(n.Alert.Line, n.Record.Line), n.Expr.Line})
		}
		r.groups = append(r.groups, at)
	}
	r.Rules[path.Base(file)] = string(content)
}

// second is the line on which a second document of YAML begins; 0 where there is none.
func second(content []byte) int {
	d := yaml.NewDecoder(bytes.NewReader(content))
	var n yaml.Node
	if d.Decode(&n) != nil || errors.Is(d.Decode(&n), io.EOF) {
		return 0
	}
	return max(n.Line, 1)
}

func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
