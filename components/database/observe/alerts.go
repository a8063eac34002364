// Package observe says what is watched of the database: its alerts and its panels.
// Plain Go without Pulumi types.
package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Watched is where the database is seen.
type Watched struct {
	// Job is the database's name among the jobs of Prometheus: postgres_exporter
	// beside it serves its metrics.
	Job string
	// Claim is the name of its claim; "" where nothing tells how large claims are, as
	// on a Docker host.
	Claim string
}

// connectionsHigh is a share of what there is.
const connectionsHigh = 0.8

// Alerts are the rules on the database.
func Alerts(w Watched) []rule.Group {
	capacity := rule.Group{Name: rule.Capacity}
	if w.Claim != "" {
		capacity.Rules = append(capacity.Rules, rule.Volume(w.Claim, w.Job, "pg_database_size_bytes", "pg_wal_size_bytes"))
	}
	capacity.Rules = append(capacity.Rules, rule.Alert("DatabaseConnectionsHigh", rule.Warning, "5m",
		rule.On(w.Job, fmt.Sprintf(`sum by (job) (pg_stat_database_numbackends{$job}) / on(job) max by (job) (pg_settings_max_connections{$job}) > %g`, connectionsHigh)),
		"The database is running out of connections",
		"{{ $value | humanizePercentage }} of the database's connections are in use. At 100 % new ones are refused, and API pods that start cannot become ready."))
	return []rule.Group{
		{Name: rule.Availability, Rules: []rule.Rule{
			rule.Alert("DatabaseDown", rule.Critical, "1m", rule.On(w.Job, `pg_up{$job} == 0 or absent(pg_up{$job})`),
				"The database does not answer",
				"The exporter beside the database cannot log in, or does not answer itself. The API answers 503 to what is not cached."),
		}},
		capacity,
	}
}
