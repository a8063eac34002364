package operator_test

import (
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/operator"
)

var scope = operator.Scope{Namespace: "trading", StateJob: "state"}

// The Prometheus of a cluster holds the series of others, too.
func TestConfine(t *testing.T) {
	for expr, want := range map[string]string{
		`up == 0`: `up{namespace="trading"} == 0`,
		`sum by (job) (rate(http_requests_total{job="backend"}[$__rate_interval])) / 2`: `sum by (job) (rate(http_requests_total{job="backend",namespace="trading"}[$__rate_interval])) / 2`,
		`absent(up{job="engine"} == 1) or vector(0)`:                                    `absent(up{job="engine",namespace="trading"} == 1) or vector(0)`,
		`kube_pod_info * on (pod) group_left () kube_pod_status_ready`:                  `kube_pod_info{job="state",namespace="trading"} * on (pod) group_left () kube_pod_status_ready{job="state",namespace="trading"}`,
		`max_over_time(sum(portfolio_equity)[7d:5m]) - portfolio_equity offset 5m`:      `max_over_time(sum(portfolio_equity{namespace="trading"})[1w:5m]) - portfolio_equity{namespace="trading"} offset 5m`,
		`count({__name__=~"orders_.*"}) > 1`:                                            `count({__name__=~"orders_.*",namespace="trading"}) > 1`,
	} {
		got, err := scope.Confine(expr)
		if err != nil || got != want {
			t.Errorf("%s\nis confined to %s, %v\nwant           %s", expr, got, err, want)
		}
	}
	if _, err := scope.Confine("sum("); err == nil {
		t.Error("what cannot be read is confined")
	}
}

func TestGroupsAreOfTheNamespace(t *testing.T) {
	groups, err := scope.Groups("groups:\n- name: a\n  interval: 2m\n  rules:\n  - {record: x, expr: up}\n  - {alert: Down, expr: x == 0, for: 5m, labels: {severity: critical}}\n", "groups:\n- {name: b, rules: [{alert: Other, expr: up}]}\n")
	if err != nil || len(groups) != 2 {
		t.Fatalf("%v %v", groups, err)
	}
	a := groups[0].(map[string]any)
	rules := a["rules"].([]any)
	if a["interval"] != "2m" || len(rules) != 2 {
		t.Errorf("%v", a)
	}
	for i, want := range []string{`up{namespace="trading"}`, `x{namespace="trading"} == 0`} {
		r := rules[i].(map[string]any)
		if r["expr"] != want || r["labels"].(map[string]any)["namespace"] != "trading" {
			t.Errorf("rule %v, want the expression %s and the label of the namespace", r, want)
		}
	}
	if r := rules[1].(map[string]any); r["for"] != "5m" || r["labels"].(map[string]any)["severity"] != "critical" {
		t.Errorf("%v has lost what it said", r)
	}
}

// A word of LogsQL is the name of a series to PromQL.
func TestLogLinesAreNotConfined(t *testing.T) {
	got, err := scope.Dashboard(`{"panels": [
		{"datasource": {"uid": "victorialogs"}, "targets": [{"expr": "a"}, {"expr": "b", "datasource": {"uid": "prometheus"}}]},
		{"datasource": "victorialogs", "targets": [{"expr": "c"}]},
		{"datasource": {"uid": "-- Mixed --"}, "targets": [{"expr": "d", "datasource": {"uid": "victorialogs"}}, {"expr": "e"}]}
	]}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"a"`, `"b{namespace=\"trading\"}"`, `"c"`, `"d"`, `"e{namespace=\"trading\"}"`} {
		if !strings.Contains(got, `"expr": `+want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

func TestDashboardKeepsWhatOnlyGrafanaReads(t *testing.T) {
	got, err := scope.Dashboard(`{"id": 12345678901234567890, "panels": [{"title": "<a>", "targets": [{"expr": "up"}, {"expr": "rate(up[$own])"}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"expr": "up{namespace=\"trading\"}"`, `"expr": "rate(up[$own])"`, `12345678901234567890`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}
