//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// unasked are metrics that a rule asks for and nothing tells of before something has happened,
// and what has not here.
var unasked = map[string]string{
	"otelcol_exporter_send_failed_log_records":          "no backend has refused a line",
	"otelcol_exporter_send_failed_spans":                "no backend has refused a span",
	"otelcol_exporter_enqueue_failed_spans":             "no queue of spans was full",
	"otelcol_exporter_send_failed_log_records_total":    "no forwarder has lost a line",
	"otelcol_exporter_enqueue_failed_log_records_total": "no forwarder's queue was full",
	"kube_pod_container_status_waiting_reason":          "no container waits",
	"kube_pod_init_container_status_waiting_reason":     "no container waits",
	"kube_pod_container_status_last_terminated_reason":  "no container has ended",
	"kube_pod_status_unschedulable":                     "each pod has its node",
	"kube_pod_deletion_timestamp":                       "no pod is on its way out",
	"kube_job_failed":                                   "no Job has failed",
}

// quiet are parts of the queries of panels that find nothing here, and why.
var quiet = map[string]string{
	`slot_type="physical"`: "there is one member, which nobody follows",
	`outcome="retried"`:    "the edge had no reason to ask a second pod",
}

// testShown: each target of Prometheus is up, each rule asks for what there is, and each query
// of each panel of each dashboard finds something, while users ask.
func testShown(t *testing.T, o observed) {
	ctx, cancel := context.WithCancel(t.Context())
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		for ctx.Err() == nil {
			for _, path := range []string{"/api/symbols?query=SIM", "/api/market/status", "/api/signals/latest"} {
				_, _, _ = request(t, o.client, http.MethodGet, o.URLs["api"]+path, nil, nil)
			}
			o.badHandshake()
			time.Sleep(100 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-asking })
	// Something goes wrong, so that what shows that has something to show.
	kill(t, "cache")
	time.Sleep(2 * time.Second)
	scaleDeployment(t, autoscaled, 0)
	kill(t, autoscaled)
	time.Sleep(2 * time.Second)
	scaleDeployment(t, autoscaled, 1)
	settled(t, namespace)
	g := o.loggedIn(t)
	t.Run("targets", g.testTargets)
	t.Run("panels", g.testPanels)
	t.Run("rules", g.testRules)
}

// badHandshake is one of a client that does not trust the edge, and says so.
func (o observed) badHandshake() {
	u, err := url.Parse(o.URLs["api"])
	if err != nil {
		return
	}
	if conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", u.Port()), &tls.Config{RootCAs: x509.NewCertPool(), ServerName: u.Hostname()}); err == nil {
		_ = conn.Close()
	}
}

// testTargets prints how many targets are up.
func (g grafanaAsks) testTargets(t *testing.T) {
	var down []string
	eventually(t, 2*time.Minute, "every target is up", func(context.Context) (string, bool) {
		var answer struct {
			Data struct {
				ActiveTargets []struct {
					Labels    map[string]string
					Health    string
					LastError string
				}
			}
		}
		if err := g.get(t, g.of("Prometheus", "api/v1/targets"), url.Values{"state": {"active"}}, &answer); err != nil {
			return err.Error(), false
		}
		down = down[:0]
		jobs := map[string]bool{}
		for _, target := range answer.Data.ActiveTargets {
			if jobs[target.Labels["job"]] = true; target.Health != "up" {
				down = append(down, target.Labels["job"]+" "+target.Labels["instance"]+": "+target.LastError)
			}
		}
		n := len(answer.Data.ActiveTargets)
		return fmt.Sprintf("| targets up | %d of %d | of the jobs %v | %v |", n-len(down), n, sortedKeys(jobs), down), n > 0 && len(down) == 0
	})
}

// testRules prints how many rules are evaluated and ask for series that there are.
func (g grafanaAsks) testRules(t *testing.T) {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Query, Health, Type, LastError string }
			}
		}
	}
	if err := g.get(t, g.of("Prometheus", "api/v1/rules"), nil, &answer); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	exists := func(metric string) bool {
		if _, asked := known[metric]; !asked {
			values, err := g.ask(t.Context(), t, "count("+metric+")")
			known[metric] = err == nil && len(values) > 0
		}
		return known[metric]
	}
	count := map[string]int{}
	for _, group := range answer.Data.Groups {
		for _, r := range group.Rules {
			count[r.Type]++
			if r.Health != "ok" {
				t.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Query)
			if err != nil {
				t.Fatalf("%s: %v", r.Name, err)
			}
			var metrics []string
			parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
				if v, ok := n.(*parser.VectorSelector); ok {
					metrics = append(metrics, v.Name)
				}
				return nil
			})
			// Of a choice one is enough: PostgreSQL 17 counts elsewhere what 16 did.
			there := slices.ContainsFunc(metrics, exists)
			for _, m := range metrics {
				if !exists(m) && unasked[m] == "" && (!there || !strings.Contains(r.Query, " or ")) {
					t.Errorf("%s asks for %s, which nothing tells of", r.Name, m)
				}
			}
		}
	}
	fmt.Printf("| rules evaluated | %d alerts and %d recordings | of %d metrics |\n", count["alerting"], count["recording"], len(known))
	for m, reason := range unasked {
		if known[m] {
			t.Logf("%s: there after all, though %s", m, reason)
		}
	}
}

