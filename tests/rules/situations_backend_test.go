package rules_test

import (
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

var backendSituations = map[string][]situation{
	"APIDown": {
		{name: "no pod", at: "5m", quietUntil: "0m", fires: []firing{{rule.Critical, map[string]string{"job": "backend"}, "No API pod answers",
			"Prometheus reaches the metrics of no pod of backend: users get errors from the edge."}}},
		{name: "pods that do not answer", at: "5m", series: map[string]string{`up{job="backend",pod="a"}`: "0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "backend"}, "No API pod answers",
				"Prometheus reaches the metrics of no pod of backend: users get errors from the edge."}}},
		{name: "one of two answers", at: "5m", series: map[string]string{`up{job="backend",pod="a"}`: "0x10", `up{job="backend",pod="b"}`: "1x10"}},
	},
	"APIErrorBudgetBurn": append([]situation{
		{name: "20 % for ten minutes", at: "10m", quietUntil: "2m", series: traffic(120, 0),
			fires: burning(rule.Critical, "1h", failsTooMuch, errorText("20%", "1h", "two days"))},
		{name: "8 % for forty minutes", at: "40m", quietUntil: "16m", series: traffic(48, 0),
			fires: burning(rule.Critical, "6h", failsTooMuch, errorText("8%", "6h", "five days"))},
		{name: "4 % for two hours", at: "2h", quietUntil: "67m", series: traffic(24, 0),
			fires: burning(rule.Warning, "1d", failsTooMuch, errorText("4%", "1d", "ten days"))},
		{name: "2 % for four hours", at: "4h", quietUntil: "201m", series: traffic(12, 0),
			fires: burning(rule.Warning, "3d", failsTooMuch, errorText("2%", "3d", "thirty days"))},
		{name: "no failure ever", at: "10m", series: map[string]string{`http_requests_total{job="backend",status="200"}`: "0+600x10"}},
		{name: "half of one request in five minutes", at: "1h", series: map[string]string{
			`http_requests_total{job="backend",status="200"}`: "0+0.1x60", `http_requests_total{job="backend",status="503"}`: "0+0.1x60"}},
		{name: "refused requests are the client's", at: "10m", series: map[string]string{
			`http_requests_total{job="backend",status="200"}`: "0+600x10", `http_requests_total{job="backend",status="429"}`: "0+600x10"}},
		{name: "a readiness probe that says no", at: "10m", series: with(traffic(0, 0),
			map[string]string{`http_requests_total{job="backend",route="/ready",status="503"}`: "0+6000x10"})},
		{name: "failures of another service", at: "10m", series: with(traffic(0, 0),
			map[string]string{`http_requests_total{job="frontend",status="500"}`: "0+6000x10"})},
	}, belowBurning(func(perMinute, bad float64, minutes, then int) map[string]string {
		return calls(perMinute, bad, 0, minutes, then)
	}, belowErrors, aboveErrors)...),
	"APILatencyBudgetBurn": append([]situation{
		{name: "80 % slow for ten minutes", at: "10m", quietUntil: "2m", series: traffic(0, 480),
			fires: burning(rule.Critical, "1h", answersSlowly, slowText("80%", "1h", "two days"))},
		{name: "40 % slow for forty minutes", at: "40m", quietUntil: "16m", series: traffic(0, 240),
			fires: burning(rule.Critical, "6h", answersSlowly, slowText("40%", "6h", "five days"))},
		{name: "20 % slow for two hours", at: "2h", quietUntil: "67m", series: traffic(0, 120),
			fires: burning(rule.Warning, "1d", answersSlowly, slowText("20%", "1d", "ten days"))},
		{name: "10 % slow for four hours", at: "4h", quietUntil: "201m", series: traffic(0, 60),
			fires: burning(rule.Warning, "3d", answersSlowly, slowText("10%", "3d", "thirty days"))},
		{name: "slow users among fast probes", at: "10m", series: with(traffic(0, 480), map[string]string{
			`http_request_duration_seconds_count{job="backend",route="/health"}`:           "0+6000x10",
			`http_request_duration_seconds_bucket{job="backend",route="/health",le="0.2"}`: "0+6000x10"}),
			fires: burning(rule.Critical, "1h", answersSlowly, slowText("80%", "1h", "two days"))},
	}, belowBurning(func(perMinute, bad float64, minutes, then int) map[string]string {
		return calls(perMinute, 0, bad, minutes, then)
	}, belowSlow, aboveSlow)...),
	// More builds are looked at in TestLatencyOfAnyBuild.
	"APILatencyUnmeasured": {
		{name: "no bucket near the objective", at: "10m", quietUntil: "5m", series: map[string]string{
			`http_request_duration_seconds_count{job="backend",pod="a"}`:           "0+600x20",
			`http_request_duration_seconds_bucket{job="backend",pod="a",le="0.6"}`: "0+600x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "backend"}, latencyUnknown, latencyUnknownText}}},
		{name: "the furthest that is near enough", at: "10m", series: map[string]string{
			`http_request_duration_seconds_count{job="backend",pod="a"}`:            "0+600x20",
			`http_request_duration_seconds_bucket{job="backend",pod="a",le="0.59"}`: "0+600x20"}},
	},
	"LiveClientsRefused": {
		{name: "one of ten", at: "15m", quietUntil: "5m", series: map[string]string{
			`websocket_connections_total{job="backend",pod="a",result="accepted"}`: "0+90x20", `websocket_connections_total{job="backend",pod="a",result="refused"}`: "0+10x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "backend"}, "The API refuses live clients",
				"10% of the WebSockets that clients ask for are refused: the API has as many as it may have."}}},
		{name: "one of twenty", at: "15m", series: map[string]string{
			`websocket_connections_total{job="backend",pod="a",result="accepted"}`: "0+95x20", `websocket_connections_total{job="backend",pod="a",result="refused"}`: "0+5x20"}},
	},
}
