// Package observe says what is watched of the edge: its alerts and its panels. Plain
// Go without Pulumi types.
package observe

import (
	"cmp"
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Watched is where the edge is seen.
type Watched struct {
	// Job is the edge's name among the jobs of Prometheus: nginx-prometheus-exporter, the
	// blackbox exporter and the StatsD exporter beside it serve its metrics.
	Job string
	// ExpiryWarningDays is how many days before the end of the certificate a warning is
	// sent; in the last seventh of them it is critical.
	ExpiryWarningDays int
	// Latency is the objective of what users see, in seconds: a bound of the histograms.
	Latency float64
	// Handshakes tells that failed TLS handshakes are counted.
	Handshakes bool
	// Limits of the alerts.
	Limits Limits
}

// Limits are the shares from which on an alert fires, of what came in five minutes; the
// default stands for zero.
type Limits struct {
	// Errors and Slow are the budgets of what users see at the edge: the shares of requests
	// that may fail, 0.01, and that may take longer than Latency, 0.05.
	Errors, Slow float64
	// Limited is that of the requests that are refused as too many; 0.05.
	Limited float64
	// Avoided is that of a route's requests for which a second pod had to be asked; 0.01.
	Avoided float64
	// Handshakes is that of the connections whose TLS handshake failed; 0.2.
	Handshakes float64
}

func (w Watched) withDefaults() Watched {
	l := w.Limits
	w.Limits = Limits{
		Errors: cmp.Or(l.Errors, 0.01), Slow: cmp.Or(l.Slow, 0.05), Limited: cmp.Or(l.Limited, 0.05), Avoided: cmp.Or(l.Avoided, 0.01), Handshakes: cmp.Or(l.Handshakes, 0.2),
	}
	return w
}

const day = 24 * 3600 // seconds

// Alerts are the rules on the edge.
func Alerts(w Watched) []rule.Group {
	w = w.withDefaults()
	about := rule.About{Owner: rule.Platform, Workload: w.Job, Dashboard: board.Infrastructure.UID}
	down := rule.Missing("EdgeDown", rule.Critical, "1m", "nginx_up", w.Job,
		"No edge pod answers",
		"No nginx of the edge answers its exporter: nothing is reachable from outside.")
	down.Silences = []rule.Silence{{Matchers: []string{`severity="warning"`}, Equal: []string{rule.WorkloadLabel}}}
	// Pods that take a new one up one after the other are a minute apart at most.
	expiring := func(severity rule.Severity, seconds int) rule.Rule {
		r := rule.Alert("CertificateExpiring", severity, "10m",
			rule.On(w.Job, fmt.Sprintf(`min by (job) (probe_ssl_earliest_cert_expiry{$job}) - time() < %d`, seconds)),
			"The edge's certificate expires soon",
			"The certificate that the edge serves expires in {{ $value | humanizeDuration }}. After that browsers refuse every page.")
		r.Loud = true // follows from nothing else
		return r
	}
	seen := rule.About{Owner: about.Owner, Workload: w.Job, Dashboard: Requests.UID}
	return append(w.recordings(), []rule.Group{
		{Name: "edge", Rules: seen.Alerts(w.seen()...)},
		{Name: rule.Availability, Rules: about.Alerts(
			down,
			rule.Alert("EdgePodDown", rule.Warning, "5m", rule.On(w.Job, `nginx_up{$job} == 0`),
				"An edge pod does not answer",
				"The nginx of {{ $labels.pod }} does not answer its exporter for five minutes. Others serve its share."),
			rule.Alert("EdgeHandshakeFailing", rule.Critical, "5m", rule.On(w.Job, `max by (job, pod) (probe_success{$job}) == 0 and on(job, pod) nginx_up{$job} == 1`),
				"The edge cannot serve HTTPS",
				"nginx of {{ $labels.pod }} runs, and no TLS handshake with it succeeds for five minutes: its certificate is missing or broken."),
		)},
		{Name: rule.Capacity, Rules: about.Alerts(
			rule.Alert("EdgeConnectionsDropped", rule.Warning, "5m",
				rule.On(w.Job, `sum by (job, pod) (rate(nginx_connections_accepted{$job}[5m]) - rate(nginx_connections_handled{$job}[5m])) > 0`),
				"The edge drops connections",
				"{{ $labels.pod }} drops {{ $value | printf \"%.2g\" }} connections per second as soon as it has accepted them: it has as many as it may have."),
		)},
		{Name: rule.Certificates, Rules: about.Alerts(
			expiring(rule.Critical, w.ExpiryWarningDays*day/7),
			expiring(rule.Warning, w.ExpiryWarningDays*day),
		)},
	}...)
}
