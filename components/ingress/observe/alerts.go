// Package observe says what is watched of the edge: its alerts and its panels. Plain
// Go without Pulumi types.
package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Watched is where the edge is seen.
type Watched struct {
	// Job is the edge's name among the jobs of Prometheus: nginx-prometheus-exporter
	// beside it serves its metrics.
	Job string
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
	expiring := func(severity rule.Severity, days int) rule.Rule {
		return rule.Alert("CertificateExpiring", severity, "1h", fmt.Sprintf(`%s - time() < %d * 24 * 3600`, CertificateNotAfter, days),
			"The edge's certificate expires soon",
			"The edge's certificate expires in {{ $value | humanizeDuration }}. After that browsers refuse every page.")
	}
	return []rule.Group{
		{Name: rule.Availability, Rules: []rule.Rule{
			rule.Missing("EdgeDown", rule.Critical, "1m", "nginx_up", w.Job,
				"No edge pod answers",
				"No nginx of the edge answers its exporter: nothing is reachable from outside."),
		}},
		{Name: rule.Certificates, Rules: []rule.Rule{
			rule.Constant(CertificateNotAfter),
			expiring(rule.Critical, certificateCritical),
			expiring(rule.Warning, certificateWarning),
		}},
	}
}
