package custom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// page is a dashboard and what it asks.
type page struct {
	located // its uid
	title   string
	queries []located
}

// builtIn are the kinds of panels that come with Grafana.
var builtIn = []string{
	"row", "stat", "timeseries", "table", "table-old", "graph", "singlestat", "gauge", "bargauge", "barchart", "piechart", "heatmap",
	"histogram", "logs", "text", "news", "dashlist", "alertlist", "annolist", "state-timeline", "status-history", "nodeGraph",
	"geomap", "canvas", "trend", "xychart", "candlestick", "flamegraph", "traces",
}

// grafanas are data sources that every Grafana has.
var grafanas = []string{"-- Grafana --", "-- Mixed --", "-- Dashboard --", "grafana"}

// dashboard reads one. What Grafana's API takes, and its share dialog writes, has a frame
// around the model.
func (r *reader) dashboard(file string, content []byte) {
	var model map[string]any
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	if err := d.Decode(&model); err != nil {
		at := d.InputOffset()
		if s := (*json.SyntaxError)(nil); errors.As(err, &s) {
			at = s.Offset
		}
		r.problem(file, lineAt(content, int(at)), "it is no JSON object: %v", err)
		return
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		r.problem(file, lineAt(content, int(d.InputOffset())), "something follows the dashboard: put each into a file of its own")
	}
	if framed, is := model["dashboard"].(map[string]any); is {
		model = framed
	}
	uid, _ := model["uid"].(string)
	title, _ := model["title"].(string)
	if title == "" {
		r.problem(file, 0, "the dashboard has no title: add \"title\"")
	}
	switch {
	case uid == "":
		r.problem(file, 0, "the dashboard has no uid, by which it keeps its address: add \"uid\", e.g. %q", suggested(file))
	case !dashboardUID.MatchString(uid):
		r.problem(file, 0, "uid %q: use at most 40 letters, digits, hyphens and underscores", uid)
	}
	if inputs, _ := model["__inputs"].([]any); len(inputs) > 0 {
		r.problem(file, lineOf(content, `"__inputs"`), "it was exported for sharing, and asks whoever imports it for a data source: export it without that, or replace ${DS_…} by %q and delete __inputs", board.Datasource)
	}
	p := page{located: located{uid, file, lineOf(content, `"uid": `+quoted(uid))}, title: title}
	w := walker{reader: r, file: file, content: content, page: &p, variables: variables(model)}
	w.panels(model["panels"])
	if rows, _ := model["rows"].([]any); len(rows) > 0 { // before Grafana 5
		for _, row := range rows {
			if row, is := row.(map[string]any); is {
				w.panels(row["panels"])
			}
		}
	}
	// The number is that of another Grafana's database.
	delete(model, "id")
	written, err := json.MarshalIndent(model, "", " ")
	if err != nil {
		r.problem(file, 0, "%v", err)
		return
	}
	r.pages = append(r.pages, p)
	r.Dashboards[path.Base(file)] = string(written)
}

var (
	dashboardUID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)
	noUID        = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
)

func suggested(file string) string {
	return noUID.ReplaceAllString(strings.TrimSuffix(path.Base(file), path.Ext(file)), "-")
}

// variables of a dashboard by their names, with their kinds.
func variables(model map[string]any) map[string]string {
	all := map[string]string{}
	templating, _ := model["templating"].(map[string]any)
	list, _ := templating["list"].([]any)
	for _, v := range list {
		if v, is := v.(map[string]any); is {
			name, _ := v["name"].(string)
			kind, _ := v["type"].(string)
			all[name] = kind
		}
	}
	return all
}

// walker goes through the panels of a dashboard.
type walker struct {
	*reader
	file      string
	content   []byte
	page      *page
	variables map[string]string
}

func (w walker) panels(list any) {
	all, is := list.([]any)
	if !is && list != nil {
		w.problem(w.file, lineOf(w.content, `"panels"`), "panels is no list: write \"panels\": [ … ]")
	}
	for _, one := range all {
		p, is := one.(map[string]any)
		if !is {
			w.problem(w.file, lineOf(w.content, `"panels"`), "panels holds %v, which is no panel: remove it", one)
			continue
		}
		kind, _ := p["type"].(string)
		title, _ := p["title"].(string)
		if !slices.Contains(builtIn, kind) {
			w.problem(w.file, lineOf(w.content, quoted(kind)), "panel %q is of the kind %q, which needs a plugin, and none is installed: use one that comes with Grafana", title, kind)
		}
		lines := w.datasource(title, p["datasource"])
		targets, _ := p["targets"].([]any)
		for _, t := range targets {
			t, is := t.(map[string]any)
			if !is {
				continue
			}
			of := lines
			if t["datasource"] != nil {
				of = w.datasource(title, t["datasource"])
			}
			if !of { // LogsQL is VictoriaLogs' to read
				w.query(title, t)
			}
		}
		w.panels(p["panels"])
	}
}

