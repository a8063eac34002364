package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/rules"
)

// latency is a quantile of the API's answers in seconds.
func latency(q, job string) query {
	return query{`histogram_quantile(` + q + `, sum by (le) (rate(` + of(`http_request_duration_seconds_bucket{job=%q,`+rules.UserRoutes+`}`, job) + `[$__rate_interval])))`, "p" + q[2:]}
}

func overview(w rules.Watched) *dashboard.DashboardBuilder {
	b := board("AlphaPulse Overview", "alphapulse-overview", "Is it up, is it fast, does it fail, and what asks for attention.")
	b.WithRow(row("Now"))
	b.WithPanel(number("Firing alerts", "short", 4, `count(ALERTS{alertstate="firing",alertname!="`+rules.DeadMansSwitch+`"}) or vector(0)`).Thresholds(limit(1).thresholds()))
	b.WithPanel(number("Targets down", "short", 4, `count(up == 0) or vector(0)`).Thresholds(limit(1).thresholds()))
	if w.KubeStateMetrics != "" {
		b.WithPanel(number("Pods not ready", "short", 4,
			`count(kube_pod_status_ready{condition="true"} == 0 and on(namespace, pod) kube_pod_status_phase{phase=~"Pending|Running|Unknown"} == 1) or vector(0)`).
			Thresholds(limit(1).thresholds()))
		b.WithPanel(number("Restarts in a day", "short", 4, `sum(increase(kube_pod_container_status_restarts_total[1d]))`).Thresholds(limit(1).thresholds()))
	}
	if w.API != "" {
		b.WithPanel(number("API requests", "reqps", 4, rules.APIRequests("5m")))
		b.WithPanel(number("API errors", "percentunit", 4, rules.APIErrors("5m")).Thresholds(limit(rules.ErrorBudget).thresholds()).Decimals(2))
		b.WithPanel(number("API p95", "s", 4, latency("0.95", w.API).expr).Thresholds(limit(0.2).thresholds()))
		b.WithPanel(number("API pods", "short", 4, `count(up`+of(`{job=%q}`, w.API)+` == 1)`))

		b.WithRow(row("API"))
		b.WithPanel(series("Requests by status", "reqps", 2, query{of(`sum by (status) (rate(http_requests_total{job=%q}[$__rate_interval]))`, w.API), "{{status}}"}))
		b.WithPanel(line(series("Response time", "s", 2, latency("0.50", w.API), latency("0.95", w.API), latency("0.99", w.API)), 0.2))
		b.WithPanel(line(series("Share of failed requests", "percentunit", 2,
			query{rules.APIErrors("5m"), "5 minutes"}, query{rules.APIErrors("1h"), "1 hour"}, query{rules.APIErrors("1d"), "1 day"}), rules.ErrorBudget))
		b.WithPanel(line(series("Share of requests above 200 ms", "percentunit", 2,
			query{rules.APISlow("5m"), "5 minutes"}, query{rules.APISlow("1h"), "1 hour"}, query{rules.APISlow("1d"), "1 day"}), rules.LatencyBudget))
		b.WithPanel(series("Reads served from the cache", "percentunit", 2, query{
			`sum by (kind) (rate(` + of(`cache_requests_total{job=%q,result=~"hit|stale"}`, w.API) + `[$__rate_interval])) / sum by (kind) (rate(` +
				of(`cache_requests_total{job=%q}`, w.API) + `[$__rate_interval]))`, "{{kind}}"}).Max(1))
		b.WithPanel(series("Live clients", "short", 2, query{of(`sum by (pod) (websocket_clients{job=%q})`, w.API), "{{pod}}"}))
	}
	if w.KubeStateMetrics != "" {
		b.WithPanel(series("Replicas", "short", 2,
			query{`kube_horizontalpodautoscaler_status_current_replicas`, "{{horizontalpodautoscaler}} now"},
			query{`kube_horizontalpodautoscaler_spec_max_replicas`, "{{horizontalpodautoscaler}} maximum"},
			query{`kube_horizontalpodautoscaler_spec_min_replicas`, "{{horizontalpodautoscaler}} minimum"}))
		b.WithPanel(series("Pods available", "short", 2,
			query{`kube_deployment_status_replicas_available`, "{{deployment}}"}, query{`kube_statefulset_status_replicas_ready`, "{{statefulset}}"}))
	}
	b.WithRow(row("Attention"))
	b.WithPanel(alerts())
	return b
}
