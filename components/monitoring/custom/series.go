package custom

import (
	"bytes"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// metrics reads what a target answered.
func (r *reader) metrics(file string, content []byte) {
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(content))
	if err != nil {
		r.problem(file, 0, "it is not what a target answers: %v; save it with e.g. `curl http://localhost:8000/metrics`", err)
		return
	}
	for name := range families {
		for _, of := range parts(name) {
			r.served[of] = true
		}
	}
}

// histogram are the ends of the series of a histogram or a summary.
var histogram = []string{"_bucket", "_sum", "_count"}

// parts are the series that may belong to the same metric as one does.
func parts(name string) []string {
	base := name
	for _, end := range histogram {
		base = strings.TrimSuffix(base, end)
	}
	all := []string{name, base}
	for _, end := range histogram {
		all = append(all, base+end)
	}
	return all
}

// selected are the names of the series that an expression asks for; one that selects by a
// pattern asks for none by name.
func selected(expr string) []string {
	read, err := promql.ParseExpr(expr)
	if err != nil {
		return nil
	}
	var names []string
	parser.Inspect(read, func(n parser.Node, _ []parser.Node) error {
		if s, is := n.(*parser.VectorSelector); is && s.Name != "" {
			names = append(names, s.Name)
		}
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// families are the first parts of names of what well-known programs serve: one that the
// stack asks for series of one family may be asked for others.
var families = []string{
	"pg_", "redis_", "nginx_", "probe_", "prometheus_", "alertmanager_", "otelcol_", "vl_", "vm_", "jaeger_", "patroni_", "pgbackrest_",
}

// everywhere are those of Prometheus itself and of what nearly every program serves.
var everywhere = []string{"up", "ALERTS", "ALERTS_FOR_STATE", "scrape_", "process_", "go_", "promhttp_", "net_conntrack_", "grafana_"}

// series are the names that there are.
type series struct {
	names    map[string]bool
	prefixes []string
}

// seriesOf collects what the stack's own expressions ask for, what its rules record, and
// what users' targets serve.
func (f *Folder) seriesOf(k Known) series {
	s := series{names: map[string]bool{}, prefixes: slices.Clone(everywhere)}
	for name := range f.served {
		s.names[name] = true
	}
	for _, expr := range k.Expressions {
		filled, err := parsed(expr, nil)
		if err != nil {
			continue
		}
		for _, name := range selected(filled) {
			for _, part := range parts(name) {
				s.names[part] = true
			}
			for _, family := range families {
				if strings.HasPrefix(name, family) && !slices.Contains(s.prefixes, family) {
					s.prefixes = append(s.prefixes, family)
				}
			}
		}
	}
	for _, resource := range k.Observed {
		s.prefixes = append(s.prefixes, "kube_"+strings.TrimSuffix(resource, "s")+"_")
	}
	for _, g := range k.Groups {
		for _, r := range g.Rules {
			s.names[r.Record] = true
		}
	}
	for _, g := range f.groups {
		for _, r := range g.rules {
			s.names[r.Record] = true
		}
	}
	return s
}

func (s series) has(name string) bool {
	return s.names[name] || slices.ContainsFunc(s.prefixes, func(p string) bool {
		return name == p || strings.HasSuffix(p, "_") && strings.HasPrefix(name, p)
	})
}

// nearest is a name that a misspelt one may mean; "" where none is near.
func (s series) nearest(name string) string {
	best, distance := "", 1+len(name)/5
	for n := range s.names {
		if d := levenshtein.Distance(name, n, nil); d < distance || d == distance && best != "" && n < best {
			best, distance = n, d
		}
	}
	return best
}

// unserved warns of series that nothing is known to serve. Prometheus takes none of them
// for a mistake: an alert on them never fires.
func (f *Folder) unserved(k Known) []Problem {
	s := f.seriesOf(k)
	var warnings []Problem
	warn := func(at located, what string) {
		for _, name := range selected(at.name) {
			if s.has(name) {
				continue
			}
			text := what + " asks for " + name + ", which nothing is known to serve"
			if near := s.nearest(name); near != "" {
				text += "; did you mean " + near + "?"
			} else {
				text += ": correct the name, or save what its target answers as " + MetricsFolder + "/NAME.prom"
			}
			warnings = append(warnings, Problem{at.file, at.line, text})
		}
	}
	for _, g := range f.groups {
		for _, r := range g.rules {
			warn(located{r.Expr, g.file, r.exprLine}, r.Alert+r.Record)
		}
	}
	for _, p := range f.pages {
		for _, q := range p.queries {
			warn(q, "the dashboard "+p.title)
		}
	}
	return warnings
}
