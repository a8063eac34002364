package rules_test

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

const (
	noBackup = "The database has no recent backup"
	noProof  = "Nobody knows whether the backups can be restored"
)

// succeededAt is when CronJobs last succeeded, in seconds since the start; -1 for never.
// All of them are as old as the clock.
func succeededAt(at map[string]int) map[string]string {
	series := map[string]string{}
	for cronjob, second := range at {
		series[kube("kube_cronjob_created", fmt.Sprintf("cronjob=%q", cronjob))] = "0x2000"
		if second >= 0 {
			series[kube("kube_cronjob_status_last_successful_time", fmt.Sprintf("cronjob=%q", cronjob))] = fmt.Sprintf("%dx2000", second)
		}
	}
	return series
}

// run is a job that began at a second and failed, or has not.
func run(name string, second int, failed bool) map[string]string {
	value := "0x2000"
	if failed {
		value = "1x2000"
	}
	return map[string]string{
		kube("kube_job_status_start_time", fmt.Sprintf("job_name=%q", name)):               fmt.Sprintf("%dx2000", second),
		kube("kube_job_failed", fmt.Sprintf(`job_name=%q,condition="true"`, name)):         value,
		kube("kube_job_failed", fmt.Sprintf(`job_name=%q,condition="false"`, name)):        "0x2000",
		kube("kube_job_failed", fmt.Sprintf(`job_name="other-%s",condition="true"`, name)): "0x2000",
	}
}

// archiver counts, a minute, and the primary's is not the only pod.
func archiver(archived, failed int) map[string]string {
	return map[string]string{
		`pg_stat_archiver_archived_count{job="database",instance="a:1"}`: fmt.Sprintf("5+%dx60", archived),
		`pg_stat_archiver_failed_count{job="database",instance="a:1"}`:   fmt.Sprintf("0+%dx60", failed),
		`pg_stat_archiver_archived_count{job="database",instance="b:1"}`: "0x60",
		`pg_stat_archiver_failed_count{job="database",instance="b:1"}`:   "0x60",
	}
}

func logSize(mebibytes int) map[string]string {
	return map[string]string{
		`pg_wal_size_bytes{job="database",instance="a:1"}`: fmt.Sprintf("%dx60", mebibytes<<20),
		`pg_wal_size_bytes{job="database",instance="b:1"}`: "100000000x60",
	}
}

// told is what a container of a Docker host says of itself, each minute: since when it looks,
// when it last succeeded (-1 for never) and whether the newest run failed.
func told(job string, succeeded, failed int) map[string]string {
	of := fmt.Sprintf("{job=%q,instance=%[1]q}", job)
	series := map[string]string{"backup_begun_timestamp_seconds" + of: "60x2000", "backup_failed" + of: fmt.Sprintf("%dx2000", failed)}
	if succeeded >= 0 {
		series["backup_last_success_timestamp_seconds"+of] = fmt.Sprintf("%dx2000", succeeded)
	}
	return series
}

// hostSituations are those of a Docker host, where no cluster tells of runs. The others are
// the same there.
var hostSituations = map[string][]situation{
	"BackupOverdue": {
		{name: "the last one is eight hours old", at: "9h", quietUntil: "485m", series: with(told("backup", 3600, 0), told("backup-proof", 30000, 0)),
			fires: []firing{{rule.Critical, nil, noBackup,
				"The newest backup is 8h 0m 0s old, and another one should be there. A restore takes longer the older it is, and is impossible if there is none."}}},
		{name: "there was never one", at: "8h1m", series: told("backup", -1, 0),
			fires: []firing{{rule.Critical, nil, noBackup,
				"The newest backup is 8h 0m 0s old, and another one should be there. A restore takes longer the older it is, and is impossible if there is none."}}},
		{name: "seven hours old", at: "9h", series: told("backup", 7200, 0)},
	},
	"BackupFailed": {
		{name: "the newest", at: "2h", series: with(told("backup", 3600, 1), told("backup-proof", 3600, 0)),
			fires: []firing{{rule.Warning, nil, "A backup of the database failed", "The last backup that began has failed with all its attempts. The next one is taken by schedule."}}},
		{name: "a proof", at: "2h", series: with(told("backup", 3600, 0), told("backup-proof", 3600, 1))},
	},
	"BackupProofOverdue": {
		{name: "the day before yesterday's", at: "27h", quietUntil: "1565m", series: with(told("backup-proof", 3600, 0), told("backup", 90000, 0)),
			fires: []firing{{rule.Critical, nil, noProof, "The last time that a backup was restored and found whole is 1d 2h 0m 0s ago. Another proof should have been made."}}},
		{name: "yesterday's", at: "25h", series: told("backup-proof", 3600, 0)},
	},
	"BackupProofFailed": {
		{name: "the newest", at: "2h", series: with(told("backup-proof", 3600, 1), told("backup", 3600, 0)),
			fires: []firing{{rule.Critical, nil, "The newest backup could not be restored",
				"The newest backup was restored into a volume of its own, and that failed or what came out is not whole. Until a proof succeeds, count on an older backup."}}},
		{name: "a backup", at: "2h", series: with(told("backup-proof", 3600, 0), told("backup", 3600, 1))},
	},
}

