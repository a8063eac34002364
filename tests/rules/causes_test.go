package rules_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/provider/mem"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	monitoring "github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// cause is a fault, and what is told of it.
type cause struct {
	fault func(history, deployedStack)
	// page is what somebody is told, and silenced what somebody would be told besides.
	page     string
	silenced []string
}

// withoutDatabase follows from the loss of the database, wherever it went.
var withoutDatabase = []string{"DatabaseMemberDown", "DatabasePoolerWaiting", "EdgeErrorBudgetBurn", "EngineStalled", "JobFailed", "MarketDataMissing", "BackupFailed",
	"PodNotReady", "ReplicasMissing", "TargetDown"}

var causes = map[string]cause{
	"the database": {func(h history, s deployedStack) {
		h.databaseSilent()
		h.fails(s, set)
	}, "DatabaseDown", append([]string{"APIErrorBudgetBurn"}, withoutDatabase...)},
	"the node of the database and of the API": {func(h history, s deployedStack) {
		h.databaseSilent()
		h.lost(s, set)
		h.lost(s, "backend")
		h.set("0", kubeletOf(mainNode))
		h.set("", succeeded, failed, duration, inTime)
		h.set("1", container(apiPod))
	}, "NodeLost", append([]string{"APIDown", "DatabaseDown"}, withoutDatabase...)},
	"a member of the database": {func(h history, _ deployedStack) {
		h.set("0", up("database", set+"-2"), ready(set+"-2"), container(set+"-2"))
		h.set("2", available(set))
		h.set("", standbyUp)
	}, "DatabaseMemberDown", []string{"PodNotReady", "ReplicasMissing", "TargetDown"}},
	"the node of a member of the database": {func(h history, _ deployedStack) {
		h.set("0", up("database", set+"-2"), ready(set+"-2"))
		h.set("2", available(set))
		h.set("", standbyUp)
	}, "NodeLost", []string{"DatabaseMemberDown", "PodNotReady", "ReplicasMissing", "TargetDown"}},
	"the cluster's DNS": {func(h history, _ deployedStack) {
		h.applicationFails()
		h.linesPile()
		h.spansPile()
		h.archiveAway()
		h.set("+4", notFound, notSent)
	}, "DNSFailing", []string{"APIErrorBudgetBurn", "AlertNotificationsFailing", "BackupArchiveFailing", "EdgeErrorBudgetBurn", "EngineStalled", "MarketDataMissing",
		"PodNotReady", "ReplicasMissing", "TelemetryNotSent", "TelemetryQueueFilling"}},
	"the API": {func(h history, s deployedStack) {
		h.set("+300", edgeServed, edgeFailed)
		h.fails(s, "backend")
		h.set("", succeeded, duration, inTime)
		h.set("1", kube("kube_pod_container_status_waiting_reason", fmt.Sprintf(`pod=%q,container="c",reason="CrashLoopBackOff"`, apiPod)))
	}, "APIDown", []string{"EdgeErrorBudgetBurn", "PodCrashLooping", "PodNotReady", "ReplicasMissing", "TargetDown"}},
	"the engine": {func(h history, s deployedStack) {
		h.fails(s, "backend-engine")
		h.set("", leader, heartbeat, ticks)
	}, "EngineAbsent", []string{"PodNotReady", "ReplicasMissing", "TargetDown"}},
	"market data": {func(h history, _ deployedStack) {
		h.set("600", heartbeat, ticks)
	}, "EngineStalled", []string{"MarketDataMissing"}},
	"the edge": {func(h history, _ deployedStack) {
		h.set("0", edgeUp)
	}, "EdgeDown", []string{"EdgePodDown"}},
	"the cache": {func(h history, s deployedStack) {
		h.fails(s, "cache")
		h.set("", `redis_up{job="cache",pod="cache-0"}`)
	}, "CacheDown", []string{"PodNotReady", "ReplicasMissing", "TargetDown"}},
	"the store of the logs": {func(h history, s deployedStack) {
		h.fails(s, logStore)
		h.set("", writable)
		h.linesPile()
	}, "LogStoreDown", []string{"PodNotReady", "ReplicasMissing", "TargetDown", "TelemetryNotSent", "TelemetryQueueFilling"}},
	"the store of the traces": {func(h history, s deployedStack) {
		h.fails(s, traceStore)
		h.spansPile()
	}, "TraceStoreDown", []string{"PodNotReady", "ReplicasMissing", "TargetDown", "TelemetryNotSent", "TelemetryQueueFilling"}},
	"the node of the stores of logs and traces": {func(h history, s deployedStack) {
		h.lost(s, logStore)
		h.lost(s, traceStore)
		h.set("", writable)
		h.set("0", kubeletOf(storeNode))
		h.linesPile()
		h.spansPile()
	}, "NodeLost", []string{"LogStoreDown", "PodNotReady", "ReplicasMissing", "TargetDown", "TelemetryNotSent", "TelemetryQueueFilling", "TraceStoreDown"}},
	"the collector": {func(h history, s deployedStack) {
		h.fails(s, "telemetry-collector")
		h.set("", linesWait, spansWait, linesSent, spansSent)
	}, "TargetDown", []string{"PodNotReady", "ReplicasMissing"}},
	"a server of somebody else's that takes logs": {func(h history, _ deployedStack) {
		h.linesPile()
	}, "TelemetryNotSent", []string{"TelemetryQueueFilling"}},
	"the store of the backups": {func(h history, s deployedStack) {
		h.fails(s, "backup-store")
		h.archiveAway()
	}, "BackupStoreDown", []string{"BackupArchiveFailing", "PodNotReady", "ReplicasMissing"}},
	"the node of the store of the backups": {func(h history, s deployedStack) {
		h.lost(s, "backup-store")
		h.archiveAway()
	}, "NodeLost", []string{"BackupArchiveFailing", "BackupStoreDown", "PodNotReady", "ReplicasMissing"}},
	"a pod without metrics that is not ready": {func(h history, _ deployedStack) {
		h.unready("monitoring-grafana")
	}, "PodNotReady", []string{"ReplicasMissing"}},
	"an image that is not there": {func(h history, s deployedStack) {
		h.fails(s, "frontend")
		h.set("1", kube("kube_pod_container_status_waiting_reason", fmt.Sprintf(`pod=%q,container="c",reason="ImagePullBackOff"`, podsOf("frontend")[0])))
	}, "ImagePullFailing", []string{"PodNotReady", "ReplicasMissing", "TargetDown"}},
	"nothing": {func(history, deployedStack) {}, "", nil},
}

