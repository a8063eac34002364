package observe

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// What users are promised at the edge, as shares of requests: those of the API, of which
// most of them are asked.
const (
	errorBudget   = 0.01
	latencyBudget = 0.05
)

// users are the routes of those who use the application; who operates it has others.
const users = `route=~"api|ui|dashboard|websocket"`

// avoided and limited are the shares of requests from which on they are worth a look,
// unshaken that of connections whose handshake failed, and unshakenRate how many a second.
const (
	avoided      = 0.01
	limited      = 0.05
	unshaken     = 0.2
	unshakenRate = 0.2
)

// The names of what is recorded over a window: the share of failed requests, that of
// slow ones, and requests per second.
func edgeErrors(window string) string   { return "alphapulse:edge_errors:ratio_rate" + window }
func edgeSlow(window string) string     { return "alphapulse:edge_slow:ratio_rate" + window }
func edgeRequests(window string) string { return "alphapulse:edge_requests:rate" + window }

// fill puts the job, the objective and a window into an expression.
func (w Watched) fill(expr, window string) string {
	return rule.On(w.Job, strings.NewReplacer("$users", users, "$objective", bound(w.Latency), "$window", window).Replace(expr))
}

// bound is the regular expression of a histogram's bound: Prometheus writes a whole number
// with a zero behind it, as its programs do not.
func bound(seconds float64) string {
	whole, fraction, broken := strings.Cut(strconv.FormatFloat(seconds, 'f', -1, 64), ".")
	if !broken {
		return whole + "([.]0)?"
	}
	return whole + "[.]" + fraction
}

func (w Watched) recordings() []rule.Group {
	recordings := func(windows []string) []rule.Rule {
		var rules []rule.Rule
		for _, window := range windows {
			for _, r := range []struct{ name, expr string }{
				{edgeRequests(window), `sum(rate(edge_requests_total{$job,$users}[$window]))`},
				// Before the first failure there is no series of failures.
				{edgeErrors(window), `(sum(rate(edge_requests_total{$job,$users,status=~"5.."}[$window])) or vector(0)) / (sum(rate(edge_requests_total{$job,$users}[$window])) > 0)`},
				{edgeSlow(window), `1 - sum(rate(edge_request_duration_seconds_bucket{$job,$users,le=~"$objective"}[$window])) / (sum(rate(edge_request_duration_seconds_count{$job,$users}[$window])) > 0)`},
			} {
				rules = append(rules, rule.Rule{Record: r.name, Expr: w.fill(r.expr, window)})
			}
		}
		return rules
	}
	return []rule.Group{
		{Name: "edge-recordings", Rules: recordings(rule.FastWindows)},
		{Name: "edge-recordings-slow", Interval: rule.SlowInterval, Rules: recordings(rule.SlowWindows)},
	}
}

// seen are the alerts on what users see.
func (w Watched) seen() []rule.Rule {
	rules := []rule.Rule{
		rule.Alert("EdgeRequestsLimited", rule.Warning, "10m",
			w.fill(fmt.Sprintf(`sum by (job) (rate(edge_requests_total{$job,outcome="limited"}[$window])) / (sum by (job) (rate(edge_requests_total{$job}[$window])) > 0) > %g and sum by (job) (rate(edge_requests_total{$job,outcome="limited"}[$window])) > 1`, limited), "5m"),
			"The edge refuses many requests as too many",
			"{{ $value | humanizePercentage }} of the requests at the edge are over a limit, and are answered 429: somebody asks too often, or the limits are too low."),
		rule.Alert("EdgePodsAvoided", rule.Warning, "10m",
			w.fill(fmt.Sprintf(`sum by (job, route) (rate(edge_requests_total{$job,outcome="retried"}[$window])) / (sum by (job, route) (rate(edge_requests_total{$job}[$window])) > %s) > %g`, rule.MinimumRate, avoided), "5m"),
			"A pod behind the edge fails",
			"For {{ $value | humanizePercentage }} of the requests of route {{ $labels.route }} the edge had to ask a second pod, since the first could not be reached or answered 5xx. Users got an answer."),
	}
	if w.Handshakes {
		rules = append(rules, rule.Alert("EdgeTlsFailures", rule.Warning, "10m",
			w.fill(fmt.Sprintf(`sum by (job) (rate(edge_tls_failures_total{$job}[$window])) / (sum by (job) (rate(nginx_connections_accepted{$job}[$window])) > 0) > %g and sum by (job) (rate(edge_tls_failures_total{$job}[$window])) > %g`, unshaken, unshakenRate), "5m"),
			"Many TLS handshakes with the edge fail",
			"For {{ $value | humanizePercentage }} of the connections to the edge the TLS handshake fails: clients refuse its certificate, go away in the middle, or speak no TLS that it does."))
	}
	for _, b := range rule.Burns {
		condition := func(series func(string) string, budget float64) string {
			return fmt.Sprintf("%s > %.4g and %s > %.4g and %s > %s",
				series(b.Long), b.Rate*budget, series(b.Short), b.Rate*budget, edgeRequests(b.Long), rule.MinimumRate)
		}
		errors := rule.Alert("EdgeErrorBudgetBurn", b.Severity, b.Wait, condition(edgeErrors, errorBudget),
			"Users get errors",
			fmt.Sprintf("{{ $value | humanizePercentage }} of what users asked the edge for failed with 5xx over %s, and it goes on. At this rate the error budget of 30 days (%.4g %% of the requests) is used up within %s.",
				b.Long, errorBudget*100, b.Exhausted))
		slow := rule.Alert("EdgeLatencyBudgetBurn", b.Severity, b.Wait, condition(edgeSlow, latencyBudget),
			"Users wait",
			fmt.Sprintf("{{ $value | humanizePercentage }} of what users asked the edge for took longer than %g s over %s, and it goes on. At this rate the latency budget of 30 days (%.4g %% of the requests) is used up within %s.",
				w.Latency, b.Long, latencyBudget*100, b.Exhausted))
		errors.Labels["window"], slow.Labels["window"] = b.Long, b.Long
		rules = append(rules, errors, slow)
	}
	return rules
}
