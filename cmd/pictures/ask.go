package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A source is where a stack's Prometheus, VictoriaLogs and Jaeger are asked, behind one login.
type source struct {
	client         *http.Client
	series, lines  string // addresses without a trailing slash; lines may be ""
	traces         string // Jaeger's, which may be "", too
	user, password string
	scraped        time.Duration // how often, as Grafana's data source is told
}

// get asks with a form and returns the answer's body. The edge lets one client ask so much
// in a second: then it waits for as long as it is told.
func (s source) get(ctx context.Context, address string, form url.Values) ([]byte, error) {
	for {
		body, wait, err := s.once(ctx, address, form)
		if err != nil || wait == 0 {
			return body, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// once asks once. A wait says when to ask again.
func (s source) once(ctx context.Context, address string, form url.Values) (body []byte, wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?"+form.Encode(), nil)
	if err != nil {
		return nil, 0, err
	}
	req.SetBasicAuth(s.user, s.password)
	res, err := s.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	if body, err = io.ReadAll(io.LimitReader(res.Body, 32<<20)); err != nil {
		return nil, 0, err
	}
	if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && res.StatusCode == http.StatusTooManyRequests {
		return nil, time.Duration(max(after, 1)) * time.Second, nil
	}
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s: %.300s", res.Status, body)
	}
	return body, 0, nil
}

// answer asks all of a panel's queries. The first error ends it, and names the query.
func (s source) answer(ctx context.Context, p panel, over span) (answer, error) {
	var a answer
	for _, t := range p.Targets {
		var err error
		switch {
		case p.Type == "logs":
			a.lines, err = s.log(ctx, t, over)
		case p.Type == "nodeGraph":
			a.lines, err = s.graph(ctx, over)
		case t.QueryType != "":
			err = s.into(ctx, &a, t, s.lines+"/select/logsql/stats_query_range", s.over("query", t.Expr, over))
		case t.Instant:
			err = s.into(ctx, &a, t, s.series+"/api/v1/query", url.Values{"query": {s.filled(t.Expr, over)}, "time": {seconds10(over.to)}})
		default:
			err = s.into(ctx, &a, t, s.series+"/api/v1/query_range", s.over("query", s.filled(t.Expr, over), over))
		}
		if err != nil {
			return a, fmt.Errorf("panel %q: %s: %w", p.Title, t.Expr, err)
		}
	}
	return a, nil
}

func seconds10(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func (s source) over(name, expr string, over span) url.Values {
	return url.Values{name: {expr}, "start": {seconds10(over.from)}, "end": {seconds10(over.to)}, "step": {over.step.String()}}
}

// filled puts Grafana's own variable into an expression, as its data source does: at least
// four scrapes.
func (s source) filled(expr string, over span) string {
	return strings.ReplaceAll(expr, "$__rate_interval", max(over.step+s.scraped, 4*s.scraped).String())
}

// into adds the answer of Prometheus' API, or of what speaks as it does.
func (s source) into(ctx context.Context, a *answer, t target, address string, form url.Values) error {
	body, err := s.get(ctx, address, form)
	if err != nil {
		return err
	}
	found, err := parse(body, t.LegendFormat)
	a.series = append(a.series, found...)
	return err
}

// parse reads the series of an answer, named by the legend.
func parse(body []byte, legendFormat string) ([]series, error) {
	var said struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  *[2]any
				Values [][2]any
			}
		}
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, fmt.Errorf("%w: %.300s", err, body)
	}
	if said.Status != "success" {
		return nil, fmt.Errorf("%s: %s", said.Status, said.Error)
	}
	var all []series
	for _, r := range said.Data.Result {
		if r.Value != nil {
			r.Values = append(r.Values, *r.Value)
		}
		one := series{name: named(legendFormat, r.Metric), labels: r.Metric}
		for _, pair := range r.Values {
			at, isTime := pair[0].(float64)
			v, err := strconv.ParseFloat(fmt.Sprint(pair[1]), 64)
			if !isTime || err != nil {
				return nil, fmt.Errorf("not a time and a value: %v", pair)
			}
			if !math.IsNaN(v) && !math.IsInf(v, 0) { // where Grafana draws nothing either
				one.points = append(one.points, point{at, v})
			}
		}
		all = append(all, one)
	}
	return all, nil
}

var placeholder = regexp.MustCompile(`{{\s*([^}\s]+)\s*}}`)

// named fills labels into a legend; without one the labels are the name.
func named(legendFormat string, labels map[string]string) string {
	if legendFormat == "" || legendFormat == "__auto" {
		var all []string
		for _, name := range sortedKeys(labels) {
			all = append(all, labels[name])
		}
		return strings.Join(all, " ")
	}
	filled := placeholder.ReplaceAllStringFunc(legendFormat, func(m string) string {
		return labels[placeholder.FindStringSubmatch(m)[1]]
	})
	return strings.TrimSpace(filled)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// log asks for the latest lines.
func (s source) log(ctx context.Context, t target, over span) ([]line, error) {
	form := s.over("query", t.Expr, over)
	form.Del("step")
	form.Set("limit", strconv.Itoa(t.MaxLines))
	body, err := s.get(ctx, s.lines+"/select/logsql/query", form)
	if err != nil {
		return nil, err
	}
	var all []line
	for scan := bufio.NewScanner(bytes.NewReader(body)); scan.Scan(); {
		var said map[string]string
		if err := json.Unmarshal(scan.Bytes(), &said); err != nil {
			return nil, fmt.Errorf("%w: %.300s", err, scan.Bytes())
		}
		at, err := time.Parse(time.RFC3339Nano, said["_time"])
		if err != nil {
			return nil, err
		}
		all = append(all, line{at.UTC().Format("15:04:05.000"), said["severity_text"], said["service.name"], said["_msg"]})
	}
	slices.SortFunc(all, func(a, b line) int { return cmp.Compare(b.time, a.time) })
	return all, nil
}

// begun are the times at which a mark came to be: it had no result a step before.
func begun(all []series, step time.Duration) []float64 {
	present := map[float64]bool{}
	for _, s := range all {
		for _, p := range s.points {
			present[p.at] = true
		}
	}
	var times []float64
	for _, at := range slices.Sorted(maps.Keys(present)) {
		if !present[at-step.Seconds()] {
			times = append(times, at)
		}
	}
	return times
}

// graph asks Jaeger for who leads to whom, a line each.
func (s source) graph(ctx context.Context, over span) ([]line, error) {
	body, err := s.get(ctx, s.traces+"/api/dependencies", url.Values{
		"endTs": {strconv.FormatInt(over.to.UnixMilli(), 10)}, "lookback": {strconv.FormatInt(over.to.Sub(over.from).Milliseconds(), 10)},
	})
	if err != nil {
		return nil, err
	}
	var said struct {
		Data []struct {
			Parent, Child string
			CallCount     int
		}
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, fmt.Errorf("%w: %.300s", err, body)
	}
	var all []line
	for _, d := range said.Data {
		all = append(all, line{service: d.Parent, text: fmt.Sprintf("→ %s, %d times", d.Child, d.CallCount)})
	}
	slices.SortFunc(all, func(a, b line) int { return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.text, b.text)) })
	return all, nil
}
