package config

import (
	"fmt"
	"regexp"
	"strings"
)

// KubeletJob is the job of the kubelets, the same in a Prometheus of the stack's own and in
// that of a Prometheus Operator.
const KubeletJob = "kubelet"

// KubeletPort is where kubelets serve, by TLS and to who is authorized.
const KubeletPort = 10250

// The kubelet's own name for what it tells of containers.
const kubeletPath = "/metrics/cadvisor"

// ContainerMetrics are all that is kept of what the kubelets tell.
var ContainerMetrics = []string{
	"container_cpu_usage_seconds_total",
	"container_cpu_cfs_periods_total",
	"container_cpu_cfs_throttled_periods_total",
	"container_memory_working_set_bytes",
	"container_network_receive_bytes_total",
	"container_network_transmit_bytes_total",
}

// Where a pod finds its account's token, and the certificates of its cluster.
const (
	accountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	accountCA    = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
)

// Kubelets are asked with the token of Prometheus' account, which needs the right to get
// nodes/metrics.
type Kubelets struct {
	// Unverified takes any certificate of theirs, as where they sign their own.
	Unverified bool
}

// scrape asks the kubelet of each node that a pod of the namespace is on. The pods tell
// which these are, so that no node has to be read. A kubelet tells of every container on its
// node: what is not of the namespace is not kept.
func (k *Kubelets) scrape(namespace string) scrapeConfig {
	const hostIP, node = "__meta_kubernetes_pod_host_ip", "__meta_kubernetes_pod_node_name"
	trust := &tlsConfig{CAFile: accountCA}
	if k.Unverified {
		trust = &tlsConfig{Unverified: true}
	}
	return scrapeConfig{
		JobName: KubeletJob, Scheme: "https", MetricsPath: kubeletPath, Stale: true, SampleLimit: SampleLimit,
		Authorization:       &authorization{Type: "Bearer", CredentialsFile: accountToken},
		TLS:                 trust,
		KubernetesSDConfigs: ownPods,
		// Targets of the same labels are one.
		RelabelConfigs: []relabel{
			// One that has no node yet, or has ended on one that may be gone.
			{SourceLabels: []string{hostIP}, Regex: ".+", Action: "keep"},
			{SourceLabels: []string{"__meta_kubernetes_pod_phase"}, Regex: "Succeeded|Failed", Action: "drop"},
			{SourceLabels: []string{hostIP}, Regex: "([^:]+)", TargetLabel: "__address__", Replacement: fmt.Sprintf("$1:%d", KubeletPort)},
			{SourceLabels: []string{hostIP}, Regex: "(.*:.*)", TargetLabel: "__address__", Replacement: fmt.Sprintf("[$1]:%d", KubeletPort)},
			{SourceLabels: []string{node}, TargetLabel: "node"},
			{SourceLabels: []string{node}, TargetLabel: "instance"},
		},
		MetricRelabelConfigs: []relabel{
			{SourceLabels: []string{"__name__"}, Regex: strings.Join(ContainerMetrics, "|"), Action: "keep"},
			{SourceLabels: []string{"namespace"}, Regex: regexp.QuoteMeta(namespace), Action: "keep"},
		},
	}
}
