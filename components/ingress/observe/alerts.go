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
	// Job is the edge's name among the jobs of Prometheus: nginx-prometheus-exporter
	// beside it serves its metrics.
	Job string
	// Owner acts on its alerts; rule.Platform when empty.
	Owner string
}

// CertificateNotAfter names the recorded end of the edge's certificate in Unix
// seconds. Its value is known once the certificate exists.
const CertificateNotAfter = "alphapulse:edge_certificate_not_after:timestamp_seconds"

// Days before the end of the certificate.
const (
	certificateCritical = 3
	certificateWarning  = 21
)

// Alerts are the rules on the edge.
func Alerts(w Watched) []rule.Group {
	about := rule.About{Owner: cmp.Or(w.Owner, rule.Platform), Workload: w.Job, Dashboard: board.Infrastructure.UID}
	down := rule.Missing("EdgeDown", rule.Critical, "1m", "nginx_up", w.Job,
		"No edge pod answers",
		"No nginx of the edge answers its exporter: nothing is reachable from outside.")
	down.Silences = []rule.Silence{{Matchers: []string{`severity="warning"`}, Equal: []string{rule.WorkloadLabel}}}
	expiring := func(severity rule.Severity, days int) rule.Rule {
		r := rule.Alert("CertificateExpiring", severity, "1h", fmt.Sprintf(`%s - time() < %d * 24 * 3600`, CertificateNotAfter, days),
			"The edge's certificate expires soon",
			"The edge's certificate expires in {{ $value | humanizeDuration }}. After that browsers refuse every page.")
		r.Loud = true // follows from nothing else
		return r
	}
	return []rule.Group{
		{Name: rule.Availability, Rules: about.Alerts(
			down,
			rule.Alert("EdgePodDown", rule.Warning, "5m", rule.On(w.Job, `nginx_up{$job} == 0`),
				"An edge pod does not answer",
				"The nginx of {{ $labels.pod }} does not answer its exporter for five minutes. Others serve its share."),
		)},
		{Name: rule.Capacity, Rules: about.Alerts(
			rule.Alert("EdgeConnectionsDropped", rule.Warning, "5m",
				rule.On(w.Job, `sum by (job, pod) (rate(nginx_connections_accepted{$job}[5m]) - rate(nginx_connections_handled{$job}[5m])) > 0`),
				"The edge drops connections",
				"{{ $labels.pod }} drops {{ $value | printf \"%.2g\" }} connections per second as soon as it has accepted them: it has as many as it may have."),
		)},
		{Name: rule.Certificates, Rules: about.Alerts(
			rule.Constant(CertificateNotAfter),
			expiring(rule.Critical, certificateCritical),
			expiring(rule.Warning, certificateWarning),
		)},
	}
}