// datasource is one by its uid or, in older dashboards, by its name. It tells whether that
// is the one of log lines.
func (w walker) datasource(title string, v any) (lines bool) {
	uid, is := v.(string)
	if o, object := v.(map[string]any); object {
		uid, is = o["uid"].(string)
	}
	if !is || uid == "" || uid == board.Datasource || uid == "Prometheus" || uid == "default" || slices.Contains(grafanas, uid) {
		return false
	}
	line := lineOf(w.content, quoted(uid))
	if uid == board.LinesDatasource {
		w.lines = append(w.lines, located{title, w.file, line})
		return true
	}
	if name := strings.Trim(uid, "${}"); strings.HasPrefix(uid, "$") && w.variables[name] == "datasource" {
		return false
	}
	w.problem(w.file, line, "panel %q asks the data source %q, which there is none of: leave it out, or write {\"type\": \"prometheus\", \"uid\": %q}", title, uid, board.Datasource)
	return false
}

func (w walker) query(title string, target map[string]any) {
	expr, _ := target["expr"].(string)
	if strings.TrimSpace(expr) == "" {
		return
	}
	line := lineOf(w.content, quoted(expr))
	filled, err := parsed(expr, w.variables)
	if err != nil {
		w.problem(w.file, line, "panel %q: Prometheus cannot read %s: %v", title, expr, err)
		return
	}
	w.page.queries = append(w.page.queries, located{filled, w.file, line})
}

// Grafana's own variables of time, and those of a dashboard.
var (
	times    = regexp.MustCompile(`\$\{?__(rate_interval|interval|range)(_ms|_s)?\}?`)
	variable = regexp.MustCompile(`\$\{(\w+)(?::[^}]*)?\}|\$(\w+)|\[\[(\w+)(?::[^]]*)?\]\]`)
	within   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'`)
)

// parsed is an expression with Grafana's variables filled in. What a variable holds is
// known to a user's browser only: it stands for a duration, a number or a name, whatever
// Prometheus can read there.
func parsed(expr string, kinds map[string]string) (string, error) {
	expr = times.ReplaceAllStringFunc(expr, func(v string) string {
		if strings.Contains(v, "_ms") || strings.Contains(v, "_s}") || strings.HasSuffix(v, "_s") {
			return "300"
		}
		return "5m"
	})
	// Between quotation marks it is text, whatever it holds.
	expr = within.ReplaceAllStringFunc(expr, func(s string) string { return variable.ReplaceAllString(s, "x") })
	expr = variable.ReplaceAllStringFunc(expr, func(v string) string {
		if m := variable.FindStringSubmatch(v); kinds[m[1]+m[2]+m[3]] == "interval" {
			return "5m"
		}
		return v
	})
	return filledIn(expr)
}

// fillings are as many ways to fill variables in as are tried: those of seven variables.
const fillings = 3 * 3 * 3 * 3 * 3 * 3 * 3

func filledIn(expr string) (string, error) {
	var names []string
	for _, v := range variable.FindAllString(expr, -1) {
		if !slices.Contains(names, v) {
			names = append(names, v)
		}
	}
	values := []string{"5m", "1", "x"}
	ways := 1
	for range names {
		if ways *= len(values); ways > fillings {
			return "", fmt.Errorf("it has %d variables, of which this program can try seven: use fewer in one query", len(names))
		}
	}
	var first error
	for way := range ways {
		filled := variable.ReplaceAllStringFunc(expr, func(v string) string {
			digit := way
			for range slices.Index(names, v) {
				digit /= len(values)
			}
			return values[digit%len(values)]
		})
		_, err := promql.ParseExpr(filled)
		if err == nil {
			return filled, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

// quoted is a text as JSON writes it.
func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return s
	}
	return strings.TrimSpace(b.String())
}

// lineOf is the first line with a text; 0 where there is none.
func lineOf(content []byte, text string) int {
	if i := bytes.Index(content, []byte(text)); i >= 0 {
		return lineAt(content, i)
	}
	return 0
}

func lineAt(content []byte, offset int) int {
	return 1 + bytes.Count(content[:min(offset, len(content))], []byte("\n"))
}
