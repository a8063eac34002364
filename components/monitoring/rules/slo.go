package rules

import "fmt"

// The service level objectives are the success metrics of the production
// deployment's description: "Error Rates: <1% for 5xx responses" and "Response
// Times: 95th percentile <200ms".
const (
	// ErrorBudget is the share of requests that may fail.
	ErrorBudget = 0.01
	// LatencyBudget is the share of requests that may take longer than
	// LatencyThreshold.
	LatencyBudget = 0.05
	// LatencyThreshold in seconds, as the label of a bucket of
	// http_request_duration_seconds.
	LatencyThreshold = "0.2"
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
	Severity    Severity
	Wait        string
	// Exhausted says when the budget of 30 days is used up at this rate.
	Exhausted string
}

var burns = []burn{
	{14.4, "1h", "5m", Critical, "2m", "two days"},
	{6, "6h", "30m", Critical, "15m", "five days"},
	{3, "1d", "2h", Warning, "1h", "ten days"},
	{1, "3d", "6h", Warning, "3h", "thirty days"},
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

func apiRecordings(w Watched) []Group {
	recordings := func(windows []string) []Rule {
		var rules []Rule
		for _, window := range windows {
			rules = append(rules,
				Rule{Record: APIRequests(window), Expr: fmt.Sprintf(`sum(rate(http_requests_total{job=%q,%s}[%s]))`, w.API, UserRoutes, window)},
				// Before the first failure there is no series of failures: that is none,
				// not unknown.
				Rule{Record: APIErrors(window), Expr: fmt.Sprintf(
					`(sum(rate(http_requests_total{job=%[1]q,%[2]s,status=~"5.."}[%[3]s])) or vector(0)) / (sum(rate(http_requests_total{job=%[1]q,%[2]s}[%[3]s])) > 0)`,
					w.API, UserRoutes, window)},
				Rule{Record: APISlow(window), Expr: fmt.Sprintf(
					`1 - sum(rate(http_request_duration_seconds_bucket{job=%[1]q,%[2]s,le=%[4]q}[%[3]s])) / (sum(rate(http_request_duration_seconds_count{job=%[1]q,%[2]s}[%[3]s])) > 0)`,
					w.API, UserRoutes, window, LatencyThreshold)},
			)
		}
		return rules
	}
	return []Group{
		{Name: "api-recordings", Rules: recordings(fastWindows)},
		{Name: "api-recordings-slow", Interval: "2m", Rules: recordings(slowWindows)},
	}
}

func apiAlerts(w Watched) Group {
	g := Group{Name: "api", Rules: []Rule{
		missing("APIDown", Critical, "1m", "up", w.API,
			"No API pod answers",
			"Prometheus reaches the metrics of no pod of "+w.API+": users get errors from the edge."),
	}}
	for _, b := range burns {
		condition := func(series func(string) string, budget float64) string {
			return fmt.Sprintf("%s > %.4g and %s > %.4g and %s > %s",
				series(b.Long), b.Rate*budget, series(b.Short), b.Rate*budget, APIRequests(b.Long), minimumRate)
		}
		errors := alert("APIErrorBudgetBurn", b.Severity, b.Wait, condition(APIErrors, ErrorBudget),
			"The API fails too many requests",
			fmt.Sprintf("{{ $value | humanizePercentage }} of the API's requests failed with 5xx over %s, and it goes on. At this rate the error budget of 30 days (%g %% of the requests) is used up within %s.",
				b.Long, ErrorBudget*100, b.Exhausted))
		slow := alert("APILatencyBudgetBurn", b.Severity, b.Wait, condition(APISlow, LatencyBudget),
			"The API answers too slowly",
			fmt.Sprintf("{{ $value | humanizePercentage }} of the API's requests took longer than %s s over %s, and it goes on. At this rate the latency budget of 30 days (%g %% of the requests) is used up within %s.",
				LatencyThreshold, b.Long, LatencyBudget*100, b.Exhausted))
		errors.Labels["window"], slow.Labels["window"] = b.Long, b.Long
		g.Rules = append(g.Rules, errors, slow)
	}
	return g
}
