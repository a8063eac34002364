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

// consumers are those that the stacks' links name.
var consumers = map[string][]string{
	"database": {"backend", "backend-engine", "backend-dashboard"},
	"cache":    {"backend", "backend-engine", "backend-dashboard"},
	"backend":  {"edge"},
}

// The fault comes after ten minutes; at its end everything that waits has waited.
const (
	faultMinute = 10
	lastMinute  = 45
)

// history is what is scraped of a stack. Values are given for before and after the fault:
// "1" stays, "+60" grows by 60 a minute, "" is not there.
type history map[string][2]string

func (h history) load() string {
	values := func(value string, minutes int) string {
		switch {
		case value == "":
			return fmt.Sprintf("_x%d", minutes)
		case strings.HasPrefix(value, "+"):
			return fmt.Sprintf("0%sx%d", value, minutes-1)
		default:
			return fmt.Sprintf("%sx%d", value, minutes-1)
		}
	}
	var b strings.Builder
	b.WriteString("load 1m\n")
	for _, series := range slices.Sorted(maps.Keys(h)) {
		before, after := values(h[series][0], faultMinute), values(h[series][1], lastMinute-faultMinute+1)
		if h[series][1] == "" && h[series][0] != "" {
			after = "stale " + after
		}
		fmt.Fprintf(&b, "  %s %s %s\n", series, before, after)
	}
	return b.String()
}

// set changes what is there after the fault.
func (h history) set(after string, series ...string) {
	for _, s := range series {
		h[s] = [2]string{h[s][0], after}
	}
}

// healthy is a stack that nothing is wrong with.
func healthy() history {
	h := history{}
	add := func(value string, series ...string) {
		for _, s := range series {
			h[s] = [2]string{value, value}
		}
	}
	pod := func(job, name string, metrics ...string) {
		add("1", fmt.Sprintf(`up{job=%q,pod=%q,instance="%[2]s:1"}`, job, name),
			kube("kube_pod_info", fmt.Sprintf(`pod=%q,node="n1"`, name)),
			kube("kube_pod_status_ready", fmt.Sprintf(`pod=%q,condition="true"`, name)),
			kube("kube_pod_status_phase", fmt.Sprintf(`pod=%q,phase="Running"`, name)),
			kube("kube_pod_container_status_ready", fmt.Sprintf(`pod=%q,container="c"`, name)))
		for _, m := range metrics {
			add("1", fmt.Sprintf("%s{job=%q,pod=%q}", m, job, name))
		}
	}
	pod("database", "database-0", "pg_up")
	pod("database", "database-1", "pg_up")
	pod("database", "database-2", "pg_up")
	add("0", primaryIs)
	add("1", streams)
	add("0", queued)
	pod("cache", "cache-0", "redis_up")
	pod("edge", edgePod, "nginx_up")
	pod("backend", apiPod)
	pod("backend-engine", enginePod, "alphapulse_engine_leader")
	add("1", kubeletUp)
	for _, m := range []string{"prometheus", "alertmanager", "kube-state-metrics"} {
		add("1", fmt.Sprintf(`up{job="monitoring-%s"}`, m))
	}
	add("1", kube("kube_deployment_spec_replicas", `deployment="backend"`), kube("kube_deployment_status_replicas_available", `deployment="backend"`),
		kube("kube_statefulset_replicas", `statefulset="database"`), kube("kube_statefulset_status_replicas_ready", `statefulset="database"`))
	add("+600", succeeded, duration, inTime)
	add("+600", edgeServed)
	add("+0", edgeFailed)
	add("+60", ticks)
	add("+4", lookedUp)
	add("+0", notFound, notSent)
	// The heartbeat is the time itself.
	h[heartbeat] = [2]string{"+60", "600+60"}
	return h
}

const (
	apiPod    = "backend-7d9c8b6f5-x2x4z"
	enginePod = "backend-engine-6c5bd9b8c4-vzq2k"
	edgePod   = "edge-5f7b6d8c9-hkx4t"

	kubeletUp = `up{job="kubelet",node="n1",instance="n1"}`
	primaryIs = `pg_replication_is_replica{job="database",pod="database-0"}`
	queued    = `pgbouncer_pools_client_maxwait_seconds{job="database-pooler",pod="database-pooler-x",database="alphapulse",user="u"}`
	streams   = `pg_replication_slot_slot_is_active{job="database",pod="database-0",slot_type="physical"}`
	succeeded = `http_requests_total{job="backend",pod="` + apiPod + `",status="200"}`
	failed    = `http_requests_total{job="backend",pod="` + apiPod + `",status="503"}`
	duration  = `http_request_duration_seconds_count{job="backend",pod="` + apiPod + `"}`
	inTime    = `http_request_duration_seconds_bucket{job="backend",pod="` + apiPod + `",le="0.2"}`
	// What users are answered.
	edgeServed = `edge_requests_total{job="edge",pod="` + edgePod + `",route="api",status="200",outcome="answered"}`
	edgeFailed = `edge_requests_total{job="edge",pod="` + edgePod + `",route="api",status="503",outcome="unreached"}`
	heartbeat  = `alphapulse_engine_heartbeat_timestamp_seconds{job="backend-engine",pod="` + enginePod + `"}`
	ticks      = `market_ticks_ingested_total{job="backend-engine",pod="` + enginePod + `"}`
	lookedUp   = `prometheus_sd_dns_lookups_total{job="monitoring-prometheus"}`
	notFound   = `prometheus_sd_dns_lookup_failures_total{job="monitoring-prometheus"}`
	notSent    = `alertmanager_notifications_failed_total{job="monitoring-alertmanager",integration="webhook",reason="other"}`
)

