// Package observe says what is watched of the cache: its alerts and its panels. Plain
// Go without Pulumi types.
package observe

import (
	"cmp"
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Watched is where the cache is seen, and from when on it is worth a look.
type Watched struct {
	// Job is the cache's name among the jobs of Prometheus: redis_exporter beside it
	// serves its metrics.
	Job string
	// Claim is the name of its claim; "" where nothing tells how large claims are, as
	// on a Docker host.
	Claim string
	// KeepsEverything tells that it drops no entry to make room (maxmemory-policy
	// noeviction): full is worth a look then, whatever else happens.
	KeepsEverything bool
	// Limits of the alerts.
	Limits Limits
}

// Limits are the values from which on an alert fires; the default stands for zero.
type Limits struct {
	// HitRatio is the share of lookups that find something, below which the cache is of
	// little use; 0.5.
	HitRatio float64
}

func (l Limits) withDefaults() Limits { return Limits{HitRatio: cmp.Or(l.HitRatio, 0.5)} }

// Shares of what there is.
const (
	memoryFull   = 0.9
	clientsHigh  = 0.8
	rewriteAbove = 3 // The server rewrites its file at twice the size.
)

func (w Watched) withDefaults() Watched {
	w.Limits = w.Limits.withDefaults()
	return w
}

// Alerts are the rules on the cache.
func Alerts(w Watched) []rule.Group {
	w = w.withDefaults()
	about := rule.About{Owner: rule.Platform, Workload: w.Job, Dashboard: board.Infrastructure.UID}
	return []rule.Group{
		{Name: rule.Availability, Rules: about.Alerts(w.availability()...)},
		{Name: rule.Capacity, Rules: about.Alerts(w.capacity()...)},
	}
}

func (w Watched) availability() []rule.Rule {
	down := rule.Alert("CacheDown", rule.Warning, "2m", rule.On(w.Job, `redis_up{$job} == 0 or absent(redis_up{$job})`),
		"The cache does not answer",
		"The exporter beside the cache cannot log in, or does not answer itself. Every read goes to the database: expect slow answers.")
	down.Silences = []rule.Silence{rule.SameWorkload}
	return []rule.Rule{
		down,
		rule.Alert("CachePersistenceFailing", rule.Warning, "10m",
			rule.On(w.Job, `redis_aof_last_write_status{$job} == 0 or redis_rdb_last_bgsave_status{$job} == 0 or redis_aof_last_bgrewrite_status{$job} == 0`),
			"The cache cannot write to its volume",
			"The last write or rewrite of the append-only file, or the last snapshot, failed. A restart would lose what came since."),
		rule.Alert("CacheWritesRefused", rule.Critical, "1m",
			rule.On(w.Job, `sum by (job) (rate(redis_errors_total{$job,err=~"OOM|MISCONF"}[5m])) > 0`),
			"The cache refuses writes",
			"The cache refuses {{ $value | printf \"%.2g\" }} writes per second, as its memory is full or it cannot write to its volume."),
		rule.Alert("CacheConnectionsRejected", rule.Warning, "",
			rule.On(w.Job, `increase(redis_rejected_connections_total{$job}[5m]) > 0`),
			"The cache rejects connections",
			"{{ $value | humanize }} connections were rejected within five minutes: the cache has as many clients as it may have."),
	}
}

func (w Watched) capacity() []rule.Rule {
	var rules []rule.Rule
	if w.Claim != "" {
		rules = append(rules, rule.Volume(w.Claim, w.Job, "redis_aof_current_size_bytes"))
	}
	full := fmt.Sprintf(`redis_memory_used_bytes{$job} / (redis_memory_max_bytes{$job} > 0) > %g`, memoryFull)
	if w.KeepsEverything {
		rules = append(rules, rule.Alert("CacheMemoryFull", rule.Warning, "15m", rule.On(w.Job, full),
			"The cache is nearly full",
			"{{ $value | humanizePercentage }} of the cache's memory is used. Once it is full, writes are refused."))
	} else {
		// A full cache that drops what was not read for long works as designed as long
		// as nobody misses it: full and dropping is worth a look, either alone is not.
		rules = append(rules, rule.Alert("CacheMemoryFull", rule.Warning, "15m", rule.On(w.Job, full+` and rate(redis_evicted_keys_total{$job}[15m]) > 0`),
			"The cache is full and drops entries",
			"{{ $value | humanizePercentage }} of the cache's memory is used, and entries are dropped before they expire. More reads go to the database than have to."))
	}
	return append(rules,
		rule.Alert("CacheClientsHigh", rule.Warning, "5m",
			rule.On(w.Job, fmt.Sprintf(`redis_connected_clients{$job} / (redis_max_clients{$job} > 0) > %g`, clientsHigh)),
			"The cache is running out of connections",
			"{{ $value | humanizePercentage }} of the connections that the cache may have are open. At 100 % new ones are rejected."),
		rule.Alert("CacheRewriteOverdue", rule.Warning, "30m",
			rule.On(w.Job, fmt.Sprintf(`redis_aof_current_size_bytes{$job} > 256 * 1024 * 1024 and redis_aof_current_size_bytes{$job} / (redis_aof_base_size_bytes{$job} > 0) > %d`, rewriteAbove)),
			"The cache does not rewrite its append-only file",
			"The append-only file has {{ $value | humanize1024 }}B, more than three times its size after the last rewrite. A restart takes longer, and the volume fills up."),
		rule.Alert("CacheHitRatioLow", rule.Warning, "30m",
			rule.On(w.Job, fmt.Sprintf(`rate(redis_keyspace_hits_total{$job}[15m]) / (rate(redis_keyspace_hits_total{$job}[15m]) + rate(redis_keyspace_misses_total{$job}[15m]) > 10) < %g`, w.Limits.HitRatio)),
			"The cache answers few lookups",
			"{{ $value | humanizePercentage }} of the lookups find something in the cache. The others go to the database."),
	)
}