// Whatever else follows from it, a cause is one notification: Prometheus' own rules say
// what fires, and Alertmanager's own code what of it is sent, and in how many groups.
func TestOneCauseIsOnePage(t *testing.T) {
	stack := loadStack(t)
	file := write(t, "rules.yml", deployed.render(t))
	loaded := loadAlertmanager(t, config.Alertmanager{
		Receivers:   []config.Receiver{{Name: "all", Webhook: &config.Webhook{}, CredentialFile: "/etc/receivers/webhook"}},
		Inhibitions: rule.Inhibitions(deployed.groups(), stack.Consumers),
	})
	for name, c := range causes {
		t.Run(name, func(t *testing.T) {
			h := healthy(stack)
			c.fault(h, stack)
			fired := firesIn(t, file, h.load())
			inhibitor := inhibitorOf(t, loaded.InhibitRules, fired)
			sent, silenced := map[string][]string{}, map[string]bool{}
			for _, a := range fired {
				alertname := string(a["alertname"])
				if inhibitor.Mutes(t.Context(), a) {
					silenced[alertname] = true
					continue
				}
				route := dispatch.NewRoute(loaded.Route, nil).Match(a)[0].RouteOpts
				if route.Receiver == "none" {
					continue
				}
				group := ""
				for _, label := range slices.Sorted(maps.Keys(route.GroupBy)) {
					group += fmt.Sprintf("%s=%s ", label, a[label])
				}
				sent[alertname+": "+group] = append(sent[alertname], a.String())
			}
			var pages []string
			for group := range sent {
				alertname, _, _ := strings.Cut(group, ":")
				pages = append(pages, alertname)
			}
			slices.Sort(pages)
			if want := strings.Fields(c.page); !slices.Equal(pages, want) {
				t.Errorf("somebody is told %v, want %v\n%s", pages, want, strings.Join(slices.Sorted(maps.Keys(sent)), "\n"))
			}
			if got, want := slices.Sorted(maps.Keys(silenced)), slices.Sorted(slices.Values(c.silenced)); !slices.Equal(got, want) {
				t.Errorf("silenced are %v, want %v", got, want)
			}
		})
	}
}

