package rules_test

import (
	"fmt"

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

var edgeSituations = map[string][]situation{
	"EdgeDown": {
		{name: "nginx does not answer", at: "5m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "edge"}, "No edge pod answers",
				"No nginx of the edge answers its exporter: nothing is reachable from outside."}}},
		{name: "one of two answers", at: "5m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "0x10", `nginx_up{job="edge",pod="b"}`: "1x10"}},
	},
	"CertificateExpiring": {
		{name: "fifteen days left of one of two", at: "2h", series: ending(15, 80),
			fires: []firing{{rule.Warning, onEdge, expiringSoon, fmt.Sprintf(expiringText, "14d 22h 0m 0s")}}},
		{name: "two days left", at: "2h", series: ending(2, 2), fires: []firing{
			{rule.Critical, onEdge, expiringSoon, fmt.Sprintf(expiringText, "1d 22h 0m 0s")},
			{rule.Warning, onEdge, expiringSoon, fmt.Sprintf(expiringText, "1d 22h 0m 0s")},
		}},
		{name: "a month left", at: "2h", series: ending(30, 30)},
		{name: "a renewed one is served", at: "30m", series: map[string]string{
			`probe_ssl_earliest_cert_expiry{job="edge",pod="a"}`: "86400x10 7776000x20"}},
	},
	"EdgeHandshakeFailing": {
		{name: "one of two", at: "8m", series: map[string]string{
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
		{name: "one of two", at: "8m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "0x10", `nginx_up{job="edge",pod="b"}`: "1x10"},
			fires: []firing{{rule.Warning, map[string]string{"job": "edge", "pod": "a"}, "An edge pod does not answer",
				"The nginx of a does not answer its exporter for five minutes. Others serve its share."}}},
		{name: "a reload", at: "8m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "1x3 0x3 1x10", `nginx_up{job="edge",pod="b"}`: "1x10"}},
	},
	"EdgeConnectionsDropped": {
		{name: "one in ten", at: "15m", series: map[string]string{
			`nginx_connections_accepted{job="edge",pod="a"}`: "0+600x20", `nginx_connections_handled{job="edge",pod="a"}`: "0+540x20",
			`nginx_connections_accepted{job="edge",pod="b"}`: "0+600x20", `nginx_connections_handled{job="edge",pod="b"}`: "0+600x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "edge", "pod": "a"}, "The edge drops connections",
				"a drops 1 connections per second as soon as it has accepted them: it has as many as it may have."}}},
		{name: "all are handled", at: "15m", series: map[string]string{
			`nginx_connections_accepted{job="edge",pod="a"}`: "0+600x20", `nginx_connections_handled{job="edge",pod="a"}`: "0+600x20"}},
	},
}
