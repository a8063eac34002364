package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// Panels show the backups.
func Panels(w Watched) []board.Contribution {
	q := board.On(w.Database)
	age := func(since string) string { return fmt.Sprintf("time() - (%s)", since) }
	return []board.Contribution{{Dashboard: board.Data, Row: "Backup", Panels: []board.Panel{
		board.Number("Newest backup", "s", 4, age(w.lastBackup())).Thresholds(board.Limit((w.Between + grace).Seconds())),
		board.Number("Last proof that one can be restored", "s", 4, age(w.lastProof())).Thresholds(board.Limit((w.Proofs + grace).Seconds())),
		board.Number("Failed runs", "short", 4,
			w.failedRuns()).Thresholds(board.Limit(1)),
		board.Number("Log not archived since", "s", 4, q(`min(pg_stat_archiver_last_archive_age{$job})`, "").Expr),
		board.Series("Archived segments per second", "ops", 2,
			q(`sum(rate(pg_stat_archiver_archived_count{$job}[$__rate_interval]))`, "archived"),
			q(`sum(rate(pg_stat_archiver_failed_count{$job}[$__rate_interval]))`, "failed")),
		board.Line(board.Series("Write-ahead log on the volume", "bytes", 2,
			q(`max by (instance) (pg_wal_size_bytes{$job})`, "{{instance}}")), float64(w.LogSize+w.QueueMax)),
	}}}
}

func (w Watched) failedRuns() string {
	if w.Host {
		return fmt.Sprintf("sum(%s{job=~%q}) or vector(0)", FailedMetric, w.Name+"|"+w.proof())
	}
	return fmt.Sprintf(`sum(kube_job_failed{job_name=~%q,condition="true"}) or vector(0)`, w.Name+"-.+")
}