// firesIn evaluates the rules every minute, as promtool does, and gives the labels of
// what fires in the end.
func firesIn(t *testing.T, file, series string) []model.LabelSet {
	t.Helper()
	suite, err := promqltest.NewLazyLoader(series, promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true, Parser: promql})
	if err != nil {
		t.Fatalf("%v\n%s", err, series)
	}
	defer func() { _ = suite.Close() }()
	suite.SubqueryInterval = time.Minute
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:    rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()),
		AppendableV2: suite.Storage(),
		Context:      t.Context(),
		NotifyFunc:   func(context.Context, string, ...*rules.Alert) {},
		Logger:       promslog.NewNopLogger(),
		Parser:       promql,
	})
	groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), dashboardsURL, nil, false, file)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	// What is recorded comes first.
	order := slices.SortedFunc(maps.Values(groups), func(a, b *rules.Group) int {
		return strings.Compare(fmt.Sprint(!strings.Contains(a.Name(), "recordings"), a.Name()), fmt.Sprint(!strings.Contains(b.Name(), "recordings"), b.Name()))
	})
	for minute := range lastMinute + 1 {
		at := time.Unix(int64(minute)*60, 0)
		suite.WithSamplesTill(at, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range order {
				g.Eval(suite.Context(), at)
			}
		})
	}
	var fired []model.LabelSet
	for _, g := range order {
		for _, r := range g.Rules() {
			if r.LastError() != nil {
				t.Fatalf("%s: %v", r.Name(), r.LastError())
			}
			a, ok := r.(*rules.AlertingRule)
			if !ok {
				continue
			}
			for _, active := range a.ActiveAlerts() {
				if active.State != rules.StateFiring || a.Name() == monitoring.DeadMansSwitch {
					continue
				}
				set := model.LabelSet{}
				active.Labels.Range(func(l labels.Label) { set[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
				fired = append(fired, set)
			}
		}
	}
	return fired
}

// inhibitorOf is Alertmanager's, which knows what fires.
func inhibitorOf(t *testing.T, inhibitRules []common.InhibitRule, fired []model.LabelSet) *inhibit.Inhibitor {
	t.Helper()
	alerts, err := mem.NewAlerts(t.Context(), time.Hour, 0, nil, promslog.NewNopLogger(), eventrecorder.NopRecorder(), client.NewRegistry(), featurecontrol.NoopFlags{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(alerts.Close)
	now := time.Now()
	for _, set := range fired {
		if err := alerts.Put(t.Context(), &alert.Alert{Alert: model.Alert{Labels: set, StartsAt: now, EndsAt: now.Add(time.Hour)}, UpdatedAt: now}); err != nil {
			t.Fatal(err)
		}
	}
	inhibitor := inhibit.NewInhibitor(alerts, inhibitRules, promslog.NewNopLogger(), eventrecorder.NopRecorder())
	go inhibitor.Run()
	t.Cleanup(inhibitor.Stop)
	inhibitor.WaitForLoading()
	return inhibitor
}
