package observe

import (
	"fmt"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// The service level objectives are the success metrics of the production
// deployment's description: "Error Rates: <1% for 5xx responses" and "Response
// Times: 95th percentile <200ms".
const (
	// ErrorBudget is the share of requests that may fail.
	ErrorBudget = 0.01
	// LatencyBudget is the share of requests that may take longer than
	// LatencyThreshold.
	LatencyBudget = 0.05
	// LatencyThreshold in seconds, the bound of a bucket of
	// http_request_duration_seconds.
	LatencyThreshold = 0.2
)

// minimumRate in requests per second: below it one unlucky request is a large
// share, and no ratio means anything. 0.05/s are 180 requests an hour.
const minimumRate = "0.05"

// UserRoutes leaves out what nobody but Kubernetes and Prometheus asks for: fast
// answers to probes would hide slow ones to users, and a readiness probe that says
// no is not a failed request. Builds that have no such label keep every request.
const UserRoutes = `route!~"/health|/ready|/metrics"`

// burn is one alerting condition: the budget burns at least Rate times as fast as
// it may, over a long window (so it matters) and over a short one (so it still
// happens). Rates and windows for a 30-day budget are those that the Google SRE
// Workbook recommends (chapter 5, "Multiwindow, Multi-Burn-Rate Alerts"); the one
// for a day is the Prometheus community's addition between its second and third.
type burn struct {
	Rate        float64
	Long, Short string
	Severity    rule.Severity
	Wait        string
	// Exhausted says when the budget of 30 days is used up at this rate.
	Exhausted string
}

var burns = []burn{
	{14.4, "1h", "5m", rule.Critical, "2m", "two days"},
	{6, "6h", "30m", rule.Critical, "15m", "five days"},
	{3, "1d", "2h", rule.Warning, "1h", "ten days"},
	{1, "3d", "6h", rule.Warning, "3h", "thirty days"},
}

// recordedWindows are the windows of the burns; those of a day and longer are
// computed less often, since they change slowly and read much.
var (
	fastWindows = []string{"5m", "30m", "1h", "2h", "6h"}
	slowWindows = []string{"1d", "3d"}
)

// APIErrors names the recorded share of failed requests over a window, as APISlow
// does of slow ones and APIRequests the requests per second.
func APIErrors(window string) string { return "alphapulse:api_errors:ratio_rate" + window }

// APISlow is documented at APIErrors.
func APISlow(window string) string { return "alphapulse:api_slow:ratio_rate" + window }

// APIRequests is documented at APIErrors.
func APIRequests(window string) string { return "alphapulse:api_requests:rate" + window }

func apiRecordings(job string) []rule.Group {
	recordings := func(windows []string) []rule.Rule {
		var rules []rule.Rule
		for _, window := range windows {
			record := func(series func(string) string, expr string) {
				expr = strings.NewReplacer("$users", UserRoutes, "$window", window).Replace(expr)
				rules = append(rules, rule.Rule{Record: series(window), Expr: rule.On(job, expr)})
			}
			record(APIRequests, `sum(rate(http_requests_total{$job,$users}[$window]))`)
			// Before the first failure there is no series of failures: that is none,
			// not unknown.
			record(APIErrors, `(sum(rate(http_requests_total{$job,$users,status=~"5.."}[$window])) or vector(0)) / (sum(rate(http_requests_total{$job,$users}[$window])) > 0)`)
			record(APISlow, fmt.Sprintf(
				`1 - sum(rate(http_request_duration_seconds_bucket{$job,$users,le="%g"}[$window])) / (sum(rate(http_request_duration_seconds_count{$job,$users}[$window])) > 0)`,
				LatencyThreshold))
		}
		return rules
	}
	return []rule.Group{
		{Name: "api-recordings", Rules: recordings(fastWindows)},
		{Name: "api-recordings-slow", Interval: "2m", Rules: recordings(slowWindows)},
	}
}

func apiAlerts(job string) rule.Group {
	g := rule.Group{Name: "api", Rules: []rule.Rule{
		rule.Missing("APIDown", rule.Critical, "1m", "up", job,
			"No API pod answers",
			"Prometheus reaches the metrics of no pod of "+job+": users get errors from the edge."),
	}}
	for _, b := range burns {
		condition := func(series func(string) string, budget float64) string {
			return fmt.Sprintf("%s > %.4g and %s > %.4g and %s > %s",
				series(b.Long), b.Rate*budget, series(b.Short), b.Rate*budget, APIRequests(b.Long), minimumRate)
		}
		errors := rule.Alert("APIErrorBudgetBurn", b.Severity, b.Wait, condition(APIErrors, ErrorBudget),
			"The API fails too many requests",
			fmt.Sprintf("{{ $value | humanizePercentage }} of the API's requests failed with 5xx over %s, and it goes on. At this rate the error budget of 30 days (%g %% of the requests) is used up within %s.",
				b.Long, ErrorBudget*100, b.Exhausted))
		slow := rule.Alert("APILatencyBudgetBurn", b.Severity, b.Wait, condition(APISlow, LatencyBudget),
			"The API answers too slowly",
			fmt.Sprintf("{{ $value | humanizePercentage }} of the API's requests took longer than %g s over %s, and it goes on. At this rate the latency budget of 30 days (%g %% of the requests) is used up within %s.",
				LatencyThreshold, b.Long, LatencyBudget*100, b.Exhausted))
		errors.Labels["window"], slow.Labels["window"] = b.Long, b.Long
		g.Rules = append(g.Rules, errors, slow)
	}
	return g
}
