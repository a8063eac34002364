// Package observe says what is watched of the cache: its alerts and its panels. Plain
// Go without Pulumi types.
package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Watched is where the cache is seen.
type Watched struct {
	// Job is the cache's name among the jobs of Prometheus: redis_exporter beside it
	// serves its metrics.
	Job string
	// Claim is the name of its claim; "" where nothing tells how large claims are, as
	// on a Docker host.
	Claim string
	// Refuses says that a full cache refuses writes and drops nothing.
	Refuses bool
}

// memoryFull is a share of what there is.
const memoryFull = 0.9

// Alerts are the rules on the cache.
func Alerts(w Watched) []rule.Group {
	capacity := rule.Group{Name: rule.Capacity}
	if w.Claim != "" {
		capacity.Rules = append(capacity.Rules, rule.Volume(w.Claim, w.Job, "redis_aof_current_size_bytes"))
	}
	capacity.Rules = append(capacity.Rules, full(w))
	return []rule.Group{
		{Name: rule.Availability, Rules: []rule.Rule{
			rule.Alert("CacheDown", rule.Warning, "2m", rule.On(w.Job, `redis_up{$job} == 0 or absent(redis_up{$job})`),
				"The cache does not answer",
				"The exporter beside the cache cannot log in, or does not answer itself. Every read goes to the database: expect slow answers."),
			rule.Alert("CachePersistenceFailing", rule.Warning, "10m",
				rule.On(w.Job, `redis_aof_last_write_status{$job} == 0 or redis_rdb_last_bgsave_status{$job} == 0 or redis_aof_last_bgrewrite_status{$job} == 0`),
				"The cache cannot write to its volume",
				"The last write or rewrite of the append-only file, or the last snapshot, failed. A restart would lose what came since."),
		}},
		capacity,
	}
}

// full tells that the memory is used up. What it means depends on the policy: one that
// drops what was not read for long works as designed as long as nobody misses it, so that
// full and dropping is worth a look and either alone is not; one that drops nothing
// refuses the next write.
func full(w Watched) rule.Rule {
	used := fmt.Sprintf(`redis_memory_used_bytes{$job} / (redis_memory_max_bytes{$job} > 0) > %g`, memoryFull)
	if w.Refuses {
		return rule.Alert("CacheMemoryFull", rule.Critical, "5m", rule.On(w.Job, used),
			"The cache is nearly full and will refuse writes",
			"{{ $value | humanizePercentage }} of the cache's memory is used, and its policy is noeviction: at 100 % every write fails.")
	}
	return rule.Alert("CacheMemoryFull", rule.Warning, "15m",
		rule.On(w.Job, used+` and rate(redis_evicted_keys_total{$job}[15m]) > 0`),
		"The cache is full and drops entries",
		"{{ $value | humanizePercentage }} of the cache's memory is used, and entries are dropped before they expire. More reads go to the database than have to.")
}