func ready(pod string) string {
	return kube("kube_pod_status_ready", fmt.Sprintf(`pod=%q,condition="true"`, pod))
}

func up(job, pod string) string {
	return fmt.Sprintf(`up{job=%q,pod=%q,instance="%[2]s:1"}`, job, pod)
}

// The API fails and the engine stands still, as without the database or without names.
func (h history) applicationFails() {
	h.set("+300", succeeded, failed, edgeServed, edgeFailed)
	h.set("600", heartbeat)
	h.set("600", ticks)
	h.set("0", ready(apiPod), kube("kube_deployment_status_replicas_available", `deployment="backend"`),
		kube("kube_pod_container_status_ready", fmt.Sprintf(`pod=%q,container="c"`, apiPod)))
}

func (h history) databaseGone() {
	h.set("0", up("database", "database-0"), ready("database-0"), kube("kube_statefulset_status_replicas_ready", `statefulset="database"`))
	h.set("", `pg_up{job="database",pod="database-0"}`, primaryIs, streams)
	h.set("60", queued)
	h.applicationFails()
}

var causes = map[string]struct {
	fault func(history)
	// page is what somebody is told, and silenced what somebody would be told besides.
	page     string
	silenced []string
}{
	"the database": {func(h history) {
		h.databaseGone()
		h.set("0", kube("kube_pod_container_status_ready", `pod="database-0",container="c"`))
	}, "DatabaseDown", []string{"APIErrorBudgetBurn", "DatabaseMemberDown", "DatabasePoolerWaiting", "EdgeErrorBudgetBurn", "EngineStalled", "MarketDataMissing", "PodNotReady", "ReplicasMissing", "TargetDown"}},
	"the node of the database and of the API": {func(h history) {
		h.databaseGone()
		h.set("0", up("backend", apiPod), kubeletUp)
		h.set("", succeeded, failed, duration, inTime)
		h.set("1", kube("kube_pod_container_status_ready", fmt.Sprintf(`pod=%q,container="c"`, apiPod)))
	}, "NodeLost", []string{"APIDown", "DatabaseDown", "DatabaseMemberDown", "DatabasePoolerWaiting", "EdgeErrorBudgetBurn", "EngineStalled", "MarketDataMissing", "PodNotReady", "ReplicasMissing", "TargetDown"}},
	"the cluster's DNS": {func(h history) {
		h.applicationFails()
		h.set("+4", notFound)
		h.set("+4", notSent)
	}, "DNSFailing", []string{"APIErrorBudgetBurn", "AlertNotificationsFailing", "EdgeErrorBudgetBurn", "EngineStalled", "MarketDataMissing", "PodNotReady", "ReplicasMissing"}},
	"the API": {func(h history) {
		h.set("+300", edgeServed, edgeFailed)
		h.set("0", up("backend", apiPod), ready(apiPod), kube("kube_deployment_status_replicas_available", `deployment="backend"`),
			kube("kube_pod_container_status_ready", fmt.Sprintf(`pod=%q,container="c"`, apiPod)))
		h.set("", succeeded, duration, inTime)
		h.set("1", kube("kube_pod_container_status_waiting_reason", fmt.Sprintf(`pod=%q,container="c",reason="CrashLoopBackOff"`, apiPod)))
	}, "APIDown", []string{"EdgeErrorBudgetBurn", "PodCrashLooping", "PodNotReady", "ReplicasMissing", "TargetDown"}},
	"the engine": {func(h history) {
		h.set("0", up("backend-engine", enginePod), ready(enginePod), kube("kube_pod_container_status_ready", fmt.Sprintf(`pod=%q,container="c"`, enginePod)))
		h.set("", fmt.Sprintf(`alphapulse_engine_leader{job="backend-engine",pod=%q}`, enginePod), heartbeat, ticks)
	}, "EngineAbsent", []string{"PodNotReady", "TargetDown"}},
	"market data": {func(h history) {
		h.set("600", heartbeat)
		h.set("600", ticks)
	}, "EngineStalled", []string{"MarketDataMissing"}},
	"the edge": {func(h history) {
		h.set("0", fmt.Sprintf(`nginx_up{job="edge",pod=%q}`, edgePod))
	}, "EdgeDown", []string{"EdgePodDown"}},
	"the cache": {func(h history) {
		h.set("0", up("cache", "cache-0"), ready("cache-0"), kube("kube_pod_container_status_ready", `pod="cache-0",container="c"`))
		h.set("", `redis_up{job="cache",pod="cache-0"}`)
	}, "CacheDown", []string{"PodNotReady", "TargetDown"}},
	"nothing": {func(history) {}, "", nil},
}

// Whatever else follows from it, a cause is one notification: Prometheus' own rules say
// what fires, and Alertmanager's own code what of it is sent, and in how many groups.
func TestOneCauseIsOnePage(t *testing.T) {
	file := write(t, "rules.yml", watched.render(t))
	loaded := loadAlertmanager(t, config.Alertmanager{
		Receivers:   []config.Receiver{{Name: "all", Webhook: &config.Webhook{}, CredentialFile: "/etc/receivers/webhook"}},
		Inhibitions: rule.Inhibitions(watched.groups(), consumers),
	})
	for name, c := range causes {
		t.Run(name, func(t *testing.T) {
			h := healthy()
			c.fault(h)
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
			if want := strings.Fields(c.page); !slices.Equal(pages, want) {
				t.Errorf("somebody is told %v, want %v\n%s", pages, want, strings.Join(slices.Sorted(maps.Keys(sent)), "\n"))
			}
			if got := slices.Sorted(maps.Keys(silenced)); !slices.Equal(got, c.silenced) {
				t.Errorf("silenced are %v, want %v", got, c.silenced)
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
