package observe

import (
	"fmt"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Objectives are what the API promises. The zero value asks for the success metrics of
// the production deployment's description: "Error Rates: <1% for 5xx responses" and
// "Response Times: 95th percentile <200ms".
type Objectives struct {
	// ErrorBudget is the share of requests that may fail; 0.01 when zero.
	ErrorBudget float64
	// LatencyBudget is the share of requests that may take longer than Latency; 0.05
	// when zero.
	LatencyBudget float64
	// Latency in seconds; 0.2 when zero. It is measured at the build's nearest bucket
	// at or above it.
	Latency float64
}

// DefaultObjectives is what the zero value asks for.
func DefaultObjectives() Objectives {
	return Objectives{ErrorBudget: 0.01, LatencyBudget: 0.05, Latency: 0.2}
}

func (o Objectives) withDefaults() Objectives { return room.Fill(o, DefaultObjectives()) }

// The names of what is recorded over a window: the share of failed requests, that of
// slow ones, and requests per second.
func apiErrors(window string) string   { return "alphapulse:api_errors:ratio_rate" + window }
func apiSlow(window string) string     { return "alphapulse:api_slow:ratio_rate" + window }
func apiRequests(window string) string { return "alphapulse:api_requests:rate" + window }

// fill puts names and a window into an expression on the API's requests.
func (w Watched) fill(expr, window string) string {
	return rule.On(w.API, strings.NewReplacer(
		"$requests", w.HTTP.Requests, "$duration", w.HTTP.Duration, "$status", w.HTTP.Status,
		"$users", w.HTTP.users(), "$fast", buckets(w.Objectives.Latency), "$window", window,
	).Replace(expr))
}

// inTime is the rate of requests that took no longer than the objective, of each series
// whose histogram can tell.
const inTime = `min without (le) (rate($duration_bucket{$users,$fast}[$window]))`

func (w Watched) recordings() []rule.Group {
	recordings := func(windows []string) []rule.Rule {
		var rules []rule.Rule
		for _, window := range windows {
			record := func(series func(string) string, expr string) {
				rules = append(rules, rule.Rule{Record: series(window), Expr: w.fill(expr, window)})
			}
			record(apiRequests, `sum(rate($requests{$users}[$window]))`)
			// Before the first failure there is no series of failures: that is none,
			// not unknown.
			record(apiErrors, `(sum(rate($requests{$users,$status=~"5.."}[$window])) or vector(0)) / (sum(rate($requests{$users}[$window])) > 0)`)
			// Pods of a build without such a bucket, as before or after a rollout, count
			// neither as fast nor as slow.
			record(apiSlow, `1 - sum(`+inTime+`) / (sum(rate($duration_count{$users}[$window]) and `+inTime+`) > 0)`)
		}
		return rules
	}
	return []rule.Group{
		{Name: "api-recordings", Rules: recordings(rule.FastWindows)},
		{Name: "api-recordings-slow", Interval: rule.SlowInterval, Rules: recordings(rule.SlowWindows)},
	}
}

// atEdge selects what users see at the edge of what the API does.
func atEdge(budget string) rule.Silence {
	return rule.Silence{Matchers: []string{fmt.Sprintf("alertname=%q", "Edge"+budget+"BudgetBurn")}, OfConsumers: true}
}

func (w Watched) api() []rule.Rule {
	o := w.Objectives
	unmeasured := rule.Alert("APILatencyUnmeasured", rule.Warning, "5m",
		w.fill(`sum(rate($duration_count{$users}[$window]) unless `+inTime+`) > 0 or sum(rate($requests{$users}[$window])) > 0 unless on() $duration_count{$job}`, "5m"),
		"The API's latency objective cannot be measured",
		fmt.Sprintf("Requests are answered whose time no bucket of the histogram %s from %g s to below %.4g s tells. APILatencyBudgetBurn is blind for them.",
			w.HTTP.Duration, o.Latency, o.Latency*nearEnough))
	unmeasured.Labels["job"] = w.API
	down := rule.Missing("APIDown", rule.Critical, "1m", "up", w.API,
		"No API pod answers",
		"Prometheus reaches the metrics of no pod of "+w.API+": users get errors from the edge.")
	// The edge tells users that it reaches none.
	down.Silences = []rule.Silence{rule.SameWorkload, atEdge("Error")}
	rules := []rule.Rule{
		down,
		unmeasured,
		rule.Alert("LiveClientsRefused", rule.Warning, "5m",
			rule.On(w.API, fmt.Sprintf(`sum by (job) (rate(websocket_connections_total{$job,result="refused"}[5m])) / (sum by (job) (rate(websocket_connections_total{$job}[5m])) > 0) > %g`, clientsRefused)),
			"The API refuses live clients",
			"{{ $value | humanizePercentage }} of the WebSockets that clients ask for are refused: the API has as many as it may have."),
	}
	for _, b := range rule.Burns {
		condition := func(series func(string) string, budget float64) string {
			return fmt.Sprintf("%s > %.4g and %s > %.4g and %s > %s",
				series(b.Long), b.Rate*budget, series(b.Short), b.Rate*budget, apiRequests(b.Long), rule.MinimumRate)
		}
		errors := rule.Alert("APIErrorBudgetBurn", b.Severity, b.Wait, condition(apiErrors, o.ErrorBudget),
			"The API fails too many requests",
			fmt.Sprintf("{{ $value | humanizePercentage }} of the API's requests failed with 5xx over %s, and it goes on. At this rate the error budget of 30 days (%.4g %% of the requests) is used up within %s.",
				b.Long, o.ErrorBudget*100, b.Exhausted))
		slow := rule.Alert("APILatencyBudgetBurn", b.Severity, b.Wait, condition(apiSlow, o.LatencyBudget),
			"The API answers too slowly",
			fmt.Sprintf("{{ $value | humanizePercentage }} of the API's requests took longer than %g s (the nearest bucket at or above it) over %s, and it goes on. At this rate the latency budget of 30 days (%.4g %% of the requests) is used up within %s.",
				o.Latency, b.Long, o.LatencyBudget*100, b.Exhausted))
		errors.Labels["window"], slow.Labels["window"] = b.Long, b.Long
		errors.Silences, slow.Silences = []rule.Silence{atEdge("Error")}, []rule.Silence{atEdge("Latency")}
		rules = append(rules, errors, slow)
	}
	return rules
}