// None of these alerts has a label of its own.
var backupSituations = map[string][]situation{
	"BackupOverdue": {
		{name: "the last one of any kind is eight hours old", at: "9h", quietUntil: "485m", series: succeededAt(map[string]int{
			"backup-full": 60, "backup-differential": 120, "backup-incremental": 3600, "backup-proof": 30000}),
			fires: []firing{{rule.Critical, nil, noBackup,
				"The newest backup is 8h 0m 0s old, and another one should be there. A restore takes longer the older it is, and is impossible if there is none."}}},
		{name: "there was never one", at: "8h", series: succeededAt(map[string]int{"backup-full": -1, "backup-differential": -1, "backup-incremental": -1}),
			fires: []firing{{rule.Critical, nil, noBackup,
				"The newest backup is 8h 0m 0s old, and another one should be there. A restore takes longer the older it is, and is impossible if there is none."}}},
		{name: "one of three kinds is fresh", at: "9h", series: succeededAt(map[string]int{"backup-full": 60, "backup-differential": -1, "backup-incremental": 21600})},
		{name: "the first one", at: "9h", series: with(succeededAt(map[string]int{"backup-full": -1, "backup-differential": -1, "backup-incremental": -1}),
			map[string]string{kube("kube_job_status_completion_time", `job_name="backup-first-0a1b2c"`): "14400x2000"})},
		{name: "a stack of this morning", at: "6h30m", series: succeededAt(map[string]int{"backup-full": -1, "backup-differential": -1, "backup-incremental": -1})},
	},
	"BackupFailed": {
		{name: "the newest", at: "2h", series: with(succeededAt(map[string]int{"backup-full": 60, "backup-incremental": 3600}), run("backup-incremental-29312460", 7000, true)),
			fires: []firing{{rule.Warning, nil, "A backup of the database failed", "The last backup that began has failed with all its attempts. The next one is taken by schedule."}}},
		{name: "the first", at: "2h", series: with(succeededAt(map[string]int{"backup-full": -1}), run("backup-first-0a1b2c", 60, true)),
			fires: []firing{{rule.Warning, nil, "A backup of the database failed", "The last backup that began has failed with all its attempts. The next one is taken by schedule."}}},
		{name: "one has succeeded since", at: "2h", series: with(succeededAt(map[string]int{"backup-full": 60, "backup-incremental": 7100}), run("backup-incremental-29312460", 7000, true))},
		{name: "it runs", at: "2h", series: with(succeededAt(map[string]int{"backup-full": 60, "backup-incremental": 3600}), run("backup-incremental-29312460", 7000, false))},
		{name: "a proof", at: "2h", series: with(succeededAt(map[string]int{"backup-full": 60, "backup-incremental": 3600}), run("backup-proof-29312460", 7000, true))},
	},
	"BackupProofOverdue": {
		{name: "the day before yesterday's", at: "27h", quietUntil: "1565m", series: succeededAt(map[string]int{"backup-proof": 3600, "backup-full": 90000}),
			fires: []firing{{rule.Critical, nil, noProof, "The last time that a backup was restored and found whole is 1d 2h 0m 0s ago. Another proof should have been made."}}},
		{name: "yesterday's", at: "25h", series: succeededAt(map[string]int{"backup-proof": 3600, "backup-full": 60})},
	},
	"BackupProofFailed": {
		{name: "the newest", at: "2h", series: with(succeededAt(map[string]int{"backup-proof": 3600}), run("backup-proof-29312460", 7000, true)),
			fires: []firing{{rule.Critical, nil, "The newest backup could not be restored",
				"The newest backup was restored into a volume of its own, and that failed or what came out is not whole. Until a proof succeeds, count on an older backup."}}},
		{name: "one has succeeded since", at: "2h", series: with(succeededAt(map[string]int{"backup-proof": 7100}), run("backup-proof-29312460", 7000, true))},
		{name: "a backup", at: "2h", series: with(succeededAt(map[string]int{"backup-proof": 3600}), run("backup-full-29312460", 7000, true))},
	},
	"BackupArchiveFailing": {
		{name: "nothing goes", at: "30m", quietUntil: "1m", series: archiver(0, 2),
			fires: []firing{{rule.Warning, nil, "The database's log is not archived",
				"For ten minutes nothing of the write-ahead log could be put into the repository, 20 times. What was committed since would be lost with the volumes. The database goes on, and the log waits on its volume."}}},
		{name: "some goes", at: "30m", series: archiver(1, 2)},
		{name: "nobody writes", at: "30m", series: archiver(0, 0)},
	},
	"BackupArchiveQueueFull": {
		{name: "more than half", at: "10m", quietUntil: "0m", series: logSize(256 + 640),
			fires: []firing{{rule.Critical, nil, "The log that waits for the archive is about to be dropped",
				"640MiB of the write-ahead log wait for the repository. At 1024 MiB the oldest of it is dropped: the database goes on, and there is no way back to a moment before the next backup."}}},
		{name: "less than half", at: "10m", series: logSize(256 + 500)},
	},
}
