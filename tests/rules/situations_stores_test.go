package rules_test

import "github.com/alphapulse/alphapulse-infra/components/room/rule"

var (
	logStoreUp    = up(logStore, "telemetry-logs-0")
	traceStoreUp  = up(traceStore, "telemetry-traces-0")
	backupStoreIs = available("backup-store")
)

// storesSituations are those of what keeps logs, traces and backups.
var storesSituations = map[string][]situation{
	"LogStoreDown": {
		{name: "it is gone", at: "11m", quietUntil: "10m", series: map[string]string{logStoreUp: "1x5 0x10"},
			fires: []firing{{rule.Warning, map[string]string{"job": "telemetry-logs"}, "The store of the logs does not answer",
				"VictoriaLogs does not answer: nobody can read log lines. New ones wait in the collector until its queue is full."}}},
		{name: "a restart", at: "10m", series: map[string]string{logStoreUp: "1x5 0x3 1x10"}},
	},
	"TraceStoreDown": {
		{name: "it is gone", at: "11m", quietUntil: "10m", series: map[string]string{traceStoreUp: "1x5 0x10"},
			fires: []firing{{rule.Warning, map[string]string{"job": "telemetry-traces"}, "The store of the traces does not answer",
				"Jaeger does not answer: nobody can read traces. New spans wait in the collector until its queue is full."}}},
		{name: "a restart", at: "10m", series: map[string]string{traceStoreUp: "1x5 0x3 1x10"}},
	},
	"BackupStoreDown": {
		{name: "it is gone", at: "11m", quietUntil: "10m", series: map[string]string{backupStoreIs: "1x5 0x10"},
			fires: []firing{{rule.Warning, nil, "The backups' server does not answer",
				"The S3 server in front of the backups' volume is not ready: nothing can be backed up, archived or restored. The database goes on, and its log waits on its volume."}}},
		{name: "a restart", at: "10m", series: map[string]string{backupStoreIs: "1x5 0x3 1x10"}},
	},
}
