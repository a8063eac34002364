package observe

import (
	"fmt"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// Requests is the dashboard of what users see.
var Requests = board.Dashboard{
	File: "edge.json", UID: "alphapulse-edge", Title: "AlphaPulse Edge",
	Description: "What users are answered, how fast, and what stands behind it: by host and route.",
}

// Panels show the edge.
func Panels(w Watched) []board.Contribution {
	w = w.withDefaults()
	q := board.On(w.Job)
	return append(w.requests(), board.Contribution{Dashboard: board.Infrastructure, Row: "Edge", Panels: []board.Panel{
		board.Series("Requests", "reqps", 3, q(`sum by (pod) (rate(nginx_http_requests_total{$job}[$__rate_interval]))`, "{{pod}}")),
		board.Series("Connections", "short", 3,
			q(`sum(nginx_connections_active{$job})`, "active"),
			q(`sum(nginx_connections_reading{$job})`, "reading"),
			q(`sum(nginx_connections_writing{$job})`, "writing"),
			q(`sum(nginx_connections_waiting{$job})`, "waiting")),
		board.Series("Connections not handled", "cps", 3, q(
			`sum(rate(nginx_connections_accepted{$job}[$__rate_interval])) - sum(rate(nginx_connections_handled{$job}[$__rate_interval]))`, "dropped")),
		board.Floor(board.Series("Certificate's end", "s", 3, q(`min by (pod) (probe_ssl_earliest_cert_expiry{$job}) - time()`, "{{pod}}")), float64(w.ExpiryWarningDays*day)),
	}})
}

// requests are the panels of what users see.
func (w Watched) requests() []board.Contribution {
	q := board.On(w.Job)
	quantile := func(of, by, metric string) string {
		return fmt.Sprintf(`histogram_quantile(%s, sum by (le, %s) (rate(%s_bucket{$job}[$__rate_interval])))`, of, by, metric)
	}
	answered := []board.Panel{
		board.Series("Requests by host and route", "reqps", 2, q(`sum by (host, route) (rate(edge_requests_total{$job}[$__rate_interval]))`, "{{host}} {{route}}")),
		board.Series("Requests by status", "reqps", 2, q(`sum by (status) (rate(edge_requests_total{$job}[$__rate_interval]))`, "{{status}}")),
		board.Line(board.Series("Share of failed requests", "percentunit", 2,
			q(edgeErrors("5m"), "5 minutes"), q(edgeErrors("1h"), "1 hour"), q(edgeErrors("1d"), "1 day")), w.Limits.Errors),
		board.Line(board.Series(fmt.Sprintf("Share of requests above %g ms", w.Latency*1000), "percentunit", 2,
			q(edgeSlow("5m"), "5 minutes"), q(edgeSlow("1h"), "1 hour"), q(edgeSlow("1d"), "1 day")), w.Limits.Slow),
		board.Series("95 % are answered within", "s", 2, q(quantile("0.95", "host, route", "edge_request_duration_seconds"), "{{host}} {{route}}")).
			Description("Of what a service was asked for, slow clients included."),
	}
	if w.Handshakes {
		answered = append(answered, board.Line(board.Series("Share of TLS handshakes that failed", "percentunit", 2,
			q(w.unshaken(""), "all"), q(w.unshaken(", reason"), "{{reason}}")), w.Limits.Handshakes).
			Description("Certificate: the client refused it. Protocol, cipher: nothing that both speak. Closed: the client went away in the middle."))
	}
	return []board.Contribution{
		{Dashboard: Requests, Row: "Now", Panels: []board.Panel{
			board.Number("Requests of users", "reqps", 4, edgeRequests("5m")),
			board.Number("Failed", "percentunit", 4, edgeErrors("5m")).Thresholds(board.Limit(w.Limits.Errors)).Decimals(2),
			board.Number("Slow", "percentunit", 4, edgeSlow("5m")).Thresholds(board.Limit(w.Limits.Slow)).Decimals(2).
				Description(fmt.Sprintf("Longer than %g s.", w.Latency)),
			board.Number("Over a limit", "percentunit", 4, "("+w.limited()+") or vector(0)").Thresholds(board.Limit(w.Limits.Limited)).Decimals(2).
				Description("Share of the requests that were refused as too many."),
		}},
		{Dashboard: Requests, Row: "What users are answered", Panels: answered},
		{Dashboard: Requests, Row: "What is behind it", Panels: []board.Panel{
			board.Series("95 % of services answer within", "s", 2, q(quantile("0.95", "route", "edge_upstream_duration_seconds"), "{{route}}")),
			board.Series("What becomes of requests", "reqps", 2, q(`sum by (outcome) (rate(edge_requests_total{$job}[$__rate_interval]))`, "{{outcome}}")).
				Description("One of: " + strings.Join(nginx.Outcomes, ", ") + "."),
			board.Line(board.Series("A second pod had to be asked", "percentunit", 2, q(w.avoided("0"), "{{route}}")), w.Limits.Avoided).
				Description("Share of a route's requests, of which users got an answer."),
			board.Series("Nobody could be reached, failed, or was late", "reqps", 2, q(`sum by (route, outcome) (rate(edge_requests_total{$job,outcome=~"unreached|failed|late"}[$__rate_interval]))`, "{{route}} {{outcome}}")),
		}},
	}
}
