// Package config renders the configuration files of Prometheus, Alertmanager and
// Grafana. Plain Go without Pulumi types: Prometheus' and Alertmanager's own
// loaders read the results in the tests.
package config

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// The intervals of scraping and rule evaluation. Prometheus refuses a timeout
// that is longer than its interval.
const (
	ScrapeInterval     = "15s"
	ScrapeTimeout      = "10s"
	EvaluationInterval = "15s"
)

// SampleLimit bounds one scrape of one pod. A build with a label of unbounded
// values then shows as a failed target instead of filling the memory of
// Prometheus. The reference backend's largest metric has at most one series for
// each symbol and signal type: 3000 × 3.
const SampleLimit = 50_000

// KubeStateMetricsInstance is the instance label of kube-state-metrics: a constant,
// so that its series, which describe other pods, outlive its own.
const KubeStateMetricsInstance = "kube-state-metrics"

// Prometheus is what the configuration of Prometheus depends on.
type Prometheus struct {
	// Namespace is the value of the external label of that name, by which a
	// receiver tells two stacks apart.
	Namespace string
	// KubeStateMetrics is the app.kubernetes.io/name label of kube-state-metrics.
	KubeStateMetrics string
	// Targets are scraped where there is no cluster whose pods could be discovered;
	// with any of them none is.
	Targets []Target
	// Alertmanager is the name of Alertmanager's host, AlertmanagerPath the path that it
	// serves below.
	Alertmanager, AlertmanagerPath string
	// AlertmanagerPort is the TCP port that it serves on.
	AlertmanagerPort int
	// RuleFiles are the paths of the rules in the container, ScrapeFiles those of the
	// user's own scrape configurations.
	RuleFiles, ScrapeFiles []string
	// RemoteWrite is another server that samples are sent to; nil for none.
	RemoteWrite *RemoteWrite
	// OTLP takes metrics by OpenTelemetry's protocol, too.
	OTLP bool
	// Kubelets are asked what the containers of Namespace take; nil where nobody may.
	Kubelets *Kubelets
	// Retention is the age at which samples are dropped, e.g. "200h", in Prometheus'
	// notation.
	Retention string
	// RetentionBytes is the size of all blocks, in bytes, from which on the oldest are dropped
	// before that age.
	RetentionBytes int64
}

// Render gives prometheus.yml.
func (p Prometheus) Render() (string, error) {
	file := prometheusFile{
		Global: prometheusGlobal{
			ScrapeInterval:     ScrapeInterval,
			ScrapeTimeout:      ScrapeTimeout,
			EvaluationInterval: EvaluationInterval,
			ExternalLabels:     map[string]string{"namespace": p.Namespace},
		},
		RuleFiles:         p.RuleFiles,
		ScrapeConfigFiles: p.ScrapeFiles,
		Alerting: alerting{Alertmanagers: []alertmanagerTarget{{
			PathPrefix:   p.AlertmanagerPath,
			DNSSDConfigs: p.alertmanagers(),
		}}},
		ScrapeConfigs: p.scrapeConfigs(),
		RemoteWrite:   p.RemoteWrite.render(),
		Storage: storage{TSDB: tsdb{Retention: retention{
			Time: p.Retention,
			Size: fmt.Sprintf("%dB", p.RetentionBytes),
		}}},
	}
	if p.OTLP {
		// Which of a process's pods it is; its service and instance are job and instance.
		file.OTLP = &otlp{Promote: []string{"k8s.pod.name"}}
		// Whoever sends, sends again what was not taken.
		file.Storage.TSDB.OutOfOrder = "10m"
	}
	return render(file)
}

// Target is a container that serves metrics. It gets the labels that a pod would.
type Target struct {
	// Job is the workload's name, Pod the container's, Component the workload's role.
	Job, Pod, Component string
	// Address is host:port, Path what is scraped there.
	Address, Path string
	// Params are the parameters of the request; nil for none.
	Params map[string]string
}

// alertmanagers are discovered by name instead of told: Prometheus keeps the addresses
// when names cannot be looked up any more, so that alerts still arrive, and counts what
// failed, so that one of them says so. There is an address of each family or of one.
func (p Prometheus) alertmanagers() []dnsSD {
	of := func(record string) dnsSD {
		return dnsSD{Names: []string{p.Alertmanager}, Type: record, Port: p.AlertmanagerPort}
	}
	return []dnsSD{of("A"), of("AAAA")}
}

