package observe

import "github.com/alphapulse/alphapulse-infra/components/room/board"

// Panels show the edge.
func Panels(w Watched) []board.Contribution {
	q := board.On(w.Job)
	return []board.Contribution{{Dashboard: board.Infrastructure, Row: "Edge", Panels: []board.Panel{
		board.Series("Requests", "reqps", 3, q(`sum by (pod) (rate(nginx_http_requests_total{$job}[$__rate_interval]))`, "{{pod}}")),
		board.Series("Connections", "short", 3,
			q(`sum(nginx_connections_active{$job})`, "active"),
			q(`sum(nginx_connections_reading{$job})`, "reading"),
			q(`sum(nginx_connections_writing{$job})`, "writing"),
			q(`sum(nginx_connections_waiting{$job})`, "waiting")),
		board.Series("Connections not handled", "cps", 3, q(
			`sum(rate(nginx_connections_accepted{$job}[$__rate_interval])) - sum(rate(nginx_connections_handled{$job}[$__rate_interval]))`, "dropped")),
		board.Series("Certificate's end", "s", 3, q(`min by (pod) (probe_ssl_earliest_cert_expiry{$job}) - time()`, "{{pod}}")),
	}}}
}
