package rules_test

import (
	"fmt"
	"time"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// onEdge are the labels of an alert on all of it.
var onEdge = map[string]string{"job": "edge"}

// ending are two pods with certificates that end after so many days. promtool's clock
// starts at 0.
func ending(a, b int) map[string]string {
	return map[string]string{
		`probe_ssl_earliest_cert_expiry{job="edge",pod="a"}`: fmt.Sprintf("%dx200", a*24*3600),
		`probe_ssl_earliest_cert_expiry{job="edge",pod="b"}`: fmt.Sprintf("%dx200", b*24*3600),
	}
}

// endingAfter is a certificate that ends so many days and a minute after a moment.
func endingAfter(moment string, days int) map[string]string {
	after, err := time.ParseDuration(moment)
	if err != nil {
		panic(err)
	}
	return map[string]string{`probe_ssl_earliest_cert_expiry{job="edge",pod="a"}`: fmt.Sprintf("%dx200", days*24*3600+int(after.Seconds())+60)}
}

// answered is four hours of 600 requests of users a minute, of which so many fail and so
// many are slow, and what an operator asks for beside them.
func answered(failed, slow float64) map[string]string { return asked(600, failed, slow, 250, 0) }

// asked are so many requests a minute, and none at all in so many minutes then.
func asked(perMinute, failed, slow float64, minutes, then int) map[string]string {
	grows := func(by float64) string { return growing(by, minutes, then) }
	const of = `job="edge",pod="a",host="api.example.com",route="api"`
	return map[string]string{
		`edge_requests_total{` + of + `,status="200",outcome="answered"}`: grows(perMinute - failed),
		`edge_requests_total{` + of + `,status="503",outcome="failed"}`:   grows(failed),
		`edge_request_duration_seconds_count{` + of + `}`:                 grows(perMinute),
		`edge_request_duration_seconds_bucket{` + of + `,le="0.5"}`:       grows(perMinute - slow),
		`edge_request_duration_seconds_bucket{` + of + `,le="1.0"}`:       grows(perMinute),
	}
}

// shaken are connections a minute, of which so many had a handshake that failed.
func shaken(reason string, accepted, failed int) map[string]string {
	return map[string]string{
		`nginx_connections_accepted{job="edge",pod="a"}`:                      fmt.Sprintf("0+%dx20", accepted),
		`edge_tls_failures_total{job="edge",pod="a",reason="` + reason + `"}`: fmt.Sprintf("0+%dx20", failed),
	}
}

// counted are twenty minutes of requests of one outcome, so many a minute.
func counted(perMinute map[string]int) map[string]string {
	all := map[string]string{}
	for outcome, n := range perMinute {
		all[fmt.Sprintf(`edge_requests_total{job="edge",pod="a",host="api.example.com",route="api",status="%s",outcome=%q}`,
			map[bool]string{true: "429", false: "200"}[outcome == "limited"], outcome)] = fmt.Sprintf("0+%dx20", n)
	}
	return all
}

func usersGetErrors(share, window, exhausted string) string {
	return share + " of what users asked the edge for failed with 5xx over " + window +
		", and it goes on. At this rate the error budget of 30 days (1 % of the requests) is used up within " + exhausted + "."
}

func usersWait(share, window, exhausted string) string {
	return share + " of what users asked the edge for took longer than 0.5 s over " + window +
		", and it goes on. At this rate the latency budget of 30 days (5 % of the requests) is used up within " + exhausted + "."
}

var edgeSituations = map[string][]situation{
	"EdgeErrorBudgetBurn": append([]situation{
		{name: "20 % for ten minutes", at: "10m", quietUntil: "2m", series: answered(120, 0),
			fires: burning(rule.Critical, "1h", "Users get errors", usersGetErrors("20%", "1h", "two days"))},
		{name: "8 % for forty minutes", at: "40m", quietUntil: "16m", series: answered(48, 0),
			fires: burning(rule.Critical, "6h", "Users get errors", usersGetErrors("8%", "6h", "five days"))},
		{name: "4 % for two hours", at: "2h", quietUntil: "67m", series: answered(24, 0),
			fires: burning(rule.Warning, "1d", "Users get errors", usersGetErrors("4%", "1d", "ten days"))},
		{name: "2 % for four hours", at: "4h", quietUntil: "201m", series: answered(12, 0),
			fires: burning(rule.Warning, "3d", "Users get errors", usersGetErrors("2%", "3d", "thirty days"))},
		{name: "no failure ever", at: "10m", series: map[string]string{`edge_requests_total{job="edge",route="ui",status="200",outcome="answered"}`: "0+600x10"}},
		{name: "half of one request in five minutes", at: "1h", series: map[string]string{
			`edge_requests_total{job="edge",route="api",status="200"}`: "0+0.1x60", `edge_requests_total{job="edge",route="api",status="503"}`: "0+0.1x60"}},
		{name: "over a limit is the client's", at: "10m", series: with(answered(0, 0),
			map[string]string{`edge_requests_total{job="edge",route="api",status="429",outcome="limited"}`: "0+6000x10"})},
		{name: "an operator's Grafana", at: "10m", series: with(answered(0, 0),
			map[string]string{`edge_requests_total{job="edge",route="grafana",status="502",outcome="unreached"}`: "0+6000x10"})},
	}, belowBurning(func(perMinute, bad float64, minutes, then int) map[string]string {
		return asked(perMinute, bad, 0, minutes, then)
	}, belowErrors, aboveErrors)...),
	"EdgeLatencyBudgetBurn": append([]situation{
		{name: "80 % slow for ten minutes", at: "10m", quietUntil: "2m", series: answered(0, 480),
			fires: burning(rule.Critical, "1h", "Users wait", usersWait("80%", "1h", "two days"))},
		{name: "40 % slow for forty minutes", at: "40m", quietUntil: "16m", series: answered(0, 240),
			fires: burning(rule.Critical, "6h", "Users wait", usersWait("40%", "6h", "five days"))},
		{name: "20 % slow for two hours", at: "2h", quietUntil: "67m", series: answered(0, 120),
			fires: burning(rule.Warning, "1d", "Users wait", usersWait("20%", "1d", "ten days"))},
		{name: "10 % slow for four hours", at: "4h", quietUntil: "201m", series: answered(0, 60),
			fires: burning(rule.Warning, "3d", "Users wait", usersWait("10%", "3d", "thirty days"))},
	}, belowBurning(func(perMinute, bad float64, minutes, then int) map[string]string {
		return asked(perMinute, 0, bad, minutes, then)
	}, belowSlow, aboveSlow)...),
	"EdgeRequestsLimited": {
		{name: "one of ten", at: "18m", quietUntil: "13m", series: counted(map[string]int{"answered": 900, "limited": 100}),
			fires: []firing{{rule.Warning, onEdge, "The edge refuses many requests as too many",
				"10% of the requests at the edge are over a limit, and are answered 429: somebody asks too often, or the limits are too low."}}},
		{name: "one of twenty", at: "18m", series: counted(map[string]int{"answered": 1900, "limited": 100})},
		{name: "half of a few", at: "18m", series: counted(map[string]int{"answered": 60, "limited": 60})},
		{name: "the API's own 429", at: "18m", series: map[string]string{
			`edge_requests_total{job="edge",route="api",status="429",outcome="answered"}`: "0+6000x20"}},
	},
	"EdgePodsAvoided": {
		{name: "two of a hundred", at: "18m", quietUntil: "10m", series: counted(map[string]int{"answered": 980, "retried": 20}),
			fires: []firing{{rule.Warning, map[string]string{"job": "edge", "route": "api"}, "A pod behind the edge fails",
				"For 2% of the requests of route api the edge had to ask a second pod, since the first could not be reached or answered 5xx. Users got an answer."}}},
		{name: "one of a hundred", at: "18m", series: counted(map[string]int{"answered": 990, "retried": 10})},
		{name: "one of hardly any", at: "18m", series: map[string]string{
			`edge_requests_total{job="edge",route="api",status="200",outcome="answered"}`: "0+2.75x20",
			`edge_requests_total{job="edge",route="api",status="200",outcome="retried"}`:  "0+0.1x20"}},
		{name: "a rollout", at: "18m", series: map[string]string{
			`edge_requests_total{job="edge",route="api",status="200",outcome="answered"}`: "0+600x20",
			`edge_requests_total{job="edge",route="api",status="200",outcome="retried"}`:  "0x4 0+60x3 180x20"}},
	},
	"EdgeTlsFailures": {
		{name: "a certificate that nobody trusts", at: "18m", quietUntil: "10m", series: shaken("certificate", 3000, 900),
			fires: []firing{{rule.Warning, onEdge, "Many TLS handshakes with the edge fail",
				"For 30% of the connections to the edge the TLS handshake fails: clients refuse its certificate, go away in the middle, or speak no TLS that it does."}}},
		{name: "one of five", at: "18m", series: shaken("closed", 3000, 600)},
		{name: "most of a few", at: "18m", series: shaken("protocol", 15, 12)},
	},
	"EdgeDown": {
		{name: "nginx does not answer", at: "5m", quietUntil: "0m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "edge"}, "No edge pod answers",
				"No nginx of the edge answers its exporter: nothing is reachable from outside."}}},
		{name: "one of two answers", at: "5m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "0x10", `nginx_up{job="edge",pod="b"}`: "1x10"}},
	},
	"CertificateExpiring": {
		{name: "fifteen days left of one of two", at: "2h", series: ending(15, 80),
			fires: []firing{{rule.Warning, onEdge, expiringSoon, fmt.Sprintf(expiringText, "14d 22h 0m 0s")}}},
		{name: "two days left", at: "2h", quietUntil: "9m", series: ending(2, 2), fires: []firing{
			{rule.Critical, onEdge, expiringSoon, fmt.Sprintf(expiringText, "1d 22h 0m 0s")},
			{rule.Warning, onEdge, expiringSoon, fmt.Sprintf(expiringText, "1d 22h 0m 0s")},
		}},
		{name: "three days and a minute left", at: "2h", series: endingAfter("2h", 3), fires: []firing{
			{rule.Warning, onEdge, expiringSoon, fmt.Sprintf(expiringText, "3d 0h 1m 0s")}}},
		{name: "three weeks and a minute left", at: "2h", series: endingAfter("2h", 21)},
		{name: "a minute before its time", at: "9m", series: ending(2, 2)},
		{name: "a renewed one is served", at: "30m", series: map[string]string{
			`probe_ssl_earliest_cert_expiry{job="edge",pod="a"}`: "86400x10 7776000x20"}},
	},
	"EdgeHandshakeFailing": {
		{name: "one of two", at: "8m", quietUntil: "4m", series: map[string]string{
			`nginx_up{job="edge",pod="a"}`: "1x10", `probe_success{job="edge",pod="a"}`: "0x10",
			`nginx_up{job="edge",pod="b"}`: "1x10", `probe_success{job="edge",pod="b"}`: "1x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "edge", "pod": "a"}, "The edge cannot serve HTTPS",
				"nginx of a runs, and no TLS handshake with it succeeds for five minutes: its certificate is missing or broken."}}},
		{name: "nginx itself is away", at: "8m", series: map[string]string{
			`nginx_up{job="edge",pod="a"}`: "0x10", `probe_success{job="edge",pod="a"}`: "0x10"}},
		{name: "once", at: "8m", series: map[string]string{
			`nginx_up{job="edge",pod="a"}`: "1x10", `probe_success{job="edge",pod="a"}`: "1x3 0x2 1x5"}},
	},
	"EdgePodDown": {
		{name: "one of two", at: "8m", quietUntil: "4m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "0x10", `nginx_up{job="edge",pod="b"}`: "1x10"},
			fires: []firing{{rule.Warning, map[string]string{"job": "edge", "pod": "a"}, "An edge pod does not answer",
				"The nginx of a does not answer its exporter for five minutes. Others serve its share."}}},
		{name: "a reload", at: "8m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "1x3 0x3 1x10", `nginx_up{job="edge",pod="b"}`: "1x10"}},
	},
	"EdgeConnectionsDropped": {
		{name: "one in ten", at: "15m", quietUntil: "5m", series: map[string]string{
			`nginx_connections_accepted{job="edge",pod="a"}`: "0+600x20", `nginx_connections_handled{job="edge",pod="a"}`: "0+540x20",
			`nginx_connections_accepted{job="edge",pod="b"}`: "0+600x20", `nginx_connections_handled{job="edge",pod="b"}`: "0+600x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "edge", "pod": "a"}, "The edge drops connections",
				"a drops 1 connections per second as soon as it has accepted them: it has as many as it may have."}}},
		{name: "all are handled", at: "15m", series: map[string]string{
			`nginx_connections_accepted{job="edge",pod="a"}`: "0+600x20", `nginx_connections_handled{job="edge",pod="a"}`: "0+600x20"}},
	},
}
