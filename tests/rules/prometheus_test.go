package rules_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/dns"
	"github.com/prometheus/prometheus/discovery/kubernetes"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
)

var prometheus = config.Prometheus{
	Namespace:        "alphapulse-test",
	KubeStateMetrics: watched.monitoring.KubeStateMetrics,
	Alertmanager:     "monitoring-alertmanager",
	AlertmanagerPort: 9093,
	AlertmanagerPath: "/alertmanager",
	RuleFiles:        []string{"/etc/prometheus/rules.yml"},
	Retention:        "200h",
	RetentionBytes:   16 << 30,
}

// load reads a configuration as Prometheus does at its start.
func load(t *testing.T, p config.Prometheus) *promconfig.Config {
	t.Helper()
	rendered, err := p.Render()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := promconfig.LoadFile(write(t, "prometheus.yml", rendered), false, promslog.NewNopLogger())
	if err != nil {
		t.Fatalf("Prometheus refuses the configuration: %v\n%s", err, rendered)
	}
	return loaded
}

func TestPrometheusLoadsItsConfiguration(t *testing.T) {
	c := load(t, prometheus)
	for _, s := range c.ScrapeConfigs {
		if s.ScrapeTimeout >= s.ScrapeInterval {
			t.Errorf("%s: timeout %s, interval %s: want it shorter, so that one scrape ends before the next begins", s.JobName, s.ScrapeTimeout, s.ScrapeInterval)
		}
		if s.SampleLimit == 0 {
			t.Errorf("%s: no sample limit: one build with an unbounded label fills the memory", s.JobName)
		}
		for _, d := range s.ServiceDiscoveryConfigs {
			k, ok := d.(*kubernetes.SDConfig)
			if !ok {
				t.Fatalf("%s: discovers by %s", s.JobName, d.Name())
			}
			if k.Role != kubernetes.RolePod || !k.NamespaceDiscovery.IncludeOwnNamespace || len(k.NamespaceDiscovery.Names) > 0 {
				t.Errorf("%s: discovers %s in %+v: a namespaced Role allows the pods of the own namespace alone", s.JobName, k.Role, k.NamespaceDiscovery)
			}
		}
	}
	if want := []string{"/etc/prometheus/rules.yml"}; !slices.Equal(c.RuleFiles, want) {
		t.Errorf("rule files %v, want %v", c.RuleFiles, want)
	}
	if got := c.GlobalConfig.ExternalLabels.Get("namespace"); got != "alphapulse-test" {
		t.Errorf("external label namespace %q", got)
	}
	retention := c.StorageConfig.TSDBConfig.Retention
	if time.Duration(retention.Time) != 200*time.Hour || int64(retention.Size) != 16<<30 {
		t.Errorf("retention %+v, want 200h and 16 GiB", retention)
	}
	am := c.AlertingConfig.AlertmanagerConfigs
	if len(am) != 1 || am[0].PathPrefix != "/alertmanager" {
		t.Fatalf("alertmanagers %+v", am)
	}
	// Of both families, and by name: what is told is looked up for each alert.
	var records []string
	for _, d := range am[0].ServiceDiscoveryConfigs {
		sd, ok := d.(*dns.SDConfig)
		if !ok || !slices.Equal(sd.Names, []string{"monitoring-alertmanager"}) || sd.Port != 9093 {
			t.Fatalf("Alertmanager is discovered by %+v", d)
		}
		records = append(records, sd.Type)
	}
	if !slices.Equal(records, []string{"A", "AAAA"}) {
		t.Errorf("Alertmanager's records are %v", records)
	}
}

// What is sent by OTLP names its pod, and may come late, as who sends tries again.
func TestPrometheusTakesOTLP(t *testing.T) {
	p := prometheus
	p.OTLP = true
	with, without := load(t, p), load(t, prometheus)
	if want := []string{"k8s.pod.name"}; !slices.Equal(with.OTLPConfig.PromoteResourceAttributes, want) {
		t.Errorf("promoted are %v, want %v", with.OTLPConfig.PromoteResourceAttributes, want)
	}
	if w, wo := with.StorageConfig.TSDBConfig.OutOfOrderTimeWindow, without.StorageConfig.TSDBConfig.OutOfOrderTimeWindow; w == 0 || wo != 0 {
		t.Errorf("samples may be out of order for %d ms with OTLP and for %d without", w, wo)
	}
}

// pod is what discovery knows of one declared port of a pod.
type pod struct {
	name, app, phase string
	port             string
	annotations      map[string]string
}

func (p pod) discovered() model.LabelSet {
	set := model.LabelSet{
		model.AddressLabel:                                        model.LabelValue("10.0.0.1:" + p.port),
		"__meta_kubernetes_namespace":                             "alphapulse-test",
		"__meta_kubernetes_pod_name":                              model.LabelValue(p.name),
		"__meta_kubernetes_pod_phase":                             model.LabelValue(p.phase),
		"__meta_kubernetes_pod_container_port_number":             model.LabelValue(p.port),
		"__meta_kubernetes_pod_label_app_kubernetes_io_name":      model.LabelValue(p.app),
		"__meta_kubernetes_pod_label_app_kubernetes_io_component": "some",
	}
	for k, v := range p.annotations {
		set[model.LabelName("__meta_kubernetes_pod_annotation_prometheus_io_"+k)] = model.LabelValue(v)
	}
	return set
}

