package rules_test

import (
	"testing"

	backend "github.com/alphapulse/alphapulse-infra/components/backend/observe"
	edge "github.com/alphapulse/alphapulse-infra/components/ingress/observe"
	monitoring "github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	telemetry "github.com/alphapulse/alphapulse-infra/components/telemetry/observe"
)

// about is what a person needs of an alert beside its text: who acts on it, what it is
// about, and where that is shown.
type about struct {
	owner, workload, dashboard string
}

// dashboardsURL is where users find Grafana.
const dashboardsURL = "https://monitoring.example.com"

// abouts of each alert. The workload of one that is about many is told by its labels.
var abouts = func() map[string]about {
	all := map[string]about{}
	for _, g := range []struct {
		about
		alerts []string
	}{
		{about{"backend", "backend", board.Overview.UID}, []string{
			"APIDown", "APIErrorBudgetBurn", "APILatencyBudgetBurn", "APILatencyUnmeasured", "LiveClientsRefused"}},
		{about{"trading", "backend-engine", backend.Trades.UID}, []string{
			"EngineAbsent", "EngineDoubled", "EngineStalled", "EngineCyclesFailing", "RiskLimitExceeded", "DrawdownHigh",
			"MarketDataMissing", "SignalsMissing", "SignalAccuracyLow", "OrdersRefused"}},
		{about{"platform", "database", board.Data.UID}, []string{
			"DatabaseDown", "DatabaseUnprotected", "DatabaseMemberDown", "DatabaseReplicationLag", "DatabaseMetricsIncomplete", "DatabaseConnectionsHigh", "DatabaseWraparoundNear", "DatabaseVacuumBehind",
			"DatabaseDeadlocks", "DatabaseLongTransaction", "DatabaseCheckpointsForced", "DatabaseRollbacksHigh",
			"DatabaseTemporaryFiles", "DatabaseReadsFromDisk", "DatabasePoolerWaiting", "DatabaseJobsFailing",
			"BackupOverdue", "BackupFailed", "BackupProofOverdue", "BackupProofFailed", "BackupArchiveFailing", "BackupArchiveQueueFull"}},
		{about{"platform", "backup-store", board.Data.UID}, []string{"BackupStoreDown"}},
		{about{"platform", "cache", board.Infrastructure.UID}, []string{
			"CacheDown", "CachePersistenceFailing", "CacheWritesRefused", "CacheConnectionsRejected", "CacheMemoryFull",
			"CacheClientsHigh", "CacheRewriteOverdue", "CacheHitRatioLow"}},
		{about{"platform", "edge", board.Infrastructure.UID}, []string{
			"EdgeDown", "EdgePodDown", "EdgeHandshakeFailing", "EdgeConnectionsDropped", "CertificateExpiring"}},
		{about{"platform", "edge", edge.Requests.UID}, []string{
			"EdgeErrorBudgetBurn", "EdgeLatencyBudgetBurn", "EdgeRequestsLimited", "EdgePodsAvoided", "EdgeTlsFailures"}},
		{about{"platform", "", board.Infrastructure.UID}, []string{
			"TargetDown", "VolumeFilling", "DNSFailing", "DeadMansSwitch"}},
		{about{"platform", "", monitoring.Platform.UID}, []string{
			"PodCrashLooping", "ImagePullFailing", "ContainerConfigurationInvalid", "ContainerOutOfMemory", "ContainerThrottled",
			"PodNotReady", "PodUnschedulable", "ReplicasMissing", "RolloutStuck", "AutoscalerAtMaximum", "AutoscalerNotScaling",
			"AutoscalerFlapping", "JobFailed", "ClaimPending", "NodeLost", "QuotaNearlyUsed"}},
		{about{"platform", "monitoring-prometheus", board.Infrastructure.UID}, []string{
			"PrometheusConfigurationRejected", "PrometheusRuleFailing", "PrometheusRulesMissed", "MetricsRefused",
			"PrometheusStorageFailing", "AlertsDropped", "RemoteWriteFailing"}},
		{about{"platform", "monitoring-alertmanager", board.Infrastructure.UID}, []string{
			"AlertNotificationsFailing", "AlertmanagerConfigurationRejected"}},
		{about{"platform", "telemetry-collector", telemetry.Telemetry.UID}, []string{
			"TelemetryRefused", "TelemetryLost", "TelemetryNotSent", "TelemetryQueueFilling", "TracesGivenUp"}},
		{about{"platform", "telemetry-logs", telemetry.Telemetry.UID}, []string{"LogStoreDown", "LogStoreReadOnly"}},
		{about{"platform", "telemetry-traces", telemetry.Telemetry.UID}, []string{"TraceStoreDown", "TraceStoreFailing"}},
		{about{"platform", "monitoring-kube-state-metrics", board.Infrastructure.UID}, []string{"ClusterStateUnknown"}},
	} {
		for _, name := range g.alerts {
			all[name] = g.about
		}
	}
	return all
}()

// Who acts on an alert by default.
func TestOwners(t *testing.T) {
	for _, g := range watched.groups() {
		for _, r := range g.Rules {
			if r.Alert != "" && r.Labels["owner"] != abouts[r.Alert].owner {
				t.Errorf("%s: owner %q, want %q", r.Alert, r.Labels["owner"], abouts[r.Alert].owner)
			}
		}
	}
}

func TestDashboardsOfAlertsExist(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range loadDashboards(t, watched) {
		uids[d.UID] = true
	}
	for _, g := range watched.groups() {
		for _, r := range g.Rules {
			if r.Alert != "" && !uids[r.Dashboard] {
				t.Errorf("%s: its dashboard %q does not exist", r.Alert, r.Dashboard)
			}
		}
	}
}
