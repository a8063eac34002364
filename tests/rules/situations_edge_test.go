package rules_test

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

var edgeSituations = map[string][]situation{
	"EdgeDown": {
		{name: "nginx does not answer", at: "5m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "0x10"},
			fires: []firing{{rule.Critical, map[string]string{"job": "edge"}, "No edge pod answers",
				"No nginx of the edge answers its exporter: nothing is reachable from outside."}}},
		{name: "one of two answers", at: "5m", series: map[string]string{`nginx_up{job="edge",pod="a"}`: "0x10", `nginx_up{job="edge",pod="b"}`: "1x10"}},
	},
	"CertificateExpiring": {
		{name: "fifteen days left", start: notAfter - 15*24*3600, at: "2h",
			fires: []firing{{rule.Warning, nil, expiringSoon, fmt.Sprintf(expiringText, "14d 22h 0m 0s")}}},
		{name: "two days left", start: notAfter - 2*24*3600, at: "2h", fires: []firing{
			{rule.Critical, nil, expiringSoon, fmt.Sprintf(expiringText, "1d 22h 0m 0s")},
			{rule.Warning, nil, expiringSoon, fmt.Sprintf(expiringText, "1d 22h 0m 0s")},
		}},
		{name: "a month left", at: "2h"},
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