// scrapes gives the labels of each target that Prometheus makes of a discovered
// port, by the name of the scrape configuration.
func scrapes(t *testing.T, p pod) map[string]labels.Labels {
	t.Helper()
	found := map[string]labels.Labels{}
	for _, s := range load(t, prometheus).ScrapeConfigs {
		target, err := scrape.PopulateLabels(labels.NewBuilder(labels.EmptyLabels()), s, p.discovered(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !target.IsEmpty() {
			found[s.JobName] = target
		}
	}
	return found
}

func TestAnnotatedPodIsScrapedOnce(t *testing.T) {
	asks := map[string]string{"scrape": "true", "port": "9187", "path": "/metrics"}
	base := pod{name: "database-0", app: "database", phase: "Running", port: "9187", annotations: asks}
	change := func(f func(*pod)) pod {
		p := base
		p.annotations = map[string]string{}
		for k, v := range asks {
			p.annotations[k] = v
		}
		f(&p)
		return p
	}
	for name, c := range map[string]struct {
		pod  pod
		want int
	}{
		"the named port":          {base, 1},
		"another port of the pod": {change(func(p *pod) { p.port = "5432" }), 0},
		"no annotation":           {change(func(p *pod) { delete(p.annotations, "scrape") }), 0},
		"annotated false":         {change(func(p *pod) { p.annotations["scrape"] = "false" }), 0},
		"not yet running":         {change(func(p *pod) { p.phase = "Pending" }), 1},
		"finished":                {change(func(p *pod) { p.phase = "Succeeded" }), 0},
		"evicted":                 {change(func(p *pod) { p.phase = "Failed" }), 0},
		"kube-state-metrics":      {change(func(p *pod) { p.app = watched.monitoring.KubeStateMetrics }), 1},
	} {
		if got := scrapes(t, c.pod); len(got) != c.want {
			t.Errorf("%s: %d targets %v, want %d", name, len(got), got, c.want)
		}
	}
}

func TestTargetLabels(t *testing.T) {
	target := scrapes(t, pod{name: "backend-abc", app: "backend", phase: "Running", port: "8000",
		annotations: map[string]string{"scrape": "true", "port": "8000", "path": "/internal/metrics"}})["pods"]
	for name, want := range map[string]string{
		"job": "backend", "pod": "backend-abc", "component": "some",
		model.MetricsPathLabel: "/internal/metrics", model.AddressLabel: "10.0.0.1:8000",
	} {
		if got := target.Get(name); got != want {
			t.Errorf("label %s is %q, want %q", name, got, want)
		}
	}
	// A pod of the same workload without a path annotation keeps the default.
	target = scrapes(t, pod{name: "x", app: "x", phase: "Running", port: "1",
		annotations: map[string]string{"scrape": "true", "port": "1"}})["pods"]
	if got := target.Get(model.MetricsPathLabel); got != "/metrics" {
		t.Errorf("path without an annotation is %q", got)
	}
}

// An exporter of many targets beside another one is asked for its own, and who has none
// is not scraped twice.
func TestWhatIsBesideIsScrapedToo(t *testing.T) {
	asks := map[string]string{"scrape": "true", "port": "9113", "path": "/metrics"}
	edge := pod{name: "edge-abc", app: "edge", phase: "Running", port: "9115", annotations: asks}
	if found := scrapes(t, edge); len(found) != 0 {
		t.Errorf("targets %v of a port that nobody named", found)
	}
	asks["beside_port"], asks["beside_path"] = "9115", "/probe"
	asks["beside_param_module"], asks["beside_param_target"] = "certificate", "127.0.0.1:8443"
	found := scrapes(t, edge)
	if len(found) != 1 {
		t.Fatalf("targets %v, want one", found)
	}
	for name, want := range map[string]string{
		"job": "edge", "pod": "edge-abc", "component": "some", model.MetricsPathLabel: "/probe", model.AddressLabel: "10.0.0.1:9115",
		"__param_module": "certificate", "__param_target": "127.0.0.1:8443",
	} {
		if got := found["beside"].Get(name); got != want {
			t.Errorf("label %s is %q, want %q", name, got, want)
		}
	}
	edge.port = "9102"
	asks["third_port"], asks["third_path"] = "9102", "/metrics"
	if found := scrapes(t, edge); len(found) != 1 || found["third"].Get(model.AddressLabel) != "10.0.0.1:9102" || found["third"].Get("job") != "edge" || found["third"].Get("__param_target") != "" {
		t.Errorf("targets %v, want the third alone", found)
	}
	edge.port = "9113"
	if found := scrapes(t, edge); len(found) != 1 || found["pods"].Get("__param_target") != "" {
		t.Errorf("targets %v, want that of the pod itself alone", found)
	}
	edge.annotations, edge.port = map[string]string{"scrape": "true"}, ""
	if _, twice := scrapes(t, edge)["beside"]; twice {
		t.Error("a pod without ports is scraped for what is beside it")
	}
}

// The series of kube-state-metrics describe other pods: labels of its own pod must
// neither overwrite theirs nor change when it restarts.
func TestClusterStateOutlivesItsExporter(t *testing.T) {
	found := scrapes(t, pod{name: "monitoring-kube-state-metrics-abc", app: watched.monitoring.KubeStateMetrics, phase: "Running", port: "8080",
		annotations: map[string]string{"scrape": "true", "port": "8080", "path": "/metrics"}})
	target, ok := found["kube-state-metrics"]
	if !ok || len(found) != 1 {
		t.Fatalf("targets %v, want one of the configuration kube-state-metrics", found)
	}
	for _, s := range load(t, prometheus).ScrapeConfigs {
		if s.HonorLabels != (s.JobName == "kube-state-metrics") {
			t.Errorf("%s: honor_labels %v", s.JobName, s.HonorLabels)
		}
	}
	target.Range(func(l labels.Label) {
		if strings.HasPrefix(l.Name, model.ReservedLabelPrefix) || l.Name == "job" {
			return
		}
		if l.Name != "instance" || l.Value != config.KubeStateMetricsInstance {
			t.Errorf("label %s=%q is attached to every series", l.Name, l.Value)
		}
	})
}