// deployed is a dashboard as Grafana is given it.
type deployed struct {
	Title  string
	Panels []deployedPanel
}

type deployedPanel struct {
	Title      string
	Type       string
	Datasource struct{ Type string }
	Targets    []struct{ Expr, QueryType string }
	Panels     []deployedPanel
}

// dashboardsOf are those of the stack's ConfigMaps.
func dashboardsOf(t *testing.T) []deployed {
	t.Helper()
	maps, err := cluster.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []deployed
	for _, m := range maps.Items {
		if !strings.HasPrefix(m.Name, "monitoring-grafana-dashboards") {
			continue
		}
		for _, file := range sortedKeys(m.Data) {
			var d deployed
			if err := json.Unmarshal([]byte(m.Data[file]), &d); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		t.Fatal("no dashboard is deployed")
	}
	return all
}

// testPanels prints, of each dashboard, how many queries of its panels find something. What
// counts since its last start may take some minutes.
func (g grafanaAsks) testPanels(t *testing.T) {
	for _, d := range dashboardsOf(t) {
		t.Run(d.Title, func(t *testing.T) { g.testDashboard(t, d) })
	}
}

func (g grafanaAsks) testDashboard(t *testing.T, d deployed) {
	panels, queries, excused := 0, 0, 0
	type asked struct{ title, source, how, expr string }
	var empty []asked
	for _, p := range d.Panels {
		for _, p := range append([]deployedPanel{p}, p.Panels...) {
			if p.Type == "row" {
				continue
			}
			panels++
			for _, q := range p.Targets {
				queries++
				if slices.ContainsFunc(sortedKeys(quiet), func(part string) bool { return strings.Contains(q.Expr, part) }) {
					excused++
					continue
				}
				empty = append(empty, asked{p.Title, p.Datasource.Type, q.QueryType, q.Expr})
			}
		}
	}
	eventually(t, 5*time.Minute, d.Title, func(context.Context) (string, bool) {
		var last error
		empty = slices.DeleteFunc(empty, func(a asked) bool {
			found, err := g.found(t, a.source, a.how, a.expr)
			if err != nil {
				last = err
			}
			return found
		})
		return fmt.Sprintf("without data: %v %v", empty, last), len(empty) == 0
	})
	fmt.Printf("| panels of %s | %d | queries with data: %d of %d, the others find nothing here for a reason |\n", d.Title, panels, queries-excused, queries)
}

// found asks a data source, through Grafana, what a panel does: anything in the last minutes is
// enough. What a panel hides that is zero is something, too.
func (g grafanaAsks) found(t *testing.T, source, how, expr string) (bool, error) {
	t.Helper()
	now := time.Now()
	over := url.Values{"start": {fmt.Sprint(now.Add(-15 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())}}
	switch source {
	case board.LinesKind:
		path := "select/logsql/query"
		over.Set("limit", "1")
		if how == "statsRange" {
			path = "select/logsql/stats_query_range"
			over.Set("step", "60s")
		}
		over.Set("query", expr)
		raw, err := g.raw(t, g.of("VictoriaLogs", path), over)
		return err == nil && strings.Contains(string(raw), "severity_text") || strings.Contains(string(raw), "service.name"), err
	case board.TracesDatasource:
		var answer struct {
			Data []struct{ Parent, Child string }
		}
		err := g.get(t, g.of("Jaeger", "api/dependencies"), url.Values{"endTs": {fmt.Sprint(now.UnixMilli())}, "lookback": {"3600000"}}, &answer)
		return len(answer.Data) > 0, err
	}
	over.Set("step", "15")
	over.Set("query", strings.TrimSuffix(strings.ReplaceAll(expr, "$__rate_interval", "2m"), " > 0"))
	var answer struct {
		Data struct{ Result []struct{ Values [][2]any } }
	}
	err := g.get(t, g.of("Prometheus", "api/v1/query_range"), over, &answer)
	return len(answer.Data.Result) > 0, err
}
