package rules_test

import (
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	monitoring "github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// On a Docker host Prometheus is told its targets; each gets the labels that discovery
// gives a pod.
func TestPrometheusLoadsToldTargets(t *testing.T) {
	p := prometheus
	p.Targets = []config.Target{
		{Job: "backend", Pod: "backend-1", Component: "api", Address: "backend-1:8000", Path: "/metrics"},
		{Job: "backend", Pod: "backend-2", Component: "api", Address: "backend-2:8000", Path: "/metrics"},
		{Job: "monitoring-prometheus", Pod: "monitoring-prometheus", Component: "metrics", Address: "monitoring-prometheus:9090", Path: "/prometheus/metrics"},
	}
	c := load(t, p)
	if len(c.ScrapeConfigs) != 1 {
		t.Fatalf("%d scrape configurations, want one", len(c.ScrapeConfigs))
	}
	s := c.ScrapeConfigs[0]
	if s.SampleLimit == 0 || s.ScrapeTimeout >= s.ScrapeInterval {
		t.Errorf("%+v", s)
	}
	found := map[model.LabelValue]model.LabelSet{}
	for _, d := range s.ServiceDiscoveryConfigs {
		static, ok := d.(discovery.StaticConfig)
		if !ok {
			t.Fatalf("discovers by %s: there is no cluster to ask", d.Name())
		}
		for _, group := range static {
			for _, target := range group.Targets {
				found[target[model.AddressLabel]] = group.Labels
			}
		}
	}
	for _, want := range p.Targets {
		got := found[model.LabelValue(want.Address)]
		if string(got["job"]) != want.Job || string(got["pod"]) != want.Pod || string(got["component"]) != want.Component ||
			string(got[model.MetricsPathLabel]) != want.Path {
			t.Errorf("%s: labels %v, want those of %+v", want.Address, got, want)
		}
	}
	if len(found) != len(p.Targets) {
		t.Errorf("%d targets, want %d", len(found), len(p.Targets))
	}
}

func TestBackupAlertsOfADockerHost(t *testing.T) {
	for alert, list := range hostSituations {
		t.Run(alert, func(t *testing.T) { check(t, onDockerHost, alert, list) })
	}
}

// Nothing there tells how pods and claims are: an alert on them would be silent for
// ever, or would never end.
func TestDockerHostAsksNothingOfKubernetes(t *testing.T) {
	rendered := onDockerHost.render(t)
	texts := map[string]string{"rules": rendered}
	for name, d := range loadDashboards(t, onDockerHost) {
		for _, p := range d.allPanels() {
			for _, q := range p.Targets {
				texts[name+", "+p.Title] = q.Expr
			}
		}
	}
	for name, text := range texts {
		for _, of := range []string{"kube_", "kube-state-metrics", "container_cpu", rule.VolumeUsed, `job=""`} {
			if strings.Contains(text, of) {
				t.Errorf("%s: asks for %s", name, of)
			}
		}
	}
	for _, alert := range []string{"DatabaseDown", "CacheDown", "EdgeDown", "EdgeErrorBudgetBurn", "EngineAbsent", "TargetDown", "CertificateExpiring", "BackupOverdue", "BackupArchiveFailing", monitoring.DeadMansSwitch} {
		if !strings.Contains(rendered, "alert: "+alert+"\n") {
			t.Errorf("no alert %s", alert)
		}
	}
}