// The names of the scrape configurations.
const (
	podsJob       = "pods"
	besideJob     = "beside"
	thirdJob      = "third"
	stateJob      = "kube-state-metrics"
	containersJob = "containers"
)

// ScrapeJobs are the names of the scrape configurations that there are on both targets, beside
// KubeletJob.
var ScrapeJobs = []string{podsJob, besideJob, thirdJob, stateJob, containersJob}

func (p Prometheus) scrapeConfigs() []scrapeConfig {
	if len(p.Targets) > 0 {
		return []scrapeConfig{p.containers()}
	}
	all := []scrapeConfig{p.pods(podsJob, ""), p.pods(besideJob, "beside_"), p.pods(thirdJob, "third_"), p.kubeStateMetrics()}
	if p.Kubelets != nil {
		all = append(all, p.Kubelets.scrape(p.Namespace))
	}
	return all
}

// containers scrapes each container on its own, as pods does.
func (p Prometheus) containers() scrapeConfig {
	c := scrapeConfig{JobName: containersJob, SampleLimit: SampleLimit}
	for _, t := range p.Targets {
		labels := map[string]string{"job": t.Job, "pod": t.Pod, "component": t.Component, "__metrics_path__": t.Path}
		for name, value := range t.Params {
			labels["__param_"+name] = value
		}
		c.StaticConfigs = append(c.StaticConfigs, staticConfig{Targets: []string{t.Address}, Labels: labels})
	}
	return c
}

const (
	metaAnnotation = "__meta_kubernetes_pod_annotation_prometheus_io_"
	metaName       = "__meta_kubernetes_pod_label_app_kubernetes_io_name"
)

// pods scrapes every pod that asks for it: each replica on its own, not one of
// them at random behind a Service. Of a pod with several that serve metrics, each but
// one has annotations with a prefix of its own, as room.ScrapePrefixes has it.
func (p Prometheus) pods(name, prefix string) scrapeConfig {
	return scrapeConfig{
		JobName:             name,
		SampleLimit:         SampleLimit,
		KubernetesSDConfigs: ownPods,
		RelabelConfigs: append([]relabel{
			{SourceLabels: []string{metaName}, Regex: p.KubeStateMetrics, Action: "drop"},
		}, append(targets(prefix),
			relabel{SourceLabels: []string{"__meta_kubernetes_pod_name"}, TargetLabel: "pod"},
			relabel{SourceLabels: []string{"__meta_kubernetes_pod_label_app_kubernetes_io_component"}, TargetLabel: "component"},
		)...),
	}
}

// kubeStateMetrics has a scrape configuration of its own because its series carry
// the labels of the objects that they describe (pod, namespace), and the target's
// own would overwrite them.
func (p Prometheus) kubeStateMetrics() scrapeConfig {
	return scrapeConfig{
		JobName:             stateJob,
		HonorLabels:         true,
		SampleLimit:         SampleLimit,
		KubernetesSDConfigs: ownPods,
		RelabelConfigs: append([]relabel{
			{SourceLabels: []string{metaName}, Regex: p.KubeStateMetrics, Action: "keep"},
		}, append(targets(""),
			relabel{TargetLabel: "instance", Replacement: KubeStateMetricsInstance},
		)...),
	}
}

// ownPods discovers the pods of Prometheus' own namespace, which is all that its
// Role allows it to see.
var ownPods = []kubernetesSD{{Role: "pod", Namespaces: sdNamespaces{OwnNamespace: true}}}

// targets are the rules of the annotations' convention.
func targets(prefix string) []relabel {
	rules := []relabel{
		{SourceLabels: []string{metaAnnotation + "scrape"}, Regex: "true", Action: "keep"},
		// A finished or evicted pod keeps its address for a while, and answers nothing.
		{SourceLabels: []string{"__meta_kubernetes_pod_phase"}, Regex: "Succeeded|Failed", Action: "drop"},
		// Discovery yields one target for each declared port of each container: keep
		// the one that the annotation names, so that each pod is scraped once.
		{SourceLabels: []string{metaAnnotation + prefix + "port"}, TargetLabel: "__meta_kubernetes_pod_container_port_number", Action: "keepequal"},
		{SourceLabels: []string{metaAnnotation + prefix + "path"}, Regex: "(.+)", TargetLabel: "__metrics_path__"},
		{SourceLabels: []string{metaName}, TargetLabel: "job"},
	}
	if prefix != "" {
		// A pod without ports and annotations would have the same of both: none.
		rules = append(rules, relabel{SourceLabels: []string{metaAnnotation + prefix + "port"}, Regex: ".+", Action: "keep"},
			relabel{Regex: metaAnnotation + prefix + "param_(.+)", Replacement: "__param_$1", Action: "labelmap"})
	}
	return rules
}

