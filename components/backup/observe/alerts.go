// Package observe says what is watched of the backups: their alerts and their panels.
// Plain Go without Pulumi types.
package observe

import (
	"fmt"
	"time"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Watched is where the backups are seen. Kubernetes itself knows when a CronJob last
// succeeded and which Job failed; kube-state-metrics tells it. On a Docker host the
// containers tell it themselves. What of the write-ahead log is archived, the database's
// own exporter tells.
type Watched struct {
	// Host says that they are on a Docker host.
	Host bool
	// Name of the backup, with which the names of its CronJobs begin.
	Name string
	// Database is the name of the database's job.
	Database string
	// Store is the StatefulSet of the S3 server on a volume; "" where the repository is
	// elsewhere, and on a Docker host.
	Store string
	// Between is the longest time between two backups by schedule, Proofs between two
	// proofs.
	Between, Proofs time.Duration
	// QueueMax is how much of the log waits for an archive that is away, in bytes;
	// LogSize is how much of it the server keeps anyway.
	QueueMax, LogSize int64
}

// grace is how much later than its time a backup or proof may be: it takes a while, too.
const grace = time.Hour

// kinds of CronJobs.
func (w Watched) backups() string { return w.Name + "-(full|differential|incremental)" }

func (w Watched) proof() string { return w.Name + "-proof" }

// last is when one of the CronJobs last succeeded. One that never did counts from when it
// was made, so that a backup that does not begin is noticed, too.
func last(cronjobs string) string {
	return fmt.Sprintf(`(max(kube_cronjob_status_last_successful_time{cronjob=~%[1]q}) or max(kube_cronjob_created{cronjob=~%[1]q}))`, cronjobs)
}

// What the containers of a Docker host tell: when one last succeeded, when they began to
// look, and whether the newest run has failed.
const (
	SucceededMetric = "backup_last_success_timestamp_seconds"
	BegunMetric     = "backup_begun_timestamp_seconds"
	FailedMetric    = "backup_failed"
)

// hostLast is last on a Docker host.
func hostLast(job string) string {
	return fmt.Sprintf("(max(%[1]s{job=%[3]q}) or max(%[2]s{job=%[3]q}))", SucceededMetric, BegunMetric, job)
}

// lastProof is when the newest proof succeeded.
func (w Watched) lastProof() string {
	if w.Host {
		return hostLast(w.proof())
	}
	return last(w.proof())
}

// failures is which run has failed, if none has succeeded since.
func (w Watched) failures(jobs, host, last string) string {
	if w.Host {
		return fmt.Sprintf("max(%s{job=%q}) > 0", FailedMetric, host)
	}
	return failed(jobs, last)
}

// lastBackup counts the first one, too, which no CronJob makes.
func (w Watched) lastBackup() string {
	if w.Host {
		return hostLast(w.Name)
	}
	return fmt.Sprintf(`max(kube_cronjob_status_last_successful_time{cronjob=~%q} or kube_job_status_completion_time{job_name=~%q}) or max(kube_cronjob_created{cronjob=~%[1]q})`,
		w.backups(), w.Name+"-first-.+")
}

// failed is when the newest run that has failed began, if none has succeeded since.
func failed(jobs, last string) string {
	return fmt.Sprintf(`max(kube_job_status_start_time{job_name=~%[1]q} and on (namespace, job_name) kube_job_failed{job_name=~%[1]q,condition="true"} == 1) > (%[2]s)`, jobs, last)
}

// Alerts are the rules on the backups.
func Alerts(w Watched) []rule.Group {
	about := rule.About{Owner: rule.Platform, Workload: w.Database, Dashboard: board.Data.UID}
	rules := about.Alerts(append(w.runs(), w.archive()...)...)
	if w.Store != "" {
		ofStore := about
		ofStore.Workload = w.Store
		rules = append(rules, ofStore.Alerts(w.storeDown())...)
	}
	return []rule.Group{{Name: "backup", Rules: rules}}
}

// storeDown tells that the repository is away: it serves no metrics, but Kubernetes knows
// whether it is ready. That the log is not archived, and no backup or proof succeeds, follows; that
// the log is about to be dropped does not.
func (w Watched) storeDown() rule.Rule {
	down := rule.Alert("BackupStoreDown", rule.Warning, "5m",
		fmt.Sprintf(`max(kube_statefulset_status_replicas_ready{statefulset=%q}) == 0`, w.Store),
		"The backups' server does not answer",
		"The S3 server in front of the backups' volume is not ready: nothing can be backed up, archived or restored. The database goes on, and its log waits on its volume.")
	down.Silences = []rule.Silence{
		{Matchers: []string{`severity="warning"`}, Equal: []string{rule.WorkloadLabel}},
		{Matchers: []string{`alertname=~"BackupArchiveFailing|BackupFailed|BackupProofFailed"`}},
	}
	return down
}

func (w Watched) runs() []rule.Rule {
	overdue := func(after time.Duration) int { return int((after + grace).Seconds()) }
	backups, proofs := w.backups()+"-.+|"+w.Name+"-first-.+", w.proof()+"-.+"
	rules := []rule.Rule{
		rule.Alert("BackupOverdue", rule.Critical, "5m",
			fmt.Sprintf(`time() - (%s) > %d`, w.lastBackup(), overdue(w.Between)),
			"The database has no recent backup",
			"The newest backup is {{ $value | humanizeDuration }} old, and another one should be there. A restore takes longer the older it is, and is impossible if there is none."),
		rule.Alert("BackupFailed", rule.Warning, "",
			w.failures(backups, w.Name, w.lastBackup()),
			"A backup of the database failed",
			"The last backup that began has failed with all its attempts. The next one is taken by schedule."),
		rule.Alert("BackupProofOverdue", rule.Critical, "5m",
			fmt.Sprintf(`time() - %s > %d`, w.lastProof(), overdue(w.Proofs)),
			"Nobody knows whether the backups can be restored",
			"The last time that a backup was restored and found whole is {{ $value | humanizeDuration }} ago. Another proof should have been made."),
		rule.Alert("BackupProofFailed", rule.Critical, "",
			w.failures(proofs, w.proof(), w.lastProof()),
			"The newest backup could not be restored",
			"The newest backup was restored into a volume of its own, and that failed or what came out is not whole. Until a proof succeeds, count on an older backup."),
	}
	if w.Host {
		return rules
	}
	// That the job failed is the same.
	for i, jobs := range map[int]string{1: backups, 3: proofs} {
		rules[i].Silences = []rule.Silence{{Matchers: []string{`alertname="JobFailed"`, fmt.Sprintf("job_name=~%q", jobs)}}}
	}
	return rules
}

// archive tells of the write-ahead log's way into the repository.
func (w Watched) archive() []rule.Rule {
	waiting := rule.On(w.Database, `max(pg_wal_size_bytes{$job})`) + fmt.Sprintf(" - %d", w.LogSize)
	return []rule.Rule{
		rule.Alert("BackupArchiveFailing", rule.Warning, "1m",
			rule.On(w.Database, `max(increase(pg_stat_archiver_failed_count{$job}[10m])) > 0 and max(increase(pg_stat_archiver_archived_count{$job}[10m])) == 0`),
			"The database's log is not archived",
			"For ten minutes nothing of the write-ahead log could be put into the repository, {{ $value | humanize }} times. What was committed since would be lost with the volumes. The database goes on, and the log waits on its volume."),
		rule.Alert("BackupArchiveQueueFull", rule.Critical, "1m",
			fmt.Sprintf("%s > %d", waiting, w.QueueMax/2),
			"The log that waits for the archive is about to be dropped",
			fmt.Sprintf("{{ $value | humanize1024 }}B of the write-ahead log wait for the repository. At %s the oldest of it is dropped: the database goes on, and there is no way back to a moment before the next backup.", mebibytes(w.QueueMax))),
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
