package observe

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// users are the routes of those who use the application; who operates it has others.
const users = `route=~"api|ui|dashboard|websocket"`

// handshakeRate is how many handshakes have to fail a second.
const handshakeRate = 0.2

// What the alerts and the panels compare with Limits.
func (w Watched) limited() string {
	return w.fill(`sum by (job) (rate(edge_requests_total{$job,outcome="limited"}[$window])) / (sum by (job) (rate(edge_requests_total{$job}[$window])) > 0)`, "5m")
}

func (w Watched) avoided(minimum string) string {
	return w.fill(`sum by (job, route) (rate(edge_requests_total{$job,outcome="retried"}[$window])) / (sum by (job, route) (rate(edge_requests_total{$job}[$window])) > `+minimum+`)`, "5m")
}

func (w Watched) unshaken(by string) string {
	of := ""
	if by != "" {
		of = "on(job) group_left() "
	}
	return w.fill(`sum by (job`+by+`) (rate(edge_tls_failures_total{$job}[$window])) / `+of+`(sum by (job) (rate(nginx_connections_accepted{$job}[$window])) > 0)`, "5m")
}

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
			w.limited()+w.fill(fmt.Sprintf(` > %g and sum by (job) (rate(edge_requests_total{$job,outcome="limited"}[$window])) > 1`, w.Limits.Limited), "5m"),
			"The edge refuses many requests as too many",
			"{{ $value | humanizePercentage }} of the requests at the edge are over a limit, and are answered 429: somebody asks too often, or the limits are too low."),
		rule.Alert("EdgePodsAvoided", rule.Warning, "10m",
			w.avoided(rule.MinimumRate)+fmt.Sprintf(` > %g`, w.Limits.Avoided),
			"A pod behind the edge fails",
			"For {{ $value | humanizePercentage }} of the requests of route {{ $labels.route }} the edge had to ask a second pod, since the first could not be reached or answered 5xx. Users got an answer."),
	}
	if w.Handshakes {
		rules = append(rules, rule.Alert("EdgeTlsFailures", rule.Warning, "10m",
			w.unshaken("")+w.fill(fmt.Sprintf(` > %g and sum by (job) (rate(edge_tls_failures_total{$job}[$window])) > %g`, w.Limits.Handshakes, handshakeRate), "5m"),
			"Many TLS handshakes with the edge fail",
			"For {{ $value | humanizePercentage }} of the connections to the edge the TLS handshake fails: clients refuse its certificate, go away in the middle, or speak no TLS that it does."))
	}
	for _, b := range rule.Burns {
		condition := func(series func(string) string, budget float64) string {
			return fmt.Sprintf("%s > %.4g and %s > %.4g and %s > %s",
				series(b.Long), b.Rate*budget, series(b.Short), b.Rate*budget, edgeRequests(b.Long), rule.MinimumRate)
		}
		errors := rule.Alert("EdgeErrorBudgetBurn", b.Severity, b.Wait, condition(edgeErrors, w.Limits.Errors),
			"Users get errors",
			fmt.Sprintf("{{ $value | humanizePercentage }} of what users asked the edge for failed with 5xx over %s, and it goes on. At this rate the error budget of 30 days (%.4g %% of the requests) is used up within %s.",
				b.Long, w.Limits.Errors*100, b.Exhausted))
		slow := rule.Alert("EdgeLatencyBudgetBurn", b.Severity, b.Wait, condition(edgeSlow, w.Limits.Slow),
			"Users wait",
			fmt.Sprintf("{{ $value | humanizePercentage }} of what users asked the edge for took longer than %g s over %s, and it goes on. At this rate the latency budget of 30 days (%.4g %% of the requests) is used up within %s.",
				w.Latency, b.Long, w.Limits.Slow*100, b.Exhausted))
		errors.Labels["window"], slow.Labels["window"] = b.Long, b.Long
		rules = append(rules, errors, slow)
	}
	return rules
}
