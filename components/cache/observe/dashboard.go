package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// Panels show the cache.
func Panels(w Watched) []board.Contribution {
	w = w.withDefaults()
	q := board.On(w.Job)
	return []board.Contribution{{Dashboard: board.Infrastructure, Row: "Cache", Panels: []board.Panel{
		board.Series("Memory", "bytes", 3,
			q(`redis_memory_used_bytes{$job}`, "used"),
			q(`redis_memory_max_bytes{$job}`, "maximum"),
			q(fmt.Sprintf(`redis_memory_max_bytes{$job} * %g`, memoryFull), board.LookFrom),
			q(`redis_memory_used_rss_bytes{$job}`, "resident")),
		board.Floor(board.Series("Hit ratio", "percentunit", 3, q(
			`rate(redis_keyspace_hits_total{$job}[$__rate_interval]) / (rate(redis_keyspace_hits_total{$job}[$__rate_interval]) + rate(redis_keyspace_misses_total{$job}[$__rate_interval]))`,
			"hit ratio")).Max(1), w.Limits.HitRatio),
		board.Series("Entries dropped", "ops", 3,
			q(`rate(redis_evicted_keys_total{$job}[$__rate_interval])`, "memory full"),
			q(`rate(redis_expired_keys_total{$job}[$__rate_interval])`, "expired")),
		board.Series("Commands per second", "ops", 2, q(`sum by (cmd) (rate(redis_commands_total{$job}[$__rate_interval])) > 0`, "{{cmd}}")),
		board.Series("Clients", "short", 2, q(`redis_connected_clients{$job}`, "connected"),
			q(fmt.Sprintf(`redis_max_clients{$job} * %g`, clientsHigh), board.LookFrom)),
	}}}
}
