package rules_test

import (
	"fmt"
	"strconv"
	"testing"

	backend "github.com/alphapulse/alphapulse-infra/components/backend/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// bounds are the default buckets of Prometheus' libraries.
var bounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// podinfo is what the public example github.com/stefanprodan/podinfo serves: its
// counter knows the status alone, its histogram has the default buckets and names a
// path by a word. Of its 600 requests a minute so many fail, and each takes so many
// seconds; it is probed and scraped besides, at once and with success.
func podinfo(pod string, failed int, seconds float64, values func(perMinute int) string) map[string]string {
	const perMinute, probes = 600, 30
	all := map[string]string{
		fmt.Sprintf(`http_requests_total{job="backend",pod=%q,status="200"}`, pod): values(perMinute - failed + 3*probes),
		fmt.Sprintf(`http_requests_total{job="backend",pod=%q,status="500"}`, pod): values(failed),
	}
	observe := func(path, status string, n int, seconds float64) {
		labels := fmt.Sprintf(`job="backend",pod=%q,method="GET",path=%q,status=%q`, pod, path, status)
		all["http_request_duration_seconds_count{"+labels+"}"] = values(n)
		all["http_request_duration_seconds_bucket{"+labels+`,le="+Inf"}`] = values(n)
		for _, bound := range bounds {
			in := 0
			if seconds <= bound {
				in = n
			}
			le := strconv.FormatFloat(bound, 'g', -1, 64)
			all["http_request_duration_seconds_bucket{"+labels+`,le="`+le+`"}`] = values(in)
		}
	}
	observe("api_info", "200", perMinute-failed, seconds)
	observe("api_info", "500", failed, seconds)
	for _, path := range []string{"healthz", "readyz", "metrics"} {
		observe(path, "200", probes, 0.001)
	}
	return all
}

func always(perMinute int) string { return fmt.Sprintf("0+%dx30", perMinute) }

// from and until give a series that exists for a part of the time: the pods of a
// rollout.
func from(minute int) func(int) string {
	return func(perMinute int) string { return fmt.Sprintf("_x%d 0+%dx60", minute-1, perMinute) }
}

func until(minute int) func(int) string {
	return func(perMinute int) string { return fmt.Sprintf("0+%dx%d stale", perMinute, minute) }
}

// coarse is a build whose buckets say nothing of the objective.
func coarse(les ...string) map[string]string {
	all := map[string]string{
		`http_requests_total{job="backend",pod="a",status="200"}`:                    always(600),
		`http_request_duration_seconds_count{job="backend",pod="a"}`:                 always(600),
		`http_request_duration_seconds_bucket{job="backend",pod="a",le="+Inf"}`:      always(600),
		`http_request_duration_seconds_count{job="backend",pod="a",route="/health"}`: always(6),
	}
	for _, le := range les {
		all[fmt.Sprintf(`http_request_duration_seconds_bucket{job="backend",pod="a",le=%q}`, le)] = always(0)
	}
	return all
}

// A build of somebody else's is judged by the buckets that it has, and never by those
// that it has not.
func TestLatencyOfAnyBuild(t *testing.T) {
	c := watched
	c.backend.HTTP = backend.HTTP{Excluded: []string{"/healthz", "/readyz", "/metrics"}}
	byHistogram := c
	byHistogram.backend.HTTP.Requests = "http_request_duration_seconds_count"

	const slow, unmeasured, errors = "APILatencyBudgetBurn", "APILatencyUnmeasured", "APIErrorBudgetBurn"
	blind := []firing{{rule.Warning, map[string]string{"job": "backend"}, latencyUnknown, latencyUnknownText}}
	for name, s := range map[string]struct {
		composition
		alerts map[string][]situation
	}{
		"podinfo": {c, map[string][]situation{
			slow: {
				{name: "fast", at: "20m", series: podinfo("a", 0, 0.008, always)},
				{name: "below the nearest bucket", at: "20m", series: podinfo("a", 0, 0.24, always)},
				{name: "above it", at: "10m", series: podinfo("a", 0, 0.26, always),
					fires: burning(rule.Critical, "1h", answersSlowly, slowText("100%", "1h", "two days"))},
				{name: "it replaces another build", at: "36m", series: with(
					map[string]string{
						`http_request_duration_seconds_count{job="backend",pod="old"}`:           until(10)(600),
						`http_request_duration_seconds_bucket{job="backend",pod="old",le="0.2"}`: until(10)(600),
						`http_requests_total{job="backend",pod="old",status="200"}`:              until(10)(600),
					}, podinfo("a", 0, 0.008, from(10)))},
				{name: "it is replaced by a build that cannot be measured", at: "36m", series: with(
					podinfo("a", 0, 0.008, until(10)), map[string]string{
						`http_request_duration_seconds_count{job="backend",pod="b"}`:         from(10)(600),
						`http_request_duration_seconds_bucket{job="backend",pod="b",le="1"}`: from(10)(600),
						`http_requests_total{job="backend",pod="b",status="200"}`:            from(10)(600),
					})},
			},
			unmeasured: {
				{name: "fast", at: "20m", series: podinfo("a", 0, 0.008, always)},
				{name: "slower than every bucket", at: "20m", series: podinfo("a", 0, 20, always)},
			},
		}},
		"podinfo, counted by its histogram": {byHistogram, map[string][]situation{
			// The 3 × 30 probes are not users' requests: 120 of 600 failed, not of 690.
			errors: {{name: "20 %", at: "10m", series: podinfo("a", 120, 0.008, always),
				fires: burning(rule.Critical, "1h", failsTooMuch, errorText("20%", "1h", "two days"))}},
		}},
		"other histograms": {watched, map[string][]situation{
			slow: {
				{name: "no near bucket", at: "20m", series: coarse("0.1", "1", "5")},
				{name: "an odd bucket", at: "10m", series: coarse("0.1", "0.256", "0.512", "1.024"),
					fires: burning(rule.Critical, "1h", answersSlowly, slowText("100%", "1h", "two days"))},
				{name: "a bucket of 0.5 s", at: "10m", series: coarse("0.1", "0.5", "1.0"),
					fires: burning(rule.Critical, "1h", answersSlowly, slowText("100%", "1h", "two days"))},
				{name: "no histogram", at: "20m", series: map[string]string{`http_requests_total{job="backend",pod="a",status="200"}`: always(600)}},
			},
			unmeasured: {
				{name: "no near bucket", at: "10m", series: coarse("0.1", "1", "5"), fires: blind},
				{name: "an odd bucket", at: "10m", series: coarse("0.1", "0.256", "0.512", "1.024")},
				{name: "no histogram", at: "10m", series: map[string]string{`http_requests_total{job="backend",pod="a",status="200"}`: always(600)}, fires: blind},
				{name: "one of two pods", at: "10m", fires: blind, series: with(traffic(0, 0), map[string]string{
					`http_request_duration_seconds_count{job="backend",pod="b"}`:            always(600),
					`http_request_duration_seconds_bucket{job="backend",pod="b",le="+Inf"}`: always(600)})},
				{name: "nobody asks", at: "20m", series: map[string]string{`up{job="backend",pod="a"}`: "1x30"}},
				{name: "nobody but Kubernetes asks", at: "20m", series: map[string]string{
					`http_requests_total{job="backend",pod="a",route="/health",status="200"}`:            always(6),
					`http_request_duration_seconds_count{job="backend",pod="a",route="/health"}`:         always(6),
					`http_request_duration_seconds_bucket{job="backend",pod="a",route="/health",le="1"}`: always(6)}},
			},
		}},
	} {
		for alert, list := range s.alerts {
			t.Run(name+", "+alert, func(t *testing.T) { check(t, s.composition, alert, list) })
		}
	}
}