// The types below are the part of Prometheus' configuration that this program
// uses. Prometheus' own types are not used: they do not marshal into what their
// loader reads back, and pull in every service discovery there is.

type prometheusFile struct {
	Global        prometheusGlobal `yaml:"global"`
	RuleFiles     []string         `yaml:"rule_files"`
	Alerting      alerting         `yaml:"alerting"`
	ScrapeConfigs []scrapeConfig   `yaml:"scrape_configs"`
	// ScrapeConfigFiles hold further ones.
	ScrapeConfigFiles []string      `yaml:"scrape_config_files,omitempty"`
	RemoteWrite       []remoteWrite `yaml:"remote_write,omitempty"`
	OTLP              *otlp         `yaml:"otlp,omitempty"`
	Storage           storage       `yaml:"storage"`
}

type otlp struct {
	Promote []string `yaml:"promote_resource_attributes,flow"`
}

type prometheusGlobal struct {
	ScrapeInterval     string            `yaml:"scrape_interval"`
	ScrapeTimeout      string            `yaml:"scrape_timeout"`
	EvaluationInterval string            `yaml:"evaluation_interval"`
	ExternalLabels     map[string]string `yaml:"external_labels"`
}

type alerting struct {
	Alertmanagers []alertmanagerTarget `yaml:"alertmanagers"`
}

type alertmanagerTarget struct {
	PathPrefix   string  `yaml:"path_prefix"`
	DNSSDConfigs []dnsSD `yaml:"dns_sd_configs"`
}

type dnsSD struct {
	Names []string `yaml:"names,flow"`
	Type  string   `yaml:"type"`
	Port  int      `yaml:"port"`
}

type staticConfig struct {
	Targets []string          `yaml:"targets"`
	Labels  map[string]string `yaml:"labels,omitempty"`
}

type scrapeConfig struct {
	JobName     string `yaml:"job_name"`
	HonorLabels bool   `yaml:"honor_labels,omitempty"`
	// Stale marks the end of series that have times of their own, too.
	Stale                bool           `yaml:"track_timestamps_staleness,omitempty"`
	Scheme               string         `yaml:"scheme,omitempty"`
	MetricsPath          string         `yaml:"metrics_path,omitempty"`
	Authorization        *authorization `yaml:"authorization,omitempty"`
	TLS                  *tlsConfig     `yaml:"tls_config,omitempty"`
	SampleLimit          int            `yaml:"sample_limit"`
	StaticConfigs        []staticConfig `yaml:"static_configs,omitempty"`
	KubernetesSDConfigs  []kubernetesSD `yaml:"kubernetes_sd_configs,omitempty"`
	RelabelConfigs       []relabel      `yaml:"relabel_configs,omitempty"`
	MetricRelabelConfigs []relabel      `yaml:"metric_relabel_configs,omitempty"`
}

type kubernetesSD struct {
	Role       string       `yaml:"role"`
	Namespaces sdNamespaces `yaml:"namespaces"`
}

type sdNamespaces struct {
	OwnNamespace bool `yaml:"own_namespace"`
}

type relabel struct {
	SourceLabels []string `yaml:"source_labels,omitempty,flow"`
	Regex        string   `yaml:"regex,omitempty"`
	TargetLabel  string   `yaml:"target_label,omitempty"`
	Replacement  string   `yaml:"replacement,omitempty"`
	Action       string   `yaml:"action,omitempty"`
}

type storage struct {
	TSDB tsdb `yaml:"tsdb"`
}

type tsdb struct {
	Retention  retention `yaml:"retention"`
	OutOfOrder string    `yaml:"out_of_order_time_window,omitempty"`
}

type retention struct {
	Time string `yaml:"time"`
	Size string `yaml:"size"`
}

func render(v any) (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return b.String(), e.Close()
}
